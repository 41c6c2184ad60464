"""The steps of an epoch never wait for a number: no tensor becomes a Python number in them."""

from collections import Counter

import pytest
import torch
from gradflow.training.training import train
from torch.profiler import ProfilerActivity, profile

from gradflow import recipe
from gradflow.kit.inits import initialised
from gradflow.training import compiled, passes
from gradflow.training.step import Step

WAITING = ("aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")


@pytest.mark.parametrize("clip_norm", [1.0, None])
@pytest.mark.parametrize(("block", "settings"), [("plain", {}), ("residual", {"scale": 0.2})])
@pytest.mark.parametrize("way", ["C", "by hand", "autograd"])
def test_steps_wait_for_no_number(block, settings, clip_norm, way, monkeypatch):
    if way != "C":
        monkeypatch.setattr(compiled, "fastest", Step)
    if way == "autograd":
        monkeypatch.setattr(passes, "by_hand", lambda _: False)
    few, many = (waits(block, settings, clip_norm, batch_size) for batch_size in (64, 4))

    assert many == few


@pytest.mark.parametrize("way", ["C", "by hand", "autograd"])
def test_the_first_step_waits_for_no_number_either(way, monkeypatch):
    if way == "autograd":
        monkeypatch.setattr(passes, "by_hand", lambda _: False)
    network = initialised("residual", {"scale": 0.2}, 3, 16, seeds=2, init="default", seed=0)
    make = compiled.fastest if way == "C" else Step
    step = make(network, (torch.randn(64, 2), torch.arange(64) % 2), config(batch_size=16), 2)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step(torch.arange(16))

    names = {event.name for event in profiled.events()}
    assert "aten::add_" in names and not names & set(WAITING)


def config(**changes):
    values = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "clip_norm": 1.0, "init": "default", "seed": 0}
    return recipe.Train(**({"epochs": 1} | values | changes))


def waits(block, settings, clip_norm, batch_size):
    """How often one epoch over 64 rows waits for a number, by operation."""
    network = initialised(block, settings, 3, 16, seeds=2, init="default", seed=0)
    points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    rows = points, (points[:, 0] > 0).long()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        chosen = config(batch_size=batch_size, clip_norm=clip_norm)
        record = train(network, rows, rows, chosen, recipe.Probe(samples=32, every=1), report=lambda _: None)
    assert record.steps_per_epoch == 64 // batch_size and record.valid.all()
    counts = Counter(event.name for event in profiled.events())
    assert counts["aten::randperm"] > 0  # the profiler saw the training
    return {name: counts[name] for name in WAITING}
