"""Sublayers of a transformer: what they compute, and where the norm stands (arXiv 1706.03762, 2002.04745, 2502.02732).

The rows of a stream are the positions of one sequence after another: ``(..., sequences * positions, width)``. So the
layers of the kit, and all instruments, see rows as in any other network; attention alone knows which of them belong
together.
"""

from typing import Any, Literal

from torch import Tensor, nn, relu
from torch.nn.functional import scaled_dot_product_attention

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit, Normalisation

Placement = Literal["pre", "post", "peri", "none"]


class Attention(nn.Module):
    """``out(softmax(q k^T / sqrt(width / heads)) v)`` in each head, over this position and those before it.

    Args:
        kit: Makes its layers.
        width: Units of the stream; a multiple of ``heads``.
        heads: How many.
        positions: Of a sequence.
    """

    def __init__(self, kit: Kit, width: int, heads: int, positions: int) -> None:
        super().__init__()
        self.qkv = kit.linear(width, 3 * width)
        self.out = kit.linear(width, width)
        self._heads, self._positions = heads, positions

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (..., sequences * positions, width) to rows."""
        parts = self.qkv(x).reshape(-1, self._positions, 3, self._heads, x.shape[-1] // self._heads)
        q, k, v = (part.transpose(1, 2) for part in parts.unbind(2))
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        result: Tensor = self.out(mixed.reshape(x.shape))
        return result


class Feedforward(nn.Module):
    """``W2 relu(W1 x + b1) + b2`` of each row.

    Args:
        kit: Makes its layers.
        width: Units of the stream.
        hidden: Units between the two maps.
    """

    def __init__(self, kit: Kit, width: int, hidden: int) -> None:
        super().__init__()
        self.linear = kit.linear(width, hidden)
        self.out = kit.linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (..., rows, width) to rows."""
        result: Tensor = self.out(relu(self.linear(x)))
        return result


class Sublayer(Block):
    """A core f on a stream: ``x + c behind(f(before(x)))``, where each of the two is a norm or nothing.

    Args:
        kit: Makes its norms.
        place: Where it stands.
        core: f, with a linear map ``out`` at its end.
        placement: ``pre``: there is a norm before f; ``peri``: before and behind it; else none.
        norm: ``layer`` or ``rms``.
        skip: Whether x goes past the core; without it ``x +`` is missing.
        scale: c.
    """

    writes = ("core.out",)

    def __init__(
        self,
        kit: Kit,
        place: Place,
        core: nn.Module,
        *,
        placement: Placement,
        norm: Normalisation = "layer",
        skip: bool = True,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.before = kit.norm(norm, place.width) if placement in ("pre", "peri") else nn.Identity()
        self.core = core
        self.behind = kit.norm(norm, place.width) if placement == "peri" else nn.Identity()
        self._skip, self._scale = skip, scale

    def carry(self, x: Tensor) -> Tensor | None:
        """The stream, or nothing."""
        return x if self._skip else None

    def branch(self, x: Tensor) -> Tensor:
        """``c f(x)``, between its norms."""
        return scaled(self._scale, self.behind(self.core(self.before(x))))


class PostNorm(Sublayer):
    """``norm(x + c f(x))``; for the arguments see :class:`Sublayer`."""

    def __init__(
        self, kit: Kit, place: Place, core: nn.Module, *, norm: Normalisation = "layer", **settings: Any
    ) -> None:
        super().__init__(kit, place, core, norm=norm, **settings)
        self.sum = kit.norm(norm, place.width)

    def after(self, x: Tensor) -> Tensor:
        """The sum, normalised."""
        normalised: Tensor = self.sum(x)
        return normalised


def sublayer(kit: Kit, place: Place, core: nn.Module, *, placement: Placement, **settings: Any) -> Sublayer:
    """The sublayer whose norm stands there."""
    make = PostNorm if placement == "post" else Sublayer
    return make(kit, place, core, placement=placement, **settings)
