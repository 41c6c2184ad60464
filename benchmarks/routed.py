"""routed: the time of a network that skips blocks, each run for the rows that go through it, beside the whole one."""

import json
import time
from statistics import median

import click
import torch
from torch import nn

from gradflow.moons import training
from studies.routing import thresholds
from studies.routing.routers.controller import Controller
from studies.routing.routers.router import gathered, masked

_DEPTH = 20
_ROWS = 512  # of which thresholds are chosen; as batches of one, the first 32


@click.command()
@click.option("--width", type=click.IntRange(1), default=64, show_default=True)
@click.option("--batch", type=click.IntRange(1, _ROWS), default=_ROWS, show_default=True)
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the blocks to run.")
@click.option("--pairs", type=click.IntRange(1), default=50, show_default=True)
@torch.inference_mode()
def main(width: int, batch: int, share: float, pairs: int) -> None:
    """Print seconds of a pass and their ratio as JSON, median over pairs of a routed and a whole pass.

    A linear controller decides, with weights that were drawn, in a network before training: what it answers does not
    matter for the time.
    """
    torch.set_num_threads(1)
    about = {"network": "mlp", "block": "residual", "settings": {"exponent": 0.5}, "widths": None, "init": "he"}
    network = training.drawn(about | {"depth": _DEPTH, "width": width}, 1, 0)
    random = torch.Generator().manual_seed(0)
    points = torch.randn(1, _ROWS, 2, generator=random)
    controller = Controller(1, _DEPTH, width, "stream")
    for each in controller.maps:
        nn.init.normal_(each.get_parameter("weight"), generator=random)
    threshold = thresholds.chosen(network, points, controller, share)
    batches = points.split(batch, 1)[: 32 if batch == 1 else 1]
    seconds: dict[str, list[float]] = {"whole": [], "routed": []}
    for _ in range(pairs + 1):  # the first warms up
        for name, taken in seconds.items():
            start = time.perf_counter()
            for rows in batches:
                gathered(network, rows, controller, threshold) if name == "routed" else network(rows)
            taken.append((time.perf_counter() - start) / len(batches))
    ratios = [routed / whole for whole, routed in zip(*(taken[1:] for taken in seconds.values()), strict=True)]
    ran = masked(network, torch.cat(batches, 1), controller, threshold).ran.double().mean().item()
    found = {name: median(taken[1:]) for name, taken in seconds.items()}
    click.echo(json.dumps({**found, "ratio": median(ratios), "ran": ran}))


if __name__ == "__main__":
    main()
