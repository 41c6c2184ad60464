"""Networks of studies in a real database: transformers, perceptrons, convnets, U-Nets, logged and loaded back."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from mlflow.entities import ViewType

from gradflow import checkpoints
from gradflow.files import parquet
from gradflow.guards.errors import RunError
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.networks import transformer
from gradflow.tracking import images, models, stage, study
from studies.streams import track
from studies.streams.params import Sequences

ROOT = Path(__file__).parents[2]
SEEDS = 3
BEST = {"transformer": 1, "perceptron": 1, "convnet": 1, "unet": 2}  # by the losses, or the PSNR, of history()
ABOUT = Sequences(tokens=5, positions=4, shortest=2, longest=3, validation=8, seed=0)
RESIDUAL = {"skip": True, "batch_norm": True, "shortcut": "padding", "padding": "circular"}
NETWORKS = {
    "transformer": {
        "network": "transformer", "block": "pre", "settings": {"tokens": 5, "positions": 4, "heads": 2},
        "widths": None, "depth": 2, "width": 8,
    },
    "perceptron": {
        "network": "digits", "block": "pre", "settings": {"hidden": 6}, "widths": None, "depth": 2, "width": 8,
    },
    "convnet": {"network": "convnet", "block": "basic", "settings": RESIDUAL, "widths": [4, 8], "depth": 2},
    "unet": {"network": "unet", "block": "stage", "settings": {"long_skips": True}, "widths": [2, 4, 2], "depth": 3},
}  # fmt: skip
DIGITS = np.random.default_rng(0).standard_normal((8, 64), dtype=np.float32)

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and PyTorch's own


def history(name):
    """Seed 1 ends lowest after it had been highest; seed 0 of the perceptrons diverges; U-Nets have another measure."""
    rows = [(seed, epoch) for seed in range(SEEDS) for epoch in (1, 2)]
    table = pd.DataFrame(rows, columns=["seed", "step" if name == "unet" else "epoch"])
    if name == "unet":
        return table.assign(step=table["step"] * 10, psnr=[3.0, 2.0, 9.0, 1.0, 2.0, 4.0])
    table = table.assign(val_loss=[3.0, 2.0, 9.0, 1.0, 2.0, 4.0], val_accuracy=0.5)
    return table.drop(1) if name == "perceptron" else table


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Leave networks in the current folder as the stages of a study do, and read its result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def made(*names):
        Path("reports/figures").mkdir(parents=True)
        Path("reports/figures/loss.png").write_bytes(b"a figure")
        Path("reports/table.csv").write_text("a table\n", encoding="utf-8")
        numbers = {name: {"best": {"mean": 2.5, "std": 0.5}, "lost": None, "share": 0.25} for name in names}
        Path("reports/metrics.json").write_text(json.dumps(numbers), encoding="utf-8")
        Path("params.yaml").write_text("depth: 2\ntrain: {lr: 0.1}\n", encoding="utf-8")
        return [network(name) for name in names]

    return made


def network(name):
    """Write its weights and its history."""
    about = NETWORKS[name]
    stacked = stack(partial(build, about), seeds=SEEDS, init="default", seed=0)
    for buffer in stacked.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2)  # running statistics that are not those of the start
    checkpoints.save(Path(f"{name}.safetensors"), stacked, about | {"seeds": SEEDS})
    parquet.write(Path(f"{name}.history.parquet"), pa.Table.from_pandas(history(name), preserve_index=False))
    judged = {"last": 20, "judged": "psnr", "best": "highest"} if name == "unet" else {"last": 2}
    return study.Trained(
        name=name,
        about=about,
        seeds=SEEDS,
        checkpoint=Path(f"{name}.safetensors"),
        history=Path(f"{name}.history.parquet"),
        model=partial(track.model, ABOUT) if name == "transformer" else partial(images.model, DIGITS),
        **judged,
    )


def log(networks):
    stage.log(study.read("tiny", networks, Path("reports")), study.experiment("tiny"), Path("tracked"))


def client():
    return mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")


def runs(kind=ViewType.ACTIVE_ONLY):
    """Of the experiment, by name."""
    where = client().get_experiment_by_name("gradflow-tiny").experiment_id
    return {run.info.run_name: run for run in client().search_runs([where], run_view_type=kind)}


def name_of_parent():
    return f"tiny-{Path('tracked').read_text(encoding='utf-8')[:6]}"


def test_a_study_is_one_run_with_a_nested_run_for_each_network(make, capsys):
    log(make(*NETWORKS))

    found, parent = runs(), name_of_parent()
    assert capsys.readouterr().out.startswith("tracked: run ")
    assert set(found) == {parent, *(f"{parent} {name}" for name in NETWORKS)}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    files = {
        file.path for folder in (None, "figures") for file in client().list_artifacts(found[parent].info.run_id, folder)
    }
    assert files == {"figures", "figures/loss.png", "metrics.json", "params.yaml", "table.csv"}
    assert found[parent].data.params == {"depth": "2", "train.lr": "0.1"}
    assert found[parent].data.tags["mlflow.source.name"] == "studies/tiny"
    assert found[parent].data.metrics["best/unet"] == 2.5 and "lost/unet" not in found[parent].data.metrics
    assert not client().search_model_versions()
    for name, best in BEST.items():
        run = found[f"{parent} {name}"]
        assert run.data.tags["mlflow.parentRunId"] == found[parent].info.run_id
        assert run.data.tags["model"] == f"seed {best}"
        assert run.data.tags["diverged_seeds"] == ("0" if name == "perceptron" else "none")
        assert run.data.params["variant"] == name
        assert run.data.metrics["share"] == 0.25
        judged = "psnr" if name == "unet" else "val_loss"
        assert run.data.metrics[judged] == run.data.metrics[f"curves/{judged}"], "where the curve ends"
        files = client().list_artifacts(run.info.run_id, "checkpoints")
        assert [file.path for file in files] == [f"checkpoints/{name}.safetensors"]
    for name, metric, expected in (
        ("convnet", "curves/val_loss", {1: 14 / 3, 2: 7 / 3}),
        ("perceptron", "curves/val_loss", {1: 14 / 3, 2: 2.5}),
        ("unet", "spread/psnr", {10: np.std([3, 9, 2]), 20: np.std([2, 1, 4])}),
    ):
        points = client().get_metric_history(found[f"{parent} {name}"].info.run_id, metric)
        assert {point.step: point.value for point in points} == pytest.approx(expected, rel=1e-12), (name, metric)


def test_models_give_what_the_checkpoints_give_in_a_fresh_process_without_pickle(make, tmp_path, clean_env):
    log(make(*NETWORKS))

    random = np.random.default_rng(1)
    inputs = {
        name: random.integers(5, size=(7, 4))
        if name == "transformer"
        else random.standard_normal((7, 8, 8), dtype=np.float32)
        for name in NETWORKS
    }
    np.savez(tmp_path / "inputs.npz", **inputs)
    code = """if True:
        from gradflow.tracking import environment
        environment.prepare()
        import mlflow, numpy as np, torch
        from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
        assert MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
        (experiment,) = mlflow.search_experiments(filter_string="name = 'gradflow-tiny'")
        inputs, outputs = np.load("inputs.npz"), {}
        for model in mlflow.search_logged_models([experiment.experiment_id], output_format="list"):
            found = mlflow.pyfunc.load_model(model.model_uri)
            module = mlflow.pytorch.load_model(model.model_uri)
            rows = inputs[model.name]
            outputs[f"{model.name} python"] = found.predict(rows)
            outputs[f"{model.name} pytorch"] = module(torch.from_numpy(rows)).detach().numpy()
            outputs[f"{model.name} one"] = found.predict(rows[:1])
            outputs[f"{model.name} example"] = found.input_example
            signature = found.metadata.signature
            sides = [side.inputs[0] for side in (signature.inputs, signature.outputs)]
            outputs[f"{model.name} signature"] = str([(str(side.type), side.shape) for side in sides])
        np.savez("outputs.npz", **outputs)
    """
    env = clean_env | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=env, check=True)

    outputs = np.load(tmp_path / "outputs.npz")
    assert len(outputs) == 5 * len(NETWORKS)
    shapes = {"transformer": (7, 4, 5), "perceptron": (7, 10), "convnet": (7, 10), "unet": (7, 8, 8)}
    for name, best in BEST.items():
        network, given = checkpoints.load(f"{name}.safetensors", best), torch.from_numpy(inputs[name])
        rows = transformer.inputs(given, 5) if name == "transformer" else given.flatten(1)
        with torch.no_grad():
            expected = network(rows).reshape(shapes[name])
        for way in ("python", "pytorch"):
            np.testing.assert_allclose(outputs[f"{name} {way}"], expected, rtol=0, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(outputs[f"{name} one"], expected[:1], rtol=0, atol=1e-6)
        kind = "int64" if name == "transformer" else "float32"
        sides = [(kind, (-1, *inputs[name].shape[1:])), ("float32", (-1, *shapes[name][1:]))]
        assert str(outputs[f"{name} signature"]) == str(sides)
        example = outputs[f"{name} example"]
        assert example.dtype == kind and example.shape == (5, *inputs[name].shape[1:])
    (example,) = re.findall(r"```py\n(.*?)```", (ROOT / "docs/tracking.md").read_text(encoding="utf-8"), re.DOTALL)
    example = example.replace("gradflow-convnets", "gradflow-tiny").replace("'residual'", "'convnet'")
    command = [sys.executable, "-W", "ignore", "-c", example]
    said = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout
    assert len(re.findall(r"-?\d+\.\d+", said)) == 5 * 10  # logits
    np.testing.assert_array_equal(outputs["unet example"], DIGITS[:5].reshape(5, 8, 8))


def test_a_result_is_logged_once_and_another_beside_it(make, capsys):
    networks = make("perceptron")
    for said in ("tracked", "already tracked"):
        log(networks)
        assert capsys.readouterr().out.startswith(f"{said}: run ")
    assert len(runs()) == 2

    Path("reports/table.csv").write_text("another table\n", encoding="utf-8")
    log(networks)

    assert capsys.readouterr().out.startswith("tracked: run ")
    assert len(runs()) == 4


def test_a_result_that_is_not_whole_leaves_no_run_and_one_that_broke_off_is_replaced(make, monkeypatch):
    networks = make("perceptron", "convnet")
    whole = Path("convnet.safetensors").read_bytes()
    Path("convnet.safetensors").write_bytes(whole[:-1])
    with pytest.raises(RunError, match=r"convnet\.safetensors: cannot be read"):
        log(networks)
    assert runs(ViewType.ALL) == {}

    Path("convnet.safetensors").write_bytes(whole)
    logged = models.log

    def broken(*arguments):
        monkeypatch.setattr(models, "log", logged)
        raise OSError("No space left on device")

    monkeypatch.setattr(models, "log", broken)
    with pytest.raises(RunError, match="No space left on device"):
        log(networks)
    assert {run.info.status for run in runs().values()} == {"RUNNING"}

    log(networks)

    assert len(runs()) == 3 and {run.info.status for run in runs().values()} == {"FINISHED"}


def test_a_history_that_is_damaged_or_of_something_else_is_named_in_one_line(make):
    (network,) = make("convnet")
    whole = network.history.read_bytes()
    network.history.write_bytes(whole[:-1])
    with pytest.raises(RunError, match=r"^convnet\.history\.parquet: cannot be read"):
        log([network])
    table = history("convnet").drop(columns="val_loss")
    parquet.write(network.history, pa.Table.from_pandas(table, preserve_index=False))
    with pytest.raises(RunError, match=r"^convnet\.history\.parquet: must have a column val_loss"):
        log([network])


def test_a_checkpoint_of_another_training_is_not_logged(make):
    (network,) = make("unet")
    with pytest.raises(RunError, match=r"unet\.safetensors: was trained with depth 3, params\.yaml says 5"):
        log([network._replace(about=network.about | {"depth": 5})])


def test_a_network_whose_seeds_all_diverged_has_a_run_and_no_model(make):
    (lost,) = make("perceptron")
    log([lost._replace(last=3)])

    run = runs()[f"{name_of_parent()} perceptron"]
    assert run.data.tags["model"] == "none, all seeds diverged" and run.data.tags["diverged_seeds"] == "0, 1, 2"
    assert not client().search_logged_models([run.info.experiment_id])
