"""The steps of an epoch never wait for a number: no tensor becomes a Python number in them."""

from collections import Counter

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from gradflow.training import compiled
from gradflow.training.step import Step
from tests import small

WAITING = ("aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")
WAYS = {"C": compiled.fastest, "autograd": Step}


@pytest.mark.parametrize("clip_norm", [1.0, None])
@pytest.mark.parametrize(("block", "settings"), [("plain", {}), ("residual", {"scale": 0.2})])
@pytest.mark.parametrize("way", WAYS)
def test_steps_wait_for_no_number(block, settings, clip_norm, way):
    few, many = (waits(block, settings, WAYS[way], batch_size, clip_norm=clip_norm) for batch_size in (64, 4))

    assert many == few


@pytest.mark.parametrize("block", ["highway", "gated", "prenorm"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_steps_of_any_block_and_optimiser_wait_for_no_number(block, optimizer):
    few, many = (waits(block, {}, Step, batch_size, optimizer=optimizer) for batch_size in (64, 4))

    assert many == few


@pytest.mark.parametrize("way", WAYS)
def test_the_first_step_waits_for_no_number_either(way):
    step = small.step(small.network(scale=0.2), make=WAYS[way])
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step(torch.arange(16))

    names = {event.name for event in profiled.events()}
    assert "aten::add_" in names and not names & set(WAITING)


def waits(block, settings, make, batch_size, **changes):
    """How often one epoch over 64 rows waits for a number, by operation."""
    stacked = small.network(block, depth=3, seeds=2, **settings)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        record, _ = small.train(stacked, small.moons(64), make=make, epochs=1, batch_size=batch_size, **changes)
    assert record.steps_per_epoch == 64 // batch_size and record.valid.all()
    counts = Counter(event.name for event in profiled.events())
    assert counts["aten::randperm"] > 0  # the profiler saw the training
    return {name: counts[name] for name in WAITING}
