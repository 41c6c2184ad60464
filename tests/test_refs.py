"""Experiments in git: hundreds are read, listed and fetched by a process of git each, not one for each of them."""

import json
import subprocess

import pytest

from gradflow.guards.errors import RunError
from pipelines import refs

NUMBER = 300


@pytest.fixture(scope="module")
def repository(tmp_path_factory, clean_env):
    """A repository with a commit and many experiments on it, as DVC keeps them."""
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", root], check=True, env=clean_env)
    who = "committer Test <test@localhost> {} +0000\ndata 0\n"
    stream = [f"commit refs/heads/main\nmark :1\n{who.format(1)}"]
    subprocess.run(["git", "fast-import", "--quiet"], input="".join(stream).encode(), cwd=root, check=True)
    base = subprocess.check_output(["git", "rev-parse", "main"], cwd=root, text=True).strip()
    stream = []
    for number in range(NUMBER):
        text = json.dumps({"plain": {"val_accuracy": number / NUMBER, "name": "é"}}, ensure_ascii=False)
        content = f"data {len(text.encode())}\n{text}\n" if number != 7 else "data 5\nwords\n"
        files = f"M 100644 inline reports/metrics.json\n{content}" if number != 3 else ""
        ref = f"refs/exps/{base[:2]}/{base[2:]}/point-{number}"
        stream.append(f"commit {ref}\n{who.format(number + 2)}from {base}\n{files}\n")
    subprocess.run(["git", "fast-import", "--quiet"], input="".join(stream).encode(), cwd=root, check=True)
    subprocess.run(["git", "update-ref", "refs/exps/exec/EXEC_BASELINE", base], cwd=root, check=True)  # DVC's own
    return root


@pytest.fixture
def asked(monkeypatch):
    """The commands that git gets."""
    found, ask = [], refs.git

    def note(folder, *arguments, **options):
        found.append(arguments)
        return ask(folder, *arguments, **options)

    monkeypatch.setattr(refs, "git", note)
    return found


def test_all_are_listed_oldest_first_without_those_of_dvc(repository):
    assert [one.name for one in refs.here(repository)] == [f"point-{number}" for number in range(NUMBER)]


def test_numbers_of_all_are_read_at_once(repository, asked):
    commits = {one.name: one.commit for one in refs.here(repository) if one.name != "point-7"}
    found = refs.read(repository, commits, ["reports/metrics.json", "reports/nothing.json"])
    assert len(asked) == 1
    assert found.pop("point-3") == {}
    assert found["point-150"] == {"plain": {"val_accuracy": 0.5, "name": "é"}} and len(found) == NUMBER - 2


def test_files_are_seen_from_the_folder_where_the_project_lies(repository):
    (repository / "reports").mkdir(exist_ok=True)
    commits = {one.name: one.commit for one in refs.here(repository) if one.name == "point-150"}
    found = refs.read(repository / "reports", commits, ["metrics.json"])
    assert found["point-150"]["plain"]["val_accuracy"] == 0.5


def test_a_file_that_is_no_json_is_named(repository):
    commits = {one.name: one.commit for one in refs.here(repository) if one.name == "point-7"}
    with pytest.raises(RunError, match=r":./reports/metrics.json: is no JSON of keys"):
        refs.read(repository, commits, ["reports/metrics.json"])


def test_they_are_brought_home_at_once_and_replace_what_was_there(repository, tmp_path, asked, clean_env):
    home = tmp_path / "home"
    subprocess.run(["git", "clone", "--quiet", repository, home], check=True, env=clean_env)
    there = refs.on_remote(home)
    assert sorted(there) == sorted(refs.here(repository)) and refs.here(home) == []
    mine = there[0]
    ref = f"refs/exps/{mine.baseline[:2]}/{mine.baseline[2:]}/{mine.name}"
    subprocess.run(["git", "update-ref", ref, mine.baseline], cwd=home, check=True)
    asked.clear()
    refs.bring(home, there)
    assert len(asked) == 1 and sorted(refs.here(home)) == sorted(there)
    refs.bring(home, [])


def test_a_remote_that_is_not_there_is_one_line(repository):
    with pytest.raises(RunError, match=r"^git: must have a remote origin"):
        refs.on_remote(repository)
