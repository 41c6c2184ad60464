"""routed: the time of a network that skips blocks, each run for the rows that go through it, beside the whole one."""

import json
import time
from statistics import median

import click
import torch
from torch import Tensor

from gradflow.moons import training
from studies.routing.routers.controller import Controller
from studies.routing.routers.router import Added, gathered

_DEPTH = 20
_ROWS = 512  # as batches of one, the first 32


class _Drawn(Controller):
    """A linear controller that takes its time to decide, and whose decisions are drawn, so that rows spread evenly.

    Args:
        width: Units of the stream.
    """

    def __init__(self, width: int) -> None:
        super().__init__(1, _DEPTH, width, "stream")
        self.drawn = torch.rand(_DEPTH, 1, _ROWS, generator=torch.Generator().manual_seed(0))
        self.first = 0

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`studies.routing.routers.router.Router.scores`."""
        super().scores(block, x, added)
        return self.drawn[block, :, self.first : self.first + x.shape[1]]


@click.command()
@click.option("--width", type=click.IntRange(1), default=64, show_default=True)
@click.option("--batch", type=click.IntRange(1, _ROWS), default=_ROWS, show_default=True)
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the blocks to run.")
@click.option("--pairs", type=click.IntRange(1), default=50, show_default=True)
@torch.inference_mode()
def main(width: int, batch: int, share: float, pairs: int) -> None:
    """Print seconds of a pass and their ratio as JSON, median over pairs of a routed and a whole pass."""
    torch.set_num_threads(1)
    about = {"network": "mlp", "block": "residual", "settings": {"exponent": 0.5}, "widths": None, "init": "he"}
    network = training.drawn(about | {"depth": _DEPTH, "width": width}, 1, 0)
    batches = torch.randn(1, _ROWS, 2, generator=torch.Generator().manual_seed(0)).split(batch, 1)[:32]
    controller, threshold = _Drawn(width), torch.tensor([1 - share])
    seconds: dict[str, list[float]] = {"whole": [], "routed": []}
    for pair in range(pairs + 1):  # the first warms up
        for name in sorted(seconds, reverse=bool(pair % 2)):
            start = time.perf_counter()
            for number, rows in enumerate(batches):
                controller.first = number * batch
                gathered(network, rows, controller, threshold) if name == "routed" else network(rows)
            seconds[name].append((time.perf_counter() - start) / len(batches))
    ratios = [routed / whole for whole, routed in zip(*(taken[1:] for taken in seconds.values()), strict=True)]
    ran = (controller.drawn[..., : batch * len(batches)] > threshold).double().mean().item()
    found = {name: median(taken[1:]) for name, taken in seconds.items()}
    click.echo(json.dumps({**found, "ratio": median(ratios), "ran": ran}))


if __name__ == "__main__":
    main()
