"""track: log each result in MLflow, once."""

from pathlib import Path

import click

from gradflow.files.writing import write_text
from gradflow.tracking import environment, experiment, origin, result


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("tracked", type=click.Path(path_type=Path))
@experiment.option
def main(data: Path, models: Path, logs: Path, reports: Path, tracked: Path, experiment: str) -> None:
    """Log the result in the folders DATA, MODELS, LOGS and REPORTS, unless it is logged; then write TRACKED."""
    environment.prepare()
    from gradflow.tracking import runs, store  # they import MLflow

    where = store.find()
    found = result.read(result.Artefacts(Path("params.yaml"), Path("dvc.lock"), data, models, logs, reports))
    done = runs.track(found, origin.current(), where, experiment)
    write_text(tracked, f"{found.fingerprint}\n")
    click.echo(f"{'tracked' if done.now else 'already tracked'}: {where.page(done.experiment, done.run)}")


if __name__ == "__main__":
    main()
