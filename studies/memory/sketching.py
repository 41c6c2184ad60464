"""Training with gradients of weights from sketches: drawn anew at each step for every block and seed."""

from functools import partial

import numpy as np
from torch import Tensor

from gradflow.kit.network import Network
from gradflow.memory import sketched
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from gradflow.training.step import Step


class Sketching(Step):
    """A step in which blocks keep sketches of what they read.

    What is drawn for a step follows from its number alone, so a training that goes on after a kill draws the same.
    """

    def __init__(
        self,
        network: Network,
        task: Rows,
        config: Descent,
        *,
        buckets: int,
        balanced: bool,
        scalars: bool,
        seed: int,
    ) -> None:
        super().__init__(network, task, config)
        self._drawn = partial(
            sketched.drawn, rows=np.full(len(self.alive), buckets), balanced=balanced, scalars=scalars
        )
        self._seed = seed
        depth = len(network.blocks)
        self._maps = [each.module for each in network.linear_maps() if 1 <= each.layer <= depth]

    def __call__(self, batch: Tensor) -> None:
        """Train on a batch; measurements between two steps sketch nothing."""
        random = np.random.default_rng((self._seed, int(self._done)))
        sketches = [self._drawn(random, len(batch)).to(self.alive.device) for _ in self._maps]
        sketched.sketching(self._maps, sketches)
        super().__call__(batch)
        sketched.sketching(self._maps, [None] * len(self._maps))
