"""Experiments with DVC: run, queued, in a temporary copy; and the same results wherever they are made."""

import csv
import io
import json
import time

import pyarrow.parquet as pq
import pytest


@pytest.mark.parametrize(
    ("settings", "untouched"),
    [
        ({"train.epochs": 3, "train.batch_size": 16}, {"fetch", "scale"}),
        ({"variants.residual.scale": 0.2236}, {"fetch", "scale", "train@plain"}),
        ({"train.clip_norm": None}, {"fetch", "scale"}),
    ],
)
def test_an_experiment_reruns_what_depends_on_it_and_is_recorded(project, settings, untouched):
    options = [part for key, value in settings.items() for part in ("-S", f"{key}={json.dumps(value)}")]

    output = project.run("dvc", "exp", "run", "--name", "tried", *options).stdout

    for stage in untouched:
        assert f"Stage '{stage}' didn't change, skipping" in output
    assert "Running stage 'train@residual'" in output
    (row,) = [row for row in experiments(project) if row["Experiment"] == "tried"]
    for key, value in settings.items():
        assert row[key] == ("" if value is None else str(value))
    facts = json.loads((project.root / "logs/residual.json").read_text(encoding="utf-8"))
    flat = {f"train.{key}": value for key, value in facts["train"].items()}
    flat["variants.residual.scale"] = facts["settings"]["scale"]
    assert {key: flat[key] for key in settings} == settings


def test_an_experiment_runs_in_a_fresh_clone_and_its_results_show_in_tables(clone):
    clone.run("dvc", "exp", "run", "--name", "deeper", "-S", "depth=4")

    (row,) = [row for row in experiments(clone) if row["Experiment"] == "deeper"]
    metrics = json.loads((clone.root / "reports/metrics.json").read_text(encoding="utf-8"))
    assert row["depth"] == "4"
    assert float(row["residual.val_accuracy.mean"]) == pytest.approx(metrics["residual"]["val_accuracy"]["mean"])
    assert "val_accuracy" in clone.run("dvc", "metrics", "show").stdout
    assert "depth" in clone.run("dvc", "params", "diff").stdout
    assert pq.read_table(clone.root / "logs/plain.parquet")["layer"].to_numpy().max() == 5


def test_plots_show_and_diff_hold_the_figures_and_the_curves_of_both_sides(project):
    project.run("dvc", "exp", "run", "--name", "tried", "-S", "train.lr=0.05")

    for command, revisions in (("show", ["workspace"]), ("diff", ["HEAD", "workspace"])):
        project.run("dvc", "plots", command, *revisions[:-1], "--out", "shown")
        page = (project.root / "shown/index.html").read_text(encoding="utf-8")
        for revision in revisions:
            assert f"{revision}_reports_figures_gradient_flow.png" in page
        for curve in ("gradient by layer, last epoch", "validation loss", "train loss", "validation accuracy"):
            assert curve in page
        assert "max-width" in page, "two figures fit side by side"


def test_a_small_number_survives_the_way_dvc_writes_it(project):
    project.run("dvc", "exp", "run", "-S", "analysis.vanished_below=0.00001")

    assert "vanished_below: 1e-05" in (project.root / "params.yaml").read_text(encoding="utf-8")


def test_queued_experiments_run_with_the_code_that_they_were_queued_with(project):
    project.run("dvc", "exp", "run", "--queue", "-S", "depth=2,4")
    for module in (project.root / "gradflow").rglob("*.py"):
        module.write_text("raise RuntimeError('code of the workspace')\n", encoding="utf-8")

    try:
        project.run("dvc", "queue", "start")
        while "Running" in (status := project.run("dvc", "queue", "status").stdout) or "Queued" in status:
            time.sleep(2)
    finally:
        project.run("dvc", "queue", "stop", "--kill")

    assert status.count("Success") == 2, status
    accuracy = {row["depth"]: row["residual.val_accuracy.mean"] for row in experiments(project)}
    assert accuracy["2"] and accuracy["4"] and accuracy["2"] != accuracy["4"]


def test_an_experiment_in_a_temporary_copy_imports_the_code_of_that_copy(project):
    with (project.root / "gradflow" / "data" / "sources.py").open("a", encoding="utf-8") as file:
        file.write('print("imported from", __file__)\n')

    output = project.run("dvc", "exp", "run", "--temp", "fetch").stdout

    assert f"imported from {project.root / '.dvc' / 'tmp' / 'exps'}" in output
    assert project.run("git", "status", "--porcelain").stdout == " M gradflow/data/sources.py\n"


def test_two_clean_runs_in_two_folders_give_the_same_hashes(clone, finished):
    clone.run("dvc", "repro")

    # As text they may differ in the order of the stages, which is that in which they happened to run.
    assert clone.lock() == finished.lock()
    assert {stage.split("@")[0] for stage in clone.lock()["stages"]} >= {"fetch", "train", "gradients"}


def experiments(project):
    """Rows of ``dvc exp show``."""
    return [*csv.DictReader(io.StringIO(project.run("dvc", "exp", "show", "--csv").stdout))]


def test_an_experiment_in_a_temporary_copy_runs_in_the_folder_of_a_study(study):
    identity = study("identity")
    output = identity.run("dvc", "exp", "run", "--temp", "--name", "tried", "-S", "train.steps=4").stdout
    assert "Running stage 'train@residual'" in output and "Running stage 'tables'" in output
    assert identity.run("git", "status", "--porcelain").stdout == ""
    (commit,) = identity.run(
        "git", "for-each-ref", "--format=%(objectname)", "--", "refs/exps/*/*/tried"
    ).stdout.split()
    result = json.loads(identity.run("git", "show", f"{commit}:studies/identity/reports/metrics.json").stdout)
    assert result["residual"]["loss_end"]["seeds"] == 2
    assert "steps: 4" in identity.run("git", "show", f"{commit}:studies/identity/params.yaml").stdout
    shown = identity.run("dvc", "exp", "show", "--csv").stdout
    assert "tried" in shown and "loss_end" not in shown, "the columns are those of the root's metrics"


def test_experiments_run_in_the_folder_of_the_recipe(study):
    recipe = study("recipe")
    for options in ([], ["--temp"]):
        recipe.run("dvc", "exp", "run", *options, "--name", f"tried{len(options)}", "-S", "variants.own.depth=4")
    for name in ("tried0", "tried1"):
        refs = ("git", "for-each-ref", "--format=%(objectname)", "--", f"refs/exps/*/*/{name}")
        (commit,) = recipe.run(*refs).stdout.split()
        result = json.loads(recipe.run("git", "show", f"{commit}:studies/recipe/reports/metrics.json").stdout)
        assert len(result["own"]["weight_grad_norm_start"]) == 4
