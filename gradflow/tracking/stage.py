"""What the stage track of a pipeline does with its result."""

from pathlib import Path

import click

from gradflow.files.writing import write_text
from gradflow.tracking import environment, origin
from gradflow.tracking.entry import Entry


def log(entry: Entry, experiment: str, tracked: Path) -> None:
    """Log a result in the store of this checkout, unless it is there, and say where it is to be seen.

    Args:
        entry: The result.
        experiment: Name of the MLflow experiment.
        tracked: File for its fingerprint.

    Raises:
        InputError: A variable of the environment names no store.
        RunError: The store cannot be used.
    """
    environment.prepare()
    from gradflow.tracking import runs, store  # they import MLflow

    where = store.find()
    done = runs.track(entry, origin.current(), where, experiment)
    write_text(tracked, f"{entry.fingerprint}\n")
    click.echo(f"{'tracked' if done.now else 'already tracked'}: {where.page(done.experiment, done.run)}")
