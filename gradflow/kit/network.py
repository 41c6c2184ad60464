"""What all networks have in common: blocks on a stream, and a list of their linear maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from gradflow.guards.errors import InputError
from gradflow.kit import block, layers
from gradflow.kit.block import Place
from gradflow.kit.layers import Kit
from gradflow.kit.mixing import Mixing
from gradflow.params import catalogue


@dataclass(frozen=True)
class LinearMap:
    """A linear map of a network, whose gradient is logged.

    Attributes:
        layer: 0 before the blocks, the number of the block from 1 on, depth + 1 behind them.
        name: ``stem``, ``block_3``, ``block_3.gate`` where the block has several, ``head``.
        module: With ``weight`` and ``bias``.
    """

    layer: int
    name: str
    module: nn.Module

    @property
    def weight(self) -> nn.Parameter:
        """(outputs, inputs), with a leading seeds axis where many networks are one."""
        return self.module.get_parameter("weight")


class Network(nn.Module):
    """A stream that goes through blocks, with what stands before and behind them, made in that order.

    Attributes:
        mixing: What stands between the blocks; None: each reads what the one before it made.
    """

    blocks: nn.Sequential
    mixing: Mixing | None

    def __init__(self) -> None:
        super().__init__()
        self.mixing = None

    def through(self, x: Tensor) -> Tensor:
        """Take the stream x (..., batch, width) through the blocks to the last one."""
        last: Tensor = self.blocks(x) if self.mixing is None else self.mixing(self.blocks, x)
        return last

    def start(self) -> None:
        """Set what starts in the way of blocks and mixing; called when all weights have been drawn, gradients off."""
        for each in self.blocks:
            assert isinstance(each, block.Block)
            each.start()
        if self.mixing is not None:
            self.mixing.start()

    def linear_maps(self) -> list[LinearMap]:
        """All linear maps but those of the mixing, in the order in which they were made."""
        found, layer = [], 0
        for child, part in self.named_children():
            if part is self.blocks:
                for each in self.blocks:
                    layer += 1
                    maps = layers.linear_maps(each)
                    several = len(maps) > 1
                    found += [
                        LinearMap(layer, f"block_{layer}.{name}" if several else f"block_{layer}", module)
                        for name, module in maps.items()
                    ]
                layer += 1
            elif part is not self.mixing:
                found += [
                    LinearMap(layer, f"{child}.{name}" if name else child, module)
                    for name, module in layers.linear_maps(part).items()
                ]
        return found


def blocks(kit: Kit, name: str, settings: dict[str, Any], widths: Sequence[int]) -> nn.Sequential:
    """``block_depth(... block_1(x))``.

    Args:
        kit: Makes their layers.
        name: Of the block, see :mod:`gradflow.params.catalogue`.
        settings: Keyword arguments of the block.
        widths: Units of the stream before the first block and behind each.

    Raises:
        InputError: The block asks the kit for a layer that it does not have, or has no linear map.
        ValueError: The block cannot carry a stream to another width.
    """
    make, depth = block.named(name), len(widths) - 1
    made = []
    for index, (width, out) in enumerate(pairwise(widths), start=1):
        if width != out and not catalogue.changes_width(name):
            raise ValueError(f"block {index} ({name}) needs a projection to go from width {width} to {out}")
        try:
            made.append(make(kit, Place(width, out, depth, index), **settings))
        except layers.UnknownLayerError as error:
            raise InputError(f"gradflow/blocks/{name}.py", str(error)) from None
        if not layers.linear_maps(made[-1]):
            raise InputError(f"gradflow/blocks/{name}.py", "must have a linear map, whose gradient is measured")
    return nn.Sequential(*made)
