"""Tables and metrics from logs that are small enough to be checked by hand."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradflow.analysis import gradients, spread
from gradflow.recipe import Analysis

ROOT = Path(__file__).parents[1]
FACTS = {"depth": 3, "seeds": 2, "train": {"epochs": 2}, "diverged": []}
ANALYSIS = Analysis(vanished_below=1e-6)


def norms(values):
    """Rows of by_layer for {(seed, epoch): [norm of layer 0, 1, ...]}."""
    rows = [
        {"variant": "a", "seed": seed, "epoch": epoch, "layer": layer, "grad_norm": value}
        for (seed, epoch), layers in values.items()
        for layer, value in enumerate(layers)
    ]
    return pd.DataFrame(rows)


def history(values):
    columns = ["seed", "epoch", "train_loss", "val_loss", "val_accuracy"]
    return pd.DataFrame([(*key, *row) for key, row in values.items()], columns=columns)


def probes(deltas):
    rows = [
        {"seed": seed, "epoch": epoch, "layer": layer, "delta_norm": value, "weight_grad_norm": (epoch + 1) * value}
        for epoch in (0, 1, 2)
        for seed, layers in enumerate(deltas)
        for layer, value in enumerate(layers, start=1)
    ]
    return pd.DataFrame(rows, columns=["seed", "epoch", "layer", "delta_norm", "weight_grad_norm"])


def summary(norm_rows, history_rows, deltas, **facts):
    return gradients.summary(
        norms(norm_rows), probes(deltas), history(history_rows), facts=FACTS | facts, analysis=ANALYSIS
    )


@pytest.mark.parametrize("of", [1, 8, 100])
def test_a_share_has_the_interval_of_wilson(of):
    for found in {0, 1, of // 2, of}:
        theirs = stats.binomtest(found, of).proportion_ci(method="wilson")
        assert spread.share(found, of) == pytest.approx((found / of, theirs.low, theirs.high), abs=1e-12)


def test_a_seed_has_learnt_if_its_loss_is_small_enough_at_the_end():
    rows = {(0, 2): (0.2, 0.3, 0.9), (1, 2): (0.5, 0.3, 0.9), (1, 1): (0.1, 0.3, 0.9)}
    found = summary({(0, 2): [1, 1, 1, 1, 1], (1, 2): [1, 1, 1, 1, 1]}, rows, [(1, 1, 1), (1, 1, 1)])
    assert (found["learnt"], found["learnt_low"], found["learnt_high"]) == spread.share(1, 2)
    lost = [{"seed": 0, "epoch": 2, "step": 9}]
    found = summary({(1, 2): [1, 1, 1, 1, 1]}, rows, [(1, 1, 1), (1, 1, 1)], diverged=lost)
    assert found["learnt"] == 0, "a seed that diverged has not learnt"
    lost = [{"seed": 1, "epoch": 2, "step": 9}]
    found = summary({(0, 2): [1, 1, 1, 1, 1]}, rows, [(1, 1, 1), (1, 1, 1)], diverged=lost)
    assert found["learnt"] == 1 / 2, "and is one of all"


def test_the_ratio_of_first_to_last_block_before_training_has_its_spread():
    found = summary({(0, 2): [1, 1, 1, 1, 1]}, {(0, 2): (0.2, 0.3, 0.9)}, [(0.1, 1, 10), (1, 1, 1)])
    assert found["log10_grad_first_over_last_start"] == spread.over_seeds([-2, 0])


def test_numbers_of_metrics_have_their_range_or_interval():
    metrics = {
        "loss": spread.over_seeds([1.0, 3.0]),
        "none": spread.over_seeds([]),
        "learnt": 0.5,
        "learnt_low": 0.2,
        "learnt_high": 0.8,
        "seeds": 2,
        "lists": [1.0],
        "gap": None,
    }
    assert dict(spread.spreads(metrics)) == {
        "loss": {"mean": 2.0, "min": 1.0, "max": 3.0},
        "learnt": {"mean": 0.5, "min": 0.2, "max": 0.8},
        "seeds": {"mean": 2, "min": 2, "max": 2},
    }


def test_norms_by_epoch_are_mean_smallest_and_largest_over_steps():
    log = pd.DataFrame(
        {
            "variant": "a",
            "seed": 0,
            "epoch": [1, 1, 1, 2, 2, 2] * 2,
            "step": list(range(1, 7)) * 2,
            "layer": [0] * 6 + [1] * 6,
            "name": ["stem"] * 6 + ["head"] * 6,
            "grad_norm": np.float32([1, 2, 6, 4, 4, 4, 10, 20, 60, 40, 40, 40]),
        }
    )
    table = gradients.norms_by_epoch(log)
    assert table.to_dict("list") == {
        "variant": ["a"] * 4,
        "seed": [0] * 4,
        "epoch": [1, 2, 1, 2],
        "layer": [0, 0, 1, 1],
        "name": ["stem", "stem", "head", "head"],
        "grad_norm": [3, 4, 30, 40],
        "grad_norm_min": [1, 4, 10, 40],
        "grad_norm_max": [6, 4, 60, 40],
    }


def by_map(names, values):
    """A table of norms of one epoch, a row a linear map; the layer is that of the block's number."""
    layers = [0 if name == "stem" else int(re.search(r"\d+", name)[0]) if name != "head" else 9 for name in names]
    return pd.DataFrame(
        {"variant": "a", "seed": 0, "epoch": 1, "layer": layers, "name": names, "grad_norm": np.array(values)}
    )


def test_maps_of_a_layer_are_taken_together_as_the_root_of_the_sum_of_their_squares():
    names = ["stem", "block_1.linear", "block_1.gate", "block_2.linear", "block_2.gate", "head"]
    table = gradients.by_layer(by_map(names, [7.0, 3.0, 4.0, 5.0, 12.0, 2.0]))
    assert table.to_dict("list") == {
        "variant": ["a"] * 4,
        "seed": [0] * 4,
        "epoch": [1] * 4,
        "layer": [0, 1, 2, 9],
        "name": ["stem", "block_1", "block_2", "head"],
        "grad_norm": [7.0, 5.0, 13.0, 2.0],
    }


def test_the_norm_of_a_layer_with_one_map_is_left_to_the_last_bit():
    sizes = np.exp(np.random.default_rng(0).uniform(-100, 80, 2000)).astype(np.float32).astype(np.float64)
    table = gradients.by_layer(by_map([f"block_{number}" for number in range(1, 2001)], sizes))
    assert table["grad_norm"].tolist() == sizes.tolist()


def test_maps_of_two_variants_stay_apart():
    table = by_map(["stem", "block_1.linear", "block_1.out", "head"], [1.0, 3.0, 4.0, 2.0])
    both = gradients.by_layer(pd.concat([table, table.assign(variant="b", grad_norm=1.0)]))
    assert both.groupby("variant")["grad_norm"].apply(list).to_dict() == {"a": [1, 5, 2], "b": [1, 2**0.5, 1]}


def test_summary_of_two_seeds():
    numbers = summary(
        {(0, 2): [9, 1e-8, 1e-3, 1e-2, 9], (1, 2): [9, 1e-4, 1e-7, 1e-2, 9], (0, 1): [9, 9, 9, 9, 9]},
        {(0, 1): (9, 9, 9), (0, 2): (0.1, 0.2, 0.9), (1, 2): (0.3, 0.4, 0.7)},
        [[1, 2, 4], [1, 8, 64]],
    )
    assert numbers["val_accuracy"] == pytest.approx({"mean": 0.8, "std": 0.1, "min": 0.7, "max": 0.9, "seeds": 2})
    assert numbers["val_loss"]["mean"] == pytest.approx(0.3)
    assert numbers["train_loss"]["max"] == pytest.approx(0.3)
    assert numbers["grad_first_over_last"] == pytest.approx(np.sqrt(1e-6 * 1e-2))
    assert numbers["log10_grad_first_over_last"] == pytest.approx(
        {"mean": -4, "std": 2, "min": -6, "max": -2, "seeds": 2}, abs=1e-9
    )
    assert (numbers["vanished_layers_std"], numbers["decay_per_layer_std"]) == (0, pytest.approx((1 / 2 - 1 / 8) / 2))
    assert numbers["vanished_layers"] == 1.0  # one of three hidden layers in each seed; stem and head do not count
    assert numbers["decay_per_layer"] == pytest.approx(np.sqrt(1 / 2 * 1 / 8))
    assert [layer["max"] for layer in numbers["weight_grad_norm_start"]] == [1, 8, 64]
    assert [layer["mean"] for layer in numbers["weight_grad_norm_end"]] == [3, 15, 102]
    assert numbers["diverged"] == []


def test_diverged_seeds_are_named_and_left_out():
    diverged = [{"seed": 1, "epoch": 2, "step": 7}]
    numbers = summary(
        {(0, 2): [9, 1, 1, 2, 9], (1, 2): [9, 1e-9, 1e-9, 1e-9, 9]},
        {(0, 2): (0.1, 0.2, 0.9), (1, 1): (0.3, 0.4, 0.7)},
        [[1, 2, 4], [1, 2, 4]],
        diverged=diverged,
    )
    assert numbers["diverged"] == diverged
    assert (numbers["val_accuracy"]["min"], numbers["val_accuracy"]["seeds"]) == (0.9, 1)
    assert [layer["seeds"] for layer in numbers["weight_grad_norm_start"]] == [2, 2, 2]
    assert [layer["seeds"] for layer in numbers["weight_grad_norm_end"]] == [1, 1, 1]
    assert (numbers["grad_first_over_last"], numbers["vanished_layers"]) == (0.5, 0)


def test_nothing_left_is_null_and_not_a_number_made_up():
    diverged = [{"seed": seed, "epoch": 1, "step": 3} for seed in (0, 1)]
    numbers = summary({(0, 1): [9, 1, 1, 2, 9]}, {}, [[1, 2, 4], [1, 2, 4]], diverged=diverged)
    nothing = dict.fromkeys(("mean", "std", "min", "max")) | {"seeds": 0}
    assert numbers["val_accuracy"] == nothing
    assert numbers["weight_grad_norm_end"] == [nothing] * 3
    assert (numbers["grad_first_over_last"], numbers["vanished_layers"]) == (None, None)
    assert numbers["decay_per_layer"] == pytest.approx(0.5)


def test_a_network_that_has_solved_its_task_is_told_from_one_whose_gradients_vanish():
    solved = summary({(0, 2): [9, 2e-7, 3e-7, 4e-7, 9]}, {(0, 2): (0.1, 0.2, 0.9)}, [[1, 2, 4]], seeds=1)
    vanishing = summary({(0, 2): [9, 2e-7, 3e-4, 0.4, 9]}, {(0, 2): (0.1, 0.2, 0.9)}, [[1, 2, 4]], seeds=1)
    assert (solved["vanished_layers"], solved["vanished_layers_relative"]) == (3, 0)
    assert (vanishing["vanished_layers"], vanishing["vanished_layers_relative"]) == (1, 1)


def test_a_norm_that_underflowed_counts_as_vanished_and_makes_the_ratio_zero():
    numbers = summary({(0, 2): [9, 0, 1, 2, 9]}, {(0, 2): (0.1, 0.2, 0.9)}, [[0, 2, 4]], seeds=1)
    assert (numbers["grad_first_over_last"], numbers["vanished_layers"]) == (0, 1)
    assert numbers["log10_grad_first_over_last"]["seeds"] == 0, "0 has no logarithm"
    assert (numbers["decay_per_layer"], numbers["decay_per_layer_std"]) == (None, None)


def test_no_ratio_where_the_last_layer_underflowed():
    numbers = summary({(0, 2): [9, 0, 0, 0, 9]}, {(0, 2): (0.1, 0.2, 0.9)}, [[1, 2, 4]], seeds=1)
    assert numbers["grad_first_over_last"] is None


SUMMARIES = """
import json
import numpy as np, pandas as pd
from gradflow.analysis import gradients
from gradflow.recipe import Analysis
from studies.initialisation import summary as initialisation

random = np.random.default_rng(0)
norms, probes, history, layers, line = [], [], [], [], []
for seed in range(8):
    for layer in range(22):
        norms.append(("a", seed, 1, layer, 0.4 ** (21 - layer) * random.uniform(0.5, 2)))
    for layer in range(1, 21):
        sizes = 0.41 ** (20 - layer) * random.uniform(0.5, 2, 2)
        probes += [(seed, epoch, layer, *sizes) for epoch in (0, 1)]
    history.append((seed, 1, *random.uniform(0.1, 0.9, 3)))
    for layer in range(21):
        layers.append((seed, layer, *(0.7 ** layer * random.uniform(0.5, 2, len(initialisation.LAYERS) - 2))))
    line += [(seed, lag, lag / 9, random.uniform(-1, 1)) for lag in range(10)]
numbers = gradients.summary(
    pd.DataFrame(norms, columns=["variant", "seed", "epoch", "layer", "grad_norm"]),
    pd.DataFrame(probes, columns=["seed", "epoch", "layer", "delta_norm", "weight_grad_norm"]),
    pd.DataFrame(history, columns=["seed", "epoch", "train_loss", "val_loss", "val_accuracy"]),
    facts={"depth": 20, "seeds": 8, "train": {"epochs": 1}, "diverged": []},
    analysis=Analysis(vanished_below=1e-6),
)
more = initialisation.summary(
    pd.DataFrame(layers, columns=[*initialisation.LAYERS]), pd.DataFrame(line, columns=[*initialisation.LINE]), None
)
print(json.dumps([numbers, more]))
"""


def test_numbers_derived_from_tables_do_not_depend_on_the_kernels_of_a_linear_algebra_library():
    """Runs of the same tables are one result on all machines, in MLflow too."""
    kernels = (
        ["", "Haswell", "Nehalem", "SkylakeX", "Zen"] if platform.machine() in ("x86_64", "AMD64") else ["", "ARMV8"]
    )
    found = {
        kernel: subprocess.run(
            [sys.executable, "-c", SUMMARIES],
            cwd=ROOT,
            env=os.environ | ({"OPENBLAS_CORETYPE": kernel} if kernel else {}),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for kernel in kernels
    }
    assert '"decay_per_layer": 0.4' in found[""] and '"stream_factor": 0.8' in found[""]
    assert len({*found.values()}) == 1
