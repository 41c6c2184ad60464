"""What SECURITY.md promises and no other file of tests is about."""

import ast
import io
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from gradflow import checkpoints, recipe
from gradflow.data import sources
from gradflow.files import documents, parquet
from gradflow.guards import errors
from gradflow.params import reading
from gradflow.training import unfinished

ROOT = Path(__file__).parents[1]
OWN = [
    path
    for folder in ("gradflow", "stages", "studies", "serving", "pipelines")
    for path in (ROOT / folder).rglob("*.py")
]


def test_each_promise_names_its_tests_and_each_test_here_is_named():
    promises = re.findall(r"^\| \*\*.*", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
    tests = [re.findall(r"tests/\S+?\.py::test_\w+", promise) for promise in promises]
    assert all(tests), "a promise without a test"
    named = {test for each in tests for test in each}
    there = {
        f"{path.relative_to(ROOT).as_posix()}::{test}"
        for path in ROOT.glob("tests/**/test_*.py")
        for test in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    here = {test for test in there if test.startswith("tests/test_security.py")}

    assert named <= there
    assert (
        here - {f"tests/test_security.py::{test_each_promise_names_its_tests_and_each_test_here_is_named.__name__}"}
        <= named
    )


# What unpickles, runs text, or hands it to a shell.
MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "os.system", "os.popen", "torch.load", "torch.save", "yaml.unsafe_load", "yaml.full_load"}
SETTINGS = {"shell=True", "allow_pickle=True", "trust_remote_code=True", "weights_only=False"}


def test_no_code_unpickles_or_runs_text_or_builds_a_shell():
    for path in OWN:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        used |= {alias.name for node in imports for alias in node.names} | {
            getattr(node, "module", "") for node in imports
        }
        set_to = {f"{node.arg}={ast.unparse(node.value)}" for node in nodes if isinstance(node, ast.keyword)}

        assert not {name.split(".")[0] for name in used} & MODULES, path
        assert not {name.split(".")[-1] for name in used} & {"read_pickle", "to_pickle"}, path
        assert not used & CALLS, path
        assert not set_to & SETTINGS, path


def test_every_command_of_dvc_is_the_same_whatever_the_parameters():
    """DVC hands commands to a shell: what it puts into them may only stand in paths and parameters' names."""
    for file in (ROOT / "dvc.yaml", *ROOT.glob("studies/*/dvc.yaml")):
        for stage in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].values():
            assert "${" not in stage.get("do", stage)["cmd"], file


class Trap:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.safetensors", checkpoints.read),
        ("a.parquet", parquet.read),
        ("a.json", lambda path: documents.read(path, dict)),
        ("a.yaml", reading.read),
        ("a.csv", lambda path: sources.file(recipe.Data.model_construct(path=str(path)))),
    ],
)
@pytest.mark.parametrize("how", ["pickle", "torch", "numpy"])
def test_a_pickle_in_the_place_of_an_artefact_is_refused(tmp_path, monkeypatch, name, read, how):
    monkeypatch.chdir(tmp_path)
    held = io.BytesIO()
    match how:
        case "pickle":
            pickle.dump(Trap(), held)
        case "torch":
            torch.save(Trap(), held)
        case "numpy":
            np.savez(held, np.array([Trap()], dtype=object))
    Path(name).write_bytes(held.getvalue())

    with pytest.raises(errors.RunError):
        read(Path(name))

    assert not Path("sprung").exists()


def test_a_small_file_of_many_rows_or_long_labels_is_refused_before_it_is_unpacked(tmp_path):
    def size(rows, label):
        path = tmp_path / "own.parquet"
        packed = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows, dtype=np.int32) % 2), pa.array([label, "b"]))
        zeros = np.zeros(rows, dtype=np.int8)
        pq.write_table(pa.table({"a": zeros, "b": zeros, "label": packed}), path, store_schema=False)
        (tmp_path / "params.yaml").write_text(
            (ROOT / "params.yaml").read_text().replace("sklearn  ", "file").replace("openml/two_moons", str(path))
        )
        limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_DATA, (2**29, 2**29)); "
        code = f"{limited}import sys; sys.argv[1:] = ['passed']; runpy.run_module('stages.check', run_name='__main__')"
        env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        return path.stat().st_size, done.stderr

    small, said = size(10_000_001, "a")
    assert small < 2_000_000 and "must have at most 10,000,000 rows, got 10,000,001" in said
    small, said = size(200_000, "a" * 100_000)  # 10 GB
    assert small < 1_000_000 and "must hold labels of up to 200 characters, got one of 100000" in said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://anna:secret@host:5000/x: does not answer", "http://host:5000/x: does not answer"),
        ("postgresql://anna:se/cr@et@host/db", "postgresql://host/db"),
        ("https://secret@host and https://secret@other", "https://host and https://other"),
        ("sqlite:////data/a@b/mlflow.db", "sqlite:////data/a@b/mlflow.db"),
        ("mail anna@host", "mail anna@host"),
        (f"http://anna:{'s' * 9000}@host", "http://host"),
    ],
)
def test_no_message_repeats_a_password_of_an_address(text, shown):
    assert errors.RunError(text).message == shown


def test_an_unfinished_training_that_holds_a_pickle_is_not_read(tmp_path, monkeypatch):
    import hashlib

    held = io.BytesIO()
    np.savez(held, reached=np.array("epoch 1"), weights=np.array([Trap()], dtype=object))
    (tmp_path / ".dvc").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with unfinished.kept("work") as state:
        state.path.parent.mkdir(parents=True, exist_ok=True)
        state.path.write_bytes(hashlib.sha256(held.getvalue()).digest() + held.getvalue())
        assert state.read() is None
        assert state.path.with_suffix(".damaged").exists()

    assert not Path("sprung").exists()
