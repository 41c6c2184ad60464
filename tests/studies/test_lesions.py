"""The lesions study: stochastic depth, lesions and their numbers against networks and tables made by hand."""

import math
import signal
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from gradflow.data import dataset
from gradflow.drawing.experiment import Experiment
from gradflow.guards.interrupts import StoppedError
from gradflow.instruments import lesions
from gradflow.moons import rows, training
from gradflow.moons.stochastic import StochasticDepth
from gradflow.params.moons import Descending, Moons
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from studies.lesions import lengths, summary
from studies.lesions.figures import lesions as lesions_figure
from studies.lesions.figures import paths as paths_figure

DEPTH, SEEDS = 3, 2
MOONS = Moons(samples=60, noise=0.2, seed=0, validation=0.3)
TRAIN = Descending(epochs=3, batch_size=16, lr=0.1, momentum=0.9, clip_norm=1.0, seed=0)


def about(block="residual", **settings):
    described = {"network": "mlp", "block": block, "settings": settings, "widths": None}
    return described | {"depth": DEPTH, "width": 16, "init": "he"}


def labelled(part):
    points, labels = part
    return torch.from_numpy(points).float(), torch.from_numpy(labels)


@pytest.fixture
def split():
    return rows.split(MOONS)


@pytest.fixture
def files(split, tmp_path):
    paths = tmp_path / "train.parquet", tmp_path / "validation.parquet"
    for path, part in zip(paths, (split.train, split.validation), strict=True):
        dataset.write(path, *part)
    return paths


def stochastic(split, survival=0.5, epochs=3, block="residual"):
    network = training.drawn(about(block), SEEDS, 0)
    task = Rows(
        labelled(split.train),
        labelled(split.validation),
        epochs=epochs,
        batch_size=16,
        seed=0,
        probe_rows=1,
        probe_every=9,
    )
    return StochasticDepth(network, task, Descent("sgd", 0.1, 0.9, 1.0), survival=survival, seed=0), task


def test_rows_are_those_of_the_recipes_pipeline(finished):
    config = finished.params()
    data = config["data"]
    assert config["split"]["seed"] == 0
    moons = {name: data[name] for name in ("samples", "noise", "seed")} | {"validation": config["split"]["validation"]}
    split = rows.split(Moons.model_validate(moons))
    for name, own in (("train", split.train), ("val", split.validation)):
        for found, expected in zip(own, dataset.read(finished.root / f"data/scaled/{name}.parquet"), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_step_drops_the_blocks_that_were_drawn_for_it_and_divides_the_others_by_their_chance(split):
    step, task = stochastic(split)
    assert set(step.factors.unique().tolist()) == {0.0, 2.0}
    batch = next(iter(next(iter(task.batches(1)))))
    points, labels = task.pick(batch)
    expected = []
    for seed in range(SEEDS):
        network = training.drawn(about(), SEEDS, 0)
        x = network.stem(points.expand(SEEDS, -1, -1))
        for number, block in enumerate(network.blocks):
            x = x + step.factors[0, number, seed, 0] * (block(x) - x)
        loss = torch.nn.functional.cross_entropy(network.head(x)[seed], labels)
        gradient = torch.autograd.grad(loss, network.stem.weight)[0][seed]
        expected.append((loss.item(), gradient.norm().item()))
    step(batch)
    assert (step.loss_sum / len(batch)).tolist() == pytest.approx([loss for loss, _ in expected], rel=1e-5)
    assert step.grad_norm[0, :, 0].tolist() == pytest.approx([norm for _, norm in expected], rel=1e-4)


def test_measurements_between_steps_see_whole_networks(split):
    step, task = stochastic(split)
    step(next(iter(next(iter(task.batches(1))))))
    whole = training.drawn(about(), SEEDS, 0)
    whole.load_state_dict(step.network.state_dict())
    assert torch.equal(step.measure(), task.measure(whole))


def test_blocks_survive_as_often_as_they_should(split):
    step, _ = stochastic(split, survival=0.8, epochs=500)
    assert (step.factors > 0).float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert step.factors.mean().item() == pytest.approx(1, abs=0.03)
    assert not torch.equal(step.factors[:, :, 0], step.factors[:, :, 1]), "seeds lose the same blocks"


def test_a_stopped_training_goes_on_to_the_same_bytes(files, tmp_path, monkeypatch):
    """With the masks of the steps that are left."""
    monkeypatch.setenv("GRADFLOW_STATES", str(tmp_path / "states"))
    monkeypatch.setenv("GRADFLOW_SAVE_SECONDS", "0")
    stepping = partial(StochasticDepth, survival=0.5, seed=0)
    run = partial(training.train, about(), TRAIN, SEEDS, files, stepping=stepping)
    run(tmp_path / "whole.safetensors")

    class Stopped(StochasticDepth):
        def __call__(self, batch):
            super().__call__(batch)
            if int(self._done) == 5:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError):
        run(tmp_path / "stopped.safetensors", stepping=partial(Stopped, survival=0.5, seed=0))
    assert len(list((tmp_path / "states").glob("*.npz"))) == 1
    taken = []

    class Counted(StochasticDepth):
        def __call__(self, batch):
            taken.append(int(self._done))
            super().__call__(batch)

    run(tmp_path / "stopped.safetensors", stepping=partial(Counted, survival=0.5, seed=0))
    assert taken[0] == 5, "it started over"
    assert (tmp_path / "stopped.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not list((tmp_path / "states").glob("*.npz"))


def test_what_is_read_is_what_was_trained_and_belongs_to_its_parameters(files, tmp_path):
    training.train(about(), TRAIN, SEEDS, files, tmp_path / "a.safetensors")
    network, diverged = training.read(tmp_path / "a.safetensors", about(), TRAIN, SEEDS)
    assert diverged == {} and network(torch.zeros(SEEDS, 1, 2)).shape == (SEEDS, 1, 2)
    other = TRAIN.model_copy(update={"lr": 0.2})
    with pytest.raises(Exception, match=r"a\.safetensors: was trained with train\.lr 0\.1, params\.yaml says 0\.2"):
        training.read(tmp_path / "a.safetensors", about(), other, SEEDS)


def test_diverged_seeds_are_told(files, tmp_path):
    wild = TRAIN.model_copy(update={"lr": 10_000.0, "clip_norm": None})
    training.train(about(scale=1e30), wild, SEEDS, files, tmp_path / "a.safetensors")
    _, diverged = training.read(tmp_path / "a.safetensors", about(scale=1e30), wild, SEEDS)
    assert diverged == {0: 1, 1: 1}


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2], [], [2, 0, 1]], ids=str)
def test_a_lesion_is_a_network_of_the_blocks_that_are_left(split, order):
    network = training.drawn(about(), SEEDS, 0)
    points, labels = labelled(split.validation)
    found = lesions.accuracy(network, training.stacked(points, network), labels, order)
    for seed in range(SEEDS):
        own = {name: value[seed] for name, value in network.state_dict().items()}
        x = points @ own["stem.weight"].T + own["stem.bias"]
        for number in order:
            x = x + (x @ own[f"blocks.{number}.linear.weight"].T + own[f"blocks.{number}.linear.bias"]).relu()
        chosen = (x @ own["head.weight"].T + own["head.bias"]).argmax(1)
        assert found[seed].item() == pytest.approx((chosen == labels).double().mean().item())


def test_random_lesions_keep_the_order_or_change_it_by_swaps():
    random = np.random.default_rng(0)
    left = [lesions.without(random, 10, 4).tolist() for _ in range(50)]
    assert all(len(set(own)) == 6 and own == sorted(own) for own in left) and len({*map(tuple, left)}) > 40
    for _ in range(50):
        once = lesions.swapped(random, 10, 1)
        assert sorted(once) == [*range(10)] and (once != np.arange(10)).sum() == 2
    assert lesions.swapped(random, 1, 5).tolist() == [0]
    away = [int((lesions.swapped(random, 10, 3) != np.arange(10)).sum()) for _ in range(20)]
    assert max(away) > 2, "only one pair has changed places"


@pytest.mark.parametrize(("block", "settings", "mean"), [("plain", {}, 3.0), ("residual", {"scale": 1.0}, 1.5)])
def test_lengths_sum_to_the_gradient_beside_the_binomial(split, block, settings, mean):
    network = training.drawn(about(block, **settings), SEEDS, 0)
    found = lengths.table(network, about(block, **settings), labelled(split.train), 20)
    assert found["error"].max() <= 1e-10
    assert found.groupby("seed")[["energy", "share", "binomial"]].sum().to_numpy() == pytest.approx(np.ones((2, 3)))
    assert (found["binomial"] * found["length"]).sum() / SEEDS == pytest.approx(mean)
    assert next(network.parameters()).dtype == torch.float32, "the network itself was changed"


def test_there_is_no_binomial_where_theory_has_no_line(split):
    found = lengths.table(training.drawn(about("gated"), SEEDS, 0), about("gated"), labelled(split.train), 20)
    assert found["binomial"].isna().all()
    assert summary.of_paths(found.assign(moment="start"))["mean_length_start_predicted"] is None


def table(kind, accuracies):
    return pd.DataFrame(
        [
            {"seed": seed, "kind": kind, "number": number, "draw": draw, "accuracy": accuracy}
            for (seed, number, draw), accuracy in accuracies.items()
        ]
    )


def test_the_numbers_of_lesions():
    single = table("single", {(0, 1, 0): 0.9, (0, 2, 0): 0.7, (1, 1, 0): 0.5, (1, 2, 0): 0.6})
    dropped = table(
        "dropped",
        {
            **{(seed, 0, draw): 1.0 for seed in (0, 1) for draw in (0, 1)},
            **{(0, 1, 0): 0.9, (0, 1, 1): 0.7, (1, 1, 0): 1.0, (1, 1, 1): 1.0},
            **{(0, 2, 0): 0.5, (0, 2, 1): 0.5, (1, 2, 0): 0.9, (1, 2, 1): 0.9},
        },
    )
    swapped = table("swapped", {(0, 0, 0): 1.0, (1, 0, 0): 1.0, (0, 5, 0): 0.4, (1, 5, 0): 0.8})
    found = summary.of_lesions(pd.concat([single, dropped, swapped]))

    def spread(first, second):
        low, high = sorted((first, second))
        return pytest.approx({"mean": (low + high) / 2, "std": (high - low) / 2, "min": low, "max": high, "seeds": 2})

    assert found["accuracy"] == spread(1, 1)
    assert found["single_mean"] == spread(0.8, 0.55) and found["single_worst"] == spread(0.7, 0.5)
    assert found["dropped_1"] == spread(0.8, 1.0) and found["dropped_2"] == spread(0.5, 0.9)
    assert found["largest_fall"] == spread(0.3, 0.1)
    assert found["swapped_5"] == spread(0.4, 0.8) and "swapped_0" not in found


def test_the_numbers_of_paths():
    energy, share = {0: 0.5, 1: 0.3, 6: 0.17, 11: 0.03}, {0: 0.6, 1: 0.5, 6: 0.1, 11: -0.2}
    paths = pd.DataFrame(
        {
            "moment": "end",
            "seed": 0,
            "length": range(12),
            "energy": [energy.get(k, 0.0) for k in range(12)],
            "share": [share.get(k, 0.0) for k in range(12)],
            "binomial": math.nan,
            "error": 1e-16,
        }
    )
    found = summary.of_paths(paths)
    assert found["mean_length_end"]["mean"] == pytest.approx(0.3 + 6 * 0.17 + 11 * 0.03)
    assert found["most_length_end"]["mean"] == 6
    assert found["short_share_end"]["mean"] == pytest.approx(0.5)
    assert found["long_share_end"]["mean"] == pytest.approx(0.2)
    assert found["path_error"] == 1e-16


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(split, seeds):
    experiment = Experiment({"a": DEPTH, "lost": DEPTH}, seeds, 3, {"a": {}, "lost": {0: 2}}, "a caption")
    accuracies = {(seed, number, 0): 0.9 for seed in range(seeds) for number in (1, 2, 3)}
    found = pd.concat([table(kind, accuracies) for kind in summary.KINDS]).assign(variant="a")
    network = training.drawn(about(), seeds, 0)
    paths = lengths.table(network, about(), labelled(split.train), 20).assign(moment="start", variant="a")
    for figure in (lesions_figure.draw(found, experiment), paths_figure.draw(paths, {"a": 16}, experiment)):
        figure.draw_without_rendering()
        assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
