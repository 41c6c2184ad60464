"""The pipeline, measured: from nothing, with nothing to do, stage by stage."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from benchmarks.process import CHECKOUT, MODULE, ONE_THREAD, timed
from benchmarks.trainings import VARIANTS, in_turns
from pipelines import schedule

Row = dict[str, Any]

REPRO = (*MODULE, "dvc", "repro", "--quiet")
FLOW = (*MODULE, "pipelines.reproduce")
QUICK = {"train.epochs": 5}


def clone(folder: Path, changes: dict[str, object], without: tuple[str, ...] = ()) -> Path:
    """A clone of this checkout as it is committed: no results, other parameters, some stages left out."""
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, folder], check=True)
    (folder / "dvc.lock").unlink(missing_ok=True)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = params
        for name in sections:
            section = section[name]
        section[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    definition = yaml.safe_load((folder / "dvc.yaml").read_text())
    definition["stages"] = {name: stage for name, stage in definition["stages"].items() if name not in without}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(definition, sort_keys=False))
    return folder


def finished(folder: Path, *, quick: bool, **changes: object) -> Path:
    """A clone in which everything has run, with the default parameters but for changes."""
    timed(REPRO, clone(folder, changes | (QUICK if quick else {})), **private(folder.parent))
    return folder


def private(base: Path) -> dict[str, str]:
    """Environment that keeps what DVC, MLflow and Prefect leave in a folder."""
    return {
        "DVC_SITE_CACHE_DIR": str(base / "dvc"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{base / 'mlflow.db'}",
        "PREFECT_HOME": str(base / "prefect"),
    }


def commands(folder: Path) -> dict[str, list[str]]:
    """Stage to its command, from what has run."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {name: shlex.split(stage["cmd"].replace("$DVC_STAGE", name)) for name, stage in stages.items()}


def stages(done: Path, turn: int) -> list[Row]:
    """Seconds of each stage, and of its imports alone."""
    rows = []
    for name, command in in_turns(commands(done).items(), turn):
        imports, _ = timed([*command[:3], "--help"], done)
        total, _ = timed(command, done, **private(done.parent))
        rows.append({"stage": name, "imports": imports, "seconds": total})
    return rows


def nothing_to_do(done: Path, empty: Path, turn: int) -> list[Row]:
    """`dvc repro` where all is done, here and in a pipeline that has as many stages and dependencies but no content.

    Each is the second of two in a row: the first may have hashed files that were written anew.
    """
    rows = []
    for way, folder in in_turns((("pipeline", done), ("empty", empty)), turn):
        _, seconds = (timed(REPRO, folder, **private(done.parent))[0] for _ in range(2))
        rows.append({"way": way, "seconds": seconds})
    return rows


def tracking(done: Path, turn: int) -> list[Row]:
    """Seconds of the parts of the stage track, with a database that is new."""
    seconds = json.loads(timed([*MODULE, "benchmarks.tracking"], done, **private(done.parent))[1])
    return [{"part": part, "seconds": value} for part, value in seconds.items()]


def remote(done: Path, turn: int) -> list[Row]:
    """CPU seconds of what a machine of a cluster does for a point beside the experiment, among few points and many."""
    points = json.loads(timed([*MODULE, "benchmarks.remote", done], done, **private(done.parent))[1])
    return [
        {"point": number, "many": number % 2 == 1, "step": step, "cpu": cpu}
        for number, steps in enumerate(points)
        for step, cpu in steps.items()
        if step != "exp run"
    ]


def table(done: Path, turn: int) -> list[Row]:
    """Seconds to read the numbers of 300 experiments and to make the table of their sweep, imports included."""
    folder = done.parent / f"table-{turn}"
    shutil.copytree(done, folder, symlinks=True)
    git = ["git", "-c", "user.name=-", "-c", "user.email=-"]
    timed([*git, "add", "--all"], folder)
    timed([*git, "commit", "--quiet", "--message", "Done"], folder)
    head = timed(["git", "rev-parse", "HEAD"], folder)[1].strip()
    names = [f"point-{number}" for number in range(300)]
    for name in names:
        ref = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
        commit = timed([*git, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", name], folder)[1].strip()
        timed(["git", "update-ref", ref, commit], folder)
    code = (
        "from pathlib import Path; from pipelines import experiments; from pipelines.outcome import Kind, Outcome;"
        f"names = {names};"
        "points = [experiments.Point((f'seed={name}',), name, True) for name in names];"
        "found = experiments.metrics(Path('.'), names);"
        "rows = experiments.table(points, {point.label: Outcome(Kind.PRESENT) for point in points}, found);"
        "assert len(rows) == 300 and all(row['residual.val_accuracy.mean'] > 0 for row in rows)"
    )
    return [{"experiments": len(names), "seconds": timed([*MODULE[:1], "-c", code], folder, **private(done.parent))[0]}]


def flow(base: Path, turn: int, port: int, *, quick: bool) -> list[Row]:
    """The flow and `dvc repro`, all seeds and long trainings, and the flow again with nothing to do; same outputs."""
    changes = QUICK if quick else {"train.epochs": 600}
    ways = {way: clone(base / f"{way}-{turn}", changes) for way in ("dvc repro", "the flow")}
    commands = {"dvc repro": REPRO, "the flow": FLOW}
    with schedule.server(port) as api:
        env = private(base) | {"PREFECT_API_URL": api, "MLFLOW_TRACKING_URI": ""}  # each tracks into its own database
        rows = [{"way": way, "seconds": timed(commands[way], ways[way], **env)[0]} for way in in_turns(ways, turn)]
        imports, _ = timed([*FLOW, "--help"], ways["the flow"], **env)
        again, _ = timed(FLOW, ways["the flow"], **env)
    rows.append({"way": "the flow, nothing to do, besides imports", "seconds": again - imports})
    assert outputs(ways["dvc repro"]) == outputs(ways["the flow"]), "the flow leaves what dvc repro leaves"
    return rows


def studies(base: Path, turn: int) -> list[Row]:
    """Seconds of each study from nothing."""
    folder = clone(base / f"studies-{turn}", {})
    for lock in folder.glob("studies/*/dvc.lock"):
        lock.unlink()
    names = sorted(path.parent.name for path in folder.glob("studies/*/dvc.yaml"))
    return [
        {"study": name, "seconds": timed(REPRO, folder / "studies" / name, **private(base))[0]}
        for name in in_turns(names, turn)
    ]


def outputs(folder: Path) -> dict[str, object]:
    """Stage to hashes of its outputs."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {name: stage.get("outs") for name, stage in stages.items()}


def empty_like(done: Path, folder: Path) -> Path:
    """A repository whose stages do nothing, as many and with as many dependencies each as those of a pipeline."""
    folder.mkdir()
    env = private(done.parent)
    timed(["git", "init", "--quiet"], folder)
    timed([*MODULE, "dvc", "init", "--quiet"], folder, **env)
    definition: dict[str, Any] = {}
    for number, (name, stage) in enumerate(yaml.safe_load((done / "dvc.lock").read_text())["stages"].items()):
        deps = [f"{number}-{dep}" for dep in range(len(stage["deps"]))]
        for dep in deps:
            (folder / dep).write_text(dep)
        output = f"{number}-out"
        definition[name.replace("@", "-")] = {"cmd": f"echo {number} > {output}", "deps": deps, "outs": [output]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": definition}))
    timed(REPRO, folder, **env)
    return folder


def from_nothing(base: Path, single: Path, turn: int, port: int, *, quick: bool) -> list[Row]:
    """One seed up to the figures: DVC, the flow beside a running server, and scripts one after another."""
    changes = {"seeds": 1} | (QUICK if quick else {})
    epochs = yaml.safe_load((single / "params.yaml").read_text())["train"]["epochs"]

    def dvc() -> float:
        return timed([*REPRO, "plot"], clone(base / f"dvc-{turn}", changes), **private(base))[0]

    def flow() -> float:
        folder = clone(base / f"flow-{turn}", changes, without=("track",))
        with schedule.server(port) as api:
            # A server that has just begun is busy with itself.
            timed(FLOW, single, PREFECT_API_URL=api, **private(base))
            return timed(FLOW, folder, PREFECT_API_URL=api, **private(base))[0]

    def scripts() -> float:
        recipe = [*MODULE, "benchmarks.peers.recipe", f"--epochs={epochs}"]
        trained = [
            timed([*recipe, f"--variant={variant}", f"--output={base / 'norms.csv'}"], **ONE_THREAD)[0]
            for variant in VARIANTS
        ]
        return sum(trained) + timed(commands(single)["plot"], single)[0]

    ways = (("dvc", dvc), ("flow", flow), ("scripts", scripts))
    return [{"way": name, "seconds": measure()} for name, measure in in_turns(ways, turn)]
