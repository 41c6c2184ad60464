"""The memory study: training with sketches, its counts of bytes, rules and numbers against what is made by hand."""

import signal
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter
from torch.nn.functional import cross_entropy

from gradflow.data import dataset
from gradflow.drawing.experiment import Experiment
from gradflow.guards.interrupts import StoppedError
from gradflow.memory import sketched
from gradflow.memory.sketched import SketchingKit
from gradflow.moons import rows, training
from gradflow.params.moons import Descending, Moons
from gradflow.params.starts import AnyStart
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from studies.memory import gradients, passes, rules, summary
from studies.memory.counting import Counting
from studies.memory.figures import rules as rules_figure
from studies.memory.figures import saved as saved_figure
from studies.memory.figures import sketches as sketches_figure
from studies.memory.params import Rules
from studies.memory.saved import counted
from studies.memory.sketching import Sketching

DEPTH, SEEDS, BATCH = 3, 2, 16
MOONS = Moons(samples=60, noise=0.2, seed=0, validation=0.3)
BLOCKS = TypeAdapter(AnyStart).validate_python({"block": "residual", "init": "default"})
TRAIN = Descending(epochs=3, batch_size=BATCH, lr=0.1, momentum=0.9, clip_norm=1.0, seed=0)
HOW = {"buckets": 4, "balanced": True, "scalars": False, "seed": 0}


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
def batch(split):
    points, labels = labelled(split.train)
    return points[:BATCH], labels[:BATCH]


@pytest.fixture
def files(split, tmp_path):
    paths = tmp_path / "train.parquet", tmp_path / "validation.parquet"
    for path, part in zip(paths, (split.train, split.validation), strict=True):
        dataset.write(path, *part)
    return paths


def sketching(split):
    network = training.drawn(about(), SEEDS, 0, SketchingKit)
    sides = (labelled(part) for part in (split.train, split.validation))
    task = Rows(*sides, epochs=3, batch_size=BATCH, seed=0, probe_rows=1, probe_every=9)
    return Sketching(network, task, Descent("sgd", 0.1, 0.9, 1.0), **HOW), task


def test_a_step_trains_on_the_sketches_that_were_drawn_for_it(split):
    step, task = sketching(split)
    first, second, *_ = next(iter(task.batches(1)))
    step(first)
    before = {name: value.clone() for name, value in step.network.state_dict().items()}
    step(second)

    made = training.drawn(about(), SEEDS, 0, SketchingKit)
    made.load_state_dict(before)
    random = np.random.default_rng((0, 1))
    maps = [block.linear for block in made.blocks]
    sketched.sketching(maps, [sketched.drawn(random, len(second), [4, 4]) for _ in maps])
    points, labels = task.pick(second)
    losses = torch.stack([cross_entropy(own, labels) for own in made(points.expand(SEEDS, -1, -1))])
    expected = torch.autograd.grad(losses.sum(), [each.weight for each in maps])
    norms = torch.stack([each.flatten(1).norm(dim=1) for each in expected], 1)
    torch.testing.assert_close(step.grad_norm[1, :, 1:-1], norms, rtol=1e-5, atol=0)
    assert not torch.equal(*[sketched.drawn(np.random.default_rng((0, n)), BATCH, [4]).buckets for n in (0, 1)])


def test_measurements_between_steps_sketch_nothing_and_c_takes_no_step(split):
    step, task = sketching(split)
    step(next(iter(next(iter(task.batches(1))))))
    assert step.engine == "PyTorch"
    assert all(block.linear.sketch is None for block in step.network.blocks)


def test_a_stopped_training_goes_on_to_the_same_bytes(files, tmp_path, monkeypatch):
    """With the sketches of the steps that are left."""
    monkeypatch.setenv("GRADFLOW_STATES", str(tmp_path / "states"))
    monkeypatch.setenv("GRADFLOW_SAVE_SECONDS", "0")
    run = partial(training.train, about(), TRAIN, SEEDS, files, kit=SketchingKit)
    run(tmp_path / "whole.safetensors", partial(Sketching, **HOW))

    class Stopped(Sketching):
        def __call__(self, batch):
            super().__call__(batch)
            if int(self._done) == 5:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError):
        run(tmp_path / "stopped.safetensors", partial(Stopped, **HOW))
    run(tmp_path / "stopped.safetensors", partial(Sketching, **HOW))
    assert (tmp_path / "stopped.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    run(tmp_path / "other.safetensors", partial(Sketching, **HOW | {"seed": 1}))
    assert (tmp_path / "other.safetensors").read_bytes() != (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize("depth", [1, 9])
def test_bytes_are_those_of_the_formulas(depth):
    rows_of, width = 32, 16
    stream = 4 * rows_of * width
    bits, hashes = rows_of * width // 8, 3 * rows_of
    expected = {
        "full": depth * 2 * stream,
        "bits": depth * (stream + bits),
        "sketch_4": depth * (4 * 4 * width + hashes + bits),
    }
    for way, size in expected.items():
        found = counted(BLOCKS, way, depth, rows_of, width)
        assert (found["forward"], found["peak"]) == (size, size), way
    if depth == 9:  # three segments: the first two streams are kept, and all of the last segment, then of another one
        found = counted(BLOCKS, "checkpoint", depth, rows_of, width)
        assert found["forward"] == 2 * stream + 3 * 2 * stream
        assert found["peak"] <= found["forward"] + stream
        found = counted(BLOCKS, "checkpoint_bits", depth, rows_of, width)
        assert found["forward"] == 2 * stream + 3 * (stream + bits)
        assert found["peak"] <= found["forward"] + stream


def test_memory_counts_once_whatever_shares_it_parameters_do_not_and_what_is_let_go_of_is_gone():
    weight = torch.randn(4, 4, requires_grad=True)
    x = torch.randn(8, 4, requires_grad=True)
    count = Counting([weight])
    with count:
        y = (x @ weight).sum() + (x[:4] * x[4:]).sum()
        assert count.now == count.peak == 4 * 8 * 4
        y.backward()
    assert count.now == 0 and count.peak == 4 * 8 * 4


SCORES = np.array([[1.0, 5.0], [9.0, 2.0], [4.0, 3.0], [2.0, 8.0], [3.0, 1.0]])


def test_rules_share_out_the_same_memory_by_scores():
    some = Rules(mean=8, low=2, gate=0.1)  # 5 blocks: 40 rows, two whole batches of 16 and 8 rows for three others
    assert rules.equal(SCORES, 16, some).tolist() == [[8, 8]] * 5
    assert rules.largest(SCORES, 16, some).T.tolist() == [[2, 16, 16, 2, 2], [16, 2, 2, 16, 2]]
    assert rules.smallest(SCORES, 16, some).T.tolist() == [[16, 2, 2, 16, 2], [2, 16, 2, 2, 16]]
    found = rules.by_root(SCORES, 16, some)
    assert (found.sum(0) <= 40).all() and (found.sum(0) > 35).all() and found.min() >= 1 and found.max() <= 16
    roots = found / np.sqrt(SCORES)
    assert roots.max() / roots.min() < 1.35, "in proportion, but for rounding"
    assert rules.by_root(np.array([[1e-9], [1.0], [1.0]]), 16, Rules(mean=9, low=2, gate=0.1)).T.tolist() == [
        [1, 13, 13]
    ]


def test_rows_by_the_root_of_the_spread_are_the_best_there_are():
    some = Rules(mean=8, low=2, gate=0.1)

    def error(found):
        p = np.vectorize(partial(sketched.meeting, 16))(found)
        return (p * SCORES**3).sum(0) ** 0.5

    best = error(rules.by_root(SCORES**3, 16, some))
    assert (best < error(rules.equal(SCORES, 16, some))).all()
    every = [np.tile([*own], (2, 1)).T for own in product((2, 4, 8, 12, 16), repeat=5) if sum(own) <= 40]
    assert (best <= 1.03 * np.min([error(found) for found in every], 0)).all()


def test_the_error_of_a_rule_is_what_sketches_of_these_rows_do(batch):
    network = training.drawn(about(scale=0.5), SEEDS, 0, SketchingKit)
    found = gradients.on(network, batch)
    kept = np.array([[2, 16], [8, 4], [3, 1]])
    random, squared = np.random.default_rng(0), 0.0
    for _ in range(2000):
        sketch = sketched.drawn(random, BATCH, kept)
        squared = (
            squared + (sketch.product(sketch.of(found.x), found.delta) - found.exact).square().sum((0, 2, 3)) / 2000
        )
    size = found.exact.square().sum((0, 2, 3))
    np.testing.assert_allclose((squared / size).sqrt(), gradients.error(found, kept), rtol=0.05)


def test_estimates_from_sketches_beside_theory(batch):
    network = training.drawn(about(scale=0.5), SEEDS, 0)
    found = gradients.on(network, batch)
    weights = torch.autograd.grad(
        torch.stack([cross_entropy(own, batch[1]) for own in network(training.stacked(batch[0], network))]).sum(),
        [block.linear.weight for block in network.blocks],
    )
    torch.testing.assert_close(found.exact.float(), torch.stack(weights), rtol=1e-4, atol=1e-7)
    table = gradients.by_sketches(found, 4, 1000, 0, scalars=False)
    assert len(table) == SEEDS * DEPTH
    assert (table["squared"] / table["expected"]).mean() == pytest.approx(1, abs=0.1)
    assert table["of_mean"].mean() == pytest.approx(1, abs=0.7)
    size = found.exact.square().sum((2, 3)).T.flatten()
    np.testing.assert_allclose(table["size"], size, rtol=1e-5)
    scaled = gradients.by_sketches(found, 4, 1000, 0, scalars=True)
    np.testing.assert_allclose(scaled["cosine"], table["cosine"], rtol=1e-4)
    assert (scaled["squared"] < table["squared"]).all()
    whole = gradients.by_sketches(found, BATCH, 2, 0, scalars=False)
    assert (whole["expected"] == 0).all() and whole["squared"].max() < 1e-10 and whole["cosine"].min() > 0.9999


def test_whole_passes_find_what_is_exact(batch):
    network = training.drawn(about(scale=0.5), SEEDS, 0, SketchingKit)
    found = passes.compared(network, gradients.on(network, batch), batch, 4, 0.3, 0)
    assert (found[["sketch_others", "bits_all"]] == 0).all(axis=None)
    assert (found["whole_error"] < 1e-6).all() and (found["rows_error"] < 1e-6).all()
    assert found["rows_kept"].tolist() == [5 / 16] * SEEDS
    assert found["means_cosine"].between(0.01, 0.99).all()
    assert all(block.linear.sketch is None and not block._forward_hooks for block in network.blocks)


def test_rows_run_through_the_blocks_that_change_them_most(batch):
    network = training.drawn(about(), SEEDS, 0)
    chosen = passes.executed(network, batch, 0.5)
    x = network.stem(training.stacked(batch[0], network))
    for block, own in zip(network.blocks, chosen, strict=True):
        ratio = (block(x) - x).norm(dim=2) / x.norm(dim=2)
        for seed in range(SEEDS):
            assert ratio[seed][own[seed]].min() >= ratio[seed][~own[seed]].max() and own[seed].sum() == 8
        x = block(x)


def test_the_gates_that_are_least_open_are_shut():
    network = training.drawn(about("gated"), SEEDS, 0)
    with torch.no_grad():
        for block, biases in zip(network.blocks, ((0.0, 2.0), (1.0, 1.0), (-1.0, 3.0)), strict=True):
            block.a[:, 0, 0] = torch.tensor(biases)
    gradients.shut(network, 1, 0.01)
    expected = torch.sigmoid(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]))
    expected[[0, 0, 1, 2], [0, 1, 1, 0]] = 0.01
    torch.testing.assert_close(gradients.opening(network), expected)
    assert gradients.opening(training.drawn(about(), SEEDS, 0)) is None
    assert gradients.opening(training.drawn(about("gated", gate="unit"), SEEDS, 0)) is None


def sketches_table():
    own = [
        {"seed": seed, "block": block, "squared": 4.0 * block, "size": 4.0, "expected": 2.0 * block * (seed + 1)}
        for seed in (0, 1)
        for block in (1, 2)
    ]
    table = pd.DataFrame(own).assign(moment="end", buckets=8, scalars=0, cosine=0.5, of_mean=1.0)
    return pd.concat([table, table.assign(scalars=1, cosine=0.25)], ignore_index=True)


def rules_table():
    numbers = {("equal", 0): 0.5, ("equal", 1): 0.25, ("by_spread", 0): 0.25, ("by_spread", 1): 0.25}
    return pd.DataFrame(
        [
            {"moment": "end", "rule": rule, "seed": seed, "error": own, "kept": 0.25}
            for (rule, seed), own in numbers.items()
        ]
    )


def test_the_numbers_of_errors():
    exact = pd.DataFrame({"variant": "a", "moment": "end", "seed": [0, 1], "rows_error": [0.0, 1.0]})
    found = summary.of_errors(sketches_table(), exact, rules_table())
    assert found["error_end_8"]["mean"] == found["error_scalars_end_8"]["mean"] == pytest.approx((12 / 8) ** 0.5)
    assert (found["variance_end_8"]["min"], found["variance_end_8"]["max"]) == (1.0, 2.0)
    assert (found["cosine_end_8"]["mean"], found["cosine_scalars_end_8"]["mean"]) == (0.5, 0.25)
    assert found["rows_error_end"]["max"] == 1 and "variance_scalars_end_8" not in found
    assert found["relative_by_spread_end"]["min"] == 0.5 and found["relative_by_spread_end"]["max"] == 1.0
    assert found["error_equal_end"]["mean"] == 0.375


def test_the_numbers_of_bytes_and_of_training():
    columns = ["way", "depth", "batch", "width", "forward", "peak"]
    ways = [("full", 2, 8, 4, 512, 512), ("bits", 2, 8, 4, 264, 264), ("checkpoint", 2, 8, 4, 100, 100)]
    found = summary.of_saved(pd.DataFrame(ways, columns=columns))
    assert found["peak_bits_2_8_4"] == 264 and not any("times" in name and "checkpoint" in name for name in found)
    assert found["times_bits_8_4"] == pytest.approx(512 / 264)
    assert found["times_weights_bits_8_4"] == pytest.approx((256 + 240) / (132 + 240))
    seeds = pd.DataFrame({"seed": [0, 1], "diverged": [np.nan, 3], "accuracy": [0.75, np.nan]})
    found = summary.of_training(seeds, seeds.assign(accuracy=[1.0, 1.0]))
    assert found["lost"]["mean"] == 0.25 and found["accuracy"]["seeds"] == 1


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(seeds):
    experiment = Experiment({"a": DEPTH, "lost": DEPTH}, seeds, 3, {"a": {}, "lost": {0: 2}}, "a caption")
    trained = pd.DataFrame(
        [
            {"variant": kind, "of": of, "seed": seed, "accuracy": accuracy, "buckets": 8, "kind": kind}
            for of, accuracy in (("a", 0.9), ("lost", np.nan))
            for kind in ("balanced", "anywhere", "with scalars")
            for seed in range(seeds)
        ]
    )
    cosines = pd.DataFrame({"variant": "a", "moment": "end", "buckets": 8, "seed": range(seeds), "cosine": 0.5})
    table = rules_table()
    bytes_of = pd.DataFrame([counted(BLOCKS, way, 2, 8, 4) for way in ("full", "sketch_2")])
    drawn = (
        sketches_figure.draw(trained, cosines, experiment),
        rules_figure.draw(table[table["seed"] < seeds].assign(variant="a"), experiment),
    )
    for figure in drawn:
        figure.draw_without_rendering()
        assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
    saved_figure.draw(bytes_of, "a", 8, 4).draw_without_rendering()
