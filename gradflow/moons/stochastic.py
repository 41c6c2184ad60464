"""Branches that are dropped by chance while training: stochastic depth, and branches that see a share of the rows.

While training, block l maps x to::

    x + w b_l (block_l(x) - x)

with b_l = 1 with probability p and else 0, drawn anew at each step.

- Stochastic depth (Huang et al. 2016, arXiv 1603.09382) draws b_l for a block and a seed, and w is 1/p. So the mean is
  the block itself, which is what is measured, and used after training. The paper has the factor p after training
  instead of 1/p before: its branch with a scale s is one of scale p s here.
- A share of the rows: b_l is drawn for each row, as if a router that does not look let a share p of the rows through
  (mixture of depths, arXiv 2404.02258, whose router learns which). w is 1, or 1/p, or 1/sqrt(p).
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from gradflow.kit.network import Network
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from gradflow.training.step import Step


class StochasticDepth(Step):
    """A step in which each block survives by chance.

    What is drawn for a step follows from its number alone, so a training that goes on after a kill draws the same.

    Args:
        network: A stacked one, of blocks that do not change the width.
        task: What it trains on.
        config: How.
        survival: p.
        seed: Of what is drawn.
        each_row: Draw for each row, instead of for each seed.
        weight: w; None: 1/p.

    Attributes:
        factors: (steps, depth, seeds, 1 or rows of a batch), w b_l of all steps of the training.
    """

    def __init__(
        self,
        network: Network,
        task: Rows,
        config: Descent,
        *,
        survival: float,
        seed: int,
        each_row: bool = False,
        weight: float | None = None,
    ) -> None:
        super().__init__(network, task, config)
        shape = task.epochs * task.steps, len(network.blocks), len(self.alive), task.batch_size if each_row else 1
        survives = np.random.default_rng(seed).random(shape) < survival
        self.factors = torch.from_numpy(survives).to(self.alive.device).float() * (
            1 / survival if weight is None else weight
        )
        self._now: Tensor | None = None
        for number, block in enumerate(network.blocks):
            block.register_forward_hook(partial(self._dropped, number))

    def __call__(self, batch: Tensor) -> None:
        """Train on a batch; measurements between two steps see whole networks."""
        self._now = self.factors.index_select(0, self._done)[0]
        super().__call__(batch)
        self._now = None

    def _dropped(self, number: int, _: nn.Module, before: tuple[Tensor, ...], after: Tensor) -> Tensor:
        if self._now is None:
            return after
        rows = after.shape[-2]  # the last batch of an epoch may have fewer
        return torch.lerp(before[0], after, self._now[number, :, :rows, None])
