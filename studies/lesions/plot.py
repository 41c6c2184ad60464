"""plot: from the tables of the lesions study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.moons.setting import experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.lesions import summary
from studies.lesions.figures import lesions, paths
from studies.lesions.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    names = {"seeds": config.variants, "lesions": config.variants, "paths": [*config.variants, *config.starts]}
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, names[name]))
        for name, columns in summary.tables(config).items()
    }
    draws = config.lesions.draws
    more = (
        f"{draws} draw{'s' * (draws != 1)} of random blocks, the same for all networks; gradient of the mean loss of"
        f" {config.paths.rows} train rows."
    )
    trained, every = (experiment(config, found["seeds"], names[table], more) for table in ("lesions", "paths"))
    widths = {name: start.width for name, start in config.starts.items()}
    style.save(lesions.draw(found["lesions"], trained), figures / "lesions", _DPI)
    style.save(paths.draw(found["paths"], widths, every), figures / "paths", _DPI)


if __name__ == "__main__":
    main()
