"""A perceptron for digits: the feedforward sublayers of a transformer alone, between a stem and a norm with a head."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from gradflow.digits.dataset import CLASSES
from gradflow.kit import network
from gradflow.kit.block import Place
from gradflow.kit.layers import Kit
from gradflow.networks.sublayers import Feedforward, sublayer
from gradflow.params.digits import PIXELS


class Network(network.Network):
    """``head(norm(sublayer_L(... sublayer_1(stem(image)))))``.

    Args:
        kit: Makes its layers.
        block: Where the norms of the sublayers stand, see :mod:`gradflow.networks.sublayers`; what the last stream goes
            through is a norm in any case.
        settings: ``hidden``, units inside of a sublayer; and, unless they have their defaults, ``norm``, ``skip`` and
            ``scale`` of the sublayers.
        widths: Units of the stream, the same before the first sublayer and behind each.
    """

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        placement: Any = block
        chosen = dict(settings)
        hidden, width, depth = chosen.pop("hidden"), widths[0], len(widths) - 1
        self.stem = kit.linear(PIXELS, width)
        self.blocks = nn.Sequential()
        for number in range(1, depth + 1):
            core = Feedforward(kit, width, hidden)
            self.blocks.append(sublayer(kit, Place(width, width, depth, number), core, placement=placement, **chosen))
        self.norm = kit.norm(chosen.get("norm", "layer"), width)
        self.head = kit.linear(width, CLASSES)

    def read(self, last: Tensor) -> Tensor:
        """Map a stream (..., rows, width) to logits (..., rows, 10)."""
        logits: Tensor = self.head(self.norm(last))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Map images (..., rows, 64) to logits."""
        return self.read(self.through(self.stem(x)))
