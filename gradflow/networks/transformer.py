"""A small decoder: tokens in, logits of the next token out (arXiv 1706.03762; Radford et al. 2019, GPT-2).

Its blocks are sublayers, attention and a feedforward network in turn, so a transformer of L layers has 2 L of them.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gradflow.kit import network
from gradflow.kit.block import Place
from gradflow.kit.layers import Kit
from gradflow.networks.sublayers import Attention, Feedforward, sublayer

EXPANSION = 4  # units inside of a feedforward network for each of the stream's


class Network(network.Network):
    """``head(norm(sublayer_2L(... sublayer_1(stem(tokens)))))``.

    Inputs are rows of zeros but for two ones, at the token and at its position, so the stem is an embedding of both. It
    is multiplied by sqrt(width), as in section 3.4 of the first paper: smaller ones drown in what sublayers add. The
    norm before the head is missing where sublayers end in one of their own.

    Args:
        kit: Makes its layers.
        block: Where the norms stand, see :mod:`gradflow.networks.sublayers`.
        settings: ``tokens``, how many there are; ``positions`` of a sequence; ``heads``; and, unless they have their
            defaults, ``norm``, ``skip`` and ``scale`` of the sublayers.
        widths: Units of the stream, the same before the first layer and behind each.
    """

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        placement: Any = block
        chosen = dict(settings)
        tokens, self.positions, heads = (chosen.pop(name) for name in ("tokens", "positions", "heads"))
        width, depth = widths[0], len(widths) - 1
        self.stem = kit.linear(tokens + self.positions, width, bias=False)
        self.blocks = nn.Sequential()
        for layer in range(depth):
            cores = (
                Attention(kit, width, heads, self.positions),
                Feedforward(kit, width, EXPANSION * width),
            )
            for number, core in enumerate(cores, start=2 * layer + 1):
                place = Place(width, width, 2 * depth, number)
                self.blocks.append(sublayer(kit, place, core, placement=placement, **chosen))
        self.norm = nn.Identity() if block == "post" else kit.norm(chosen.get("norm", "layer"), width)
        self.head = kit.linear(width, tokens, bias=False)

    def stream(self, x: Tensor) -> Tensor:
        """Map inputs (..., rows, tokens + positions) to the stream behind the last sublayer."""
        return self.through(self.embedded(x))

    def embedded(self, x: Tensor) -> Tensor:
        """Map inputs to the stream before the first sublayer, (..., rows, width)."""
        embedding: Tensor = self.stem(x)
        return embedding * math.sqrt(embedding.shape[-1])

    def read(self, last: Tensor) -> Tensor:
        """Map a stream (..., rows, width) to logits of the next token (..., rows, tokens)."""
        logits: Tensor = self.head(self.norm(last))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs to logits."""
        return self.read(self.stream(x))


def inputs(tokens: Tensor, vocabulary: int) -> Tensor:
    """What a network reads: tokens (sequences, positions) to (sequences * positions, vocabulary + positions)."""
    sequences, positions = tokens.shape
    places = torch.eye(positions).repeat(sequences, 1)
    return torch.cat([one_hot(tokens, vocabulary).flatten(0, 1).float(), places.to(tokens.device)], 1)
