"""rows: two moons, split and standardised, and the train rows outside of a gap."""

from pathlib import Path

import click
import numpy as np

from gradflow.data import dataset
from gradflow.guards.errors import InputError
from gradflow.moons import rows
from gradflow.params.loading import load
from studies.gates.params import Params


@click.command()
@click.argument("every", metavar="ALL", type=click.Path(path_type=Path))
@click.argument("outside", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
def main(every: Path, outside: Path, validation: Path) -> None:
    """Write ALL train rows, those OUTSIDE of the gap, and the VALIDATION rows."""
    config = load(Params)
    split, gap = rows.split(config.moons), config.gap
    points, labels = split.train
    kept = np.hypot(points[:, 0] - gap.x1, points[:, 1] - gap.x2) >= gap.radius
    if min(np.bincount(labels[kept], minlength=2)) < 2:
        raise InputError("params.yaml: gap.radius", f"must leave at least 2 train rows of each class, got {gap.radius}")
    dataset.write(every, *split.train)
    dataset.write(outside, points[kept], labels[kept])
    dataset.write(validation, *split.validation)


if __name__ == "__main__":
    main()
