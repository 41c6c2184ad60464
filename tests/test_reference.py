"""The pipeline's numbers against networks and a loop written here, in plain PyTorch and without the library."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).parent.parent
SEEDS = 2
EPOCHS = 3
STATISTICS = ["weight_grad_norm", "delta_norm", "z_mean", "z_std", "x_mean", "x_std", "dead_fraction", "branch_ratio"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder in which the stages have run at the default size, with few seeds and epochs."""
    folder = tmp_path_factory.mktemp("reference")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["seeds"], params["train"]["epochs"] = SEEDS, EPOCHS
    (folder / "params.yaml").write_text(yaml.dump(params, sort_keys=False))

    def stage(*arguments):
        command = [sys.executable, "-m", *arguments]
        subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=True)

    stage("stages.fetch", "raw.parquet", "source.json")
    stage("stages.scale", "raw.parquet", "train.parquet", "val.parquet", "scaler.json")
    for name in params["variants"]:
        stage("stages.train", name, "train.parquet", "val.parquet", ".", ".")
    return folder, params


class Reference(nn.Module):
    """The recipe's two networks as a reader would write them, keeping what the probe measures."""

    def __init__(self, depth, width, scale):
        super().__init__()
        self.stem = nn.Linear(2, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 2)
        self.scale = scale  # None: plain

    def forward(self, x):
        self.z, self.x = [], [self.stem(x)]
        for layer in self.layers:
            z = layer(self.x[-1])
            z.requires_grad_().retain_grad() if torch.is_grad_enabled() else None
            self.z.append(z)
            h = torch.relu(z)
            self.x.append(h if self.scale is None else self.x[-1] + self.scale * h)
        return self.head(self.x[-1])

    def linears(self):
        return [self.stem, *self.layers, self.head]


def new_network(params, variant):
    scale = params["variants"][variant].get("scale")
    return Reference(params["depth"], params["width"], scale)


def from_checkpoint(folder, params, variant, seed):
    tensors = load_file(folder / f"{variant}.safetensors")
    network = new_network(params, variant)
    for name, linear in zip(
        ["stem", *(f"blocks.{i}.linear" for i in range(params["depth"])), "head"], network.linears(), strict=True
    ):
        linear.weight.data = tensors[f"{name}.weight"][seed]
        linear.bias.data = tensors[f"{name}.bias"][seed]
    return network


def rows(path):
    table = pd.read_parquet(path)
    points = torch.tensor(table[["x1", "x2"]].to_numpy(), dtype=torch.float32)
    return points, torch.tensor(table["label"].to_numpy())


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("variant", ["plain", "residual"])
def test_checkpoint_has_the_accuracy_and_loss_that_were_logged(run, variant, seed):
    folder, params = run
    points, labels = rows(folder / "val.parquet")
    with torch.no_grad():
        logits = from_checkpoint(folder, params, variant, seed)(points)
    history = pd.read_parquet(folder / f"{variant}.history.parquet").query("seed == @seed and epoch == @EPOCHS")
    assert float((logits.argmax(1) == labels).float().mean()) == pytest.approx(history["val_accuracy"].item(), abs=1e-6)
    assert float(nn.functional.cross_entropy(logits, labels)) == pytest.approx(history["val_loss"].item(), rel=1e-4)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("variant", ["plain", "residual"])
def test_last_probe_is_what_the_checkpoint_gives(run, variant, seed):
    folder, params = run
    network = from_checkpoint(folder, params, variant, seed).double()
    points, labels = rows(folder / "train.parquet")
    samples = params["probe"]["samples"]
    loss = nn.functional.cross_entropy(network(points[:samples].double()), labels[:samples])
    loss.backward()

    probe = pd.read_parquet(folder / f"{variant}.probe.parquet").query("seed == @seed and epoch == @EPOCHS")
    probe = probe.set_index("layer")[STATISTICS]
    assert list(probe.index) == list(range(1, params["depth"] + 1))
    for layer, measured in probe.iterrows():
        delta = network.z[layer - 1].grad
        z, x, before = (t.detach() for t in (network.z[layer - 1], network.x[layer], network.x[layer - 1]))
        expected = {
            "weight_grad_norm": network.layers[layer - 1].weight.grad.norm(),
            "delta_norm": delta.norm(),
            "z_mean": z.mean(),
            "z_std": z.std(correction=0),
            "x_mean": x.mean(),
            "x_std": x.std(correction=0),
            "dead_fraction": (z <= 0).all(0).double().mean(),
            "branch_ratio": torch.nan if variant == "plain" else (x - before).norm() / before.norm(),
        }
        for name, value in expected.items():
            assert measured[name] == pytest.approx(float(value), rel=1e-4, abs=1e-12, nan_ok=True), (name, layer)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("variant", ["plain", "residual"])
def test_every_logged_norm_is_that_of_an_ordinary_training_loop(run, variant, seed):
    folder, params = run
    train = params["train"]
    torch.manual_seed(train["seed"] + seed)
    network = new_network(params, variant)
    optimizer = torch.optim.SGD(network.parameters(), lr=train["lr"], momentum=train["momentum"])
    points, labels = rows(folder / "train.parquet")
    order = torch.Generator().manual_seed(train["seed"])
    norms = []
    for _epoch in range(EPOCHS):
        for batch in torch.randperm(len(points), generator=order).split(train["batch_size"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(points[batch]), labels[batch]).backward()
            norms.append([float(linear.weight.grad.norm()) for linear in network.linears()])
            nn.utils.clip_grad_norm_(network.parameters(), train["clip_norm"])
            optimizer.step()

    log = pd.read_parquet(folder / f"{variant}.parquet").query("seed == @seed")
    logged = log.pivot_table(index="step", columns="layer", values="grad_norm").to_numpy()
    steps = len(norms) // EPOCHS
    assert logged.shape == (len(norms), params["depth"] + 2)
    # Rounding differs, and training amplifies it until some ReLU opens in one run alone.
    np.testing.assert_allclose(logged[:steps], norms[:steps], rtol=1e-4)
    np.testing.assert_allclose(logged, norms, rtol=0.1)


def test_facts_of_the_run_are_recorded(run):
    folder, params = run
    facts = json.loads((folder / "residual.json").read_text())
    assert facts["train"] | {"order": "shared"} == params["train"], "an order that is shared is not written down"
    assert (facts["device"], facts["threads"], facts["diverged"]) == ("cpu", 1, [])
