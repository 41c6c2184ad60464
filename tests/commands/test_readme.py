"""What README tells people to type, typed: each command gives what its line says."""

import csv
import io
import re
import shlex
import time
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def block(holding):
    """The commands of the block with this line in it, without comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if holding in text]
    return [line.split("  #")[0].strip() for line in found.splitlines()]


def typed(project, line):
    return project.run("sh", "-c", line).stdout


def rows(project):
    """Experiments of ``dvc exp show``."""
    shown = project.run("dvc", "exp", "show", "--csv").stdout
    return [row for row in csv.DictReader(io.StringIO(shown)) if row["typ"] != "baseline"]


def test_experiments_of_the_first_block_start_from_the_same_parameters_and_leave_the_files_alone(project):
    lines = block("dvc exp run --temp --name deeper")
    assert lines[0] == "source .venv/bin/activate"
    before = project.params()
    said = {}
    try:
        for line in lines[1:]:
            said[line] = typed(project, line)
            patience = time.monotonic() + 300
            while "queue" in line and re.search("Queued|Running", project.run("dvc", "queue", "status").stdout):
                assert time.monotonic() < patience, "the queue stands still"
                time.sleep(1)
    finally:
        project.run("dvc", "queue", "stop", "--kill")

    assert project.params() == before
    assert project.run("git", "status", "--porcelain").stdout == ""
    tried = [(row["depth"], row["train.epochs"], row["train.batch_size"]) for row in rows(project)]
    small = (str(before["train"]["epochs"]), str(before["train"]["batch_size"]))
    assert sorted(tried) == sorted(
        [("40", *small), (str(before["depth"]), "50", "64"), ("10", *small), ("20", *small), ("40", *small)]
    )
    assert "log10_grad_first_over_last" in said["dvc metrics diff HEAD deeper"]


def test_the_way_back_from_an_applied_experiment(project):
    (back,) = re.findall(r"^`(git restore [^`]*)`", README, re.MULTILINE)
    project.run("dvc", "exp", "run", "--name", "deeper", "-S", "depth=4")
    assert project.params()["depth"] == 4 and project.run("git", "status", "--porcelain").stdout

    typed(project, back)

    assert project.run("git", "status", "--porcelain").stdout == ""
    assert project.repro() <= {"track"}, "what was committed was still there"


def test_a_colleague_pulls_what_was_pushed_and_trains_nothing(project, tmp_path):
    storage = tmp_path / "storage"
    for line in block("dvc push"):
        typed(project, line.replace("/mnt/shared/gradflow", shlex.quote(str(storage))))
    project.run("git", "commit", "--quiet", "--all", "--message", "A place for results")
    project.run("git", "clone", "--quiet", project.root, tmp_path / "colleague")
    colleague = type(project)(tmp_path / "colleague", project.env)

    colleague.run("dvc", "pull")

    assert (colleague.root / "models/residual.safetensors").is_file()
    assert colleague.repro() == {"check", "track"}, "neither of which writes what could be pulled"
