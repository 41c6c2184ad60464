"""A full disk: every stage says so in one line, leaves what was there, and gives the same results afterwards."""

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from PIL import Image

from gradflow.files.writing import write_text
from gradflow.guards.errors import RunError
from tests import lenses

CHECKOUT = Path(__file__).parents[2]
STUDIES = ("identity", "initialisation", "overflow", "recipe", "routing", "ledger")
PIPELINES = (".", *(f"studies/{name}" for name in STUDIES))
UNLIMITED = 2**40
ALL = ("sh", "-c", "dvc repro && cd studies && dvc repro --all-pipelines")
LAST = ("plot", "track", "page")  # nothing depends on them

# Of studies, fewer or others than they have.
VARIANTS = {
    "identity": {"variants": {"residual": {"block": "residual", "scale": 1.0, "init": "he"}}},
    "recipe": {"variants": {"plain": {"block": "plain"}, "residual": {"block": "residual", "scale": 0.5}}},
}
# Those of git ask for studies of full size.
CLAIMS = {
    "sources": {"theory": "derived"},
    "chapters": {
        "recipe": {
            "title": "Two moons",
            "claims": {
                "accuracy": {
                    "claim": "Accuracy is a share.",
                    "source": {"text": "theory"},
                    "predicted": "0 to 1",
                    "measure": {"study": "root", "metrics": "plain.val_accuracy", "definition": "after training"},
                    "test": {"within": [0, 1]},
                    "figure": "reports/figures/loss_curves.png",
                }
            },
        }
    },
}


@dataclass(frozen=True)
class Command:
    """What DVC runs for a stage, and what it expects then."""

    pipeline: str
    stage: str
    module: str
    arguments: list[str]
    outs: list[Path]  # seen from the root


def commands(root):
    """Of all stages of all pipelines, each after those that it needs."""
    for pipeline in PIPELINES:
        folder = root / pipeline
        for family, written in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].items():
            keys = yaml.safe_load((folder / "params.yaml").read_text())["variants"] if "foreach" in written else [None]
            for key in keys:
                stage = f"{family}@{key}" if key else family
                definition = json.loads(json.dumps(written.get("do", written)).replace("${key}", str(key)))
                words = shlex.split(definition["cmd"].replace("$DVC_STAGE", stage))
                module, *arguments = words[words.index("-m") + 1 :]
                listed = [*definition.get("outs", []), *definition.get("metrics", [])]
                outs = [out if isinstance(out, str) else next(iter(out)) for out in listed]
                paths = [Path(os.path.normpath(Path(pipeline) / out)) for out in outs]
                yield Command(pipeline, stage, module, arguments, paths)


@pytest.fixture(scope="session")
def whole(shared, fresh, small_studies):
    """A project with all pipelines small, not run."""
    project = replace(fresh, root=shared / "whole project", env=fresh.env | {"MLFLOW_TRACKING_URI": ""})
    with FileLock(shared / "whole.lock"):
        if not project.root.exists():
            draft = fresh.copy(shared / "draft whole")
            for name, values in small_studies.items():
                replace(draft, root=draft.root / "studies" / name).change(values | VARIANTS.get(name, {}))
            ledger = draft.root / "studies" / "ledger"
            (ledger / "claims.yaml").write_text(yaml.safe_dump(CLAIMS, sort_keys=False))
            lenses.write_tables(draft.root / "studies/streams")  # which the page shows
            stages = (ledger / "dvc.yaml").read_text(encoding="utf-8")
            root_alone = re.sub(r"--study \.\./[a-z]+ \S+ ?", "", stages)  # of the page's trainings
            (ledger / "dvc.yaml").write_text(root_alone, encoding="utf-8")
            draft.run("git", "commit", "--quiet", "--all", "--message", "Small")
            for shown in re.findall(r"\S+\.png", (ledger / "dvc.yaml").read_text(encoding="utf-8")):  # on the page
                (ledger / shown).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (2, 2)).save(ledger / shown)
            draft.root.rename(project.root)
    return project


@pytest.fixture(scope="module")
def fork(clean_env):
    """Run a stage in a project with a limit to its files, in a fork of a process that has imported it."""
    server = subprocess.Popen(
        [sys.executable, CHECKOUT / "tests/faults/forks.py"],
        cwd=CHECKOUT,
        env=clean_env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(project, command, limit=UNLIMITED):
        request = {
            "module": command.module,
            "arguments": command.arguments,
            "folder": str(project.root / command.pipeline),
            "env": project.env | {"GRADFLOW_SAVE_SECONDS": "0"},  # a state that cannot be saved is a line more
            "limit": limit,
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    yield run
    server.stdin.close()
    server.wait()
    server.stdout.close()


def contents(root):
    """All files to their hashes, without what git, DVC and the tracking database keep for themselves."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
        and not path.relative_to(root).parts[0].startswith((".", "mlflow.db", "mlartifacts"))
        and "__pycache__" not in path.parts
    }


def one_line(done):
    """What a stage said, if that is one line of this project with exit code 1."""
    assert done["code"] == 1, done
    assert re.fullmatch(r"gradflow: [^\n]+\n", done["said"]), done["said"]
    assert "sqlite:" not in done["said"] or "; all results are kept, " in done["said"], done["said"]
    return done["said"]


def test_each_stage_says_so_in_one_line_and_harms_nothing(whole, fork, tmp_path):
    project = whole.copy(tmp_path / "a project")
    (project.root / "reports/figures").mkdir(parents=True)
    (project.root / "reports/figures/loss_curves.png").touch()  # the ledger asks for it, drawing it takes long
    tried = {"stages.track"}  # too slow for every day
    done = []
    for command in commands(project.root):
        if command.module not in tried:
            tried.add(command.module)
            before = contents(project.root)
            said = one_line(fork(project, command, limit=10))
            assert "cannot be written (File too large); mend that, then run `dvc repro` again" in said
            assert contents(project.root) == before, command
        if command.pipeline != "studies/recipe" and command.stage not in LAST:
            assert fork(project, command) == {"code": 0, "said": ""}
            done.append(command)

    undisturbed = whole.copy(tmp_path / "undisturbed")
    (undisturbed.root / "reports/figures").mkdir(parents=True)
    (undisturbed.root / "reports/figures/loss_curves.png").touch()
    for command in done:
        assert fork(undisturbed, command) == {"code": 0, "said": ""}
    assert contents(project.root) == contents(undisturbed.root)


@pytest.mark.campaign
def test_at_whatever_size_a_file_meets_the_full_disk_results_are_right_afterwards(whole, fork, tmp_path):
    project = whole.copy(tmp_path / "a project")
    for command in commands(project.root):
        assert fork(project, command) == {"code": 0, "said": ""}
        undisturbed = contents(project.root)
        for limit in limits(project, command):
            if command.module == "stages.track":
                (project.root / "mlflow.db").unlink(missing_ok=True)
            one_line(fork(project, command, limit))
            assert contents(project.root) == undisturbed, (command, limit)

            for path in command.outs:
                remove(project.root / path)
            one_line(fork(project, command, limit))
            assert contents(project.root).items() <= undisturbed.items(), (command, limit)
            assert fork(project, command) == {"code": 0, "said": ""}
            assert contents(project.root) == undisturbed, (command, limit)


def limits(project, command):
    """Sizes in bytes that some file of a stage is too large for."""
    sizes = [size for path in command.outs for size in sizes_of(project.root / path)]
    if command.module == "stages.track":
        return [0, 100_000]  # of a database of some 900 kB
    return sorted({0, min(sizes) // 2, max(sizes) // 2, max(sizes) - 1})


def sizes_of(path):
    return [file.stat().st_size for file in path.iterdir()] if path.is_dir() else [path.stat().st_size]


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def test_an_output_that_cannot_be_written_for_another_reason_is_one_line_too(whole, fork, tmp_path):
    project = whole.copy(tmp_path / "a project")
    check = next(commands(project.root))
    (path,) = (project.root / out for out in check.outs)

    path.mkdir()
    assert "data/checked: cannot be written (Is a directory)" in one_line(fork(project, check))
    assert [*path.parent.glob("checked*")] == [path] and not [*path.iterdir()]

    path.rmdir()
    in_the_way = replace(check, arguments=["params.yaml/checked"])
    assert "params.yaml/checked: cannot be written (File exists)" in one_line(fork(project, in_the_way))


def test_a_folder_that_may_not_be_written_is_one_line(whole, tmp_path):
    project = whole.copy(tmp_path / "a project")
    (project.root / "data").chmod(0o555)
    powers = "--bounding-set=-dac_override,-dac_read_search"  # root's, to write where it may not
    drop = ["setpriv", powers] if os.geteuid() == 0 else []
    done = project.run(*drop, "python", "-m", "stages.check", "data/checked", code=1)
    line = "data/checked: cannot be written (Permission denied); mend that, then run `dvc repro` again"
    assert done.stderr == f"gradflow: {line}\n"


@pytest.mark.parametrize("step", ["open", "fsync", "rename"])
@pytest.mark.parametrize("old", [b"old", None])
def test_whatever_step_of_writing_fails_the_old_file_stays_and_nothing_else(tmp_path, monkeypatch, step, old):
    path = tmp_path / "folder" / "table"
    if old:
        path.parent.mkdir()
        path.write_bytes(old)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(RunError, match=r"table: cannot be written \(No space left on device\)"):
        write_text(path, "new")
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == ({"table": old} if old else {})


def test_a_part_that_another_process_moves_to_its_place_meanwhile_is_in_nobodys_way(tmp_path):
    (tmp_path / "table.0.part").symlink_to("gone")  # listed, and not there when it is looked at
    write_text(tmp_path / "table", "new")
    assert (tmp_path / "table").read_text() == "new"


def test_what_a_killed_writer_left_goes_after_an_hour(tmp_path):
    for minutes in (59, 61):
        left = tmp_path / f"table.{minutes}.part"
        left.touch()
        os.utime(left, (time.time() - minutes * 60,) * 2)
    write_text(tmp_path / "table", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"table", "table.59.part"}


def test_a_full_disk_behind_standard_output_is_one_line(whole, tmp_path):
    done = whole.copy(tmp_path / "a project").run("sh", "-c", "python -m stages.check --help > /dev/full", code=1)
    assert done.stderr == "gradflow: [Errno 28] No space left on device; mend that, then run `dvc repro` again\n"


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system in memory at a folder, which only commands that are started through it see; and resize it."""
    folder, holders = tmp_path / "disk", []
    folder.mkdir()

    def mount(kilobytes):
        script = 'mount -t tmpfs -o size="$0"k tmpfs "$1" && echo mounted && exec cat'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(kilobytes), str(folder)]
        try:
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("needs unshare, of util-linux")
        holders.append(holder)
        if holder.stdout.readline() != b"mounted\n":
            pytest.skip(f"nothing may be mounted here: {holder.stderr.read().decode()}")
        enter = ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"]
        return folder, [*enter, "sh", "-c", 'cd "$0" && exec "$@"']

    yield mount
    for holder in holders:
        holder.communicate()


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_dvc_on_a_disk_that_is_full_again_and_again_gets_to_the_same_results(whole, small_disk, tmp_path):
    """Project, cache, home, database and temporary files lie on it; after each failure it grows a little.

    DVC itself does not always fail: its own database waits for space, however long that takes.
    """
    undisturbed = whole.copy(tmp_path / "undisturbed")
    before = kilobytes(undisturbed.root)
    undisturbed.run(*ALL)
    size, largest = before + 200, 2 * kilobytes(undisturbed.root)

    folder, inside = small_disk(size)
    root = folder / "project"
    folders = {name: str(folder / name.lower()) for name in ("HOME", "DVC_SITE_CACHE_DIR", "MPLCONFIGDIR", "TMPDIR")}
    disk = replace(whole, root=tmp_path, env=whole.env | folders)
    disk.run(*inside, folder, "mkdir", *folders.values())
    disk.run(*inside, folder, "cp", "-r", whole.root, root)

    said, log = [], tmp_path / "dvc.log"

    def grow(by, why):
        nonlocal size
        said.append(f"{size} kB: {why}")
        print(said[-1])
        size += by
        assert size < largest, said
        disk.run(*inside, folder, "mount", "-o", f"remount,size={size}k", folder)

    while repro(disk, [*inside, root], log, waiting=lambda: grow(30, "DVC waits")):
        why = ending(log.read_text())
        grow(1000 if "tracks them" in str(why) else 30, why)  # what was half logged keeps its place
    assert len(said) > 10, said
    for pipeline in PIPELINES:
        lock = yaml.safe_load(disk.run(*inside, root / pipeline, "cat", "dvc.lock").stdout)
        assert lock == yaml.safe_load((undisturbed.root / pipeline / "dvc.lock").read_text()), pipeline


def kilobytes(folder):
    return int(subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True).stdout.split()[0])


def repro(disk, inside, log, waiting):
    """Run ``dvc repro`` and return its exit code; DVC may wait for space, which is asked for once a minute."""
    with log.open("w") as output:
        command = [*map(str, inside), *ALL]
        with subprocess.Popen(command, cwd=disk.root, env=disk.env, stdout=output, stderr=output) as process:
            while True:
                try:
                    return process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    waiting()


def ending(text):
    """What a command of DVC said when it failed."""
    assert "Traceback" not in text, text
    return [line for line in text.splitlines() if line.startswith(("gradflow: ", "ERROR: "))]
