"""track: log the result of the study in MLflow, once. Its models are not registered, since they are compared."""

from dataclasses import replace
from pathlib import Path

import click

from gradflow.tracking import result, stage
from gradflow.tracking.experiment import DEFAULT

_STUDY = "explorer"


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("tracked", type=click.Path(path_type=Path))
def main(data: Path, models: Path, logs: Path, reports: Path, tracked: Path) -> None:
    """Log the result in the folders DATA, MODELS, LOGS and REPORTS, unless it is logged; then write TRACKED."""
    found = result.read(result.Artefacts(Path("params.yaml"), Path("dvc.lock"), data, models, logs, reports))
    named = replace(found, name=f"{_STUDY}-{found.fingerprint[:6]}", source=f"studies/{_STUDY}", data_hash="")
    stage.log(named, f"{DEFAULT}-{_STUDY}", tracked)


if __name__ == "__main__":
    main()
