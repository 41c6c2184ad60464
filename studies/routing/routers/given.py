"""Run what somebody else has chosen."""

from torch import Tensor

from studies.routing.routers.router import Added, Router


class Given(Router):
    """Score 1 where a row is to go through a block, else 0.

    Args:
        ran: (depth, seeds, rows).
    """

    def __init__(self, ran: Tensor) -> None:
        self._ran = ran

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        return self._ran[block].float()
