"""Linear maps that keep sketches, and ReLUs that keep bits: against formulas written out, and against ordinary ones."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from gradflow.kit.building import build
from gradflow.kit.layers import Kit
from gradflow.memory import sketched
from gradflow.memory.bits import ReluAsBits, packed, unpacked
from gradflow.memory.sketched import SketchingKit, drawn, of_rows, sketching
from gradflow.moons import training
from gradflow.training import compiled
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows

BATCH, DEPTH, SEEDS, WIDTH = 24, 3, 2, 16
ABOUT = {"network": "mlp", "block": "residual", "settings": {}, "widths": None}
ABOUT |= {"depth": DEPTH, "width": WIDTH, "init": "default"}


def random(seed=0):
    return np.random.default_rng(seed)


def matrix(buckets, signs, rows):
    """S, entry by entry: (R, batch)."""
    s = np.zeros((rows, len(buckets)))
    for row, (bucket, sign) in enumerate(zip(buckets.tolist(), signs.tolist(), strict=True)):
        s[bucket, row] = sign
    return s


def network(seeds, kit=SketchingKit):
    if seeds:
        return training.drawn(ABOUT, seeds, 0, kit)
    torch.manual_seed(0)
    return build(ABOUT, kit())


def maps(made):
    return [each.module for each in made.linear_maps() if 1 <= each.layer <= DEPTH]


def passed(made, points):
    """Logits, and the gradients of all parameters by name."""
    logits = made(points)
    named = dict(made.named_parameters())
    loss = (logits.square().mean((-2, -1)) + logits.mean((-2, -1))).sum()
    return logits, dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def points(seeds):
    torch.manual_seed(1)
    return torch.randn(*([seeds] if seeds else []), BATCH, 2)


@pytest.mark.parametrize("scalars", [False, True])
@pytest.mark.parametrize("seeds", [None, SEEDS])
def test_gradients_of_weights_are_those_of_the_formula_and_all_others_do_not_change(seeds, scalars):
    made, x = network(seeds), points(seeds)
    exact_logits, exact = passed(made, x)
    rows = [5] * seeds if seeds else 5
    sketches = [drawn(random(number), BATCH, rows, scalars=scalars) for number in range(DEPTH)]
    sketching(maps(made), sketches)
    logits, found = passed(made, x)
    assert torch.equal(logits, exact_logits)
    same = [name for name in found if torch.equal(found[name], exact[name])]
    assert set(exact) - set(same) == {f"blocks.{number}.linear.weight" for number in range(DEPTH)}

    for number in range(DEPTH):
        of_stack = [tensor.reshape(seeds or 1, BATCH, WIDTH) for tensor in through(made.double(), number, x.double())]
        buckets, signs = (
            each.reshape(seeds or 1, BATCH) for each in (sketches[number].buckets, sketches[number].signs)
        )
        weights = found[f"blocks.{number}.linear.weight"].reshape(-1, WIDTH, WIDTH)
        for seed, (before, delta) in enumerate(zip(*of_stack, strict=True)):
            s = matrix(buckets[seed], signs[seed], 5)
            kept, back = s @ before.numpy(), s @ delta.numpy()
            if scalars:
                kept *= before.norm().item() / np.linalg.norm(kept)
                back *= delta.norm().item() / np.linalg.norm(back)
            np.testing.assert_allclose(weights[seed], back.T @ kept, rtol=2e-4, atol=1e-6)


def through(made, number, x):
    """What a block reads, and dLoss/dz of its linear map."""
    seen = []
    hook = made.blocks[number].linear.register_forward_hook(lambda _, before, z: seen.extend((before[0], z)))
    logits = made(x)
    hook.remove()
    loss = (logits.square().mean((-2, -1)) + logits.mean((-2, -1))).sum()
    return seen[0].detach(), torch.autograd.grad(loss, seen[1])[0]


@pytest.mark.parametrize("seeds", [None, SEEDS])
def test_with_as_many_buckets_as_rows_all_gradients_are_exact(seeds):
    made, x = network(seeds), points(seeds)
    _, exact = passed(made, x)
    sketching(maps(made), [drawn(random(), BATCH, [BATCH] * seeds if seeds else BATCH) for _ in range(DEPTH)])
    _, found = passed(made, x)
    for name, gradient in exact.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)


def test_a_network_without_sketches_and_each_seed_of_a_stack_are_ordinary_ones():
    made, ordinary, x = network(SEEDS), network(SEEDS, Kit), points(SEEDS)
    for found, expected in zip(passed(made, x)[1].values(), passed(ordinary, x)[1].values(), strict=True):
        assert torch.equal(found, expected)
    sketches = [drawn(random(number), BATCH, [6] * SEEDS) for number in range(DEPTH)]
    sketching(maps(made), sketches)
    _, together = passed(made, x)
    for seed in range(SEEDS):
        single = build(ABOUT, SketchingKit())
        single.load_state_dict({name: value[seed] for name, value in made.state_dict().items()})
        own = [sketched.Sketch(each.buckets[seed], each.signs[seed], each.rows) for each in sketches]
        sketching(maps(single), own)
        for name, gradient in passed(single, x[seed])[1].items():
            torch.testing.assert_close(together[name][seed], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("batch", "rows"), [(24, 6), (24, 7), (128, 16)])
def test_the_variance_over_a_thousand_sketches_is_that_of_theory_and_their_mean_is_exact(batch, rows, balanced):
    x, delta = (torch.from_numpy(random(5).normal(1, 1, (batch, units))) for units in (4, 3))
    delta *= torch.arange(batch).unsqueeze(1)  # some rows count more than others
    exact, draws, total, squared = delta.T @ x, 1000, 0.0, 0.0
    source = random(3)
    for _ in range(draws):
        sketch = drawn(source, batch, rows, balanced=balanced)
        apart = sketch.product(sketch.of(x), delta) - exact
        total, squared = total + apart, squared + apart.square().sum() / draws
    expected = sketched.meeting(batch, rows, balanced=balanced) * sketched.spread(x, delta)
    assert 0.9 < float(squared / expected) < 1.1
    assert float(total.square().sum() / draws / squared) < 3, "the mean is not the gradient"


def test_the_spread_is_the_sum_over_pairs_of_rows():
    x, delta = (torch.from_numpy(random(7).normal(size=(6, units))) for units in (4, 3))
    pairs = 0.0
    for i, j in itertools.permutations(range(6), 2):
        product = torch.outer(delta[i], x[j])
        pairs += float((product * (product + torch.outer(delta[j], x[i]))).sum())
    assert float(sketched.spread(x, delta)) == pytest.approx(pairs)


@pytest.mark.parametrize(("batch", "rows"), [(12, 4), (13, 4), (12, 12), (12, 20), (1, 1)])
def test_buckets_are_equally_full_and_two_rows_meet_as_often_as_is_said(batch, rows):
    source, met, draws = random(1), 0, 4000
    for _ in range(draws):
        buckets = drawn(source, batch, rows).buckets.numpy()
        full = np.bincount(buckets, minlength=rows)
        assert full.max() - full.min() <= 1
        met += batch > 1 and buckets[0] == buckets[-1]
    p = sketched.meeting(batch, rows)
    assert met / draws == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / draws))
    if batch % rows == 0 and batch > 1:
        assert p == pytest.approx((batch / rows - 1) / (batch - 1))


def test_stacked_sketches_differ_and_may_have_numbers_of_buckets_of_their_own():
    sketch = drawn(random(), BATCH, [3, 8, BATCH])
    assert sketch.buckets.amax(1).tolist() == [2, 7, BATCH - 1] and sketch.rows == BATCH
    assert set(sketch.signs.unique().tolist()) == {-1, 1}
    assert not torch.equal(sketch.signs[0], sketch.signs[1])
    x = torch.randn(3, BATCH, 4)
    assert (sketch.of(x)[0, 3:] == 0).all() and torch.equal(sketch.of(x)[2].abs().sort(0)[0], x[2].abs().sort(0)[0])


def test_scalars_give_both_factors_their_exact_norms_and_no_other_direction():
    x, delta = torch.randn(BATCH, 4), torch.randn(BATCH, 3)
    plain, scaled = (drawn(random(), BATCH, 5, scalars=scalars) for scalars in (False, True))
    assert scaled.of(x).norm().item() == pytest.approx(x.norm().item(), rel=1e-5)
    both = [sketch.product(sketch.of(x), delta).flatten() for sketch in (plain, scaled)]
    assert cosine_similarity(*both, dim=0).item() == pytest.approx(1, abs=1e-6)
    assert not torch.allclose(*both)
    assert (scaled.of(torch.zeros(BATCH, 4)) == 0).all()


def test_rows_without_gradients_need_not_be_kept():
    chosen = torch.from_numpy(random(2).random((SEEDS, BATCH)) < 0.4)
    x, delta = torch.randn(SEEDS, BATCH, 4), torch.randn(SEEDS, BATCH, 3) * chosen.unsqueeze(2)
    sketch = of_rows(chosen)
    kept = sketch.of(x)
    assert kept.shape[1] == sketch.rows == chosen.sum(1).max()
    torch.testing.assert_close(sketch.product(kept, delta), delta.mT @ x, rtol=1e-6, atol=1e-6)
    assert of_rows(torch.zeros(2, BATCH, dtype=torch.bool)).of(x).abs().sum() == 0


def test_masks_come_back_from_their_bits():
    for shape in ((3, 5), (2, 8), (1,), (2, 3, 7)):
        mask = torch.from_numpy(random(4).random(shape) < 0.5)
        bits = packed(mask)
        assert bits.dtype == torch.uint8 and len(bits) == -(-mask.numel() // 8)
        assert torch.equal(unpacked(bits, shape), mask)


@pytest.mark.parametrize("seeds", [None, SEEDS])
def test_a_network_whose_relus_keep_bits_has_the_same_outputs_and_gradients(seeds):
    made, x = network(seeds), points(seeds)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.dtype) or tensor, lambda t: t):
        exact_logits, exact = passed(made, x)
        assert torch.uint8 not in saved
        with ReluAsBits():
            logits, found = passed(made, x)
    assert saved.count(torch.uint8) == DEPTH
    assert torch.equal(logits, exact_logits)
    assert all(torch.equal(found[name], gradient) for name, gradient in exact.items())


def test_c_does_not_train_maps_that_could_have_sketches():
    labelled = points(None), torch.zeros(BATCH, dtype=torch.int64)
    task = Rows(labelled, labelled, epochs=1, batch_size=8, seed=0, probe_rows=1, probe_every=1)
    descent = Descent("sgd", 0.1, 0.9, 1.0)
    assert compiled.can_train(network(SEEDS, Kit), task, descent)
    assert not compiled.can_train(network(SEEDS), task, descent)
