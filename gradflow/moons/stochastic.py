"""Stochastic depth (Huang et al. 2016, arXiv 1603.09382): at each step some blocks are dropped, for each seed others.

While training, block l maps x to::

    x + b_l / p * (block_l(x) - x)

with b_l = 1 with probability p and else 0, drawn anew at each step. So the mean is the block itself, which is what is
measured, and used after training. The paper has the factor p after training instead of 1/p before: its branch with a
scale s is one of scale p s here.
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
    """A step in which each block of each seed survives by chance.

    What is drawn for a step follows from its number alone, so a training that goes on after a kill draws the same.

    Attributes:
        factors: (steps, depth, seeds), 0 or 1/p, of all steps of the training.
    """

    def __init__(self, network: Network, task: Rows, config: Descent, *, survival: float, seed: int) -> None:
        super().__init__(network, task, config)
        shape = task.epochs * task.steps, len(network.blocks), len(self.alive)
        survives = np.random.default_rng(seed).random(shape) < survival
        self.factors = torch.from_numpy(survives).to(self.alive.device).float() / survival
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
        return torch.lerp(before[0], after, self._now[number, :, None, None])
