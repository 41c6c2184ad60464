"""report: all results on one page that carries whatever it needs."""

from pathlib import Path

import click

from gradflow import dataset, documents, gradients, identity_summary, params, studies, yaml12
from gradflow.artefacts import read_table
from gradflow.columns import by_variant
from gradflow.errors import RunError
from gradflow.figures import setting
from gradflow.ledger.evaluated import Evaluated
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
    html = page.render(
        _run(settings, source, results), _identity(study_settings, study), documents.read(ledger, list[Evaluated])
    )
    write_text(written, html)


def _run(settings: Path, source: Path, results: Path) -> page.Run:
    config = params.load(settings)
    metrics = documents.read_by_variant(results / "metrics.json", gradients.Summary, config.variants)
    names = ("gradient_norms", "probe", "history")
    return page.Run(
        setting.of_recipe(config, metrics, documents.read(source, dataset.Source)),
        yaml12.read(settings),
        metrics,
        *(
            read_table(results / f"{name}.csv", holds)
            for name, holds in zip(names, gradients.tables(config), strict=True)
        ),
    )


def _identity(settings: Path, study: Path) -> page.Identity:
    config = params.load(settings, model=studies.Identity)
    metrics = documents.read_by_variant(study / "metrics.json", identity_summary.Summary, config.variants)
    history, probe = identity_summary.tables(config)
    return page.Identity(
        setting.of_identity(config, metrics),
        yaml12.read(settings),
        metrics,
        read_table(study / "probe.csv", by_variant(probe, config.variants)),
        read_table(study / "history.csv", by_variant(history, config.variants)),
    )


if __name__ == "__main__":
    main()
