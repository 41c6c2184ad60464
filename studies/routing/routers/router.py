"""What all policies have in common, and networks that run by one.

A policy gives each row a score in front of each block, from the stream that the row has there. A row goes through the
block where its score is above a threshold, the same for all blocks and rows, and else past it. So one number for each
seed, the threshold, sets how many blocks are run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from gradflow.kit import layers
from gradflow.networks.mlp import Network

Added = Callable[[], Tensor]  # what the block adds to the stream: (seeds, rows, width)


class Router:
    """A policy.

    Attributes:
        oracle: Whether it runs every block to decide.
        stops: Whether a row that has passed a block by passes all later ones by too, and is not asked again.
    """

    oracle = False
    stops = False

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """How much each row needs a block: (seeds, rows).

        Args:
            block: Its number, from 0 on.
            x: The stream in front of it, (seeds, rows, width).
            added: Runs the block and returns what it would add; only an oracle asks.
        """
        raise NotImplementedError

    def cost(self, network: Network) -> int:
        """Multiply-adds of one decision, without those of a block that an oracle runs."""
        return 0


@dataclass(frozen=True)
class Routed:
    """A network's answer under a policy.

    Attributes:
        logits: (seeds, rows, classes).
        ran: (depth, seeds, rows), whether a row went through a block.
        scores: Likewise, what the policy said.
    """

    logits: Tensor
    ran: Tensor
    scores: Tensor


@torch.inference_mode()
def masked(network: Network, points: Tensor, router: Router, threshold: Tensor) -> Routed:
    """Run all rows through all blocks, and keep what blocks do only where the policy says so.

    Args:
        network: A stacked one.
        points: (seeds, rows, 2).
        router: The policy.
        threshold: (seeds,); -inf runs every block.
    """
    x = network.stem(points)
    ran, scores = [], []
    for number, block in enumerate(network.blocks):
        after = block(x)
        score = router.scores(number, x, partial(torch.sub, after, x))
        ran.append(score > threshold[:, None])
        scores.append(score)
        x = torch.where(ran[-1][..., None], after, x)
    return Routed(network.head(x), torch.stack(ran), torch.stack(scores))


@torch.inference_mode()
def gathered(network: Network, points: Tensor, router: Router, threshold: Tensor) -> Tensor:
    """The logits of :func:`masked`, where a block reads only the rows that go through it: this saves time.

    Args:
        network: A stacked one of a single seed, whose rows can be gathered in one go.
        points: (1, rows, 2).
        router: The policy.
        threshold: (1,).
    """
    x = network.stem(points).clone()
    for number, block in enumerate(network.blocks):
        score = router.scores(number, x, partial(_added, block, x))
        chosen = (score[0] > threshold[0]).nonzero().squeeze(1)
        if len(chosen):
            x[:, chosen] = block(x[:, chosen])
    logits: Tensor = network.head(x)
    return logits


def _added(block: nn.Module, x: Tensor) -> Tensor:
    added: Tensor = block(x) - x
    return added


def work(network: Network, router: Router, ran: Tensor) -> Tensor:
    """Multiply-adds of all linear maps and of the policy's decisions, over those of the whole network: (seeds,).

    Args:
        network: What ran.
        router: By which policy.
        ran: (depth, seeds, rows).
    """
    blocks = torch.tensor([_multiply_adds(block) for block in network.blocks], dtype=torch.float64)
    ends = _multiply_adds(network.stem) + _multiply_adds(network.head)
    asked = torch.ones_like(ran)
    if router.stops:
        asked[1:] = ran[:-1]
    read = asked if router.oracle else ran
    run = torch.einsum("b,bsr->s", blocks, read.double()) / ran.shape[2]
    decided = router.cost(network) * asked.double().sum(0).mean(1)
    return (ends + run + decided) / (ends + blocks.sum())


def _multiply_adds(part: nn.Module) -> int:
    """Of one row through a part of a stacked network: the numbers in its weights."""
    return sum(each.get_parameter("weight")[0].numel() for each in layers.linear_maps(part).values())


def width(network: Network) -> int:
    """Units of the stream."""
    return int(network.stem.get_parameter("bias").shape[-1])
