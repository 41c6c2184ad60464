"""The points of a grid as DVC experiments: which there are, what they are called, what came out."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides
from hydra.errors import HydraException

from gradflow.guards import checkout
from gradflow.guards.errors import InputError, shown
from gradflow.params import reading
from gradflow.tracking import origin
from pipelines import dag, refs
from pipelines.git import git
from pipelines.outcome import Outcome
from pipelines.report import flat

_WORDS = 50  # characters of a name that a person reads


@dataclass(frozen=True)
class Point:
    """One combination of values.

    Attributes:
        overrides: Such as ``depth=10``, as ``dvc exp run --set-param`` takes them.
        name: Of the experiment: the values to read, and a hash of all that decides the result.
        present: There is such an experiment, here or in the git remote where that was asked for.
    """

    overrides: tuple[str, ...]
    name: str
    present: bool

    @property
    def label(self) -> str:
        """The combination as one word a key."""
        return " ".join(self.overrides)

    @property
    def values(self) -> dict[str, str]:
        """Key to value."""
        return dict(override.partition("=")[::2] for override in self.overrides)


@dataclass(frozen=True)
class Standing:
    """The project as experiments start from it now, and which experiments there are.

    Attributes:
        state: That of the checkout, as the function of that name tells it.
        known: Name to experiment, the oldest first.
    """

    state: str
    known: Mapping[str, refs.Experiment]

    def point(self, overrides: Sequence[str]) -> Point:
        """The point with these values."""
        name = _name(overrides, self.state)
        return Point(tuple(overrides), name, name in self.known)

    def about(self, key: str) -> list[refs.Experiment]:
        """The experiments whose names begin with a key: all whose first value is that key's, and maybe others."""
        word = _word(key.rpartition(":")[2])
        return [one for name, one in self.known.items() if name.startswith(word)]


def standing(folder: Path, *, shared: bool = False) -> Standing:
    """Look at the project in which a folder lies, and at the git remote too where that is asked for.

    Raises:
        RunError: The git remote cannot be reached.
    """
    root = dag.root(folder).resolve()
    known = refs.here(root) + (refs.on_remote(root) if shared else [])
    return Standing(state(folder), {one.name: one for one in known})


def points(folder: Path, grid: Sequence[str], *, shared: bool = False) -> list[Point]:
    """All combinations, the last key varying fastest.

    Args:
        folder: Where the pipeline's dvc.yaml lies.
        grid: Keys with their values, in the grammar of ``dvc exp run --queue --set-param``: ``depth=10,20``,
            ``depth=range(10,50,10)``, ``other.yaml:width=8,16``.
        shared: Whether experiments in the git remote count as present too.

    Raises:
        InputError: The grid cannot be read, the folder has no pipeline, or lies where DVC can make no copies.
        RunError: The git remote cannot be reached.
    """
    with readable(grid):
        combinations = get_hydra_sweeps(by_file(folder, grid))
    now, found = standing(folder, shared=shared), {}
    for combination in combinations:
        point = now.point([addressed(file, value) for file, values in combination.items() for value in values])
        found[point.name] = point
    return list(found.values())


def by_file(folder: Path, grid: Sequence[str]) -> dict[str, list[str]]:
    """The overrides of a grid by the parameters file that they are about, seen from the pipeline's folder.

    Raises:
        InputError: As of :func:`points`.
    """
    for override in grid:
        if not re.match(r"[^=]*[^=:]=", override):
            raise InputError("grid", f"must be KEY=VALUE,VALUE..., got {override!r}")
    root = dag.root(folder).resolve()
    if not str(root).isascii():
        raise InputError(str(root), "must be a path in ASCII, DVC cannot run experiments in copies of any other")
    _check_is_in_git(folder)
    found: dict[str, list[str]] = to_path_overrides(grid)
    for file in found:  # DVC would write into it
        if not (folder / file).resolve().is_relative_to(root):
            raise InputError("grid", f"must name files in {root}, got {shown(file)}")
    with readable(grid):
        to_hydra_overrides([override for overrides in found.values() for override in overrides])
    for file, overrides in found.items():
        _check_keys(folder / file, overrides)
    return found


@contextmanager
def readable(grid: Sequence[str]) -> Iterator[None]:
    """Within the block an error of DVC's or Hydra's is one of the grid.

    Raises:
        InputError: There was one.
    """
    try:
        yield
    except (DvcException, HydraException) as error:
        reason = " ".join(str(error).split())
        hint = "; interval() needs --search optuna" if "INTERVAL_SWEEP" in reason else f": {reason}"
        raise InputError("grid", f"must be KEY=VALUE,VALUE..., got {' '.join(grid)!r}{hint}") from None


def addressed(file: str, override: str) -> str:
    """An override of a parameters file, as ``dvc exp run --set-param`` takes it."""
    return override if file == "params.yaml" else f"{file}:{override}"


def _check_is_in_git(folder: Path) -> None:
    """Check that the copies that DVC makes will have the pipeline; of one that git lacks it deletes the parameters.

    Raises:
        InputError: They will not.
    """
    for file in (folder / "dvc.yaml", folder / "params.yaml"):
        if file.exists() and not origin.git(folder, "ls-tree", "HEAD", "--", file.name):
            raise InputError(str(file), f"must be committed before it can be copied: git add {folder}, git commit")


def _check_keys(file: Path, overrides: Sequence[str]) -> None:
    """Check that a parameters file has the keys that are given values; ``+key`` adds one.

    Raises:
        InputError: It has not.
    """
    if not file.is_file():
        raise InputError("grid", f"must name files that there are, got {shown(str(file))}")
    if file.suffix not in (".yaml", ".yml"):
        return
    document = reading.read(file)
    for key in (override.partition("=")[0] for override in overrides):
        section: Any = document
        for part in key.split(".") if key[0] not in "+~" else ():
            known = [str(name) for name in section] if isinstance(section, dict) else []
            if part not in known:
                like = get_close_matches(part, known, 1)
                hint = f"; did you mean {like[0]}?" if like else ""
                raise InputError("grid", f"must give values to keys of {file.name}, got {key}{hint} (+{key} adds it)")
            section = section[part]


def in_order(folder: Path, points: Sequence[Point]) -> list[tuple[Point, list[Point]]]:
    """The points in the order in which to start them, each with those to wait for.

    Points that share a stage - they agree in all values that it and the stages upstream of it read - would all run it
    if they ran at once. So the others wait for the first of them, and then find it in DVC's cache.
    """
    nodes = dag.read(folder).nodes
    first: dict[tuple[str, tuple[str, ...]], Point] = {}
    ahead: dict[Point, list[Point]] = {}
    level: dict[Point, int] = {}
    for point in points:
        work = [(node, tuple(one for one in point.overrides if _reads(node, folder, one))) for node in nodes]
        own = [] if point.present else [(node.address, values) for node, values in work if node.changed or values]
        ahead[point] = [other for other in dict.fromkeys(first.setdefault(one, point) for one in own) if other != point]
        level[point] = 1 + max((level[other] for other in ahead[point]), default=0)
    return [(point, ahead[point]) for point in sorted(points, key=level.__getitem__)]


def _reads(node: dag.Node, folder: Path, override: str) -> bool:
    """Whether a stage, or one upstream of it, reads what a value overrides: the key, a part of it, or what it is in."""
    file, _, key = override.partition("=")[0].rpartition(":")
    path, key = (folder / (file or "params.yaml")).resolve(), f"{key.lstrip('+~')}."
    return any(
        path == where and (f"{name}.".startswith(key) or key.startswith(f"{name}.")) for where, name in node.reads
    )


def title(root: Path, folder: Path, grid: Sequence[str], what: Sequence[str]) -> str:
    """The name of a sweep's files: what it is about and a hash of what makes it this one, ``depth-scale-3f2a1c``.

    For a study ``initialisation-depth-3f2a1c``. The same sweep of the same state has the same name, others another.

    Args:
        root: Of the DVC project.
        folder: Of the pipeline.
        grid: Keys with their values.
        what: The names of its points, which go with the state.
    """
    keys = (override.partition("=")[0].rpartition(":")[2].rpartition(".")[2] for override in grid)
    words = "-".join(map(_words, (*folder.resolve().relative_to(root.resolve()).parts, *keys)))[:90]
    return f"{words}-{_digest(sorted(what))}"


def metrics(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name of each experiment to what the folder's metrics files have in it."""
    if not names:
        return {}
    plan = dag.read(folder)
    root = plan.root.resolve()
    top = checkout.around(root) or root
    held = {path for path in plan.metrics if path in plan.outputs_in_git and path.endswith(".json")}
    commits = {one.name: one.commit for one in refs.here(root) if one.name in set(names)}
    files = [(root / path).relative_to(top).as_posix() for path in plan.metrics if path in held]
    found: dict[str, dict[str, Any]] = {name: {} for name in names} | refs.read(top, commits, files)
    if others := [str(plan.root / path) for path in plan.metrics if path not in held]:  # which DVC's cache has
        with Repo(str(folder)) as repo:
            shown = repo.metrics.show(targets=others, revs=list(names), hide_workspace=True)
        for name in names:
            for file in shown.get(name, {}).get("data", {}).values():
                found[name] |= file["data"]
    return found


def table(
    points: Sequence[Point],
    outcomes: Mapping[str, Outcome],
    metrics: Mapping[str, Mapping[str, Any]],
    marks: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """One row a point: experiment, values, outcome, the error if there is one, every number of its metrics.

    Args:
        points: The rows.
        outcomes: By the points' labels.
        metrics: By their names.
        marks: Likewise: further columns, behind the experiment's.
    """
    rows, columns = [], dict[str, None]()
    for point in points:
        result = outcomes[point.label]
        rows.append(
            {"experiment": point.name}
            | dict((marks or {}).get(point.name, {}))
            | point.values
            | {"outcome": result.kind.value, "error": result.line}
            | flat(metrics.get(point.name, {}))
        )
        columns |= dict.fromkeys(rows[-1])
    return [{column: row.get(column, "") for column in columns} for row in rows]


def edits(folder: Path) -> str:
    """What has been edited in the checkout since its commit, as a patch.

    Outputs that lie in git, and dvc.lock, do not count: they follow from the rest. Nor do notebooks, which only look
    at results and change whenever they are run, nor anything else in a larger git repository that holds the project
    in a folder.
    """
    plan = dag.read(folder)
    root = plan.root.resolve()
    top = checkout.around(root) or root
    in_git = (Path(os.path.normpath(root / path)) for path in plan.outputs_in_git)
    outputs = [f":(exclude){path.relative_to(top).as_posix()}" for path in in_git if path.is_relative_to(top)]
    alike = ("--no-ext-diff", "--no-textconv", "--no-color", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")
    others = (":(exclude,glob)**/dvc.lock", ":(exclude,glob)**/*.ipynb")
    return git(top, "diff", *alike, "--binary", "HEAD", "--", ".", *outputs, *others)


def state(folder: Path) -> str:
    """A hash of the project as an experiment starts from it: what is committed and what has been edited since."""
    root = dag.root(folder).resolve()
    top = checkout.around(root) or root
    return _digest([git(top, "rev-parse", "HEAD:./"), edits(folder), folder.resolve().relative_to(top).as_posix()])


def _name(overrides: Sequence[str], state: str) -> str:
    """Such as ``depth-10-scale-0.2-3f2a1c``: one word a key and value that git takes as the name of a ref."""
    parts = [override.rpartition(":")[2].partition("=") for override in overrides]
    words = [f"{_word(key)}-{_words(value)}" for key, _, value in parts]
    return f"{'-'.join(words)[:_WORDS].strip('-.')}-{_digest([state, *overrides])}"


def _word(key: str) -> str:
    return _words(key.rpartition(".")[2])[:_WORDS].strip("-.")


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:6]


def _words(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+|\.{2,}", "-", text).strip("-.")
