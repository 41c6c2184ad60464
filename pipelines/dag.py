"""What depends on what and what is out of date, as DVC sees it."""

import os
from dataclasses import dataclass
from pathlib import Path

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage import PipelineStage, Stage

from gradflow.guards.errors import InputError


@dataclass(frozen=True)
class Node:
    """A stage.

    Attributes:
        address: Its name to DVC, seen from the root of its project: ``scale``, ``identity/dvc.yaml:train@plain``.
        upstream: Addresses of the stages whose outputs it reads.
        changed: False when DVC finds it up to date, as long as nothing upstream of it runs.
        reads: Files and keys of the parameters that it or a stage upstream of it names one by one. A stage that depends
            on a whole file counts for nothing here: it checks or logs the parameters, or has no other choice.
    """

    address: str
    upstream: tuple[str, ...]
    changed: bool
    reads: frozenset[tuple[Path, str]] = frozenset()


@dataclass(frozen=True)
class Dag:
    """The stages that ``dvc repro`` would look at in a folder, each after those it depends on.

    Attributes:
        root: Folder of the DVC project.
        nodes: The stages of the folder's dvc.yaml and all that they depend on.
        outputs: Outputs of the folder's stages, seen from the root.
        metrics: Those of them that are metrics files, also where DVC is not told so.
        outputs_in_git: Outputs of any stage that DVC leaves to git.
    """

    root: Path
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    metrics: tuple[str, ...]
    outputs_in_git: tuple[str, ...]

    def output(self, name: str) -> Path | None:
        """The output that is a file of that name, if there is one."""
        found = (self.root / path for path in self.outputs if Path(path).name == name)
        return next((path for path in found if path.exists()), None)


def root(folder: Path) -> Path:
    """The root of the DVC project that a folder belongs to.

    Raises:
        InputError: None.
    """
    try:
        return Path(Repo.find_root(str(folder)))
    except DvcException as error:
        raise InputError(str(folder), f"must lie in a DVC repository: {_line(error)}") from None


def read(folder: Path) -> Dag:
    """Ask DVC about the pipeline of a folder; changes nothing.

    Raises:
        InputError: There is no pipeline, or DVC cannot read it.
    """
    file = folder / "dvc.yaml"
    try:
        with Repo(str(folder)) as repo:
            graph = get_active_graph(repo.index.graph)
            own = repo.stage.collect(str(file.absolute()))
            stages = plan_repro(graph, own)
            changed = _changed(repo, stages)
            nodes = dict[Stage, Node]()
            for stage in stages:
                upstream = [nodes[other] for other in graph.successors(stage)]
                reads = _reads(stage).union(*(node.reads for node in upstream))
                nodes[stage] = Node(_address(stage), tuple(node.address for node in upstream), stage in changed, reads)
            outputs = (_path(out) for stage in own for out in stage.outs)
            metrics = (
                _path(out) for stage in own for out in stage.outs if out.metric or out.def_path.endswith("metrics.json")
            )
            in_git = (_path(out) for out in repo.index.outs if not out.use_cache)
            return Dag(Path(repo.root_dir), tuple(nodes.values()), tuple(outputs), tuple(metrics), tuple(in_git))
    except DvcException as error:
        raise InputError(str(file), f"DVC cannot read the pipeline: {_line(error)}") from None


def _changed(repo: Repo, stages: list[Stage]) -> set[Stage]:
    """Stages that are not up to date by themselves; all of them while another DVC process is in the way."""
    try:
        with repo.lock:
            return {stage for stage in stages if stage.status()}
    except LockError:
        return set(stages)


def _reads(stage: Stage) -> frozenset[tuple[Path, str]]:
    files = (dep for dep in stage.deps if isinstance(dep, ParamsDependency))
    return frozenset((Path(file.fs_path).resolve(), key) for file in files for key in file.params)


def _address(stage: Stage) -> str:
    file = str(stage.path_in_repo)
    if not isinstance(stage, PipelineStage):
        return file
    return str(stage.name) if file == "dvc.yaml" else f"{file}:{stage.name}"


def _path(out: Output) -> str:
    return os.path.relpath(str(out.fs_path), out.repo.root_dir)  # may lie outside, as the claims of the studies do


def _line(error: DvcException) -> str:
    return " ".join(str(error).split())
