"""plot: from the tables of the routing study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.moons.setting import experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.routing import summary
from studies.routing.figures import growth, networks, policies, rows
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
    before = read_table(reports / "growth.csv", summary.GROWTH)
    style.save(growth.draw(before, of_growth(config)), figures / "growth", _DPI)
    style.save(policies.draw(found["policies"], shared), figures / "policies", _DPI)
    style.save(networks.draw(found["policies"], shared), figures / "networks", _DPI)
    style.save(rows.draw(found["rows"], shared), figures / "rows", _DPI)


def of_growth(config: Params) -> Experiment:
    """The setting of the figure on growth, whose variants are kinds of routing."""
    chosen = config.growth
    return Experiment(
        depths=dict.fromkeys(summary.GROWTH["kind"].words or (), max(chosen.depths)),
        seeds=chosen.seeds,
        epochs=1,
        diverged={kind: {} for kind in summary.GROWTH["kind"].words or ()},
        caption=(
            f"Blocks x + m w c W2 relu(W1 x) of width {chosen.width} before training, Xavier's weights,"
            f" c = {chosen.scale:.3g} / depth^exponent, on {chosen.rows} normal rows, {chosen.seeds}"
            f" seed{'s' * (chosen.seeds != 1)}. m is 1 for a share of the rows, drawn anew at each block; w is 1,"
            " rescaled 1 / share, for weighted experts 1/2."
        ),
    )


if __name__ == "__main__":
    main()
