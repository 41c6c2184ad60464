"""plot: from the tables of the routing study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.moons.setting import experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.routing import summary
from studies.routing.figures import networks, policies, rows
from studies.routing.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    }
    moons, spirals = config.moons, config.spirals
    rows_of = (
        f"{moons.samples} rows of two moons, noise {moons.noise:g}, or {spirals.samples} of two spirals of"
        f" {spirals.turns:g} turns, noise {spirals.noise:g}; {moons.validation:.0%} and {spirals.validation:.0%} for"
        " validation, which all numbers are from"
    )
    more = f"Thresholds from {config.routing.train_rows} train rows."
    shared = experiment(config, found["seeds"], config.variants, more, rows_of)
    style.save(policies.draw(found["policies"], shared), figures / "policies", _DPI)
    style.save(networks.draw(found["policies"], shared), figures / "networks", _DPI)
    style.save(rows.draw(found["rows"], shared), figures / "rows", _DPI)


if __name__ == "__main__":
    main()
