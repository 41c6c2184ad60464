"""The oracle that runs the blocks that change the stream most, relative to its size."""

from torch import Tensor
from torch.linalg import vector_norm

from gradflow.networks.mlp import Network
from studies.routing.routers import router
from studies.routing.routers.router import Added


class OracleRatio(router.Router):
    """Score ``||branch|| / ||stream||``. It has to run a block to know, so it saves nothing: a bound, no method."""

    oracle = True

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        ratios: Tensor = vector_norm(added(), dim=2) / vector_norm(x, dim=2)
        return ratios

    def cost(self, network: Network) -> int:
        """Two norms."""
        return 2 * router.width(network)
