"""Run blocks at random, for each row others."""

import numpy as np
import torch
from torch import Tensor

from studies.routing.routers.router import Added, Router


class Chance(Router):
    """Uniform scores, which follow from the block and the place of the row alone, for each network another draw.

    Args:
        seed: Of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        return torch.from_numpy(np.random.default_rng((self._seed, block)).random(x.shape[:2]))
