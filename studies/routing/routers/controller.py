"""A learned linear map in front of each block that says which rows go through it.

Trained with hard decisions: the score plus logistic noise is above 0 or not, and the gradient passes as if the decision
were its sigmoid (straight through; Bengio et al. 2013, arXiv 1308.3432; the noise makes it a binary Concrete variable,
Maddison et al. 2016, arXiv 1611.00712).
"""

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn import functional

from gradflow.kit.layers import Kit
from gradflow.networks.mlp import Network
from studies.routing.routers import router
from studies.routing.routers.router import Added

_OPEN = 2.0  # bias before training: nearly all rows pass, as in the network that was trained


class Controller(router.Router, nn.Module):
    """Scores ``w . x + b`` of each block, or ``w ||x|| / sqrt(width) + b``.

    Args:
        seeds: Networks side by side.
        depth: Blocks of each.
        width: Units of the stream.
        reads: ``stream`` or ``norm``.
    """

    def __init__(self, seeds: int, depth: int, width: int, reads: str) -> None:
        super().__init__()
        self._norm = reads == "norm"
        self.maps = nn.ModuleList(Kit(seeds=seeds).linear(1 if self._norm else width, 1) for _ in range(depth))
        for each in self.maps:
            nn.init.zeros_(each.get_parameter("weight"))
            nn.init.constant_(each.get_parameter("bias"), _OPEN)

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        return self._score(block, x)

    def cost(self, network: Network) -> int:
        """A product of vectors and a bias; of the norm alone, that and its own."""
        width = router.width(network)
        return width + 2 if self._norm else width + 1

    def train_through(self, network: Network, points: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (seeds, rows, classes), and the share of blocks that ran (seeds,), with gradients.

        Args:
            network: What is routed.
            points: (seeds, rows, 2).
            noise: (depth, seeds, rows), logistic.
        """
        x = network.stem(points)
        ran = []
        for number, block in enumerate(network.blocks):
            score = self._score(number, x) + noise[number]
            soft = score.sigmoid()
            gate = (score > 0).float() - soft.detach() + soft
            ran.append(gate)
            x = torch.lerp(x, block(x), gate[..., None])
        return network.head(x), torch.stack(ran).mean((0, 2))

    def _score(self, block: int, x: Tensor) -> Tensor:
        seen = vector_norm(x, dim=2, keepdim=True) / x.shape[2] ** 0.5 if self._norm else x
        score: Tensor = self.maps[block](seen)
        return score.squeeze(2)


def divergence(whole: Tensor, routed: Tensor) -> Tensor:
    """KL(whole || routed) of each row in nats: logits (..., classes) to (...)."""
    return functional.kl_div(routed.log_softmax(-1), whole.log_softmax(-1), reduction="none", log_target=True).sum(-1)
