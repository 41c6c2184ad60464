"""The points of a grid as DVC experiments: which there are, what they are called, what came out."""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import get_hydra_sweeps
from hydra.errors import HydraException

from gradflow.guards.errors import InputError, shown
from pipelines import dag
from pipelines.outcome import Outcome
from pipelines.report import flat


@dataclass(frozen=True)
class Point:
    """One combination of values.

    Attributes:
        overrides: Such as ``depth=10``, as ``dvc exp run --set-param`` takes them.
        name: Of the experiment: the values to read, and a hash of all that decides the result.
        present: There is such an experiment.
    """

    overrides: tuple[str, ...]
    name: str
    present: bool

    @property
    def label(self) -> str:
        """The combination as one word a key."""
        return " ".join(self.overrides)


def points(folder: Path, grid: Sequence[str]) -> list[Point]:
    """All combinations, the last key varying fastest.

    Args:
        folder: Where the pipeline's dvc.yaml lies.
        grid: Keys with their values, in the grammar of ``dvc exp run --queue --set-param``: ``depth=10,20``,
            ``depth=range(10,50,10)``, ``other.yaml:width=8,16``.

    Raises:
        InputError: The grid cannot be read, or the folder has no pipeline.
    """
    for override in grid:
        if not re.match(r"[^=]*[^=:]=", override):
            raise InputError("grid", f"must be KEY=VALUE,VALUE..., got {override!r}")
    root = dag.root(folder).resolve()
    try:
        by_file = to_path_overrides(grid)
        for file in by_file:  # DVC would write into it
            if not (folder / file).resolve().is_relative_to(root):
                raise InputError("grid", f"must name files in {root}, got {shown(file)}")
        combinations = get_hydra_sweeps(by_file)
    except (DvcException, HydraException) as error:
        reason = " ".join(str(error).split())
        raise InputError("grid", f"must be KEY=VALUE,VALUE..., got {' '.join(grid)!r}: {reason}") from None
    state = _state(folder)
    with Repo(str(folder)) as repo:
        present = {name for named in repo.experiments.ls().values() for name, _ in named}
    found = {}
    for combination in combinations:
        overrides = tuple(
            override if file == "params.yaml" else f"{file}:{override}"
            for file, values in combination.items()
            for override in values
        )
        name = _name(overrides, state)
        found[name] = Point(overrides, name, name in present)
    return list(found.values())


def title(root: Path, folder: Path, grid: Sequence[str]) -> str:
    """What a sweep is about as the name of a file: ``depth-scale``, of a study ``initialisation-depth``."""
    keys = (override.partition("=")[0].rpartition(":")[2].rpartition(".")[2] for override in grid)
    return "-".join(map(_words, (*folder.resolve().relative_to(root.resolve()).parts, *keys)))[:100]


def table(folder: Path, points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """One row a point: experiment, values, outcome, the error if there is one, every number of the folder's metrics."""
    done = [point.name for point in points if not outcomes[point.label].kind.failed]
    plan = dag.read(folder)
    own = [str(plan.root / path) for path in plan.metrics]  # those of other pipelines may have the same names
    with Repo(str(folder)) as repo:
        shown = repo.metrics.show(targets=own, revs=done, hide_workspace=True) if done else {}
    rows, columns = [], dict[str, None]()
    for point in points:
        values = dict(override.partition("=")[::2] for override in point.overrides)
        numbers: dict[str, Any] = {}
        for file in shown.get(point.name, {}).get("data", {}).values():
            numbers |= flat(file["data"])
        result = outcomes[point.label]
        rows.append(
            {"experiment": point.name} | values | {"outcome": result.kind.value, "error": result.line} | numbers
        )
        columns |= dict.fromkeys(rows[-1])
    return [{column: row.get(column, "") for column in columns} for row in rows]


def _state(folder: Path) -> str:
    """A hash of the checkout as an experiment starts from it: the commit and what has been edited since.

    Outputs that lie in git, and dvc.lock, do not count: they follow from the rest.
    """
    plan = dag.read(folder)
    outputs = [f":(exclude){path}" for path in plan.outputs_in_git] + [":(exclude,top)**/dvc.lock"]
    commands = (
        ["git", "rev-parse", "HEAD"],
        ["git", "diff", "--no-ext-diff", "--binary", "HEAD", "--", ":(top)", *outputs],
    )
    texts = []
    for command in commands:
        done = subprocess.run(command, cwd=plan.root, capture_output=True, check=False)  # noqa: S603  # no shell
        if done.returncode:
            raise InputError(str(folder), f"git: {done.stderr.decode().strip()}")
        texts.append(done.stdout)
    texts.append(folder.resolve().relative_to(plan.root.resolve()).as_posix().encode())
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _name(overrides: Sequence[str], state: str) -> str:
    """Such as ``depth-10-scale-0.2-3f2a1c``: one word a key and value that git takes as the name of a ref."""
    digest = hashlib.sha256(json.dumps([state, *overrides]).encode()).hexdigest()[:6]
    parts = [override.rpartition(":")[2].partition("=") for override in overrides]
    words = [f"{_words(key.rpartition('.')[2])}-{_words(value)}" for key, _, value in parts]
    return f"{'-'.join(words)[:50].strip('-.')}-{digest}"


def _words(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+|\.{2,}", "-", text).strip("-.")
