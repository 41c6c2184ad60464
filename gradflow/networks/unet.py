"""A small U-Net: images in, images of the same size out (Ronneberger et al. 2015, arXiv 1505.04597).

An encoder halves the image at each stage and a decoder doubles it again. Long skips hand what each stage of the encoder
made to the stage of the decoder at the same size, beside what comes up from the smaller images.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn, relu
from torch.nn.functional import max_pool2d

from gradflow.kit import network
from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit

_WINDOW = 3  # pixels, each way


class Stage(Block):
    """``relu(second(relu(first(x))))``, two convolutions, with nothing past them.

    Args:
        kit: Makes its layers.
        place: Where it stands; its width is that of the stage before it.
        skipped: Channels that a long skip adds to those.
    """

    def __init__(self, kit: Kit, place: Place, skipped: int) -> None:
        super().__init__()
        self.first = kit.convolution(place.width + skipped, place.out, _WINDOW)
        self.second = kit.convolution(place.out, place.out, _WINDOW)

    def carry(self, x: Tensor) -> None:
        """Nothing: all short ways past a stage are left out, so that long skips are the only ones."""

    def branch(self, x: Tensor) -> Tensor:
        """Map images (..., batch, width + skipped, height, width) to (..., batch, out, height, width)."""
        return relu(self.second(relu(self.first(x))))


BLOCKS = {"stage": Stage}


class Network(network.Network):
    """Encoder, middle, decoder, and a convolution of single pixels as the head.

    Args:
        kit: Makes its layers.
        block: A key of :data:`BLOCKS`.
        settings: ``long_skips``: whether the decoder reads them. If not, it reads zeros in their place: all weights are
            there, and all that it knows of the image has come through the middle.
        widths: Channels of the image, 1, then of each stage; the stages of the decoder have those of the encoder.

    Raises:
        ValueError: The widths are not those of an encoder, a middle and a decoder.
    """

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        stages = list(widths[1:])
        if len(stages) % 2 == 0 or stages != stages[::-1]:
            raise ValueError(f"stages must be odd in number and read the same from both ends, got {stages}")
        self._long_skips: bool = settings["long_skips"]
        self._halvings = len(stages) // 2
        self.blocks = nn.Sequential()
        for number, (width, out) in enumerate(pairwise([1, *stages]), start=1):
            skipped = out if number > self._halvings + 1 else 0
            self.blocks.append(BLOCKS[block](kit, Place(width, out, len(stages), number), skipped))
        self.head = kit.convolution(stages[-1], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (..., batch, pixels), square ones row by row, to images of the same shape."""
        side = math.isqrt(x.shape[-1])
        stages, kept = list(self.blocks), []
        middle, *decoder = stages[self._halvings :]
        images = x.unflatten(-1, (1, side, side))  # type: ignore[no-untyped-call]  # PyTorch's
        for stage in stages[: self._halvings]:
            kept.append(stage(images))
            images = halved(kept[-1])
        images = middle(images)
        for stage in decoder:
            skipped = kept.pop() if self._long_skips else torch.zeros_like(kept.pop())
            images = stage(torch.cat([doubled(images), skipped], -3))
        made: Tensor = self.head(images)
        return made.flatten(-3)


def halved(images: Tensor) -> Tensor:
    """The largest of each 2x2 pixels of images (..., batch, channels, height, width)."""
    *others, height, width = images.shape
    return max_pool2d(images.flatten(0, -3), 2).view(*others, height // 2, width // 2)


def doubled(images: Tensor) -> Tensor:
    """Each pixel of images (..., batch, channels, height, width) as 2x2 of them."""
    return images.repeat_interleave(2, -1).repeat_interleave(2, -2)
