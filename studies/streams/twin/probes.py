"""Linear probes: a softmax regression of the class on a stream (Alain and Bengio 2016, arXiv 1610.01644)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

_MOST_STEPS = 1000
_FLAT = 1e-6  # largest gradient at which the search is over


class Probes:
    """One for each stream: W and b that minimise the mean cross-entropy of W x + b plus decay / 2 ||W||_F^2.

    There is one minimum, which L-BFGS finds from 0, in float64. So that ``decay`` means the same to all, each probe
    divides what it reads by the root mean square of the stream on which it has learnt.

    Args:
        streams: (rows, width) each, to learn on.
        labels: (rows,).
        classes: How many.
        decay: On the squared weights.
    """

    def __init__(self, streams: Sequence[Tensor], labels: Tensor, *, classes: int, decay: float) -> None:
        x = torch.stack([each.detach().double() for each in streams])
        layers, rows, width = x.shape
        self._size = x.square().mean((1, 2), keepdim=True).sqrt()
        self._maps = x.new_zeros(layers, width, classes).requires_grad_()
        self._shifts = x.new_zeros(layers, 1, classes).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [self._maps, self._shifts],
            max_iter=_MOST_STEPS,
            tolerance_grad=_FLAT,
            tolerance_change=0,  # only a flat place ends the search, not a short step
            line_search_fn="strong_wolfe",
        )

        def loss() -> float:
            optimiser.zero_grad()
            fit = cross_entropy(self(x).flatten(0, 1), labels.repeat(layers), reduction="sum") / rows
            total = fit + decay / 2 * self._maps.square().sum()
            total.backward()  # type: ignore[no-untyped-call]  # PyTorch's
            return total.item()

        with torch.enable_grad():
            optimiser.step(loss)  # type: ignore[no-untyped-call]  # PyTorch's

    def __call__(self, streams: Tensor) -> Tensor:
        """What each probe says of the stream of its place: (layers, rows, width) to (layers, rows, classes)."""
        return torch.baddbmm(self._shifts, streams.double() / self._size, self._maps)
