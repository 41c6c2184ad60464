"""The step in C: the numbers of PyTorch's, whatever the sizes; one result for any number of threads; made where a
compiler is.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gradflow.blocks.plain import Plain
from gradflow.blocks.residual import Residual
from gradflow.blocks.rezero import ReZero
from gradflow.training import compiled
from gradflow.training.optimisers import Descent
from gradflow.training.step import Step
from studies.identity.task import Identity
from tests import small
from tests.small import moons, network

ROOT = Path(__file__).parents[1]


def both(block, settings, depth, width, seeds=3, validation=None, **changes):
    """The same step in PyTorch and in C."""
    options = {"epochs": 1, "lr": 0.05, "validation": validation} | changes
    steps = [
        small.step(network(block, depth, width, seeds=seeds, **settings), make=make, **options)
        for make in (Step, compiled.fastest)
    ]
    assert [type(step) for step in steps] == [Step, compiled.Compiled]
    return steps


@pytest.mark.parametrize(
    ("block", "settings"),
    [
        ("plain", {}),
        *(("residual", {"scale": scale}) for scale in (1.0, 0.3, 0.0, -0.5)),
        *(("rezero", {"start": start}) for start in (0.0, 0.7, -0.5)),  # whose scale is learnt
    ],
)
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("width", [16, 48, 64])  # tiles of one vector, of both kinds, of two
@pytest.mark.parametrize("batch", [1, 7, 16, 50])  # the last two: whole tiles, and all rows at once
def test_c_takes_the_steps_that_pytorch_takes(block, settings, depth, width, batch):
    steps = both(block, settings, depth, width, batch_size=batch)
    taken = min(8, steps[0]._task.steps)
    for rows in torch.randperm(50, generator=torch.Generator().manual_seed(0)).split(batch)[:taken]:
        for step in steps:
            step(rows)
    by_pytorch, by_c = (
        [step.grad_norm[:taken], step.valid, step.loss_sum, step.measure(), *step.state] for step in steps
    )

    for wanted, found in zip(by_pytorch, by_c, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("changes", [{"clip_norm": None}, {"clip_norm": 1e-3}, {"momentum": 0.0}, {"lr": 1.0}])
@pytest.mark.parametrize(("block", "settings"), [("residual", {"scale": 0.5}), ("skipinit", {})])
def test_clipping_and_momentum_are_those_of_pytorch(block, settings, changes):
    steps = both(block, settings, 3, 16, **changes)
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
            found.append([*step.state, step.grad_norm, step.measure(), step.probe(*moons(40))])
    finally:
        torch.set_num_threads(before)

    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            torch.testing.assert_close(same, one, rtol=0, atol=0, equal_nan=True)


def test_rows_are_those_of_the_batch_whatever_was_there_before():
    """What a larger batch left in memory, be it nan, reaches no number of a smaller one."""
    _, step = both("residual", {"scale": 0.5}, 3, 16)
    _, fresh = both("residual", {"scale": 0.5}, 3, 16)
    for scratch in step._scratch:
        scratch.fill_(torch.nan)
    for one in (step, fresh):
        one(torch.arange(5))

    assert all(torch.equal(a, b) for a, b in zip(step.state, fresh.state, strict=True))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    points, labels = moons()
    labels[3] = label

    for rows in ({"rows": (points, labels)}, {"validation": (points, labels)}):
        with pytest.raises(ValueError, match="labels must be from 0 to 1"):
            small.step(network("plain", 1), **rows)
    with pytest.raises(ValueError, match="labels must be from 0 to 1"):
        small.step(network("plain", 1)).probe(points, labels)


@pytest.mark.parametrize(
    ("block", "settings"),
    [("plain", {}), ("residual", {}), ("residual", {"scale": -0.5}), ("rezero", {}), ("skipinit", {"start": 0.1})],
)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_on_the_rows_of_the_recipe_is_taken_in_c(block, settings, momentum):
    assert type(small.step(network(block, **settings), momentum=momentum)) is compiled.Compiled


OTHERS = {
    "another block": ({"block": "layerscale"}, {}),  # of as many learnt scales as there are units
    "a block of several linear maps": ({"block": "linear_terminated"}, {}),
    "a block that does more than relu_scale": ({"block": "rescaled"}, {}),
    "adam": ({}, {"optimizer": "adam"}),
    "adamw": ({"block": "plain"}, {"optimizer": "adamw"}),
    "no whole tiles": ({"block": "plain", "width": 20}, {}),
    "less than a tile": ({"block": "plain", "width": 8}, {}),
    "widths that change": ({"block": "plain", "widths": [32, 16]}, {}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_c_cannot_train_is_left_to_pytorch(name):
    described, changes = OTHERS[name]

    assert type(small.step(network(**described), **changes)) is Step


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_another_task_is_left_to_pytorch(optimizer):
    """Be its network one of those that C knows, or not."""
    task = Identity(
        width=16, steps=3, batch_size=4, seed=0, probe_at=[], instruments=["dead_units"], where=torch.device("cpu")
    )
    for kind in ("trunk", "mlp"):
        assert type(compiled.fastest(network("plain", network=kind), task, Descent(optimizer, 0.1))) is Step


@pytest.mark.parametrize("method", ["forward", "branch", "carry", "after"])
@pytest.mark.parametrize(("name", "block"), [("plain", Plain), ("residual", Residual), ("rezero", ReZero)])
def test_a_block_that_is_edited_and_not_what_it_says_is_left_to_pytorch(name, block, method, monkeypatch):
    before = getattr(block, method)
    monkeypatch.setattr(block, method, lambda self, x: (x if before(self, x) is None else before(self, x)) * 1.1)

    assert type(small.step(network(name))) is Step


@pytest.mark.parametrize("edited", [torch.abs, torch.relu])
def test_a_block_that_does_something_else_with_a_scale_below_0_is_left_to_pytorch(edited, monkeypatch):
    monkeypatch.setattr(ReZero, "branch", lambda self, x: edited(self.a) * torch.relu(self.linear(x)))

    assert type(small.step(network("rezero", start=0.5))) is Step


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false", "cc --no-such-option", "'cc", "true"])
def test_without_a_compiler_that_works_pytorch_trains(monkeypatch, compiler):
    monkeypatch.setenv("CC", compiler)
    compiled.library.cache_clear()
    try:
        assert type(small.step(network("plain"))) is Step
    finally:
        compiled.library.cache_clear()


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_a_processor_with_less_gets_the_same_numbers_from_a_library_of_its_own(capability):
    """Which need not have the last bits of another one's."""
    code = """
import torch
from tests.test_compiled import both
wanted, found = both("residual", {"scale": 0.5}, 3, 48)
for rows in torch.arange(50).split(16):
    wanted(rows), found(rows)
for a, b in zip(wanted.state, found.state, strict=True):
    torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-7)
print(torch.backends.cpu.get_cpu_capability(), found._library._name, sep="\\n")
"""
    found = []
    for env in ({}, {"ATEN_CPU_CAPABILITY": capability}):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=True)
        found.append(done.stdout.splitlines())

    (mine, my_library), (less, its_library) = found
    assert (mine == less) == (my_library == its_library)


def test_what_a_step_was_not_made_for_is_refused_and_changes_nothing():
    step = small.step(network(), (moons()[0][:32], moons()[1][:32]), epochs=1)  # two steps
    step(torch.arange(16))
    before = [tensor.clone() for tensor in step.state]
    for rows in (torch.arange(17), torch.tensor([32]), torch.tensor([-1])):
        with pytest.raises(IndexError, match="beyond"):
            step(rows)
    for seed in range(3):
        own = torch.arange(16).unsqueeze(1).repeat(1, 3)
        own[-1, seed] = 32
        with pytest.raises(IndexError, match="beyond"):
            step(own)
    with pytest.raises(ValueError, match="rows must be int64"):
        step(torch.arange(16, dtype=torch.int32))
    for shape in ((2, 2), (2, 4), (2, 3, 1)):  # of three seeds
        with pytest.raises(ValueError, match=r"rows must be int64 \(batch,\) or \(batch, 3\)"):
            step(torch.zeros(shape, dtype=torch.int64))
    assert all(torch.equal(one, same) for one, same in zip(step.state, before, strict=True))

    step(torch.arange(16))
    with pytest.raises(IndexError, match="beyond"):
        step(torch.arange(16))


def test_rows_of_another_type_are_refused():
    points, labels = moons()
    with pytest.raises(ValueError, match="points must be float32"):
        small.step(network("plain"), (points.double(), labels))


def test_a_bounded_branch_is_no_relu(monkeypatch):
    from gradflow.blocks.plain import Plain
    from gradflow.kit.block import Place
    from gradflow.kit.layers import Kit

    block = Plain(Kit(2), Place(16, 16))
    torch.nn.init.normal_(block.linear.weight, std=0.3)
    torch.nn.init.zeros_(block.linear.bias)
    assert compiled._is_known(block)
    monkeypatch.setattr(Plain, "branch", lambda self, x: torch.nn.functional.relu6(self.linear(x)))
    assert not compiled._is_known(block)


def test_a_block_without_the_map_that_c_knows_is_left_to_autograd():
    from gradflow.blocks.plain import Plain
    from gradflow.kit.block import Place
    from gradflow.kit.layers import Kit

    block = Plain(Kit(2), Place(16, 16))
    block.fc = block.linear
    del block.linear
    assert not compiled._is_known(block)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only there C tells the processor to flush")
def test_gradients_too_small_for_the_processor_to_be_fast_are_zero_in_c_alone_and_all_else_keeps_its_numbers(
    monkeypatch,
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # C then runs in this thread
    by_pytorch, by_c = both("plain", {}, 3, 16, clip_norm=None)
    for step in (by_pytorch, by_c):
        with torch.no_grad():
            for each in step.network.linear_maps()[1:]:
                each.weight.mul_(1e-13)
        step(torch.arange(16))
    assert 0 < float(by_pytorch.grad_norm[0, 0, 1]) < 1e-36
    assert float(by_c.grad_norm[0, 0, 1]) == 0 < float(by_c.grad_norm[0, 0, -1])
    tiny = torch.tensor(1e-39)
    assert float(tiny * 1.0) > 0, "the processor has been left as it was"
