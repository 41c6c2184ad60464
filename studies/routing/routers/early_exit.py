"""Stop as soon as the head is sure."""

from torch import Tensor

from gradflow.networks.mlp import Network
from studies.routing.routers import router
from studies.routing.routers.router import Added


class EarlyExit(router.Router):
    """Score minus the margin that the head sees in the stream: |difference of the logits|, as in arXiv 1709.01686.

    What is past a block has the stream it had, and so stays outside.

    Args:
        network: Whose head reads.
    """

    stops = True

    def __init__(self, network: Network) -> None:
        self._head = network.head

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        return -margin(self._head(x))

    def cost(self, network: Network) -> int:
        """The head."""
        return int(network.head.get_parameter("weight")[0].numel())


def margin(logits: Tensor) -> Tensor:
    """How far the class that is chosen is ahead: |difference of the logits|, (..., 2) to (...)."""
    return (logits[..., 1] - logits[..., 0]).abs()
