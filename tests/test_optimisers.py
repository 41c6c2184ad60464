"""Seed by seed, weights move as torch.optim and torch.nn.utils.clip_grad_norm_ move those of single networks."""

from itertools import islice

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from gradflow.training.step import Step
from tests import small

STEPS = 20
CASES = {
    "sgd": ({"lr": 0.1, "momentum": 0.0}, lambda weights: torch.optim.SGD(weights, lr=0.1)),
    "sgd with momentum": ({"lr": 0.1, "momentum": 0.9}, lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9)),
    "adam": ({"lr": 0.01}, lambda weights: torch.optim.Adam(weights, lr=0.01)),
    "adamw": ({"lr": 0.01}, lambda weights: torch.optim.AdamW(weights, lr=0.01)),
}
BLOCKS = {"residual": {"scale": 0.5}, "gated": {"gate": "unit"}, "linear_terminated": {}, "postnorm": {"norm": "rms"}}


@pytest.mark.parametrize("clip_norm", [None, 1e-2, 0.3])  # never, in each step, in some
@pytest.mark.parametrize("block", BLOCKS)  # beside linear maps some have parameters of their own
@pytest.mark.parametrize("name", CASES)
def test_each_seed_moves_as_torch_moves_its_network(name, block, clip_norm):
    changes, optimiser = CASES[name]
    stacked = small.network(block, depth=2, **BLOCKS[block])
    single_networks = small.singles(stacked, block, depth=2, **BLOCKS[block])
    start = [parameter.clone() for parameter in stacked.parameters()]
    step = small.step(stacked, make=Step, epochs=6, optimizer=name.split()[0], clip_norm=clip_norm, **changes)
    batches = [batch for epoch in step._task.batches(1) for batch in epoch][:STEPS]
    for batch in batches:
        step(batch)

    points, labels = small.moons()
    totals = []
    for seed, single in enumerate(single_networks):
        theirs = optimiser(single.parameters())
        for batch in batches:
            theirs.zero_grad()
            cross_entropy(single(points[batch]), labels[batch]).backward()
            totals.append(float(clip_grad_norm_(single.parameters(), clip_norm or float("inf"))))
            theirs.step()
        for parameter, moved in zip(single.parameters(), stacked.parameters(), strict=True):
            torch.testing.assert_close(moved[seed], parameter, rtol=1e-4, atol=1e-5)
    assert all((old != new).any() for old, new in zip(start, stacked.parameters(), strict=True))
    if clip_norm:
        assert max(totals) > clip_norm
    assert step.valid[:STEPS].all() and not step.valid[STEPS:].any()


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_first_step_of_adam_is_exact(optimizer):
    """Where 1 - 0.999 in float32 would cost four digits."""
    stacked = small.network(depth=1)
    [single, *_] = small.singles(stacked, depth=1)
    before = stacked.head.weight[0].clone()
    step = small.step(stacked, make=Step, optimizer=optimizer, lr=1.0, clip_norm=None)
    [batch] = islice(next(step._task.batches(1)), 1)
    step(batch)

    points, labels = small.moons()
    cross_entropy(single(points[batch]), labels[batch]).backward()
    {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer](single.parameters(), lr=1.0).step()
    torch.testing.assert_close(stacked.head.weight[0] - before, single.head.weight - before, rtol=2e-6, atol=0)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_seed_whose_squares_left_float32_keeps_its_weights_when_it_diverges(optimizer):
    """Its gradient was a number, the square of that was not."""
    stacked = small.network(seeds=2)
    step = small.step(stacked, make=Step, optimizer=optimizer, clip_norm=None)
    with torch.no_grad():
        stacked.head.weight[1] *= 1e24
    step(torch.arange(16))
    assert step.grad_norm[0, 1].max() > 1e22 and step.alive.all()
    with torch.no_grad():
        stacked.head.weight[1] = 3e38
    kept = [parameter[1].clone() for parameter in stacked.parameters()]
    step(torch.arange(16))
    step(torch.arange(16))

    assert step.alive.tolist() == [True, False]
    assert all(torch.equal(parameter[1], value) for parameter, value in zip(stacked.parameters(), kept, strict=True))


def test_a_decay_that_throws_weights_out_of_float32_is_a_divergence():
    """A factor of 1 - lr * 0.01 = -99 a step, which a network of closed ReLUs does not feel in its loss."""
    stacked = small.network("plain", depth=2, seeds=2)
    with torch.no_grad():
        stacked.head.weight[1] = 0.0
        stacked.blocks[0].linear.weight[1] = 1e37
        stacked.blocks[0].linear.bias[1] = -3e38
    step = small.step(stacked, make=Step, optimizer="adamw", lr=1e4, clip_norm=1.0)
    for _ in range(3):
        step(torch.arange(16))

    assert not step.alive[1]
    assert all(parameter.isfinite().all() for parameter in stacked.parameters())
