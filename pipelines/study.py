"""study: a study of the same networks, whose dvc.yaml is made from that of the recipe.

``python -m pipelines.study NAME`` makes ``studies/NAME/`` with the recipe's stages and parameters; where the folder is
there, its dvc.yaml is made anew. Stages and code are the root's, results stay in the folder. They are logged in MLflow
if the folder has a ``track.py``.
"""

import io
import re
from pathlib import Path

import click
from ruamel.yaml import YAML

from gradflow.files.writing import write_text
from gradflow.guards import checkout
from gradflow.guards.errors import InputError, shown
from gradflow.ledger.claims import ROOT, SERVING

_UP = "../.."  # from the folder of a study to the root
_HEADER = """\
# The stages of the root's dvc.yaml, run here with the parameters beside this file.
# Made by `python -m pipelines.study {name}`, which makes it anew: what is written here by hand is lost.
"""
_ELSEWHERE = ("stages/", "gradflow/", "data/own")  # what a study takes from the root


def derived(recipe: str, name: str, *, tracked: bool = False) -> str:
    """The dvc.yaml of a study.

    Args:
        recipe: The text of the root's dvc.yaml.
        name: Of the study.
        tracked: Whether the study has a module ``track``.
    """
    yaml = YAML()
    yaml.width = 10_000  # commands stay as they are
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(recipe)
    document.pop("artifacts", None)
    stages = document["stages"]
    if tracked:
        track = stages["track"]
        track["cmd"] = track["cmd"].replace("stages.track", f"studies.{name}.track")
        track["deps"][:] = ["track.py" if path == "stages/track.py" else path for path in track["deps"]]
    else:
        stages.pop("track")
    for stage in stages.values():
        own = stage.get("do", stage)
        own["cmd"] = type(own["cmd"])(f"PYTHONPATH={_UP} {own['cmd']}")
        own["deps"][:] = [f"{_UP}/{path}" if path.startswith(_ELSEWHERE) else path for path in own["deps"]]
    for plot in document["plots"]:
        for values in plot.values() if isinstance(plot, dict) else ():
            values["template"] = f"{_UP}/.dvc/plots/{values['template']}.json"
    text = io.StringIO()
    yaml.dump(document, text)
    return _HEADER.format(name=name) + re.sub(r"\A(#.*\n)+", "", text.getvalue())


@click.command()
@click.argument("name")
def main(name: str) -> None:
    """Make the study NAME, or its dvc.yaml anew."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        rule = "must be a lower-case letter followed by up to 39 such letters, digits or _"
        raise InputError("NAME", f"{rule}, got {shown(name)}")
    if name in (ROOT, SERVING):
        raise InputError("NAME", f"must not be {name}, which is what the ledger calls another project of this checkout")
    root = checkout.root()
    if not ((root / checkout.STUDIES).is_dir() and (root / "dvc.yaml").is_file()):
        raise InputError(str(root), "must lie in a checkout of this project, found no dvc.yaml and studies")
    folder = root / checkout.STUDIES / name
    if _is_of_its_own(folder):
        raise InputError("NAME", f"must be a study of the recipe's networks, {name} has a pipeline of its own")
    if not (folder / "params.yaml").exists():
        write_text(folder / "params.yaml", (root / "params.yaml").read_text(encoding="utf-8"))
        click.echo(
            f"{folder / 'params.yaml'}: change what the study is about, then run `dvc repro` in its folder; "
            "commit it before experiments in copies (--temp, sweeps), which have what git has"
        )
    recipe, tracked = (root / "dvc.yaml").read_text(encoding="utf-8"), (folder / "track.py").exists()
    write_text(folder / "dvc.yaml", derived(recipe, name, tracked=tracked))


def _is_of_its_own(folder: Path) -> bool:
    """Whether somebody has written the pipeline of a folder, which must not be lost."""
    file = folder / "dvc.yaml"
    made = _HEADER.format(name=folder.name)
    return (folder / "params.py").exists() or (file.exists() and not file.read_text(encoding="utf-8").startswith(made))


if __name__ == "__main__":
    main()
