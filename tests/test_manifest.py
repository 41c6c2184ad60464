"""The manifest: files are compared with what DVC's lock files have recorded of them."""

import hashlib
import os
import threading
import time

import pytest
import yaml

from gradflow.guards import manifest
from gradflow.guards.errors import RunError


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a file that lock files may name."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/table.csv").write_text("a\n1\n")
    return tmp_path


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def lock(path, made, age=60.0):
    """Write a lock file: stage to its outputs to what they held."""
    stages = {
        name: {"cmd": name, "outs": [{"path": out, "hash": "md5", "md5": md5(text)} for out, text in outs.items()]}
        for name, outs in made.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))
    older(path, age)


def older(path, age):
    os.utime(path, (time.time() - age,) * 2)


def refusal(path):
    with pytest.raises(RunError) as error:
        manifest.check(path)
    return error.value.message


@pytest.mark.parametrize(
    ("folder", "name"),
    [("", "reports/table.csv"), ("studies/own", "../../reports/table.csv")],
)
def test_the_lock_of_any_pipeline_of_the_checkout_counts(checkout, folder, name, monkeypatch):
    monkeypatch.chdir(checkout / "reports")  # wherever the stage runs
    path = checkout / "reports/table.csv"
    lock(checkout / folder / "dvc.lock", {"tables": {name: "a\n1\n"}})
    manifest.check(path)

    made, found = md5("a\n1\n"), md5("a\n2\n")
    path.write_text("a\n2\n")
    assert refusal(path) == (
        f"{path}: is not what `dvc repro` made, its MD5 is {found}, not {made};"
        " delete it and run `dvc repro`, which makes it anew"
    )


def test_a_missing_file_is_said_to_be_missing(checkout):
    lock(checkout / "dvc.lock", {"tables": {"reports/other.csv": ""}})
    path = checkout / "reports/other.csv"

    assert refusal(path) == f"{path}: is missing; run `dvc repro`, which makes it"


def test_files_that_no_lock_names_are_nobodys_business(checkout):
    path = checkout / "reports/table.csv"
    manifest.check(path)

    lock(checkout / "dvc.lock", {"tables": {"reports/other.csv": "a\n3\n", "table.csv": "a\n3\n"}})
    manifest.check(path)


def test_a_copy_of_a_checkout_inside_another_has_its_own_locks(checkout):
    copy = checkout / ".dvc/tmp/exps/copy"
    (copy / ".dvc").mkdir(parents=True)
    (copy / "reports").mkdir()
    (copy / "reports/table.csv").write_text("a\n2\n")
    lock(checkout / "dvc.lock", {"tables": {"reports/table.csv": "a\n1\n"}})
    lock(copy / "dvc.lock", {"tables": {"reports/table.csv": "a\n2\n"}})

    manifest.check(copy / "reports/table.csv")
    (copy / "reports/table.csv").write_text("a\n1\n")
    assert "is not what" in refusal(copy / "reports/table.csv")


def test_results_outside_a_checkout_have_the_lock_beside_them(tmp_path):
    (tmp_path / ".git").touch()  # no project of DVC's that lies above is theirs
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/table.csv").write_text("a\n2\n")
    lock(tmp_path / "dvc.lock", {"tables": {"reports/table.csv": "a\n1\n"}})

    assert "is not what" in refusal(tmp_path / "reports/table.csv")


@pytest.mark.parametrize("held", [("a\n0\n", "a\n1\n"), ("a\n1\n", "a\n0\n")])
def test_a_stage_that_is_no_more_does_not_condemn_what_another_makes_now(checkout, held):
    lock(checkout / "dvc.lock", {f"stage {text}": {"reports/table.csv": text} for text in held})

    manifest.check(checkout / "reports/table.csv")


@pytest.mark.parametrize(
    "half", ["", "schema: '2.0'\nstages:\n  tables:\n    outs:\n    - path: reports/table.csv\n      md5: 68"]
)
def test_a_lock_that_is_being_written_is_waited_for(checkout, half):
    path, place = checkout / "reports/table.csv", checkout / "dvc.lock"
    path.write_text("a\n2\n")
    place.write_text(half)
    writer = threading.Timer(0.5, lock, [place, {"tables": {"reports/table.csv": "a\n1\n"}}])
    writer.start()

    assert md5("a\n1\n") in refusal(path)
    writer.join()


def test_a_lock_that_cannot_be_read_is_named(checkout):
    place = checkout / "dvc.lock"
    lock(place, {"tables": {"reports/table.csv": "a\n1\n"}})
    place.write_text("<<<<<<< HEAD\n" + place.read_text())
    older(place, 60)

    assert refusal(checkout / "reports/table.csv") == (
        f"{place}: cannot be read; `git checkout {place}` brings back the last one committed"
    )
