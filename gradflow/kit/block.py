"""What all blocks have in common: one step of the stream through a network."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from gradflow.theory import Branch


@dataclass(frozen=True)
class Place:
    """Where a block stands in its network.

    Attributes:
        width: Units of the stream that comes in.
        out: Units of the stream that goes out.
        depth: Blocks of the network.
        index: Which of them this one is, from 1 on.
    """

    width: int
    out: int
    depth: int = 1
    index: int = 1

    def multiplier(self, scale: float, exponent: float) -> float:
        """``scale / depth^exponent``."""
        return scale / float(self.depth**exponent)


class Block(nn.Module):
    """``x -> after(carry(x) + branch(x))``.

    A block says what its branch is; what it carries past the branch (the stream itself, unless it says otherwise); and
    what it does to the sum (nothing, unless it says otherwise). Instruments measure these parts.

    Attributes:
        writes: Names of the linear maps whose output is added to the stream, which the initialisation ``gpt2`` scales.
    """

    writes: tuple[str, ...] = ()

    def carry(self, x: Tensor) -> Tensor | None:
        """What goes past the branch of the stream x ``(..., batch, width)``; None: nothing does."""
        return x

    def branch(self, x: Tensor) -> Tensor:
        """What the block makes of the stream x ``(..., batch, width)``."""
        raise NotImplementedError

    def after(self, x: Tensor) -> Tensor:
        """What becomes of the sum of both."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x ``(..., batch, width)`` to the next one."""
        carried, branch = self.carry(x), self.branch(x)
        return self.after(branch if carried is None else carried + branch)

    def start(self) -> None:
        """Set what starts in the block's own way; called when all weights have been drawn, with gradients off."""

    def theory(self, drawn: Callable[..., Branch]) -> Branch | None:
        """The block at initialisation as :mod:`gradflow.theory` sees it; None: theory has no line for it.

        Args:
            drawn: Makes a :class:`gradflow.theory.Branch` with the variances of the weights as they were drawn.
        """


def scaled(scale: float, branch: Tensor) -> Tensor:
    """``scale * branch``; the branch itself for a scale of 1, which saves a pass over memory each way."""
    return branch if scale == 1 else scale * branch


def named(name: str) -> Callable[..., Block]:
    """The block of that name, to be called with a kit, a place and its settings."""
    module = importlib.import_module(f"gradflow.blocks.{name}")
    own = [one for one in vars(module).values() if getattr(one, "__module__", None) == module.__name__]
    [found] = [one for one in own if isinstance(one, type) and issubclass(one, Block)]
    return found


def adds_to_the_stream(block: Block, x: Tensor, carried: Tensor | None) -> bool:
    """Whether the next stream is the stream x plus the branch, so that what blocks add telescopes.

    Args:
        block: The block.
        x: Its stream.
        carried: ``block.carry(x)``.
    """
    return carried is x and type(block).after is Block.after
