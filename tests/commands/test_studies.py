"""The studies' own pipelines, run by DVC in their folders."""

import json

import numpy as np
import pandas as pd
import pytest

from gradflow.params import catalogue
from gradflow.recipe import Train


def reports(study):
    return study.root / "reports"


def metrics(study):
    return json.loads((reports(study) / "metrics.json").read_text(encoding="utf-8"))


def test_the_identity_study_runs_in_its_folder_and_again_only_where_something_changed(study):
    identity = study("identity")
    variants = ["plain", "residual", "plain_he", "zero_start"]
    trainings = {f"train@{variant}" for variant in variants}
    assert identity.repro() == {"check", "tables", "plot"} | trainings
    assert identity.repro() == set()

    history = pd.read_csv(reports(identity) / "history.csv")
    assert list(history.columns) == ["variant", "seed", "step", "loss"]
    assert list(history["variant"].unique()) == variants
    assert history.groupby(["variant", "seed"])["step"].apply(list).tolist() == [list(range(7))] * 8

    probe = pd.read_csv(reports(identity) / "probe.csv")
    columns = [column for name in identity.params()["probe"]["instruments"] for column in catalogue.instruments()[name]]
    assert list(probe.columns) == ["variant", "seed", "step", "layer", *columns]
    assert sorted(probe["step"].unique()) == [0, 2, 4, 6]
    assert len(probe) == 4 * 2 * 4 * 3

    numbers = metrics(identity)
    residual = probe[(probe["variant"] == "residual") & (probe["step"] == 6)]
    for layer in (1, 2, 3):
        found = residual.loc[residual["layer"] == layer, "delta_norm"]
        expected = {"mean": found.mean(), "std": found.std(ddof=0), "min": found.min(), "max": found.max(), "seeds": 2}
        assert numbers["residual"]["delta_norm_end"][layer - 1] == pytest.approx(expected, rel=1e-6)
    assert numbers["residual"]["delta_norm_range_end"] == pytest.approx(
        [residual["delta_norm"].min(), residual["delta_norm"].max()], rel=1e-6
    )
    assert numbers["plain"]["branch_ratio_end"][0] == {**dict.fromkeys(("mean", "std", "min", "max")), "seeds": 0}
    assert numbers["zero_start"]["loss_start"]["max"] == 0

    before = history[history["variant"] == "plain"]
    identity.change({"variants.residual.scale": 0.5})
    assert identity.repro() == {"check", "train@residual", "tables", "plot"}
    after = pd.read_csv(reports(identity) / "history.csv")
    pd.testing.assert_frame_equal(after[after["variant"] == "plain"], before)


def test_which_instruments_measure_is_the_choice_of_the_parameters(study):
    identity = study("identity")
    identity.change({"probe.instruments": ["telescoping", "dead_units"]})
    identity.repro()
    probe = pd.read_csv(reports(identity) / "probe.csv")
    expected = ["contribution_share", "telescoping_error", "dead_fraction"]
    assert list(probe.columns) == ["variant", "seed", "step", "layer", *expected]
    assert {"contribution_share_end", "dead_fraction_end"} < set(metrics(identity)["plain"])


def test_a_seed_that_diverges_ends_with_its_last_finite_row_and_is_named(study):
    identity = study("identity")
    identity.change(
        {"train.lr": 10_000, "train.steps": 12, "variants": {"wild": identity.params()["variants"]["residual"]}}
    )
    identity.change({"depth": 8})
    identity.repro()
    diverged = metrics(identity)["wild"]["diverged"]
    assert [entry["seed"] for entry in diverged] == [0, 1]
    history = pd.read_csv(reports(identity) / "history.csv")
    assert np.isfinite(history["loss"]).all()
    assert history.groupby("seed")["step"].max().tolist() == [entry["step"] - 1 for entry in diverged]
    probe = pd.read_csv(reports(identity) / "probe.csv")
    assert not np.isinf(probe.select_dtypes("number")).any().any()


def test_a_variant_that_is_lost_before_its_first_step_leaves_the_others_their_results(study):
    identity = study("identity")
    own = identity.params()["variants"]
    identity.change({"variants": {"lost": own["residual"] | {"scale": 1e30}, "plain": own["plain"]}})
    assert identity.repro() == {"check", "train@lost", "train@plain", "tables", "plot"}
    numbers = metrics(identity)
    assert numbers["lost"]["diverged"] == [{"seed": 0, "step": 0}, {"seed": 1, "step": 0}]
    assert numbers["lost"]["loss_end"]["seeds"] == 0 and numbers["lost"]["seeds"] == 2
    assert numbers["plain"]["loss_end"]["seeds"] == 2


def test_the_study_of_the_recipe_trains_each_variant_with_its_own_values_and_leaves_the_root_alone(study):
    recipe = study("recipe")
    trainings = {"train@plain", "train@own"}
    assert recipe.repro() == {"check", "fetch", "scale", "gradients", "plot"} | trainings
    assert recipe.repro() == set()
    root = recipe.root.parents[1]
    assert not any(
        (root / name).exists() for name in ("data/raw", "models", "logs", "dvc.lock", "reports/metrics.json")
    )

    for name, own in (("plain", {}), ("own", {"init": "he", "lr": 0.05, "clip_norm": 1.0})):
        facts = json.loads((recipe.root / "logs" / f"{name}.json").read_text(encoding="utf-8"))
        assert facts["train"] == Train.model_validate(recipe.params()["train"]).model_dump() | own
        assert facts["depth"] == (5 if own else 3)
    norms = pd.read_csv(reports(recipe) / "gradient_norms.csv")
    assert {name: list(rows["name"].unique()) for name, rows in norms.groupby("variant")} == {
        "plain": ["stem", "block_1", "block_2", "block_3", "head"],
        "own": ["stem", "block_1", "block_2", "block_3", "block_4", "block_5", "head"],
    }
    figure = (reports(recipe) / "figures/loss_curves.svg").read_text(encoding="utf-8")
    said = "depth 5, learning rate 0.05, gradients clipped at norm 1, He's initialisation"
    assert said in " ".join(figure.replace("-->", "<!--").split("<!--")[1::2]).replace("\n", " ")

    recipe.change({"variants.own.train.lr": 0.2})
    assert recipe.repro() == {"check", "train@own", "gradients", "plot"}


def test_the_initialisation_study_runs_in_its_folder(study):
    initialisation = study("initialisation")
    measurements = {f"measure@{variant}" for variant in initialisation.params()["variants"]}
    assert initialisation.repro() == {"check", "tables", "plot"} | measurements
    assert initialisation.repro() == set()
    layers = pd.read_csv(reports(initialisation) / "layers.csv")
    assert len(layers) == len(initialisation.params()["variants"]) * 3 * 4
    lines = pd.read_csv(reports(initialisation) / "shattering.csv")
    assert (lines.loc[lines["lag"] == 0, "correlation"] > 0.999).all()
    assert set(metrics(initialisation)) == set(initialisation.params()["variants"])

    initialisation.change({"variants.plain_he.init": "default"})
    assert initialisation.repro() == {"check", "measure@plain_he", "tables", "plot"}


def test_the_scaling_study_trains_each_depth_by_itself(study):
    scaling = study("scaling")
    assert scaling.repro() == {"check", "tables", "plot", "train@zero_2", "train@half_2", "train@half_4"}
    assert scaling.repro() == set()
    rates = pd.read_csv(reports(scaling) / "rates.csv")
    assert list(rates.columns) == ["variant", "seed", "log2_lr", "rms_change", "loss"]
    assert len(rates) == 3 * 2 * 2 and rates.notna().all(axis=None)
    base = [rates[rates["variant"] == name].drop(columns="variant").to_numpy() for name in ("zero_2", "half_2")]
    np.testing.assert_array_equal(*base)
    deep, shallow = (
        rates[(rates["variant"] == name) & (rates["log2_lr"] == -5)].set_index("seed") for name in ("half_4", "half_2")
    )
    ratio = metrics(scaling)["half"]["rms_change_ratio"]
    expected = deep["rms_change"] / shallow["rms_change"]
    assert (ratio["min"], ratio["max"]) == pytest.approx((expected.min(), expected.max()), rel=1e-6)

    scaling.change({"variants.half_8": scaling.params()["variants"]["half_4"] | {"depth": 8}})
    assert scaling.repro() == {"check", "train@half_8", "tables", "plot"}
    assert metrics(scaling)["half"]["rms_change_ratio"] != ratio, "8 blocks over 2, not 4"
    scaling.change({"analysis.log2_lr": -6})
    assert scaling.repro() == {"check", "tables", "plot"}


def test_the_overflow_study_runs_in_its_folder(study):
    overflow = study("overflow")
    variants = list(overflow.params()["variants"])
    assert overflow.repro() == {"check", "tables", "plot"} | {f"measure@{variant}" for variant in variants}
    assert overflow.repro() == set()
    depths, scaled = (pd.read_csv(reports(overflow) / f"{name}.csv") for name in ("depths", "scaled"))
    assert len(depths) == len(variants) * 2 * 3
    assert scaled.groupby(["variant", "precision"], sort=False).size().tolist() == [3] * 2 * 3
    assert scaled.loc[scaled["precision"] == "float16", "overflow"].between(0, 6).all()
    numbers = metrics(overflow)
    assert list(numbers) == variants
    found = scaled[(scaled["variant"] == "peri") & (scaled["precision"] == "float16")]
    assert numbers["peri"]["overflow_factor_float16"]["mean"] == pytest.approx((10 ** found["overflow"]).mean())


def test_the_lesions_study_runs_in_its_folder_and_another_lesion_trains_nothing(study):
    folder = study("lesions")
    variants = [f"{stage}@{name}" for stage in ("train", "measure") for name in ("plain_he", "stochastic")]
    assert folder.repro() == {"check", "rows", "tables", "plot", "start@he", *variants}
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers) == ["plain_he", "stochastic", "he"]
    assert numbers["stochastic"]["path_error"] < 1e-10

    folder.change({"lesions.swaps": [1, 3]})
    assert folder.repro() == {"check", "measure@plain_he", "measure@stochastic", "tables", "plot"}


def test_the_memory_study_runs_in_its_folder_and_other_sketches_to_measure_train_nothing(study):
    folder = study("memory")
    own = {"train@residual", "train@gated", "sketch@residual_4", "errors@residual", "errors@gated"}
    assert folder.repro() == {"check", "rows", "saved", "tables", "plot"} | own
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers) == ["residual", "gated", "residual_4", "saved"]
    assert "relative_open_gates_whole_shut" in numbers["gated"] and "lost" in numbers["residual_4"]

    folder.change({"errors.draws": 5})
    assert folder.repro() == {"check", "errors@residual", "errors@gated", "tables", "plot"}


def test_the_routing_study_runs_in_its_folder_and_another_share_trains_nothing(study):
    folder = study("routing")
    variants = [f"{stage}@{name}" for stage in ("train", "route") for name in ("moons", "spirals_exits")]
    assert folder.repro() == {"check", "rows", "tables", "plot", *variants}
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers) == ["moons", "spirals_exits"]
    assert "learned_from_norm_34_lost" in numbers["moons"] and "learned_34_lost" not in numbers["spirals_exits"]

    folder.change({"routing.shares": [0.5, 1.0]})
    assert folder.repro() == {"check", "route@moons", "route@spirals_exits", "tables", "plot"}


def test_the_study_of_shares_runs_in_its_folder_and_another_share_to_run_at_trains_nothing(study):
    folder = study("shares")
    names = ("whole", "half", "experts")
    assert folder.repro() == {"check", "rows", "growth", "tables", "plot"} | {
        f"{s}@{n}" for s in ("train", "measure") for n in names
    }
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers)[:4] == [*names, "as_it_is_50_depth_3_exponent_0_5"]
    assert numbers["half"]["mean_at_100_lost"]["seeds"] == numbers["experts"]["seeds"] == 2

    folder.change({"measure.shares": [0.5, 0.75, 1.0]})
    assert folder.repro() == {"check", *(f"measure@{name}" for name in names), "tables", "plot"}


def test_the_study_of_streams_runs_in_its_folder_and_other_patches_train_nothing(study):
    folder = study("streams")
    variants = {f"{stage}@{name}" for stage in ("train", "measure") for name in ("post", "none")}
    twins = {f"twin_{stage}@{name}" for stage in ("train", "measure") for name in ("residual", "no_skip")}
    assert folder.repro() == {"check", "twin_rows", "tables", "plot", "track"} | variants | twins
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers) == ["post", "none", "twin_residual", "twin_no_skip"]
    assert all(of_one["whole_layer_error"]["max"] < 1e-5 for of_one in numbers.values())
    read = pd.read_csv(reports(folder) / "reading.csv")
    assert read.groupby("variant")["layer"].max().to_dict() == {"none": 2, "post": 4}

    folder.change({"measure.patched": 4})
    assert folder.repro() == {"check", "measure@post", "measure@none", "tables", "plot", "track"}
    folder.change({"depth": 3})
    assert folder.repro() == {"check", "tables", "plot", "track"} | variants


def test_the_study_of_convnets_runs_in_its_folder_and_another_depth_trains_what_depends_on_it(study):
    folder = study("convnets")
    names, denoisers = {"plain", "third", "unnormed", "bottleneck"}, {"skipped", "zeroed"}
    trainings = {f"train@{name}" for name in names}
    denoising = {f"{stage}@{name}" for stage in ("denoise", "denoised") for name in denoisers}
    assert folder.repro() == {"check", "images", "tables", "plot", "track"} | trainings | denoising
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert set(numbers) == names | denoisers
    assert numbers["third"]["train_loss"]["seeds"] == 2 and numbers["third"]["refused"] is None  # of one block
    assert numbers["plain"]["refused"] == 1
    assert numbers["skipped"]["long_skips_gain"]["seeds"] == numbers["skipped"]["first_gradient_he"]["seeds"] == 2

    folder.change({"depth": 4})
    assert folder.repro() == {"check", "tables", "plot", "track"} | trainings
    folder.change({"denoise.measure.shown": 3})
    assert folder.repro() == {"check", "denoised@skipped", "denoised@zeroed", "tables", "plot", "track"}


def test_the_mixing_study_runs_in_its_folder_and_other_rows_to_measure_train_nothing(study):
    folder = study("mixing")
    names = ("residual", "attention", "floor")
    assert folder.repro() == {"check", "rows", "tables", "plot"} | {
        f"{s}@{n}" for s in ("train", "measure") for n in names
    }
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers) == list(names)
    assert numbers["floor"]["stream_ratio_shut"]["mean"] == pytest.approx((1 - 1 / 3) ** 3, rel=1e-4)

    folder.change({"measure.rows": 12})
    assert folder.repro() == {"check", "tables", "plot"} | {f"measure@{name}" for name in names}


def test_the_gates_study_runs_in_its_folder_and_another_shift_or_gap_trains_no_more_than_it_must(study):
    folder = study("gates")
    variants = [f"{stage}@{name}" for stage in ("train", "measure") for name in ("residual", "input_2", "input_2_gap")]
    assert folder.repro() == {"check", "rows", "shifts", "tables", "plot", *variants}
    assert folder.repro() == set()
    numbers = metrics(folder)
    assert list(numbers) == ["nearest_row", "residual", "input_2", "input_2_gap"]
    assert numbers["input_2_gap"]["gate_in_gap_change"]["seeds"] == 2

    measured = {name for name in variants if name.startswith("measure")}
    folder.change({"shifts.scale": [2.0, 3.0]})
    assert folder.repro() == {"check", "shifts", "tables", "plot"} | measured
    folder.change({"gap.radius": 0.8})
    ran = folder.repro()
    assert "train@input_2_gap" in ran and not {"train@residual", "train@input_2"} & ran
