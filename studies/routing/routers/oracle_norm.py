"""The oracle that runs the blocks that add most to the stream."""

from torch import Tensor
from torch.linalg import vector_norm

from gradflow.networks.mlp import Network
from studies.routing.routers import router
from studies.routing.routers.router import Added


class OracleNorm(router.Router):
    """Score ``||branch||``. It has to run a block to know, so it saves nothing: a bound, no method."""

    oracle = True

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        norms: Tensor = vector_norm(added(), dim=2)
        return norms

    def cost(self, network: Network) -> int:
        """A norm."""
        return router.width(network)
