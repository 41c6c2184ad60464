"""The bundle: its bytes, what is in it, how near its forms are, and what is refused."""

import json
import shutil
import subprocess
import zipfile
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors import safe_open

from gradflow import checkpoints
from gradflow.data import dataset
from gradflow.guards.errors import RunError
from serving import bundle, drift, forms


@pytest.fixture(scope="session")
def bundled(shared, finished):
    """A finished project with its bundle. Not to be changed, only looked at or copied."""
    project = replace(finished, root=shared / "finished project with a bundle")
    with FileLock(shared / "bundled.lock"):
        if not project.root.exists():
            draft = finished.copy(shared / "draft finished with a bundle")
            draft.run("dvc", "--cd", "serving", "repro")
            draft.root.rename(project.root)
    return project


@pytest.fixture
def folder(bundled, tmp_path):
    """A bundle of the test's own."""
    return shutil.copytree(bundled.root / "serving/bundle", tmp_path / "bundle")


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_results_make_the_same_bytes(bundled, tmp_path):
    serving = replace(bundled, root=bundled.root / "serving", env=bundled.env | {"PYTHONPATH": ".."})
    network, made = tmp_path / "network", tmp_path / "bundle"
    serving.run("python", "-m", "serving.stages.champion", tmp_path / "champion.json")
    serving.run("python", "-m", "serving.stages.quantize", tmp_path / "champion.json", "..", network)
    serving.run("python", "-m", "serving.stages.package", network, "../data/scaled/train.parquet", made)

    assert contents(network) == contents(serving.root / "network")
    assert contents(made) == contents(serving.root / "bundle")


def test_it_holds_weights_numbers_and_a_picture_and_its_checksums_are_those_of_sha256sum(folder):
    assert {path.suffix for path in folder.rglob("*")} == {".json", ".mar", ".safetensors", ".png", ""}
    for path, content in contents(folder).items():
        assert content.startswith(b"PK") == (path.suffix == ".mar"), path
        with zipfile.ZipFile(folder / path) if path.suffix == ".mar" else nullcontext() as archive:
            for part in [archive.read(name) for name in archive.namelist()] if archive else [content]:
                assert not part.startswith(b"\x80")  # as pickles do
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", bundle.SUMS], cwd=folder, check=True)


def test_it_says_which_network_of_which_run_it_is(bundled, folder):
    run = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["run"]
    history = [line.split(",") for line in (bundled.root / "reports/history.csv").read_text().splitlines()]
    columns = history[0]
    last = [dict(zip(columns, line, strict=True)) for line in history[1:] if line[0] == "residual"]
    last = [line for line in last if line["epoch"] == "2"]
    best = min(last, key=lambda line: float(line["val_loss"]))
    assert (run["variant"], run["seed"]) == ("residual", int(best["seed"]))
    assert run["val_loss"] == pytest.approx(float(best["val_loss"]))
    assert run["fingerprint"] == (bundled.root / "data/tracked").read_text().strip()


def test_forms_are_as_near_to_the_checkpoint_as_they_must_be(bundled):
    found = json.loads((bundled.root / "serving/reports/metrics.json").read_text(encoding="utf-8"))
    assert set(found) == {"float32", "float16_stored", "float16", "torchserve", "vllm"}
    assert found["torchserve"] == found["vllm"] == found["float32"]  # the form that is served
    for points in ("validation", "random"):
        apart = {form: numbers[f"{points}_largest_difference"] for form, numbers in found.items()}
        assert apart["float32"] < 1e-6
        assert found["float32"][f"{points}_equal_labels"] == 1
        assert 0 < apart["float16_stored"] < 1e-3
        assert 0 < apart["float16"] < 2e-2


def test_weights_are_those_of_one_seed_and_forms_compute_in_their_own_type(bundled, folder):
    seed = bundle.described(folder).run.seed
    tensors, _ = checkpoints.read(bundled.root / "models/residual.safetensors")
    with safe_open(folder / "float16.safetensors", framework="pt") as half:
        for name, tensor in tensors.items():
            found = half.get_tensor(name)
            assert found.dtype == torch.float16
            assert (found - tensor[seed : seed + 1]).abs().max() < 4 * 2**-10 * tensor[seed].abs().max()
    kinds = {form: {p.dtype for p in forms.load(folder, form).graph.parameters()} for form in forms.FILES}
    assert kinds == {"float32": {torch.float32}, "float16_stored": {torch.float32}, "float16": {torch.float16}}
    assert "torch.float16" in forms.load(folder, "float16").graph.code


@pytest.mark.parametrize("name", ["float32.safetensors", "bundle.json", "scaler.json", "SHA256SUMS"])
def test_damage_is_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=r"is not what its bundle was made with|cannot be read"):
        forms.load(folder)


@pytest.mark.parametrize(
    "change", [lambda f: (f / "more.json").write_text("{}"), lambda f: (f / "trial.json").unlink()]
)
def test_a_file_too_many_or_too_few_is_noticed(folder, change):
    change(folder)
    with pytest.raises(RunError, match="is not what its bundle was made with"):
        bundle.check(folder)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"variant": "residul"}, "gradflow: params.yaml: variant: must be one of plain, residual, got 'residul'"),
        ({"seed": 2}, "gradflow: params.yaml: seed: must be null or one that did not diverge (0, 1), got 2"),
        ({"seed": "worst"}, "gradflow: params.yaml: seed: must be a whole number, got 'worst'"),
        ({"champion": "models:/residual"}, "gradflow: params.yaml: champion: must match "),
        ({"champion": "models:/gradflow-x@y"}, "gradflow: params.yaml: champion: must name a registered model, there"),
        ({"champion": "models:/gradflow-plain@champion"}, "gradflow: params.yaml: champion: must be a model of the va"),
        ({"monitor.least": 5000}, "gradflow: params.yaml: monitor.least: must be <= 1000, the window, got 5000"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(bundled, tmp_path, values, says):
    serving = replace(bundled, root=tmp_path / "serving", env=bundled.env | {"PYTHONPATH": str(bundled.root)})
    serving.root.mkdir()
    shutil.copy(bundled.root / "serving/params.yaml", serving.root)
    serving.change(values)
    refused = serving.run("python", "-m", "serving.stages.champion", "champion.json", code=None)
    if not refused.returncode:
        refused = serving.run(
            "python", "-m", "serving.stages.quantize", "champion.json", bundled.root, "network", code=2
        )
    assert refused.returncode == 2 and not (serving.root / "network/run.json").exists()
    assert refused.stderr.startswith(says) and refused.stderr.count("\n") == 1


def test_the_champion_is_the_network_that_is_registered(bundled, tmp_path):
    serving = replace(bundled, root=tmp_path / "serving", env=bundled.env | {"PYTHONPATH": str(bundled.root)})
    serving.root.mkdir()
    shutil.copy(bundled.root / "serving/params.yaml", serving.root)
    serving.change({"champion": "models:/gradflow-residual@champion"})
    serving.run("python", "-m", "serving.stages.champion", "champion.json")
    serving.run("python", "-m", "serving.stages.quantize", "champion.json", bundled.root, "network")

    here, there = (contents(each) for each in (serving.root / "network", bundled.root / "serving/network"))
    differing = {path.name for path in here.keys() | there.keys() if here.get(path) != there.get(path)}
    assert differing <= {"run.json"}  # which may list other numbers
    both = [json.loads((each / "network/run.json").read_text()) for each in (serving.root, bundled.root / "serving")]
    assert {key: value for key, value in both[0].items() if key != "numbers"} == {
        key: value for key, value in both[1].items() if key != "numbers"
    }


def test_psi_is_that_of_its_formula():
    now, then = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    assert drift.psi(now, then, 100, 100) == pytest.approx(0.6 * np.log(2.5))
    empty = drift.psi(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 100, 100)
    assert empty == pytest.approx((0.005 - 0.5) * np.log(0.01) + 0.5 * np.log(2))


def test_bins_hold_equal_shares_of_the_training_rows_and_take_up_what_lies_beyond(bundled):
    points, labels = dataset.read(bundled.root / "data/scaled/train.parquet")
    reference = drift.reference(points, labels, 4)
    assert np.array(reference.shares) == pytest.approx(0.25, abs=0.02)
    assert drift.bins_of(np.array([[-1e9, 1e9]]), reference.edges).tolist() == [[0, 3]]
