"""Parameters of the studies that cannot work are refused in one line."""

import dataclasses
import shutil

import pytest
import yaml
from click.testing import CliRunner

from gradflow.guards.errors import InputError
from gradflow.params import catalogue
from stages import check
from studies.identity.params import Params
from studies.streams.params import Params as Streams

GATED = (
    "residual, residual_by_depth, scalar_0, scalar_1, scalar_2, scalar_3, unit_0, unit_2, input_0, input_2, highway_2, "
    "highway_2_gap, input_2_gap"
)
TRAINED = "placement, skip, scale, depth_over, init, lr, warmup, steps"
BAD = [
    ("identity", "train.lr", -1, "must be > 0, got -1"),
    ("identity", "train.optimizer", "sgd", "must be 'adam', got 'sgd'"),
    ("identity", "train.epochs", 3, "unknown key. Known: steps, batch_size, optimizer, lr, seed"),
    ("identity", "data", {}, "unknown key. Known: depth, width, seeds, train, variants, probe"),
    ("identity", "lr", 0.1, "unknown key; did you mean train.lr? Known: depth, width, seeds, train, variants, probe"),
    ("identity", "probe.steps", [0, 501], "must be <= 500, the steps of the training, got 501"),
    (
        "identity",
        "variants.plain.init",
        "uniform",
        "must be 'default', 'he', 'he_over_sqrt_depth', 'xavier', 'orthogonal', 'lecun' or 'gpt2', got 'uniform'",
    ),
    ("identity", "variants.residual.scal", 1.0, "unknown key; did you mean scale? Known: block, init, scale, exponent"),
    ("identity", "variants.residual.block", "resnet", f"must be one of {', '.join(catalogue.names())}, got 'resnet'"),
    ("initialisation", "inputs.rows", 65, "must be <= 64, the width, to be orthogonal, got 65"),
    (
        "identity",
        "train.batch_size",
        100_000,
        "must keep what is held at once <= 100,000,000 numbers, got 1,024,000,000",
    ),
    ("initialisation", "line.points", 2000, "must keep what is held at once <= 100,000,000 numbers, got 128,000,000"),
    ("initialisation", "line.point", 9, "unknown key; did you mean points? Known: points"),
    ("scaling", "teacher.hidden", 17, "must be <= 16, the width, got 17"),
    ("scaling", "train.steps", 201, "must be a multiple of measure.steps 5, got 201"),
    ("scaling", "train.log2_lrs", [-5, -5], "must not hold a rate twice, got [-5, -5]"),
    ("scaling", "analysis.log2_lr", -2, "must be one of train.log2_lrs (-10, -9, -8, -7, -6, -5, -4, -3), got -2"),
    ("scaling", "variants.half_4.exponent", 1.5, "must be from 0 to 1, got 1.5"),
    ("scaling", "variants.half_4.depth", 2, "must not be that of variants.half_2, which is the same otherwise, got 2"),
    ("scaling", "variants.half_4.transfer", 1, "must be true or false, got 1"),
    ("scaling", "variants.half_4.lr", 1, "unknown key. Known: block, depth, transfer, norm, scale, exponent"),
    ("lesions", "lesions.swaps", [2, 1], "must rise from each number to the next, got [2, 1]"),
    ("lesions", "paths.rows", 1401, "must be <= 1400, the rows of the train split, got 1401"),
    ("lesions", "variants.residual.survival", 0.0, "must be > 0, got 0.0"),
    ("lesions", "moons.validation", 0.001, "must leave at least 4 of the 2000 rows on each side, got 0.001"),
    (
        "lesions",
        "starts.he_64.scal",
        1.0,
        "unknown key; did you mean scale? Known: block, init, width, scale, exponent",
    ),
    ("routing", "routing.shares", [0.5], "must rise from each number to the next and end with 1.0, got [0.5]"),
    ("routing", "routing.train_rows", 1401, "must be <= 1400, the rows of the train split of moons, got 1401"),
    ("routing", "spirals.validation", 0.001, "must leave at least 4 of the 2000 rows on each side, got 0.001"),
    ("routing", "spirals.turns", 0.0, "must be > 0, got 0.0"),
    ("routing", "variants.moons_exits.survival", 0.5, "must be 1.0 where losses is every, got 0.5"),
    (
        "routing",
        "variants.moons.controllers",
        ["learned", "learned"],
        "must not name a controller twice, got ['learned', 'learned']",
    ),
    (
        "convnets",
        "variants.residual.shortcut",
        "none",
        "must be projection or padding where channels change, here [8, 16, 32], got none",
    ),
    ("convnets", "variants.wide.widths", [4, 4, 8, 8], "must have at most 3 entries, got [4, 4, 8, 8]"),
    (
        "convnets",
        "train.batch_size",
        2000,  # of which the rows of the train split are taken
        "must keep what is held at once <= 100,000,000 numbers, got 118,419,456",
    ),
    (
        "convnets",
        "variants.wide.widths",
        [200],
        "must keep what is held at once <= 100,000,000 numbers, got 128,716,800",
    ),
    (
        "convnets",
        "variants.wide.widths",
        [16384],
        "must keep seeds * depth * width^2 <= 1,000,000,000, got 347,892,350,976",
    ),
    ("convnets", "variants.bottleneck.widths", [16, 30], "must be multiples of 4 for bottlenecks, got [16, 30]"),
    ("convnets", "plot.costs", ["wide", "wide"], "must not name a variant twice, got ['wide', 'wide']"),
    ("convnets", "denoise.widths", [8, 16], "must be odd in number and read the same from both ends, got [8, 16]"),
    (
        "convnets",
        "denoise.widths",
        [16384],
        "must keep seeds * depth * width^2 <= 1,000,000,000, got 28,991,029,248",
    ),
    (
        "convnets",
        "denoise.variants",
        {name: {"noise": 0.1, "long_skips": True} for name in ("sigma", "Sigma")},
        "must differ in more than upper and lower case, got sigma",
    ),
    ("convnets", "denoise.variants.sigma_01.long_skips", 1, "must be true or false, got 1"),
    (
        "convnets",
        "denoise.variants",
        {"plain": {"noise": 0.1, "long_skips": True}},
        "must not have the names of variants, got plain",
    ),
    ("shares", "growth.shares", [0.5, 0.25], "must rise from each number to the next, got [0.5, 0.25]"),
    ("shares", "variants.a0_half.share", 0.4, "must be of measure.shares, [0.25, 0.5, 0.75, 1.0], got 0.4"),
    ("routing", "shown.rows", 601, "must be <= 600, the rows of the validation split of moons, got 601"),
    ("gates", "measure.rows", 1401, "must be <= 1400, the rows of the train split, got 1401"),
    ("gates", "shifts.scale", [3.0, 2.0], "must rise from each number to the next, got [3.0, 2.0]"),
    ("gates", "variants.residual.rows", "none", "must be 'all' or 'outside', got 'none'"),
    (
        "gates",
        "plot.gates",
        ["scalar"],
        f"must be of {GATED}, got 'scalar'",
    ),
    (
        "gates",
        "plot.variants",
        ["scalar_2"],
        "must begin with residual, the first variant, beside which the others are shown, got 'scalar_2'",
    ),
    ("memory", "errors.buckets", [8, 16], "must fall from each number to the next, got [8, 16]"),
    ("memory", "train.batch_size", 701, "must be at most half of the 1400 rows of the train split, got 701"),
    ("memory", "rules.mean", 128, "must be between rules.low 8 and the 128 rows of a batch, got 128"),
    ("memory", "rules.low", 31, "must leave memory for a whole batch of one block, got 31"),
    ("memory", "saved.variant", "plain", "must be one of residual, by_depth, gated, got 'plain'"),
    ("memory", "saved.depths", [4, 2], "must rise from each number to the next, got [4, 2]"),
    ("memory", "sketched.residual_8.buckets", 0, "must be >= 1, got 0"),
    (
        "memory",
        "sketched.residual_8.bucket",
        4,
        "unknown key; did you mean buckets? Known: block, init, buckets, balanced, scalars, scale, exponent",
    ),
    ("mixing", "measure.rows", 1401, "must be <= 1400, the rows of the train split, got 1401"),
    ("mixing", "variants.matrix.mixing.slots", 0, "must be >= 1, got 0"),
    ("mixing", "variants.matrix.mixing", {"rule": "matrix_stream"}, "must have rule, slots for this rule, got rule"),
    (
        "mixing",
        "variants.denseformer.mixing",
        {"rule": "denseformer", "form": "alone"},
        "must have rule for this rule, got rule, form",
    ),
    (
        "mixing",
        "variants.matrix.mixing.rule",
        "matrix",
        "must be 'denseformer', 'hyper_connections', 'depth_attention' or 'matrix_stream', got 'matrix'",
    ),
    ("streams", "twin.depth", 1, "must be >= 2, got 1"),
    ("streams", "twin.width", 16384, "must keep what is held at once <= 100,000,000 numbers, got 2,826,436,608"),
    ("streams", "twin.hidden", 16384, "must keep what is held at once <= 100,000,000 numbers, got 2,826,436,608"),
    (
        "streams",
        "twin.variants",
        {"plain": {"skip": False}, "Plain": {"skip": True}},
        "must differ in more than upper and lower case, got plain",
    ),
    (
        "streams",
        "variants",
        {"twin_no_skip": dict(zip(TRAINED.split(", "), ("pre", True, 1.0, 1, "xavier", 0.1, 0, 25), strict=True))},
        "must not be twin_ and the name of a variant of the twin, got twin_no_skip",
    ),
    ("streams", "measure.patched", 1000, "must keep what is held at once <= 100,000,000 numbers, got 104,448,000"),
    ("streams", "heads", 5, "must divide width 64, got 5"),
    ("streams", "sequences.longest", 16, "must be < tokens 16, so that one is left to put in, got 16"),
    ("streams", "sequences.shortest", 9, "must be <= longest 8, got 9"),
    ("streams", "sequences.positions", 8, "must be > longest 8, so that a second copy begins, got 8"),
    ("streams", "variants.pre.steps", 310, "must be a multiple of train.every 25, got 310"),
    ("streams", "variants.post.warmup", 301, "must be <= steps 300, got 301"),
    ("streams", "variants.pre.placement", "before", "must be 'pre', 'post', 'peri' or 'none', got 'before'"),
    ("streams", "variants.pre.layers", 8, f"unknown key. Known: {TRAINED}"),
    ("overflow", "depths", [4, 2], "must rise from each number to the next, got [4, 2]"),
    ("overflow", "overflow.step", 50.0, "must be <= 10, got 50.0"),
    ("overflow", "overflow.precisions", ["float16", "float16"], "must not name one twice, got float16, float16"),
    ("overflow", "inputs.rows", 50_000, "must keep what is held at once <= 100,000,000 numbers, got 1,638,400,000"),
]


@pytest.mark.parametrize(("name", "key", "value", "rule"), BAD)
def test_a_bad_value_is_refused_in_one_line(fresh, tmp_path, monkeypatch, name, key, value, rule):
    folder = dataclasses.replace(fresh, root=tmp_path / name)
    folder.root.mkdir()
    for file in ("params.yaml", "params.py"):
        shutil.copy2(fresh.root / "studies" / name / file, folder.root)
    folder.change({key: value})
    monkeypatch.chdir(folder.root)
    done = CliRunner().invoke(check.main, ["checked"])
    assert (done.exit_code, done.stderr) == (2, f"gradflow: params.yaml: {key}: {rule}\n")
    assert not (folder.root / "checked").exists()


def test_norms_of_all_steps_have_to_fit_into_memory(fresh):
    params = yaml.safe_load((fresh.root / "studies/identity/params.yaml").read_text(encoding="utf-8"))
    params["train"]["steps"], params["depth"], params["width"] = 100_000, 200, 8
    with pytest.raises(InputError, match=r"^params\.yaml: train\.steps: .* <= 100,000,000 numbers, got 160,000,000$"):
        Params.model_validate(params).check()


@pytest.mark.parametrize(("width", "hidden", "key"), [(8192, 16384, "hidden"), (16384, 8192, "width")])
def test_weights_of_the_twin_have_to_fit_into_memory(fresh, width, hidden, key):
    params = yaml.safe_load((fresh.root / "studies/streams/params.yaml").read_text(encoding="utf-8"))
    params["twin"] |= {"depth": 3, "seeds": 1, "width": width, "hidden": hidden}
    Streams.model_validate(params | {"twin": params["twin"] | {key: 4096}}).check()
    params["twin"]["depth"] = 4
    rule = rf"^params\.yaml: twin\.{key}: must keep seeds \* depth \* width\^2 <= 1,000,000,000, got 1,073,741,824$"
    with pytest.raises(InputError, match=rule):
        Streams.model_validate(params).check()


def test_an_unknown_instrument_is_refused_with_the_known_ones(study):
    folder = study("identity")
    folder.change({"probe.instruments": ["gradient_norm"]})
    done = folder.run("dvc", "repro", code=None)
    assert "gradflow: params.yaml: probe.instruments.0: must be 'branch_ratio', " in done.stderr
    assert not (folder.root / "logs").exists()
