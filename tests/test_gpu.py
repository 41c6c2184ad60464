"""On a GPU: the numbers of the CPU, every step captured as a CUDA graph, the same bytes from one run to the next."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml

from gradflow.guards.interrupts import StoppedError
from gradflow.params import catalogue
from gradflow.training.optimisers import Descent, Transfer
from gradflow.training.step import Step, captured
from tests.small import moons, network, task, train
from tests.test_unfinished import Stopping

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CHECKOUT = Path(__file__).parents[1]
NORMS = {"rtol": 2e-3, "atol": 1e-6}


def on_gpu(block="residual", state=None, **options):
    """A training on the GPU: network and record. A step that could not be captured would warn."""
    stack = network(block).cuda()
    rows, validation = (tuple(part.cuda() for part in own) for own in (moons(), moons(23)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record, _ = train(stack, rows, state, validation=validation, **options)
    return stack, record


def on_cpu(block="residual", **options):
    """The record of the same training by autograd on the CPU."""
    return train(network(block), make=Step, **options)[0]


@pytest.mark.parametrize("block", catalogue.names())
def test_every_block_is_captured_and_gives_the_numbers_of_the_cpu(block):
    expected, (_, found) = on_cpu(block), on_gpu(block)
    torch.testing.assert_close(found.grad_norm.cpu(), expected.grad_norm, **NORMS)
    torch.testing.assert_close(found.history.cpu(), expected.history, rtol=2e-3, atol=1e-5)
    for epoch, probe in expected.probes.items():
        torch.testing.assert_close(found.probes[epoch].cpu(), probe, rtol=5e-3, atol=1e-5, equal_nan=True)


WAYS = {
    "Adam": {"optimizer": "adam"},
    "AdamW, warm-up, CompleteP": {"optimizer": "adamw", "warmup": 4, "transfer": Transfer(2.0, 0.5, 1.0)},
    "no clipping": {"clip_norm": None, "lr": 0.01},
    "own order": {"orders": 3},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_train_is_captured_and_gives_the_numbers_of_the_cpu(way):
    expected, (_, found) = on_cpu("prenorm", **WAYS[way]), on_gpu("prenorm", **WAYS[way])
    torch.testing.assert_close(found.grad_norm.cpu(), expected.grad_norm, **NORMS)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_captured_and_near_float32(precision):
    _, found = on_gpu(precision=precision, loss_scale=8.0)
    torch.testing.assert_close(found.grad_norm.cpu(), on_cpu().grad_norm, rtol=0.2, atol=1e-3)


def test_a_seed_that_diverges_is_held_as_on_the_cpu():
    options = {"clip_norm": None, "lr": 30.0}
    expected, (_, found) = on_cpu(**options), on_gpu(**options)
    assert expected.diverged, "otherwise this shows nothing"
    assert found.diverged == expected.diverged and torch.equal(found.valid.cpu(), expected.valid)


def held(stack, record):
    """All that a training leaves, as bytes."""
    tensors = [*stack.parameters(), record.grad_norm, record.valid, record.history, *record.probes.values()]
    return [tensor.detach().cpu().numpy().tobytes() for tensor in tensors]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_stopped_after_any_step_ends_with_the_same_bytes(optimizer, tmp_path):
    undisturbed = held(*on_gpu("highway", optimizer=optimizer))
    path = tmp_path / "state.npz"
    for after in (1, 5, 12):
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoppedError):
            on_gpu("highway", Stopping(path, after, pool), optimizer=optimizer)
        with ThreadPoolExecutor(1) as pool:
            assert held(*on_gpu("highway", Stopping(path, 0, pool), optimizer=optimizer)) == undisturbed
        path.unlink()


def test_captured_steps_leave_the_statistics_of_batch_norms_that_others_leave():
    rows = tuple(part.cuda() for part in (torch.randn(20, 64), torch.arange(20) % 10))
    settings = {"skip": True, "batch_norm": True, "shortcut": "projection", "padding": "zeros"}
    found = []
    for way in (captured, lambda step: step):
        stack = network("basic", 2, network="convnet", widths=[4, 8], **settings).cuda()
        step = Step(stack, task(rows, rows), Descent("sgd", 0.1, 0.9))
        take = way(step)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for batch in (range(16), range(4, 20), range(7), range(16)):  # of two sizes, a graph each
                take(torch.tensor(batch, device="cuda"))
        found.append(dict(stack.named_buffers()))
    graphs, expected = found
    for name, value in expected.items():
        if name.endswith("num_batches_tracked"):
            assert value.tolist() == graphs[name].tolist() == [4] * 3, name
        else:
            torch.testing.assert_close(graphs[name], value, rtol=1e-4, atol=1e-6)


def recipe(root):
    """Run the recipe's stages up to the tables, without DVC: bytes of what they write, by name."""
    shutil.copy(CHECKOUT / "params.yaml", root)
    stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
    env = os.environ | {"GRADFLOW_DEVICE": "cuda", "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    for name in ("check", "fetch", "scale", "train@plain", "train@residual", "gradients"):
        definition = stages[name.partition("@")[0]]
        words = definition.get("do", definition)["cmd"].replace("$DVC_STAGE", name).replace('"', "").split()
        command = [sys.executable, *words[1:]]
        done = subprocess.run(command, check=False, cwd=root, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), name
    written = [path for folder in ("models", "logs", "reports") for path in (root / folder).iterdir()]
    return {path.name: path.read_bytes() for path in written}


def test_the_recipe_gives_on_a_gpu_what_the_readme_says(tmp_path_factory):
    first, second = (recipe(tmp_path_factory.mktemp("recipe")) for _ in range(2))
    assert [name for name in first if first[name] != second[name]] == []
    found = json.loads(first["metrics.json"])
    plain, residual = found["plain"], found["residual"]
    assert 0.5 <= plain["val_accuracy"]["mean"] <= 0.6 and plain["decay_per_layer"] == pytest.approx(0.408, rel=0.1)
    assert residual["val_accuracy"]["min"] > 0.94 and residual["vanished_layers"] == 0
    assert json.loads(first["residual.json"])["device"] == "cuda"
