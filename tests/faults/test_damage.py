"""Damaged files: each artefact cut short or with a bit flipped, before the stage that reads it.

Where dvc.lock names the file, whatever differs from what the stage made is refused: one line, which names the file and
what makes it anew. Where there is no dvc.lock, a Parquet table or a checkpoint is refused or gives the same results to
the byte, by checksums of its own. CSV and JSON have none: what is no longer of their form is refused; a digit that
became another one is not noticed, nor that rows are missing where a CSV was cut at the end of a line; and nothing ends
in a traceback.
"""

import hashlib
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import lenses, routing, trainings

CHECKOUT = Path(__file__).parents[2]
SEED = 11
MEGABYTES = 2048

# Folder of a pipeline to its stages to the files that each reads and those that it writes.
READ = {
    ".": {
        "scale": (["data/raw/moons.parquet"], ["data/scaled/*"]),
        "train": (["data/scaled/train.parquet", "data/scaled/val.parquet"], ["models/residual*", "logs/residual*"]),
        "gradients": (
            [f"logs/plain{ending}" for ending in (".parquet", ".probe.parquet", ".history.parquet", ".json")],
            ["reports/*.csv", "reports/metrics.json"],
        ),
        "plot": (
            [
                *("logs/plain.json", "logs/plain.boundary.parquet", "data/scaled/val.parquet", "data/raw/source.json"),
                *("reports/gradient_norms.csv", "reports/probe.csv", "reports/history.csv", "reports/metrics.json"),
            ],
            ["reports/figures/*"],
        ),
    },
    "studies/identity": {
        "tables": (
            ["logs/residual.history.parquet", "logs/residual.probe.parquet"],
            ["reports/*.csv", "reports/*.json"],
        ),
        "plot": (
            [f"reports/{name}" for name in ("history.csv", "probe.csv", "metrics.json")],
            ["reports/figures/*"],
        ),
    },
    "studies/initialisation": {
        "tables": (
            [f"logs/residual{ending}" for ending in (".layers.parquet", ".line.parquet", ".json")],
            ["reports/*.csv", "reports/*.json"],
        ),
        "plot": ([f"reports/{name}" for name in ("layers.csv", "shattering.csv")], ["reports/figures/*"]),
    },
    "studies/overflow": {
        "tables": (
            [f"logs/residual{ending}" for ending in (".depths.parquet", ".scaled.parquet")],
            ["reports/*.csv", "reports/*.json"],
        ),
        "plot": ([f"reports/{name}" for name in ("depths.csv", "scaled.csv")], ["reports/figures/*"]),
    },
    "studies/ledger": {
        "claims": (["../../studies/recipe/reports/metrics.json"], ["../../reports/claims.*"]),
        "page": (
            [f"../../reports/{name}" for name in ("claims.json", "explorer.csv", "explorer.json")],
            ["../../reports/index.html"],
        ),
    },
}
BEFORE = {
    "identity": ["train", "tables", "plot"],
    "initialisation": ["measure", "tables", "plot"],
    "overflow": ["measure", "tables", "plot"],
}


class Reading:
    """A process in which stages run."""

    def __init__(self, project):
        self.root = project.root
        self.process = subprocess.Popen(
            [sys.executable, "-B", Path(__file__).with_name("reading.py")],
            cwd=self.root,
            env=project.env | {"PYTHONPATH": str(self.root), "GRADFLOW_SAVE_SECONDS": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, folder, stage, file="", outputs=(), root=None, **damage):
        """Run a stage of a pipeline on a file, damaged or not."""
        pipeline = (root or self.root) / folder
        definition = yaml.safe_load((pipeline / "dvc.yaml").read_text())["stages"][stage]
        words = shlex.split(definition.get("do", definition)["cmd"].replace("$DVC_STAGE", "residual"))
        module = words.index("-m") + 1
        case = {
            "folder": str(pipeline),
            "file": file,
            "module": words[module],
            "arguments": words[module + 1 :],
            "outputs": list(outputs),
            "damage": damage,
        }
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait()} at {case}"
        answer = json.loads(line)
        assert answer["crash"] is None, (case, answer)
        assert answer["megabytes"] < MEGABYTES, (case, answer)
        return answer

    def end(self):
        """Close its input, at which it ends."""
        self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def reading(finished, small_studies, tmp_path_factory):
    """A process, and in its root a finished project, with results of studies and claims, all named by lock files."""
    project = finished.copy(tmp_path_factory.mktemp("damage") / "a project")
    reading = Reading(project)
    for study, stages in BEFORE.items():
        folder = f"studies/{study}"
        variants = {"residual": {"block": "residual", "init": "he"}}
        type(project)(project.root / folder, project.env).change(small_studies[study] | {"variants": variants})
        for stage in stages:
            answer = reading(folder, stage)
            assert answer["code"] == 0, answer["said"]
    for others in CHECKOUT.glob("studies/*/reports"):
        if others.parent.name not in BEFORE:
            shutil.copytree(others, project.root / others.relative_to(CHECKOUT), dirs_exist_ok=True)
    for name in ("claims.json", "claims.md"):
        shutil.copy2(CHECKOUT / "reports" / name, project.root / "reports")
    routing.write_tables(project.root / "studies/routing")
    lenses.write_tables(project.root / "studies/streams")
    trainings.write_tables(project.root / "reports")
    (project.root / "reports/index.html").write_text("a page")  # must stay
    for folder in ("studies/identity", "studies/initialisation", "studies/overflow", "studies/ledger"):
        lock(project.root / folder, [file for files, _ in READ[folder].values() for file in files])
    yield reading
    reading.end()


def lock(folder, files):
    """Write a lock file as DVC does that has the files as outputs."""
    outs = [
        {"path": os.path.relpath(folder / file, folder), "hash": "md5", "md5": md5(folder / file)} for file in files
    ]
    document = {"schema": "2.0", "stages": {"made": {"cmd": "make", "outs": outs}}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(document, sort_keys=False))


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def cases(root, cuts, flips, kinds=""):
    """Files whose names end so, each cut and flipped as often: (folder, stage, file, outputs, damage)."""
    moments = random.Random(SEED)
    for folder, stages in READ.items():
        for stage, (files, outputs) in stages.items():
            for file in files:
                size = (root / folder / file).stat().st_size
                damages = [{"cut": moments.randrange(size - 1)} for _ in range(cuts)]  # more than the end of a line
                damages += [{"bit": moments.randrange(8 * size)} for _ in range(flips)]
                if file.endswith(kinds):
                    yield from ((folder, stage, file, outputs, damage) for damage in damages)


def refused(answer, file):
    """Whether the stage has refused the file, with one line and nothing changed."""
    if answer["code"] == 0:
        return False
    said = answer["said"]
    assert answer["code"] == 1 and answer["same"], answer
    assert said.startswith(f"gradflow: {file}: ") and "run `dvc repro`" in said and said.count("\n") == 1, answer
    return True


def test_what_differs_from_the_lock_is_refused(reading, campaign):
    for folder, stage, file, outputs, damage in cases(reading.root, *((3, 10) if campaign else (1, 1))):
        answer = reading(folder, stage, file, outputs, **damage)

        assert refused(answer, file) and "is not what `dvc repro` made" in answer["said"], (file, damage, answer)


@pytest.fixture(scope="module")
def unlocked(reading, tmp_path_factory):
    """The same project without lock files."""
    root = tmp_path_factory.mktemp("unlocked") / "a project"
    shutil.copytree(reading.root, root)
    for path in root.glob("**/dvc.lock"):
        path.unlink()
    return root


def test_without_a_lock_tables_and_checkpoints_prove_themselves(reading, unlocked, campaign):
    some = cases(unlocked, *((5, 40) if campaign else (1, 3)), (".parquet", ".safetensors"))
    for folder, stage, file, outputs, damage in some:
        answer = reading(folder, stage, file, outputs, unlocked, **damage)

        assert refused(answer, file) or answer["same"], (file, damage, answer)


def test_without_a_lock_what_has_lost_its_form_is_refused(reading, unlocked, campaign):
    flips = 10 if campaign else 0
    for folder, stage, file, outputs, damage in cases(unlocked, 1, flips, (".csv", ".json")):
        if stage == "claims":  # it reads metrics of more studies than there are here
            continue
        answer = reading(folder, stage, file, outputs, unlocked, **damage)

        assert refused(answer, file) or "bit" in damage, (file, damage, answer)


@pytest.mark.parametrize(("stage", "file"), [("gradients", "logs/plain.json"), ("plot", "logs/plain.json")])
def test_what_was_trained_with_other_parameters_is_refused(reading, unlocked, stage, file):
    params = unlocked / "params.yaml"
    written = params.read_text()
    params.write_text(written.replace("momentum: 0.9", "momentum: 0.5"))
    try:
        answer = reading(".", stage, root=unlocked)
    finally:
        params.write_text(written)

    assert answer["code"] == 1
    assert answer["said"] == (
        f"gradflow: {file}: was trained with train.momentum 0.9, params.yaml says 0.5; run `dvc repro`\n"
    )


@pytest.mark.parametrize(
    ("where", "stage", "file"),
    [
        ("workspace", "plot", "reports/history.csv"),
        *(
            pytest.param(where, stage, file, marks=pytest.mark.campaign)
            for where, stage, file in (
                ("workspace", "scale", "data/raw/moons.parquet"),
                ("workspace", "train@residual", "data/scaled/train.parquet"),
                ("workspace", "gradients", "logs/plain.probe.parquet"),
                ("workspace", "plot", "logs/residual.boundary.parquet"),
                ("workspace", "plot", "reports/metrics.json"),
                ("workspace", "track", "reports/metrics.json"),
                ("cache", "scale", "data/raw/moons.parquet"),
                ("cache", "gradients", "logs/plain.probe.parquet"),
                ("cache", "plot", "logs/residual.boundary.parquet"),
                ("cache", "plot", "reports/history.csv"),
            )
        ),
    ],
)
def test_a_bit_that_flips_on_the_disk_unseen_by_dvc_is_seen_and_mended_as_told(project, where, stage, file):
    path = project.root / file
    before, content, name = project.lock(), path.read_bytes(), md5(path)
    cached = project.root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    flip(path if where == "workspace" else cached)

    def refused():
        failed = project.run("dvc", "repro", "--force", "--single-item", stage, code=255).stderr.splitlines()
        return [line for line in failed if line.startswith(f"gradflow: {file}: is not what `dvc repro` made")]

    if where == "cache":
        path.unlink()
        project.run("dvc", "checkout", file)
    assert refused()
    path.unlink()
    if where == "cache":
        project.run("dvc", "checkout", file)
        assert refused(), "the line comes again"
        path.unlink()
        cached.unlink()
    project.run("dvc", "repro")
    assert project.lock() == before and path.read_bytes() == content


def flip(path):
    """Flip a bit where DVC, which looks at mode, time and size before it looks inside, sees no change."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(facts.st_mode)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


TORN = ("", "schema: '2.0'\nstages:\n  check: [", "schema: '2.0'\nstages:\n  check:\n    cm")


def test_what_a_killed_dvc_has_half_written_is_mended(project):
    """It writes these two files in place."""
    before = project.lock()
    rwlock, lock, output = (project.root / name for name in (".dvc/tmp/rwlock", "dvc.lock", "models/plain.safetensors"))
    for torn in TORN:
        rwlock.write_text("")
        lock.write_text(torn)
        output.unlink()
        project.run("dvc", "repro", code=255)
        said = project.run("python", "-m", "pipelines.mend").stderr
        assert said.startswith("gradflow: dvc.lock was half-written, ") and said.count("\n") == 1
        assert project.lock() == before, "a run cache may be elsewhere"
        project.repro()
        assert project.lock() == before and output.exists()
    assert project.run("python", "-m", "pipelines.mend").stderr == ""

    project.run("git", "rm", "--quiet", "--cached", "dvc.lock")
    lock.write_text(TORN[1])
    project.run("python", "-m", "pipelines.mend")
    project.repro()
    assert project.lock() == before


def test_a_lock_with_conflicts_is_left_to_its_owner(project):
    lock = project.root / "dvc.lock"
    for branch in ("theirs", "main"):
        project.run("git", "checkout", "--quiet", "-B", branch, "HEAD" if branch == "theirs" else "main")
        lock.write_text(lock.read_text().replace("schema: '2.0'", f"schema: '2.0' # {branch}"))
        project.run("git", "commit", "--quiet", "--all", "--message", branch)
    project.run("git", "merge", "theirs", code=1)
    conflicts = lock.read_text()
    assert "<<<<<<<" in conflicts

    project.run("python", "-m", "pipelines.mend")

    assert lock.read_text() == conflicts
