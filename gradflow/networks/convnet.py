"""Convolutional networks of residual blocks (He et al. 2016, arXiv 1512.03385), and what they cost.

Images come and go as rows of pixels, like the inputs of all networks; inside of a network they are ``(..., batch,
channels, height, width)``. Where a block changes the number of channels, it makes images half as high and as wide.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn, relu
from torch.nn.functional import pad

from gradflow.digits.dataset import CLASSES
from gradflow.guards.errors import InputError
from gradflow.kit import network
from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit, Padding

_NARROWER = 4  # times, inside of a bottleneck

Shortcut = Literal["projection", "padding", "none"]


class Unit(nn.Module):
    """A convolution, and a batch norm behind it; or a convolution with a bias.

    Args:
        kit: Makes both.
        inputs: Channels that it reads.
        outputs: Channels that it makes.
        kernel: Of the convolution.
        stride: Likewise.
        batch_norm: Whether there is one.
        padding: Of the convolution.
    """

    def __init__(
        self,
        kit: Kit,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        batch_norm: bool,
        padding: Padding,
    ) -> None:
        super().__init__()
        self.convolution = kit.convolution(inputs, outputs, kernel, stride=stride, bias=not batch_norm, padding=padding)
        self.norm = kit.batch_norm(outputs) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (..., batch, channels, height, width) to images."""
        images: Tensor = self.norm(self.convolution(x))
        return images


class Residual(Block):
    """``relu(shortcut(x) + f(x))``, or ``relu(f(x))``; what f is, subclasses say.

    Where the number of channels stays as it is, the shortcut is the stream itself. Else it keeps every other pixel each
    way, and either a 1x1 convolution makes its channels (option B of section 3.3 of the paper), or channels of zeros
    are added, of too many the last left out (option A).

    Args:
        kit: Makes its layers.
        place: Where it stands; widths are channels.
        skip: Whether there is a shortcut.
        batch_norm: Whether there is one behind each convolution.
        shortcut: What it does where the number of channels changes; ``none``: it cannot change.
        padding: Of all convolutions.
    """

    def __init__(
        self, kit: Kit, place: Place, *, skip: bool, batch_norm: bool, shortcut: Shortcut, padding: Padding
    ) -> None:
        super().__init__()
        self._skip, self._more = skip, place.out - place.width
        stride = 1 if place.out == place.width else 2
        self.units = nn.Sequential()
        for inputs, outputs, kernel, step in self.sizes(place, stride):
            unit = Unit(kit, inputs, outputs, kernel, stride=step, batch_norm=batch_norm, padding=padding)
            self.units.append(unit)
        self.projection: Unit | None = None
        if skip and shortcut == "projection" and stride > 1:
            self.projection = Unit(
                kit, place.width, place.out, 1, stride=stride, batch_norm=batch_norm, padding=padding
            )
        self.writes = (f"units.{len(self.units) - 1}.convolution",) if skip else ()

    def sizes(self, place: Place, stride: int) -> list[tuple[int, int, int, int]]:
        """Of each convolution of f: channels that it reads, channels that it makes, kernel, stride."""
        raise NotImplementedError

    def carry(self, x: Tensor) -> Tensor | None:
        """The shortcut of images x (..., batch, channels, height, width); None: there is none."""
        if not self._skip:
            return None
        if self.projection is not None:
            projected: Tensor = self.projection(x)
            return projected
        return pad(x[..., ::2, ::2], (0, 0, 0, 0, 0, self._more)) if self._more else x

    def branch(self, x: Tensor) -> Tensor:
        """f(x), a ReLU between any two of its convolutions."""
        first, *others = self.units
        x = first(x)
        for unit in others:
            x = unit(relu(x))
        return x

    def after(self, x: Tensor) -> Tensor:
        """``relu`` of the sum."""
        return relu(x)


class Basic(Residual):
    """f is two 3x3 convolutions."""

    def sizes(self, place: Place, stride: int) -> list[tuple[int, int, int, int]]:
        """See :meth:`Residual.sizes`."""
        return [(place.width, place.out, 3, stride), (place.out, place.out, 3, 1)]


class Bottleneck(Residual):
    """f is a 1x1 convolution to a quarter of the channels, a 3x3 one, and a 1x1 one back."""

    def sizes(self, place: Place, stride: int) -> list[tuple[int, int, int, int]]:
        """See :meth:`Residual.sizes`."""
        inside = place.out // _NARROWER
        return [(place.width, inside, 1, 1), (inside, inside, 3, stride), (inside, place.out, 1, 1)]


BLOCKS: dict[str, type[Residual]] = {"basic": Basic, "bottleneck": Bottleneck}


class Network(network.Network):
    """A 3x3 convolution, blocks, the mean over pixels, a linear head.

    The head starts as PyTorch's own layers do, whatever the convolutions start from, as in torchvision's networks. From
    He's weights it would have logits so large that of 56 layers some seeds do not recover from the first steps.

    Args:
        kit: Makes its layers.
        block: A key of :data:`BLOCKS`.
        settings: Those of :class:`Residual`.
        widths: Channels of the stream before the first block and behind each.

    Raises:
        InputError: The number of channels changes, but not that of the stream that goes past the block.
    """

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        about = {name: settings[name] for name in ("batch_norm", "padding")}
        self.stem = Unit(kit, 1, widths[0], 3, **about)
        self.blocks = nn.Sequential()
        for index, (width, out) in enumerate(pairwise(widths), start=1):
            if width != out and settings["skip"] and settings["shortcut"] == "none":
                rule = f"must be projection or padding where channels change, from {width} to {out} at block {index}"
                raise InputError("shortcut", f"{rule}, got none")
            self.blocks.append(BLOCKS[block](kit, Place(width, out, len(widths) - 1, index), **settings))
        self.head = kit.linear(widths[-1], CLASSES)

    def start(self) -> None:
        """Draw the head anew."""
        super().start()
        assert isinstance(self.head, nn.Linear)
        self.head.reset_parameters()

    def images(self, x: Tensor) -> Tensor:
        """Map square images (..., batch, pixels) to the stream before the first block."""
        side = math.isqrt(x.shape[-1])
        stem: Tensor = self.stem(x.view(*x.shape[:-1], 1, side, side))
        return relu(stem)

    def forward(self, x: Tensor) -> Tensor:
        """Map square images (..., batch, pixels) to logits (..., batch, classes)."""
        logits: Tensor = self.head(self.through(self.images(x)).mean((-2, -1)))
        return logits


@torch.no_grad()
def multiply_adds(made: network.Network, pixels: int) -> int:
    """Multiply-adds of one image in all linear maps and convolutions, pixels beyond the edges included.

    Args:
        made: A single network.
        pixels: Of an image.
    """
    counts = []

    def count(module: nn.Module, _: tuple[Tensor, ...], outputs: Tensor) -> None:
        counts.append(outputs.numel() * module.get_parameter("weight")[0].numel())

    hooks = [each.module.register_forward_hook(count) for each in made.linear_maps()]
    made.eval()(torch.zeros(1, pixels))
    for hook in hooks:
        hook.remove()
    return sum(counts)
