"""new: a project of its own, from template/: the pattern of this one, with a toy in place of networks."""

import importlib.util
import keyword
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import copier

from gradflow.guards.errors import InputError, RunError, shown
from gradflow.tracking import origin
from pipelines.git import git

_CHECKOUT = Path(__file__).resolve().parents[1]
_NOBODY = ("-c", "user.name=gradflow", "-c", "user.email=gradflow@localhost")


@click.command()
@click.argument("folder", metavar="NAME")
def main(folder: str) -> None:
    """Make a project in the folder NAME, whose last part becomes its name; a repository of git and DVC."""
    place = Path(folder).expanduser().resolve()
    check(folder, place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new-", dir=place.parent) as above:  # so that no half of it is left
            draft = Path(above, place.name)
            copier.run_copy(str(_CHECKOUT / "template"), draft, data={"name": place.name}, defaults=True, quiet=True)
            git(draft, "init", "--quiet", "--initial-branch=main")
            git(draft, "add", "--all")
            author = () if origin.git(draft, "var", "GIT_AUTHOR_IDENT") else _NOBODY
            git(draft, *author, "commit", "--quiet", "--message", "A pipeline of DVC, Prefect and MLflow, with a toy")
            draft.replace(place)
    except OSError as error:
        raise RunError(f"{place}: cannot be made ({error.strerror or error})") from None
    click.echo(f"made {place}; go on with: cd '{place}' && make reproduce test")


def check(given: str, place: Path) -> None:
    """Refuse a place or a name that will not do, before anything is written.

    Raises:
        InputError: Says what is wrong with it.
    """
    package = place.name.replace("-", "_")
    if not given or not re.fullmatch("[a-z][a-z0-9_]*", package) or keyword.iskeyword(package):
        rule = "must end in a word of lower-case letters, digits, - and _ that Python takes as a name"
        raise InputError("NAME", f"{rule}, e.g. ../my-project; got {shown(given)}")
    if importlib.util.find_spec(package):
        raise InputError("NAME", f"must not end in {place.name}, since there is a Python module {package} already")
    if place.is_relative_to(_CHECKOUT):
        raise InputError("NAME", f"must lie outside this checkout, e.g. ../{place.name}; got {shown(given)}")
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise InputError("NAME", f"must be a new or an empty folder, got {shown(given)}")


if __name__ == "__main__":
    main()
