"""report: all results on one page that carries whatever it needs."""

from pathlib import Path

import click

from gradflow import params, studies, yaml12
from gradflow.artefacts import read_json, read_table
from gradflow.errors import RunError
from gradflow.figures import setting
from gradflow.report import page
from gradflow.writing import write_text


@click.command()
@click.argument("settings", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("study_settings", type=click.Path(path_type=Path))
@click.argument("study", type=click.Path(path_type=Path))
@click.argument("ledger", type=click.Path(path_type=Path))
@click.argument("written", type=click.Path(path_type=Path))
def main(
    settings: Path, source: Path, results: Path, study_settings: Path, study: Path, ledger: Path, written: Path
) -> None:
    """Write the page WRITTEN.

    SETTINGS is the params.yaml of the run whose tables are in RESULTS, SOURCE (JSON) describes its data;
    STUDY_SETTINGS and STUDY are those of the distant identity. LEDGER holds the evaluated claims (JSON).
    """
    for path in (*(study / name for name in ("history.csv", "probe.csv", "metrics.json")), ledger):
        if not path.exists():
            raise RunError(f"{path}: missing; run `make studies`, which makes all that the page shows")
    html = page.render(_run(settings, source, results), _identity(study_settings, study), read_json(ledger))
    write_text(written, html)


def _run(settings: Path, source: Path, results: Path) -> page.Run:
    config, metrics = params.load(settings), read_json(results / "metrics.json")
    return page.Run(
        setting.of_recipe(config, metrics, read_json(source)),
        yaml12.read(settings),
        metrics,
        *(read_table(results / f"{name}.csv") for name in ("gradient_norms", "probe", "history")),
    )


def _identity(settings: Path, study: Path) -> page.Identity:
    metrics = read_json(study / "metrics.json")
    return page.Identity(
        setting.of_identity(params.load(settings, model=studies.Identity), metrics),
        yaml12.read(settings),
        metrics,
        *(read_table(study / f"{name}.csv") for name in ("probe", "history")),
    )


if __name__ == "__main__":
    main()
