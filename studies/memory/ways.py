"""Ways through a stack of blocks that keep different things of each for the backward pass."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint_sequential

from gradflow.kit.building import build
from gradflow.kit.network import Network
from gradflow.memory import sketched
from gradflow.memory.bits import ReluAsBits
from gradflow.memory.sketched import SketchingKit
from gradflow.params.starts import Start

# full: as PyTorch does it. bits: one bit a number for the ReLU. sketch_R: that, and R rows in the place of each block's
# input. checkpoint: about sqrt(depth) streams, between which the blocks are computed again, the last few excepted;
# checkpoint_bits: likewise, with bits.
WAYS = ("full", "bits", "checkpoint", "checkpoint_bits")


def trunk(start: Start, depth: int, width: int) -> Network:
    """So many of a variant's blocks, of a single network."""
    about = {"network": "trunk", "block": start.block, "settings": start.settings(), "widths": None}
    torch.manual_seed(0)
    return build(about | {"depth": depth, "width": width}, SketchingKit())


@contextmanager
def going(way: str, network: Network, batch: int) -> Iterator[Callable[[Tensor], Tensor]]:
    """Within it the network can be gone through, forwards and backwards, in this way.

    Args:
        way: One of :data:`WAYS`, or ``sketch_R`` with a number R.
        network: From :func:`trunk`.
        batch: Rows of the streams that will come.
    """
    maps = [each.module for each in network.linear_maps()]
    if way.startswith("sketch_"):
        random, buckets = np.random.default_rng(0), int(way.removeprefix("sketch_"))
        sketched.sketching(maps, [sketched.drawn(random, batch, buckets) for _ in maps])
    blocks: list[Callable[[Tensor], Tensor]] = [*network.blocks]
    if way not in ("full", "checkpoint"):
        blocks = [partial(_with_bits, block) for block in network.blocks]
    segments = round(math.sqrt(len(blocks)))

    def through(x: Tensor) -> Tensor:
        if way.startswith("checkpoint"):
            last: Tensor = checkpoint_sequential(  # type: ignore[no-untyped-call]  # PyTorch's
                blocks, segments, x, use_reentrant=True
            )
            return last
        for block in blocks:
            x = block(x)
        return x

    try:
        yield through
    finally:
        sketched.sketching(maps, [None] * len(maps))


def _with_bits(block: nn.Module, x: Tensor) -> Tensor:
    """The block of x; entered here, since autograd computes a block again outside of all that surrounded it."""
    with ReluAsBits():
        after: Tensor = block(x)
    return after
