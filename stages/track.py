"""track: log each result in MLflow, once."""

from pathlib import Path

import click

from gradflow.files.writing import write_text
from gradflow.guards.errors import InputError, shown
from gradflow.tracking import environment, origin, result

_LONGEST_NAME = 500  # that MLflow takes


@click.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.argument("models", type=click.Path(path_type=Path), required=False)
@click.argument("logs", type=click.Path(path_type=Path), required=False)
@click.argument("reports", type=click.Path(path_type=Path), required=False)
@click.argument("tracked", type=click.Path(path_type=Path), required=False)
@click.option("--experiment", default="gradflow", show_default=True, help="Name of the MLflow experiment.")
@click.option("--all", "everything", is_flag=True, help="Track what DVC holds: all experiments and the workspace.")
def main(
    data: Path | None,
    models: Path | None,
    logs: Path | None,
    reports: Path | None,
    tracked: Path | None,
    experiment: str,
    everything: bool,
) -> None:
    """Log the result in the folders DATA, MODELS, LOGS and REPORTS, unless it is logged; then write TRACKED."""
    if not (experiment.isprintable() and experiment.strip() and len(experiment) <= _LONGEST_NAME):
        raise InputError("--experiment", f"must be 1 to {_LONGEST_NAME} printable characters, got {shown(experiment)}")
    environment.prepare()
    from gradflow.tracking import runs, store  # they import MLflow

    where = store.find()
    if everything:
        from gradflow.tracking import held  # it imports DVC, for a second

        held.track(where, experiment)
        return
    if not (data and models and logs and reports and tracked):
        raise click.UsageError("name the folders DATA MODELS LOGS REPORTS and the file TRACKED, or say --all")
    found = result.read(result.Artefacts(Path("params.yaml"), Path("dvc.lock"), data, models, logs, reports))
    done = runs.track(found, origin.current(), where, experiment)
    write_text(tracked, f"{found.fingerprint}\n")
    click.echo(f"{'tracked' if done.now else 'already tracked'}: {where.page(done.experiment, done.run)}")


if __name__ == "__main__":
    main()
