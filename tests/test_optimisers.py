"""Seed by seed, weights move as torch.optim and torch.nn.utils.clip_grad_norm_ move those of single networks."""

from functools import partial
from itertools import islice

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from gradflow.training import compiled
from gradflow.training.optimisers import Transfer
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


def moved(network, steps=STEPS, *, make=Step, **changes):
    """The step that trained a stack on some batches, and these."""
    step = small.step(network, make=make, epochs=6, **changes)
    batches = [batch for epoch in step._task.batches(1) for batch in epoch][:steps]
    for batch in batches:
        step(batch)
    return step, batches


def follow(single, theirs, batches, before=lambda number: None, loss=cross_entropy):
    """Train one network with an optimiser of torch."""
    points, labels = small.moons()
    for number, batch in enumerate(batches, start=1):
        before(number)
        theirs.zero_grad()
        loss(single(points[batch]), labels[batch]).backward()
        theirs.step()


@pytest.mark.parametrize("name", CASES)
def test_a_warm_up_raises_the_rate_from_step_to_step(name):
    changes, optimiser = CASES[name]
    stacked = small.network(depth=2)
    single_networks = small.singles(stacked, depth=2)
    _, batches = moved(stacked, optimizer=name.split()[0], clip_norm=None, warmup=8, **changes)
    for seed, single in enumerate(single_networks):
        theirs = optimiser(single.parameters())
        rate = torch.optim.lr_scheduler.LinearLR(theirs, 1 / 8, total_iters=7)
        follow(single, theirs, batches, before=lambda number, rate=rate: number > 1 and rate.step())
        for parameter, own in zip(single.parameters(), stacked.parameters(), strict=True):
            torch.testing.assert_close(own[seed], parameter, rtol=1e-4, atol=1e-5)


def test_a_warm_up_is_the_same_in_c_and_goes_on_where_it_was():
    if not compiled.library():
        pytest.skip("no C compiler")
    stacks = [small.network(depth=2) for _ in range(3)]
    steps = [moved(stacks[0], warmup=15)[0], moved(stacks[1], make=compiled.fastest, warmup=15)[0]]
    assert [step.engine for step in steps] == ["PyTorch", "C"]
    half, _ = moved(stacks[2], 10, make=compiled.fastest, warmup=15)
    later = small.step(small.network(depth=2), epochs=6, warmup=15)
    later.go_on({name: value.clone() for name, value in half.unfinished().items()})
    for batch in [batch for epoch in later._task.batches(1) for batch in epoch][10:STEPS]:
        later(batch)
    for one, other, third in zip(*(step.network.parameters() for step in (*steps, later)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        assert torch.equal(other, third)


@pytest.mark.parametrize(("steps", "lr"), [(STEPS, 0.003), (1, 1.0)])  # in a large one decay shows
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_completep_gives_each_kind_of_parameter_its_rate_decay_and_eps(optimizer, exponent, steps, lr):
    deeper, wider, eps = 4.0, 2.0, 1e-8
    stacked = small.network("prenorm", depth=2, width=16)
    single_networks = small.singles(stacked, "prenorm", depth=2, width=16)
    transfer = Transfer(deeper, wider, exponent)
    _, batches = moved(stacked, steps, optimizer=optimizer, lr=lr, clip_norm=None, transfer=transfer)
    decay = 0.01 if optimizer == "adamw" else 0.0
    for seed, single in enumerate(single_networks):
        inside = list(single.blocks.parameters())
        weights = [each for each in inside if each.ndim == 2]
        groups = [
            {"params": weights, "lr": lr * deeper ** (exponent - 1) / wider, "weight_decay": decay * wider},
            {"params": [each for each in inside if each.ndim == 1], "lr": lr * deeper ** (exponent - 1)},
        ]
        groups = [group | {"eps": eps * deeper**-exponent / wider} for group in groups]
        groups.append({"params": [*single.stem.parameters(), *single.head.parameters()]})
        make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
        follow(single, make(groups, lr=lr, eps=eps, weight_decay=decay), batches)
        for parameter, own in zip(single.parameters(), stacked.parameters(), strict=True):
            torch.testing.assert_close(own[seed], parameter, rtol=1e-3, atol=2e-5)


def test_completep_at_its_base_changes_nothing():
    stacks = [small.network("prenorm", depth=2) for _ in range(2)]
    for stacked, transfer in zip(stacks, (None, Transfer(1.0, 1.0, 1.0)), strict=True):
        moved(stacked, optimizer="adamw", lr=0.01, transfer=transfer)
    assert all(torch.equal(*pair) for pair in zip(*(each.parameters() for each in stacks), strict=True))


def test_completep_is_refused_for_sgd():
    with pytest.raises(ValueError, match="no rules for SGD"):
        small.step(small.network(), make=Step, transfer=Transfer(2.0, 1.0, 1.0))


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_a_pass_in_half_precision_is_that_of_autocast(precision, dtype):
    stacked = small.network("prenorm", depth=2)
    single_networks = small.singles(stacked, "prenorm", depth=2)
    seen = []
    stacked.blocks[0].linear.register_forward_hook(lambda *arguments: seen.append(arguments[2].dtype))
    step, batches = moved(stacked, precision=precision, make=compiled.fastest, clip_norm=None)
    assert step.engine == "PyTorch" and set(seen) == {dtype}
    assert step.grad_norm.dtype == torch.float32 and all(each.dtype == torch.float32 for each in stacked.parameters())
    points, labels = small.moons()
    for seed, single in enumerate(single_networks):
        with torch.autocast("cpu", dtype):
            logits = single(points[batches[0]])
        cross_entropy(logits.float(), labels[batches[0]]).backward()
        expected = [float(each.module.weight.grad.norm()) for each in single.linear_maps()]
        assert step.grad_norm[0, seed].tolist() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_loss_scale_changes_neither_norms_nor_weights_in_float32(optimizer, clip_norm):
    train = partial(moved, optimizer=optimizer, lr=0.01, clip_norm=clip_norm)
    stacks = [small.network(depth=2) for _ in range(2)]
    (plain, _), (scaled, _) = (
        train(stacked, loss_scale=scale) for stacked, scale in zip(stacks, (1.0, 1024.0), strict=True)
    )
    assert torch.equal(plain.grad_norm[:STEPS], scaled.grad_norm[:STEPS])
    for one, other in zip(*(each.parameters() for each in stacks), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_a_loss_scale_keeps_a_gradient_that_float16_would_lose():
    norms = {}
    for scale in (1.0, 2.0**16):
        stacked = small.network("plain", depth=6, seeds=1)
        with torch.no_grad():
            stacked.head.weight.mul_(1e-5)
        step, _ = moved(stacked, 1, precision="float16", loss_scale=scale, clip_norm=None)
        norms[scale] = float(step.grad_norm[0, 0, 1])
    assert norms[1.0] == 0 < norms[2.0**16]
