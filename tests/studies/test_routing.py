"""The routing study: policies, thresholds and learning against networks and tables made by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from gradflow.drawing.experiment import Experiment
from gradflow.moons import rows, spirals, training
from gradflow.moons.every_layer import EveryLayer
from gradflow.params.moons import Moons, Spirals
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from studies.routing import learning, measured, summary, thresholds
from studies.routing.figures import networks as networks_figure
from studies.routing.figures import policies as policies_figure
from studies.routing.figures import rows as rows_figure
from studies.routing.params import Learning
from studies.routing.routers.chance import Chance
from studies.routing.routers.controller import Controller, divergence
from studies.routing.routers.early_exit import EarlyExit
from studies.routing.routers.fixed import Fixed
from studies.routing.routers.given import Given
from studies.routing.routers.oracle_norm import OracleNorm
from studies.routing.routers.oracle_ratio import OracleRatio
from studies.routing.routers.router import gathered, masked, work
from studies.routing.routers.stream_norm import StreamNorm

DEPTH, WIDTH, SEEDS, ROWS = 4, 16, 2, 50
EVERYTHING = torch.full((SEEDS,), -math.inf)
LEARNING = Learning(epochs=30, lr=0.02, network_lr=0.001, penalty=20.0, seed=0)


def network(seeds=SEEDS):
    about = {"network": "mlp", "block": "residual", "settings": {}, "widths": None}
    return training.drawn(about | {"depth": DEPTH, "width": WIDTH, "init": "he"}, seeds, 0).requires_grad_(False)


def points(seeds=SEEDS, count=ROWS):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(0)).expand(seeds, -1, -1)


def routers(net):
    labels = (points()[0, :, 0] > 0).long()
    yield from (OracleRatio(), OracleNorm(), StreamNorm("below"), StreamNorm("above"), Chance(0), EarlyExit(net))
    yield Fixed(net, points(len(next(net.parameters()))), labels)
    controller = Controller(len(next(net.parameters())), DEPTH, WIDTH, "stream")
    for each in controller.maps:
        torch.nn.init.normal_(each.weight, generator=torch.Generator().manual_seed(1))
    yield controller.requires_grad_(False)


def test_spirals_are_two_arms_that_turn_as_often_as_they_should():
    at, labels = spirals.draw(1000, 2.5, 0.0, 0)
    assert np.bincount(labels).tolist() == [500, 500]
    radius = np.hypot(*at.T)
    turned = (np.arctan2(at[:, 1], at[:, 0]) / (2 * np.pi) - 2.5 * radius - labels / 2) % 1
    assert np.minimum(turned, 1 - turned).max() < 1e-9
    assert radius.max() <= 1 and np.mean(radius < 0.5) == pytest.approx(0.25, abs=0.04)
    noisy, _ = spirals.draw(1000, 2.5, 0.1, 0)
    assert (noisy - at).std() == pytest.approx(0.1, rel=0.1)


def test_both_kinds_of_rows_are_split_and_standardised():
    sizes = {"samples": 60, "noise": 0.1, "seed": 0, "validation": 0.3}
    for drawn in (Moons(**sizes), Spirals(**sizes, turns=1.0)):
        split = rows.split(drawn)
        assert split.train[0].shape == (42, 2) and split.validation[0].shape == (18, 2)
        assert split.train[0].mean(0) == pytest.approx([0, 0], abs=1e-9)
        assert split.train[0].std(0) == pytest.approx([1, 1])
        assert np.bincount(split.train[1]).tolist() == [21, 21]


def test_a_step_of_deep_supervision_is_one_on_the_mean_of_the_losses():
    net, reference = network().requires_grad_(True), network().requires_grad_(True)
    at = points()[0]
    labels = (at[:, 0] > 0).long()
    task = Rows((at, labels), (at, labels), epochs=1, batch_size=ROWS, seed=0, probe_rows=1, probe_every=1)
    x, losses = reference.stem(points()), []
    for block in reference.blocks:
        x = block(x)
        losses.append(task.losses(reference.head(x), labels))
    (gradient,) = torch.autograd.grad(torch.stack(losses).mean(0).sum(), reference.head.weight)
    step = EveryLayer(net, task, Descent("sgd", 0.1, 0.0, None))
    step(torch.arange(ROWS))
    torch.testing.assert_close(net.head.weight.detach(), reference.head.weight.detach() - 0.1 * gradient)
    torch.testing.assert_close(step.loss_sum / ROWS, torch.stack(losses).mean(0).detach())


@pytest.mark.parametrize("place", range(8))
def test_rows_gathered_are_rows_masked(place):
    net = network(1)
    router = [*routers(net)][place]
    threshold = thresholds.chosen(net, points(1), router, 0.5)
    found = masked(net, points(1), router, threshold)
    assert 0 < found.ran.double().mean() < 1
    torch.testing.assert_close(gathered(net, points(1), router, threshold), found.logits, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("place", range(8))
def test_every_policy_runs_everything_or_nothing_at_the_ends(place):
    net = network()
    router = [*routers(net)][place]
    assert torch.equal(masked(net, points(), router, EVERYTHING).logits, net(points()))
    nothing = masked(net, points(), router, -EVERYTHING)
    assert torch.equal(nothing.logits, net.head(net.stem(points()))) and not nothing.ran.any()


def test_oracles_and_norms_score_what_they_say():
    net = network()
    x = net.stem(points())
    added = net.blocks[0](x) - x
    for router, expected in (
        (OracleRatio(), added.norm(dim=2) / x.norm(dim=2)),
        (OracleNorm(), added.norm(dim=2)),
        (StreamNorm("below"), x.norm(dim=2)),
        (StreamNorm("above"), -x.norm(dim=2)),
    ):
        torch.testing.assert_close(masked(net, points(), router, EVERYTHING).scores[0], expected)


def test_a_threshold_runs_the_share_that_was_asked_for():
    net = network()
    for router in (OracleRatio(), Chance(0), StreamNorm("above")):
        for share in (0.25, 0.5, 0.75):
            ran = masked(net, points(), router, thresholds.chosen(net, points(), router, share)).ran
            assert ran.double().mean((0, 2)).tolist() == pytest.approx([share] * SEEDS, abs=0.04)
    assert thresholds.chosen(net, points(), Chance(0), 1.0).tolist() == EVERYTHING.tolist()


def test_a_row_that_has_left_stays_outside():
    net = network()
    router = EarlyExit(net)
    ran = masked(net, points(), router, thresholds.chosen(net, points(), router, 0.5)).ran
    assert not (ran[1:] & ~ran[:-1]).any()
    logits = net.head(net.stem(points()))
    assert torch.equal(router.scores(0, net.stem(points()), None), -(logits[..., 1] - logits[..., 0]).abs())


def test_the_fixed_subset_misses_first_what_is_missed_least():
    net = network(1)
    labels = net(points(1)).argmax(2)[0]
    net.blocks[2].linear.weight.zero_()
    net.blocks[2].linear.bias.zero_()
    assert Fixed(net, points(1), labels).scores(2, points(1), None).unique().tolist() == [0.0]
    orders = [Fixed(net, points(1), labels).scores(block, points(1), None)[0, 0].item() for block in range(DEPTH)]
    assert sorted(orders) == [*range(DEPTH)]


def test_work_counts_blocks_ends_and_decisions():
    net = network()
    ran = torch.zeros(DEPTH, SEEDS, ROWS, dtype=torch.bool)
    ran[0] = True
    block, ends = WIDTH**2, 2 * 2 * WIDTH
    whole = DEPTH * block + ends
    for router, multiply_adds in (
        (Chance(0), block + ends),
        (StreamNorm("below"), block + ends + DEPTH * WIDTH),
        (EarlyExit(net), block + ends + 2 * 2 * WIDTH),  # asked in front of the first block, and of the next
        (OracleNorm(), whole + DEPTH * WIDTH),
        (Controller(SEEDS, DEPTH, WIDTH, "stream"), block + ends + DEPTH * (WIDTH + 1)),
    ):
        assert work(net, router, ran).tolist() == pytest.approx([multiply_adds / whole] * SEEDS), router


def test_a_policy_is_measured_beside_the_whole_network():
    net = network()
    labels = (points()[0, :, 0] > 0).long()
    ran = torch.rand(DEPTH, SEEDS, ROWS, generator=torch.Generator().manual_seed(0)) < 0.5
    whole, routed = net(points()), masked(net, points(), Given(ran), torch.full((SEEDS,), 0.5)).logits
    order = torch.arange(ROWS).roll(1)
    half = torch.full((SEEDS,), 0.5)

    def rows_of(alive):
        return measured.policy(net, whole, points(), labels, Given(ran), half, order[None], alive)

    numbers, of_rows = rows_of(range(SEEDS))
    right = (routed.argmax(2) == labels).double().mean(1)
    assert numbers["accuracy"].tolist() == pytest.approx(right.tolist())
    full = (whole.argmax(2) == labels).double().mean(1)
    assert numbers["lost"].tolist() == pytest.approx((full - right).tolist())
    agreement = (routed.argmax(2) == whole.argmax(2)).double().mean(1)
    assert numbers["agreement"].tolist() == pytest.approx(agreement.tolist())
    p, q = whole.double().softmax(2), routed.double().softmax(2)
    assert numbers["kl"].tolist() == pytest.approx((p * (p / q).log()).sum(2).mean(1).tolist(), rel=1e-4)
    other = masked(net, points(), Given(ran[:, :, order]), torch.full((SEEDS,), 0.5)).logits.argmax(2) == labels
    assert numbers["shuffled"].tolist() == pytest.approx(other.double().mean(1).tolist())
    margin = (whole[0, :, 0] - whole[0, :, 1]).abs()
    ranks = pd.Series(ran.sum(0)[0].tolist()).corr(pd.Series(margin.tolist()), method="spearman")
    assert numbers["correlation"][0] == pytest.approx(ranks)
    assert of_rows["blocks"].tolist() == ran.sum(0).double().mean(0).tolist()
    of_living = rows_of([1])[1]  # what a seed does that has diverged is in no mean
    assert of_living["blocks"].tolist() == ran.sum(0)[1].tolist() and not len(rows_of([])[1])


@pytest.mark.parametrize("jointly", [False, True])
def test_a_controller_learns_to_run_a_share_and_leaves_the_network_as_it_is(jointly):
    net, at = network(), points(count=400)[0]
    labels = net(at.expand(SEEDS, -1, -1))[0].argmax(1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    routed, controller = learning.learned(net, (at, labels), 50, LEARNING, 0.5, reads="stream", jointly=jointly)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert jointly == any(not torch.equal(value, before[name]) for name, value in routed.state_dict().items())
    found = masked(routed, at.expand(SEEDS, -1, -1), controller, torch.zeros(SEEDS))
    random = masked(net, at.expand(SEEDS, -1, -1), Chance(0), torch.full((SEEDS,), 0.5))
    whole = net(at.expand(SEEDS, -1, -1))
    assert found.ran.double().mean((0, 2)).tolist() == pytest.approx([0.5] * SEEDS, abs=0.1)
    if not jointly:
        assert (divergence(whole, found.logits).mean(1) < divergence(whole, random.logits).mean(1) / 2).all()


def table(seeds=2):
    numbers = {"share": 0.5, "work": 0.6, "agreement": 0.9, "kl": 0.1, "correlation": math.nan}
    return pd.DataFrame(
        [
            numbers
            | {"variant": variant, "policy": policy, "target": target, "seed": seed}
            | {"accuracy": 0.8 + seed / 10, "lost": 0.1, "shuffled": 0.5}
            for variant in ("a", "b")
            for policy in ("random", "early_exit", "learned")
            for target in (0.5, 1.0)
            for seed in range(seeds)
        ]
    )


def test_the_numbers_of_a_variant():
    found = summary.of_variant(table())
    assert found["accuracy"]["mean"] == pytest.approx(0.85) and found["accuracy"]["seeds"] == 2
    assert found["random_50_shuffled"]["max"] == pytest.approx(0.4)
    assert found["random_50_correlation"]["mean"] is None and "random_100_lost" not in found


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(seeds):
    experiment = Experiment({"a": DEPTH, "b": DEPTH}, seeds, 3, {"a": {}, "b": {0: 2}}, "a caption")
    plane = table(1).assign(row=0, blocks=2.0, right=0.0, x1=1.0, x2=2.0, label=1)
    for figure in (
        policies_figure.draw(table(seeds), experiment),
        networks_figure.draw(table(seeds), experiment),
        rows_figure.draw(plane, experiment),
    ):
        figure.draw_without_rendering()
        assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
