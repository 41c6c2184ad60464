"""Where a checkout begins: DVC's projects in it, and those that only lie above it."""

import pytest

from gradflow.guards import checkout


@pytest.fixture
def made(tmp_path):
    """Make folders with something in them that tells what they are, and return the folder of all."""

    def make(*names):
        for name in names:
            (tmp_path / name).mkdir(parents=True)
        return tmp_path

    return make


@pytest.mark.parametrize("git", [True, False], ids=["with git", "without git"])
@pytest.mark.parametrize("name", ["project", "studies", "serving"])
class TestProjects:
    """A checkout of whatever name, in git or taken out of it, below a stray folder of DVC's."""

    @pytest.fixture
    def project(self, made, name, git):
        top = made(".dvc", f"{name}/.dvc", f"{name}/studies/.dvc", f"{name}/studies/own/logs", f"{name}/reports")
        made(f"{name}/serving/.dvc", f"{name}/serving/bundle")
        if git:
            (top / name / ".git").write_text("gitdir: elsewhere")  # as in a worktree
        return top / name

    def test_a_stray_project_of_dvc_above_is_no_part_of_it(self, project):
        for folder in (project, project / "reports"):
            assert checkout.around(folder) == project

    def test_the_projects_inside_belong_to_that_of_the_root(self, project):
        for folder in ("studies", "studies/own", "studies/own/logs", "serving", "serving/bundle"):
            assert checkout.around(project / folder) == project
        assert checkout.projects(project) == [project, project / "studies", project / "serving"]

    def test_a_stage_finds_it_whichever_project_of_dvc_runs_it(self, project, monkeypatch):
        monkeypatch.delenv("DVC_ROOT", raising=False)
        monkeypatch.chdir(project / "studies/own")
        assert checkout.root() == project
        for run_by in (project, project / "studies", project / "serving"):
            monkeypatch.setenv("DVC_ROOT", str(run_by))
            monkeypatch.chdir(run_by)
            assert checkout.root() == project

    def test_the_copy_of_an_experiment_is_a_checkout_of_its_own(self, project, made, name):
        copy = f"{name}/studies/.dvc/tmp/exps/copy"
        copy = made(f"{copy}/.dvc", f"{copy}/.git", f"{copy}/studies/.dvc", f"{copy}/studies/own") / copy
        assert checkout.around(copy / "studies/own") == copy


def test_a_project_of_dvc_outside_the_repository_of_git_is_none_of_it(made):
    top = made(".dvc", "repository/.git", "repository/folder")

    assert checkout.around(top / "repository/folder") is None


@pytest.mark.parametrize("name", ["studies", "serving"])
def test_a_folder_called_studies_that_is_no_study_takes_no_stray_project_for_its_root(made, name):
    top = made(".dvc", f"between/{name}/.dvc")

    assert checkout.around(top / "between" / name) == top / "between" / name


def test_a_root_without_studies_has_one_project(made):
    top = made("project/.dvc", "project/studies")

    assert checkout.projects(top / "project") == [top / "project"]
