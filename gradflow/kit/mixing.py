"""What all mixing rules have in common: they decide what each block reads of the streams of all earlier ones.

``gradflow/mixing/<name>.py`` holds one subclass of :class:`Mixing`. A network that has one hands its blocks to it.
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradflow.guards.errors import InputError
from gradflow.kit.block import Block
from gradflow.kit.layers import Kit


class Mixing(nn.Module):
    """A way through the blocks: what the first one gets, what each gets of all before it, and what comes out.

    Attributes:
        carries: Whether blocks still carry their stream past their branch; False: the rule does so in their place, and
            a block makes nothing but its branch.
    """

    carries = False

    def forward(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        """Take the stream x ``(..., batch, width)`` through the blocks to the last one."""
        raise NotImplementedError

    def start(self) -> None:
        """Set what starts in the rule's own way; called when all weights have been drawn, with gradients off."""

    def weights(self, blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor] | None:
        """The share that each earlier stream has in the one behind each block; None: the rule has no such shares.

        Returns:
            For block l ``(..., batch or 1, l + 1)``, the stream x first.
        """


def made(kit: Kit, chosen: Mapping[str, Any], blocks: nn.Sequential, width: int) -> Mixing:
    """A rule by its name, ``{rule: NAME, its settings}``, for the blocks of a network.

    Raises:
        InputError: The rule carries the stream in the place of blocks that would not let it.
    """
    settings = dict(chosen)
    module = importlib.import_module(f"gradflow.mixing.{settings.pop('rule')}")
    [rule] = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Mixing) and one.__module__ == module.__name__
    ]
    mixing = rule(kit, len(blocks), width, **settings)
    if not mixing.carries:
        for block in blocks:
            if type(block).forward is not Block.forward:
                name = type(block).__module__.rpartition(".")[2]
                message = f"cannot stand in a network mixed by {chosen['rule']}, which needs its branch alone"
                raise InputError(f"gradflow/blocks/{name}.py", message)
            # Of this block alone. Rules call whole blocks, not their branches, since the probe listens to blocks.
            block.carry = _nothing  # type: ignore[assignment]  # a method of one object
    return mixing


def weighted(factors: Sequence[Tensor], streams: Sequence[Tensor]) -> Tensor:
    """The streams ``(..., batch, width)``, each times its factor ``(..., batch or 1, 1)``, added up."""
    total = factors[0] * streams[0]
    for factor, stream in zip(factors[1:], streams[1:], strict=True):
        total = torch.addcmul(total, factor, stream)
    return total


def _nothing(_: Tensor) -> None:
    """What a block carries where its network does so."""
