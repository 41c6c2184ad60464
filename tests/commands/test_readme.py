"""What README tells people to type, typed: each command gives what its line says."""

import csv
import io
import json
import re
import shlex
import time
from pathlib import Path

import yaml

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
    storage, bare = tmp_path / "the storage", tmp_path / "bare.git"
    project.run("git", "clone", "--quiet", "--bare", project.root, bare)
    project.run("git", "remote", "add", "origin", bare)
    project.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    for line in block("make remote URL=/mnt/shared/gradflow"):
        at = line.replace("/mnt/shared/gradflow", shlex.quote(str(storage)))
        typed(project, at.replace("make", "make -o .venv/installed", 1))
    assert project.run("git", "status", "--porcelain").stdout == ""
    project.run("git", "clone", "--quiet", bare, tmp_path / "colleague")
    colleague = type(project)(tmp_path / "colleague", project.env)

    pull, then = block("dvc pull")
    typed(colleague, pull)

    assert then.startswith("dvc repro")
    assert (colleague.root / "models/residual.safetensors").is_file()
    assert colleague.repro() == {"check", "track"}, "neither of which writes what could be pulled"


def test_flows_bring_everything_up_to_date_and_sweep_the_grid(project):
    reproduce, sweep, _ = block("python -m pipelines.sweep")
    project.change({"train.epochs": 1})
    typed(project, reproduce)
    assert project.repro() == set(), "nothing was left to do"
    project.run("git", "commit", "--quiet", "--all", "--message", "One epoch")

    [table] = re.findall(r"^table: (.+)$", typed(project, sweep), re.MULTILINE)

    lines = Path(table).read_text(encoding="utf-8").splitlines()
    found = [(row["depth"], row["variants.residual.scale"]) for row in csv.DictReader(lines)]
    assert found == [(depth, scale) for depth in ("10", "20", "40") for scale in ("0.2", "0.7")]
    assert Path(table).with_suffix(".png").exists()
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_a_new_database_is_filled_with_the_results_that_there_are(project):
    (line,) = {*re.findall(r"`(python -m pipelines\.track_all)`", README)}
    project.run("dvc", "exp", "run", "--temp", "--name", "brighter", "-S", "plot.dpi=60")

    new = f"MLFLOW_TRACKING_URI=sqlite:///{shlex.quote(str(project.root / 'new.db'))} {line}"
    assert typed(project, new).splitlines() == ["brighter: tracked", "workspace: tracked"]
    assert typed(project, new).splitlines() == ["brighter: already tracked", "workspace: already tracked"]


def test_studies_run_by_themselves_in_experiments_and_as_new_ones(project, small_studies):
    def project_of(study):
        return type(project)(project.root / "studies" / study, project.env)

    one, experiment, new = block("make studies STUDY=depth")
    for name in ("depth", "recipe"):
        project_of(name).change(small_studies[name])
    project.run("git", "commit", "--quiet", "--all", "--message", "Small studies")

    typed(project, one.replace("make", "make -o .venv/installed", 1))  # with what is installed already
    metrics = json.loads((project.root / "studies/depth/reports/metrics.json").read_text(encoding="utf-8"))
    assert {*metrics} == {*small_studies["depth"]["variants"]}

    typed(project, experiment)
    (ref,) = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/*").stdout.split()
    tried = yaml.safe_load(project.run("git", "show", f"{ref}:studies/recipe/params.yaml").stdout)
    assert tried == project_of("recipe").params() | {"depth": 40}

    typed(project, new)
    assert "train" in project_of("deeper").run("dvc", "stage", "list").stdout
