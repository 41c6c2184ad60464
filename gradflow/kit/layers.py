"""The layers that networks are made of. Only this module, and :mod:`gradflow.memory.sketched`, know of the seeds axis.

Without seeds a kit hands out ``torch.nn``'s own layers. With seeds every layer holds as many networks side by side:
its parameters have a leading seeds axis, and streams are ``(seeds, batch, width)``. A network built from a kit is
written once, like a single one, and works with both.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Normalisation = Literal["layer", "rms"]


class UnknownLayerError(Exception):
    """A network asks for a layer that the kit does not have."""


class Kit:
    """Makes layers.

    Args:
        seeds: Networks side by side; None: a single one, of ``torch.nn``'s layers.
    """

    def __init__(self, seeds: int | None = None) -> None:
        self._seeds = () if seeds is None else (seeds,)

    def linear(self, inputs: int, outputs: int, *, bias: bool = True) -> nn.Module:
        """A linear map: parameters ``weight`` (outputs, inputs) and, unless it has none, ``bias`` (outputs)."""
        if self._seeds:
            return StackedLinear(*self._seeds, inputs, outputs, bias=bias)
        return nn.Linear(inputs, outputs, bias=bias)

    def norm(self, kind: Normalisation, width: int) -> nn.Module:
        """Layer norm (arXiv 1607.06450) or RMS norm (arXiv 1910.07467) over the units, with gains learnt."""
        if kind not in ("layer", "rms"):
            raise UnknownLayerError(f"must ask the kit for the norm layer or rms, got {kind!r}")
        if self._seeds:
            return StackedNorm(*self._seeds, kind, width)
        return nn.LayerNorm(width) if kind == "layer" else nn.RMSNorm(width)

    def parameter(self, width: int = 1, start: float = 0.0) -> nn.Parameter:
        """Numbers that are learnt, one for all units or one each: (1, width), which a stream can be multiplied with."""
        return nn.Parameter(torch.full((*self._seeds, 1, width), start))

    def __getattr__(self, name: str) -> Callable[..., nn.Module]:
        """Refuse what there is not.

        Raises:
            UnknownLayerError: Always; names the layers that exist.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnknownLayerError(f"must ask the kit for linear, norm or parameter, got {name}")


class StackedLinear(nn.Module):
    """Linear maps side by side: weight (seeds, outputs, inputs), bias (seeds, outputs) or None."""

    def __init__(self, seeds: int, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(seeds, outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (seeds, batch, inputs) to (seeds, batch, outputs)."""
        if self.bias is None:
            return torch.bmm(x, self.weight.mT)
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.mT)


class StackedNorm(nn.Module):
    """Layer or RMS norms side by side: weight (seeds, width), for layer norms also bias (seeds, width)."""

    def __init__(self, seeds: int, kind: Normalisation, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, width))
        self.bias = nn.Parameter(torch.zeros(seeds, width)) if kind == "layer" else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (seeds, batch, width) to its own shape."""
        shape = x.shape[-1:]
        if self.bias is None:
            return functional.rms_norm(x, shape) * self.weight.unsqueeze(1)
        return torch.addcmul(self.bias.unsqueeze(1), functional.layer_norm(x, shape), self.weight.unsqueeze(1))


def linear_maps(module: nn.Module) -> dict[str, nn.Module]:
    """All linear maps of a module, itself included, by their names in it, in the order in which they were made."""
    return {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear | StackedLinear)}
