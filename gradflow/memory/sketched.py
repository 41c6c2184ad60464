"""Linear maps that keep a sketch of their input for the gradient of their weights, instead of the input itself.

A map z = x W^T + b needs its input x (batch, inputs) for ``dLoss/dW = delta^T x`` alone, with delta = dLoss/dz.
Activation sketching (BASIS, arXiv 2604.16324) keeps S x instead, where S (R, batch) has a single 1 or -1 in each
column: each row goes with a random sign into one of R buckets. Then ``(S delta)^T (S x)`` is right in the mean over the
signs. The forward pass, and the gradients of streams and biases, do not change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.linalg import matrix_norm

from gradflow.kit.layers import Kit, StackedLinear


@dataclass(frozen=True)
class Sketch:
    """One sketch of a batch, or one for each network of a stack: then tensors have its axis first.

    Attributes:
        buckets: (batch,) int16, into which bucket each row goes.
        signs: (batch,) int8, with which sign; a row with 0 goes nowhere.
        rows: R, how many buckets there are.
        scalars: Whether sketches are scaled to the Frobenius norm of what they are of, which makes both factors of a
            product as large as the exact ones and leaves its direction as it is.
    """

    buckets: Tensor
    signs: Tensor
    rows: int
    scalars: bool = False

    def to(self, device: torch.device) -> "Sketch":
        """The same on a device."""
        return replace(self, buckets=self.buckets.to(device), signs=self.signs.to(device))

    def of(self, x: Tensor) -> Tensor:
        """S x: (batch, units) -> (R, units)."""
        empty = x.new_zeros(*self.buckets.shape[:-1], self.rows, self.buckets.shape[-1])
        s = empty.scatter_(-2, self.buckets.long().unsqueeze(-2), self.signs.to(x.dtype).unsqueeze(-2))
        sketched: Tensor = s @ x
        if self.scalars:
            size = matrix_norm(sketched, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)  # of zeros it is 0
            sketched *= matrix_norm(x, keepdim=True) / size
        return sketched

    def product(self, kept: Tensor, delta: Tensor) -> Tensor:
        """``(S delta)^T (S x)``, the estimate of dLoss/dW (outputs, inputs), of S x and delta (batch, outputs)."""
        return self.of(delta).mT @ kept


def drawn(
    random: np.random.Generator, batch: int, rows: ArrayLike, *, balanced: bool = True, scalars: bool = False
) -> Sketch:
    """A sketch at random.

    Args:
        random: Where it comes from.
        batch: Rows of the batch.
        rows: R, at most 2^15; of shape (...), one for each sketch of a stack.
        balanced: Rows are shuffled and dealt out in turns, so that buckets are equally full to within one row; else
            each row goes anywhere, whatever the others do.
        scalars: See :class:`Sketch`.
    """
    each = np.asarray(rows)[..., None]
    shape = (*each.shape[:-1], batch)
    if balanced:
        buckets = random.permuted(np.broadcast_to(np.arange(batch), shape), axis=-1) % each
    else:
        buckets = random.integers(0, each, size=shape)
    signs = 1 - 2 * random.integers(0, 2, size=shape)
    return Sketch(
        torch.from_numpy(buckets.astype(np.int16)), torch.from_numpy(signs.astype(np.int8)), int(each.max()), scalars
    )


def of_rows(chosen: Tensor) -> Sketch:
    """The sketch that keeps some rows as they are, exact where dLoss/dz of all others is 0.

    Args:
        chosen: (..., batch) bool, which ones; those of a stack keep room for as many as the one with the most.
    """
    places = chosen.cumsum(-1) - 1
    most = int(places[..., -1].max()) + 1
    return Sketch(places.clamp_min(0).to(torch.int16), chosen.to(torch.int8), max(most, 1))


def meeting(batch: int, rows: int, *, balanced: bool = True) -> float:
    """p, the chance that two rows of a batch share a bucket: (batch/R - 1) / (batch - 1), where R divides the batch."""
    if not balanced:
        return 1 / rows
    full, more = divmod(batch, rows)
    pairs = more * (full + 1) * full + (rows - more) * full * (full - 1)
    return pairs / (batch * (batch - 1)) if batch > 1 else 0.0


def spread(x: Tensor, delta: Tensor) -> Tensor:
    """E, by which the estimate of dLoss/dW varies without scalars: its mean squared distance from it is p E.

    With p from :func:`meeting`, ``E = |x|^2 |delta|^2 + |delta^T x|^2 - 2 sum_i |x_i|^2 |delta_i|^2``.
    What is wrong in an estimate are the products of a row of delta and another row of x that share a bucket.

    Args:
        x: (..., batch, inputs).
        delta: (..., batch, outputs).
    """
    own = x.square().sum(-1) * delta.square().sum(-1)
    whole = x.square().sum((-2, -1)) * delta.square().sum((-2, -1))
    return whole + (delta.mT @ x).square().sum((-2, -1)) - 2 * own.sum(-1)


class _Map(torch.autograd.Function):
    """A linear map that saves a sketch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, sketch: Sketch) -> Tensor:
        ctx.save_for_backward(sketch.of(x), weight, sketch.buckets, sketch.signs)
        ctx.rows, ctx.scalars, ctx.biased = sketch.rows, sketch.scalars, bias is not None
        if weight.ndim == 2:
            return nn.functional.linear(x, weight, bias)
        return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        (delta,) = gradients
        kept, weight, buckets, signs = ctx.saved_tensors
        sketch = Sketch(buckets, signs, ctx.rows, ctx.scalars)
        return delta @ weight, sketch.product(kept, delta), delta.sum(-2) if ctx.biased else None, None


class SketchedLinear(nn.Linear):
    """``nn.Linear`` that keeps a sketch as long as it has one, and its input else."""

    sketch: Sketch | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, inputs) to (batch, outputs)."""
        return super().forward(x) if self.sketch is None else _mapped(x, self.weight, self.bias, self.sketch)


class SketchedStackedLinear(StackedLinear):
    """Linear maps side by side that keep sketches as long as they have them, and their input else."""

    sketch: Sketch | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (seeds, batch, inputs) to (seeds, batch, outputs)."""
        return super().forward(x) if self.sketch is None else _mapped(x, self.weight, self.bias, self.sketch)


def _mapped(x: Tensor, weight: Tensor, bias: Tensor | None, sketch: Sketch) -> Tensor:
    mapped: Tensor = _Map.apply(x, weight, bias, sketch)  # type: ignore[no-untyped-call]  # PyTorch's
    return mapped


class SketchingKit(Kit):
    """Makes linear maps that can keep sketches; see :func:`sketching`."""

    def linear(self, inputs: int, outputs: int, *, bias: bool = True) -> nn.Module:
        """A linear map like those of other kits, as long as it has no sketch."""
        if self._seeds:
            return SketchedStackedLinear(*self._seeds, inputs, outputs, bias=bias)
        return SketchedLinear(inputs, outputs, bias=bias)


def sketching(maps: Sequence[nn.Module], sketches: Sequence[Sketch | None]) -> None:
    """Give each of some linear maps of a :class:`SketchingKit` its sketch, or none, until further notice."""
    for each, sketch in zip(maps, sketches, strict=True):
        assert isinstance(each, SketchedLinear | SketchedStackedLinear)
        each.sketch = sketch
