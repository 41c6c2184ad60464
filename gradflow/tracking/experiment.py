"""The MLflow experiment that results are tracked in: an option of the commands that track."""

import click

from gradflow.guards.errors import InputError, shown

DEFAULT = "gradflow"
_LONGEST_NAME = 500  # that MLflow takes


def _showable(_context: click.Context, _option: click.Parameter, name: str) -> str:
    if not (name.isprintable() and name.strip() and len(name) <= _LONGEST_NAME):
        raise InputError("--experiment", f"must be 1 to {_LONGEST_NAME} printable characters, got {shown(name)}")
    return name


option = click.option(
    "--experiment", default=DEFAULT, show_default=True, callback=_showable, help="Name of the MLflow experiment."
)
