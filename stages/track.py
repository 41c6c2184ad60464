"""track: log each result in MLflow, once."""

from pathlib import Path

import click

from gradflow.tracking import experiment, result, stage


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("tracked", type=click.Path(path_type=Path))
@experiment.option
def main(data: Path, models: Path, logs: Path, reports: Path, tracked: Path, experiment: str) -> None:
    """Log the result in the folders DATA, MODELS, LOGS and REPORTS, unless it is logged; then write TRACKED."""
    found = result.read(result.Artefacts(Path("params.yaml"), Path("dvc.lock"), data, models, logs, reports))
    stage.log(found, experiment, tracked)


if __name__ == "__main__":
    main()
