"""The step in C: the numbers of PyTorch's, whatever the sizes; one result for any number of threads; made where a
compiler is.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gradflow import recipe
from gradflow.kit.inits import initialised
from gradflow.training import compiled
from gradflow.training.step import Step

ROOT = Path(__file__).parents[1]
TRAIN = recipe.Train(
    epochs=1, batch_size=16, optimizer="sgd", lr=0.05, momentum=0.9, clip_norm=1.0, init="default", seed=0
)


def moons(rows):
    points = torch.randn(rows, 2, generator=torch.Generator().manual_seed(1))
    return points, (points[:, 0] * points[:, 1] > 0).long()


def both(block, settings, depth, width, rows=50, seeds=3, steps=8, **changes):
    """The same step in PyTorch and in C."""
    made = []
    for make in (Step, compiled.fastest):
        network = initialised(block, settings, depth, width, seeds=seeds, init="default", seed=0)
        made.append(make(network, moons(rows), TRAIN.model_copy(update=changes), steps))
    assert [type(step) for step in made] == [Step, compiled.Compiled]
    return made


@pytest.mark.parametrize(
    ("block", "settings"), [("plain", {}), *(("residual", {"scale": scale}) for scale in (1.0, 0.3, 0.0, -0.5))]
)
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("width", [16, 48, 64])  # tiles of one vector, of both kinds, of two
@pytest.mark.parametrize("batch", [1, 7, 16, 50])  # the last two: whole tiles, and all rows at once
def test_c_takes_the_steps_that_pytorch_takes(block, settings, depth, width, batch):
    steps = both(block, settings, depth, width, batch_size=batch)
    for rows in torch.randperm(50, generator=torch.Generator().manual_seed(0)).split(batch)[:8]:
        for step in steps:
            step(rows)
    by_pytorch, by_c = (
        [step.grad_norm, step.loss_sum, *step.validate(moons(23)), *step._flat.values, *step._momentum]
        for step in steps
    )

    for wanted, found in zip(by_pytorch, by_c, strict=True):
        torch.testing.assert_close(found.float(), wanted.float(), rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("changes", [{"clip_norm": None}, {"clip_norm": 1e-3}, {"momentum": 0.0}, {"lr": 1.0}])
def test_clipping_and_momentum_are_those_of_pytorch(changes):
    steps = both("residual", {"scale": 0.5}, 3, 16, **changes)
    for rows in torch.arange(50).split(16):
        for step in steps:
            step(rows)

    for wanted, found in zip(steps[0].state, steps[1].state, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


def test_the_number_of_threads_changes_no_bit():
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            _, step = both("residual", {"scale": 0.5}, 3, 16, seeds=5)
            for rows in torch.arange(50).split(16):
                step(rows)
            found.append([*step.state, step.grad_norm, *step.validate(moons(23))])
    finally:
        torch.set_num_threads(before)

    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            torch.testing.assert_close(same, one, rtol=0, atol=0, equal_nan=True)


def test_rows_are_those_of_the_batch_whatever_was_there_before():
    """What a larger batch left in memory, be it nan, reaches no number of a smaller one."""
    _, step = both("residual", {"scale": 0.5}, 3, 16)
    _, fresh = both("residual", {"scale": 0.5}, 3, 16)
    for *_, scratch in step._shares:
        scratch.fill_(torch.nan)
    for one in (step, fresh):
        one(torch.arange(5))

    assert all(torch.equal(a, b) for a, b in zip(step.state, fresh.state, strict=True))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    points, labels = moons(50)
    _, step = both("plain", {}, 1, 16)
    labels[3] = label

    with pytest.raises(ValueError, match="labels must be from 0 to 1"):
        step.validate((points, labels))


@pytest.mark.parametrize(
    ("block", "width"), [("rezero", 16), ("rescaled", 16), ("linear_terminated", 16), ("plain", 8), ("plain", 17)]
)
def test_what_c_cannot_train_is_left_to_pytorch(block, width):
    network = initialised(block, {}, 2, width, seeds=2, init="default", seed=0)

    assert not compiled.can_train(network)
    assert type(compiled.fastest(network, moons(50), TRAIN, 1)) is Step


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false", "cc --no-such-option", "'cc", "true"])
def test_without_a_compiler_that_works_pytorch_trains(monkeypatch, compiler):
    monkeypatch.setenv("CC", compiler)
    compiled.library.cache_clear()
    network = initialised("plain", {}, 2, 16, seeds=2, init="default", seed=0)
    try:
        assert type(compiled.fastest(network, moons(50), TRAIN, 1)) is Step
    finally:
        compiled.library.cache_clear()


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_a_processor_with_less_gets_the_same_numbers_from_a_library_of_its_own(capability):
    """Which need not have the last bits of another one's."""
    code = """
import sys, torch
sys.path.insert(0, "tests")
from test_compiled import both
wanted, found = both("residual", {"scale": 0.5}, 3, 48)
for rows in torch.arange(50).split(16):
    wanted(rows), found(rows)
for a, b in zip(wanted.state, found.state, strict=True):
    torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-7)
print(torch.backends.cpu.get_cpu_capability(), found._library._name)
"""
    found = []
    for env in ({}, {"ATEN_CPU_CAPABILITY": capability}):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=True)
        found.append(done.stdout.split())

    (mine, my_library), (less, its_library) = found
    assert (mine == less) == (my_library == its_library)


def test_what_a_step_was_not_made_for_is_refused_and_changes_nothing():
    _, step = both("residual", {"scale": 0.5}, 3, 16, steps=2)
    step(torch.arange(16))
    before = [tensor.clone() for tensor in step.state]
    for rows in (torch.arange(17), torch.tensor([50]), torch.tensor([-1])):
        with pytest.raises(IndexError, match="beyond"):
            step(rows)
    with pytest.raises(ValueError, match="rows must be int64"):
        step(torch.arange(16, dtype=torch.int32))
    assert all(torch.equal(one, same) for one, same in zip(step.state, before, strict=True))

    step(torch.arange(16))
    with pytest.raises(IndexError, match="beyond"):
        step(torch.arange(16))


def test_rows_of_another_type_are_refused():
    points, labels = moons(50)
    network = initialised("plain", {}, 2, 16, seeds=2, init="default", seed=0)
    with pytest.raises(ValueError, match="points must be float32"):
        compiled.fastest(network, (points.double(), labels), TRAIN, 1)
