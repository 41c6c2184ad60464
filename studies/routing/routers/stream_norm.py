"""Skip by the norm of the stream alone."""

from torch import Tensor
from torch.linalg import vector_norm

from gradflow.networks.mlp import Network
from studies.routing.routers import router
from studies.routing.routers.router import Added


class StreamNorm(router.Router):
    """Score ``||x||`` or ``-||x||``.

    Args:
        skip: ``below``: rows whose stream is small pass a block by; ``above``: those whose stream is large.
    """

    def __init__(self, skip: str) -> None:
        self._sign = {"below": 1, "above": -1}[skip]

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        norms: Tensor = vector_norm(x, dim=2)
        return self._sign * norms

    def cost(self, network: Network) -> int:
        """A norm."""
        return router.width(network)
