"""A network of images as a model: on images as such, not on rows of pixels."""

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from gradflow.digits.dataset import Images
from gradflow.tracking.entry import EXAMPLE_ROWS

if TYPE_CHECKING:
    from gradflow.kit.network import Network


class OnImages(nn.Module):
    """What a network makes of images.

    Args:
        network: Takes rows of pixels.
    """

    def __init__(self, network: "Network") -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map images (rows, height, width) to what the network makes of each, images where it is a number a pixel."""
        pixels = images.flatten(1)
        made: Tensor = self.network(pixels)
        return made.view_as(images) if made.shape == pixels.shape else made


def model(rows: Images, network: "Network") -> tuple[nn.Module, Images]:
    """A model of square images (rows, height, width), and the first of some (rows, pixels) as its examples."""
    side = math.isqrt(rows.shape[1])
    return OnImages(network), rows[:EXAMPLE_ROWS].reshape(-1, side, side)
