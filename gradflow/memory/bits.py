"""ReLUs that save one bit a number for their gradient: whether it was positive."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_PLACES = (1, 2, 4, 8, 16, 32, 64, 128)


def packed(mask: Tensor) -> Tensor:
    """A mask as bytes, eight of its entries in each: (bytes,) uint8."""
    places = torch.tensor(_PLACES, dtype=torch.uint8, device=mask.device)
    filled = functional.pad(mask.flatten(), (0, -mask.numel() % 8))
    return (filled.view(-1, 8) * places).sum(1, dtype=torch.uint8)


def unpacked(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """The mask of that shape which :func:`packed` made bytes of."""
    places = torch.tensor(_PLACES, dtype=torch.uint8, device=bits.device)
    mask = bits.unsqueeze(1).bitwise_and(places) != 0
    return mask.flatten()[: math.prod(shape)].view(*shape)


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(packed(x > 0))
        return x.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (bits,) = gradients, ctx.saved_tensors
        return gradient.where(unpacked(bits, gradient.shape), 0.0)


class ReluAsBits(TorchFunctionMode):
    """Within it every ``torch.relu`` saves bits instead of its output, with the same result and the same gradient.

    What ``torch.utils.checkpoint`` computes again must enter it anew.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call what PyTorch is about to call, or the ReLU of this module in its place."""
        if function in (torch.relu, functional.relu, Tensor.relu):
            return _Relu.apply(*args)  # type: ignore[no-untyped-call]  # PyTorch's
        return function(*args, **(kwargs or {}))
