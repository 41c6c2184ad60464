"""What a sweep refuses before anything runs, in one line."""

import pytest

SWEEP = ("python", "-m", "pipelines.sweep")

BAD = {
    "depht=2,4": "must give values to keys of params.yaml, got depht; did you mean depth? (+depht adds it)",
    "train.epocs=1,2": "must give values to keys of params.yaml, got train.epocs; did you mean epochs? "
    "(+train.epocs adds it)",
    "depth.blocks=3": "must give values to keys of params.yaml, got depth.blocks (+depth.blocks adds it)",
    "other.yaml:depth=3": "must name files that there are, got 'other.yaml'",
}


@pytest.mark.parametrize("grid", BAD)
def test_a_key_that_there_is_not_is_named(clone, grid):
    for options in (("--dry-run",), ()):
        done = clone.run(*SWEEP, grid, *options, code=2)
        assert done.stderr.splitlines()[-1] == f"gradflow: grid: {BAD[grid]}"
    assert not (clone.root / "reports/sweeps").exists()


def test_a_key_may_be_added(clone):
    assert "to run" in clone.run(*SWEEP, "+variants.deep={block: plain, depth: 9}", "--dry-run").stdout


def test_a_study_that_git_does_not_have_is_refused_and_keeps_its_parameters(clone):
    clone.run("python", "-m", "pipelines.study", "mine")
    params = clone.root / "studies/mine/params.yaml"
    params.write_text(params.read_text() + "# mine\n")
    before = params.read_text()
    command = (*SWEEP, "--folder", "studies/mine", "depth=2", "--dry-run")
    line = (
        "gradflow: studies/mine/dvc.yaml: must be committed before it can be copied: git add studies/mine, git commit"
    )
    assert clone.run(*command, code=2).stderr.splitlines() == [line]
    assert params.read_text() == before
    clone.run("git", "add", "studies/mine")
    assert clone.run(*command, code=2).stderr.splitlines() == [line]
    clone.run("git", "commit", "--quiet", "--message", "Mine")
    assert "to run" in clone.run(*command).stdout
