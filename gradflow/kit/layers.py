"""The layers that networks are made of. Only this module, and :mod:`gradflow.memory.sketched`, know of the seeds axis.

Without seeds a kit hands out ``torch.nn``'s own layers. With seeds every layer holds as many networks side by side:
its parameters and buffers have a leading seeds axis, and streams are ``(seeds, batch, width)``, or ``(seeds, batch,
channels, height, width)``. A network built from a kit is written once, like a single one, and works with both.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Normalisation = Literal["layer", "rms"]
Padding = Literal["zeros", "circular"]
_MOMENTUM = 0.1  # of the running statistics of batch norms, torch.nn's own


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

    def convolution(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = True, padding: Padding = "zeros"
    ) -> nn.Module:
        """A convolution of images, which at stride 1 keeps their size.

        Args:
            inputs: Channels that it reads.
            outputs: Channels that it makes.
            kernel: Height and width of its window, odd.
            stride: Pixels from one window to the next.
            bias: Whether it has one.
            padding: What stands for the ``kernel // 2`` pixels beyond each edge: zeros, or those at the other edge.

        Returns:
            Parameters ``weight`` (outputs, inputs, kernel, kernel) and, unless it has none, ``bias`` (outputs).
        """
        if self._seeds:
            return StackedConvolution(*self._seeds, inputs, outputs, kernel, stride=stride, bias=bias, padding=padding)
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias, padding_mode=padding)

    def batch_norm(self, channels: int) -> nn.Module:
        """Batch norm of images (arXiv 1502.03167): by running statistics, its buffers, once in evaluation mode."""
        return StackedBatchNorm(*self._seeds, channels) if self._seeds else nn.BatchNorm2d(channels)

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
        raise UnknownLayerError(f"must ask the kit for linear, convolution, norm, batch_norm or parameter, got {name}")


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


class StackedConvolution(nn.Module):
    """Convolutions side by side: weight (seeds, outputs, inputs, kernel, kernel), bias (seeds, outputs) or None.

    They are one convolution with a group of channels for each seed. On a CPU that takes 0.55 to 0.7 of the time of one
    after the other, at 4 to 8 seeds, 8 to 32 channels and batches of 64 to 128 small images.
    """

    def __init__(
        self, seeds: int, inputs: int, outputs: int, kernel: int, *, stride: int, bias: bool, padding: Padding
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(seeds, outputs)) if bias else None
        self._stride, self._around = stride, kernel // 2
        self._circular = padding == "circular" and kernel > 1

    def forward(self, x: Tensor) -> Tensor:
        """Map x (seeds, batch, inputs, height, width) to (seeds, batch, outputs, height / stride, width / stride)."""
        seeds, around = len(self.weight), self._around
        images = _grouped(x)
        if self._circular:
            images, around = _wrapped(images, around), 0
        else:  # up to a third faster with many channels; slower on what is wrapped, by a tenth or so in a U-Net
            images = images.contiguous(memory_format=torch.channels_last)
        bias = None if self.bias is None else self.bias.flatten()
        made = functional.conv2d(images, self.weight.flatten(0, 1), bias, self._stride, around, groups=seeds)
        return _apart(made, seeds)


def _wrapped(images: Tensor, around: int) -> Tensor:
    """The images (..., height, width) as on a torus, ``around`` more pixels on every side.

    The values and gradients of ``functional.pad(..., mode="circular")``, in 0.4 to 0.6 of its time.
    """
    images = torch.cat((images[..., -around:], images, images[..., :around]), -1)
    return torch.cat((images[..., -around:, :], images, images[..., :around, :]), -2)


class StackedBatchNorm(nn.Module):
    """Batch norms side by side: parameters and running statistics (seeds, channels), names as in torch.nn's."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, seeds: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, channels))
        self.bias = nn.Parameter(torch.zeros(seeds, channels))
        self.register_buffer("running_mean", torch.zeros(seeds, channels))
        self.register_buffer("running_var", torch.ones(seeds, channels))
        self.register_buffer("num_batches_tracked", torch.zeros(seeds, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (seeds, batch, channels, height, width) to its own shape."""
        if self.training:
            self.num_batches_tracked += 1
        running = self.running_mean.view(-1), self.running_var.view(-1)  # views, which a step of training changes
        learnt = self.weight.flatten(), self.bias.flatten()
        made = functional.batch_norm(_grouped(x), *running, *learnt, self.training, _MOMENTUM)
        return _apart(made, len(self.weight))


def _grouped(x: Tensor) -> Tensor:
    """(seeds, batch, channels, height, width) -> (batch, seeds * channels, height, width)."""
    return x.movedim(0, 1).flatten(1, 2)


def _apart(x: Tensor, seeds: int) -> Tensor:
    """The way back. It copies nothing, nor does :func:`_grouped` of what it gives."""
    return x.view(len(x), seeds, -1, *x.shape[2:]).movedim(1, 0)


_LINEAR_MAPS = (nn.Linear, StackedLinear, nn.Conv2d, StackedConvolution)


def linear_maps(module: nn.Module) -> dict[str, nn.Module]:
    """All linear maps of a module, itself and convolutions included, by their names in it, in the order of making."""
    return {name: part for name, part in module.named_modules() if isinstance(part, _LINEAR_MAPS)}
