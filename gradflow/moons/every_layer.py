"""Deep supervision: the one head reads the stream behind every block, and each reading has a loss.

Lee et al. 2015 (arXiv 1409.5185) and BranchyNet (Teerapittayanon et al. 2016, arXiv 1709.01686) train a head of its own
for each exit; here all exits share the last one, so the network has no further weights.
"""

import torch
from torch import Tensor

from gradflow.kit.network import Network
from gradflow.networks import mlp
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from gradflow.training.step import Step


class EveryLayer(Step):
    """A step on the mean over the blocks of the loss behind each."""

    def __init__(self, network: Network, task: Rows, config: Descent) -> None:
        super().__init__(network, task, config)
        assert isinstance(network, mlp.Network)
        self._mlp, self._rows = network, task

    def _gradients(self, batch: Tensor) -> Tensor:
        points, labels = self._rows.pick(batch)
        with torch.enable_grad():
            x = self._mlp.stem(points.expand(len(self.alive), *points.shape[-2:]))
            losses = []
            for block in self._mlp.blocks:
                x = block(x)
                losses.append(self._rows.losses(self._mlp.head(x), labels))
            mean = torch.stack(losses).mean(0)
            torch._foreach_copy_(self._views, torch.autograd.grad(mean.sum(), self._parameters))
        return mean.detach()
