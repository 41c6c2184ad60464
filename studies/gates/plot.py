"""plot: from the tables of the gates study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.data import dataset
from gradflow.drawing import style
from gradflow.moons.setting import experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.gates import summary
from studies.gates.figures import gates, norms, shifts
from studies.gates.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, data: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS, and the rows in DATA that networks were trained on, into the folder FIGURES."""
    config = load(Params)
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    }
    more = "Sizes of shifts in standard deviations, rotations in degrees."
    shown = config.plot.variants, config.plot.gates
    beside, gated = (experiment(config, found["seeds"], names, more) for names in shown)
    gap = config.gap.x1, config.gap.x2, config.gap.radius
    rows = {name: dataset.read(data / f"{config.variants[name].rows}.parquet")[0] for name in config.plot.gates}
    discs = {name: gap for name in config.plot.gates if config.variants[name].rows == "outside"}
    drawn = {
        "shifts": shifts.draw(found["shifts"], beside),
        "norms": norms.draw(found["norms"], config.plot.norms, beside),
        "gates": gates.draw(found["plane"], max(config.shifts.box), rows, discs, gated),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


if __name__ == "__main__":
    main()
