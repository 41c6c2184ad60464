"""Which stages a change reruns: every row of the table in the documentation, against real DVC."""

import re

import pytest
import yaml

TRAINING = {"train"}  # of all variants that params.yaml has
RESULTS = {"gradients", "plot", "track"}

# What changes, and which stages run. `check` reads all of params.yaml, so it runs at each change of it.
ROWS = [
    ({"data.seed": 1}, {"fetch", "scale"} | TRAINING | RESULTS),
    ({"split.seed": 1}, {"scale"} | TRAINING | RESULTS),
    ({"depth": 4}, TRAINING | RESULTS),
    ({"width": 9}, TRAINING | RESULTS),
    ({"seeds": 1}, TRAINING | RESULTS),
    ({"train.lr": 0.05}, TRAINING | RESULTS),
    ({"probe.every": 2}, TRAINING | RESULTS),
    ({"variants.residual.scale": 0.5}, {"train@residual"} | RESULTS),
    ({"variants.wide": {"block": "residual", "scale": 1.5}}, {"train@wide"} | RESULTS),
    ({"analysis.vanished_below": 0.5}, RESULTS),
    ({"plot.dpi": 60}, {"plot", "track"}),
]


# Those of the rows that are run, one for each stage at which a change can come in; the others are read from DVC's plan.
RUN = ("split.seed", "variants.residual.scale", "analysis.vanished_below", "plot.dpi")


def rows(*, run):
    """Those that are run, or the others, by the changed parameter."""
    return [pytest.param(*row, id=key) for row in ROWS for key in row[0] if (key in RUN) == run]


@pytest.mark.parametrize(("change", "expected"), rows(run=False))
def test_a_changed_parameter_makes_the_stages_of_its_row_and_no_other_due(project, change, expected):
    project.change(change)
    assert project.repro("check") == {"check"}, "whose output does not change, so nothing follows from it"

    planned = project.run("dvc", "repro", "--dry", "--force-downstream").stdout  # as if each output changed

    assert set(re.findall(r"^Running stage '(\S+)'", planned, re.MULTILINE)) == present(project, expected)


@pytest.mark.parametrize(("change", "expected"), rows(run=True))
def test_a_changed_parameter_reruns_the_stages_of_its_row_and_no_other(project, change, expected):
    project.change(change)

    assert project.repro() == present(project, {"check"} | expected)


def test_nothing_runs_when_nothing_has_changed(project):
    assert project.repro() == set()


def test_each_stage_stands_in_the_table(project):
    known = present(project, set().union(*(expected for _, expected in ROWS)) | {"check"})

    assert set(project.run("dvc", "stage", "list", "--name-only").stdout.split()) <= known


def test_an_edited_block_retrains_its_variants_alone(project):
    block = project.root / "gradflow" / "blocks" / "residual.py"
    text = block.read_text(encoding="utf-8")
    block.write_text(text.replace("return self.scale * relu(", "return 0.9 * self.scale * relu("), encoding="utf-8")
    assert block.read_text(encoding="utf-8") != text

    assert project.repro() == present(project, {"check", "train@residual"} | RESULTS)


def test_a_comment_in_the_code_of_a_stage_stops_at_identical_outputs(project):
    for module in ("gradflow/data/sources.py", "gradflow/training/trainer.py"):
        with (project.root / module).open("a", encoding="utf-8") as file:
            file.write("# a remark\n")

    assert project.repro() == present(project, {"check", "fetch"} | TRAINING)


def test_former_parameters_bring_former_results_back_without_running(project):
    former = project.params()["analysis"]["vanished_below"]
    project.change({"analysis.vanished_below": 0.5})
    project.repro()
    project.change({"analysis.vanished_below": former})

    assert "Stage 'gradients' is cached - skipping run" in project.run("dvc", "repro").stdout
    assert project.run("git", "status", "--porcelain", "reports").stdout == ""


def present(project, names):
    """Those of the stages that dvc.yaml has, with one for each variant in place of a stage that has several."""
    defined = yaml.safe_load((project.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    each = {name for name in names if "foreach" in defined.get(name, {})}
    several = {f"{name}@{variant}" for name in each for variant in project.params()["variants"]}
    return {name for name in names if name.split("@")[0] in defined} - each | several
