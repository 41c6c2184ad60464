"""The study of convolutional networks: trainings that go on after a kill, and numbers and figures of tables by hand."""

import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from gradflow.digits import dataset
from gradflow.kit.block import Place
from gradflow.kit.building import build
from gradflow.kit.layers import Kit, linear_maps
from gradflow.networks import convnet
from gradflow.params.loading import load
from gradflow.tables import artefacts
from gradflow.tables.columns import by_variant
from gradflow.training import compiled
from gradflow.training.step import Step
from studies.convnets import params, plot, summary, train
from studies.convnets.figures import costs
from studies.convnets.params import Params

FOLDER = Path(__file__).parents[2] / "studies" / "convnets"
BLOCK = {"block": "basic", "skip": True, "batch_norm": True, "shortcut": "padding", "padding": "zeros"}
SMALL = {
    "depth": 2,
    "seeds": 2,
    "digits": {"validation": 0.3, "seed": 0},
    "train": {"epochs": 2, "batch_size": 64, "lr": 0.1, "momentum": 0.9, "init": "he", "seed": 0},
    "variants": {"a": BLOCK | {"clip_norm": None, "widths": [4, 8], "depth_over": 1}},
    "denoise": yaml.safe_load((FOLDER / "params.yaml").read_text(encoding="utf-8"))["denoise"],
    "plot": {"by_depth": ["a"], "costs": ["a"]},
}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train variant a on noise, into a folder of a name; its files by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADFLOW_STATES", str(tmp_path / "states"))
    monkeypatch.setenv("GRADFLOW_SAVE_SECONDS", "0")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    random = torch.Generator().manual_seed(0)
    for name, rows in (("train", 160), ("validation", 20)):
        labels = torch.randint(10, (rows,), generator=random)
        dataset.write(tmp_path / f"{name}.parquet", torch.randn(rows, 64, generator=random).numpy(), labels.numpy())

    def run(name, code=0):
        done = CliRunner().invoke(train.main, ["a", "train.parquet", "validation.parquet", name, name])
        assert done.exit_code == code, done.output
        return {path.name: path.read_bytes() for path in (tmp_path / name).glob("*")}

    return run


def test_a_stopped_training_goes_on_to_the_same_bytes(trained, tmp_path, monkeypatch):
    """With the statistics of batch norms, which are no parameters."""
    whole = trained("whole")
    assert set(whole) == {f"a.{end}" for end in ("safetensors", "json")} | {
        f"a.{table}.parquet" for table in ("seeds", "history", "gradients")
    }

    class Stopped(Step):
        def __call__(self, batch):
            super().__call__(batch)
            if int(self._done) == 4:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(compiled, "Step", Stopped)
    trained("stopped", code=143)
    assert len(list((tmp_path / "states").glob("*.npz"))) == 1
    taken = []

    class Counted(Step):
        def __call__(self, batch):
            taken.append(int(self._done))
            super().__call__(batch)

    monkeypatch.setattr(compiled, "Step", Counted)
    assert trained("stopped") == whole
    assert taken == [4, 5], "it started over"


def test_what_is_written_is_what_the_tables_ask_for(trained, tmp_path):
    trained("a")
    config = load(Params, tmp_path / "params.yaml")
    for name, columns in summary.tables(config).items():
        assert list(pd.read_parquet(tmp_path / "a" / f"a.{name}.parquet").columns) == list(columns)
    seeds = pd.read_parquet(tmp_path / "a" / "a.seeds.parquet")
    assert seeds["multiply_adds"].unique() == [9 * 4 * 64 + 2 * 9 * 16 * 64 + 9 * 4 * 8 * 16 + 9 * 64 * 16 + 80]
    assert seeds["refused"].tolist() == [1.0, 1.0] and seeds["diverged"].isna().all()


@pytest.mark.parametrize("side", [8, 4], ids=["same size", "half the size"])
@pytest.mark.parametrize(("channels", "refused"), [(8, True), (4, False)])
def test_a_stream_is_refused_for_its_channels_and_not_for_its_size(side, channels, refused):
    assert train.refuses(torch.zeros(1, 4, 8, 8), torch.zeros(1, channels, side, side)) is refused


@pytest.mark.parametrize("skip", [True, False])
def test_of_the_blocks_that_change_the_channels_all_are_refused(skip):
    about = load(Params, FOLDER / "params.yaml").described("residual_third" if skip else "plain_ninth")
    changed = dict(about, widths=[4, 4, 8, 8]), dict(about, widths=[4, 4, 4])
    assert train.refused(changed[0]) == 1.0 and np.isnan(train.refused(changed[1]))


def test_depth_is_that_of_the_params_over_that_of_the_variant():
    config = load(Params, FOLDER / "params.yaml")
    found = {depth: config.model_copy(update={"depth": depth}) for depth in (27, 12, 1)}
    names = "residual", "residual_third", "residual_ninth", "bottleneck"
    assert [found[27].blocks(name) for name in names] == [27, 9, 3, 9]
    assert [found[27].layers(name) for name in names] == [56, 20, 8, 29]
    assert [found[12].blocks(name) for name in names] == [12, 4, 1, 4]
    assert {found[1].blocks(name) for name in names} == {1}


def test_the_numbers_in_the_rules_are_those_of_the_blocks():
    assert set(params.CONVOLUTIONS) == set(convnet.BLOCKS)
    settings = {"skip": True, "batch_norm": True, "shortcut": "projection", "padding": "zeros"}
    for name, count in params.CONVOLUTIONS.items():
        assert len(linear_maps(convnet.BLOCKS[name](Kit(), Place(8, 8), **settings))) == count
    block = convnet.BLOCKS["bottleneck"](Kit(), Place(8 * params._NARROWER, 8 * params._NARROWER), **settings)
    assert block.units[1].convolution.weight.shape == (8, 8, 3, 3)


def test_streams_are_as_large_as_those_of_the_networks():
    config = load(Params, FOLDER / "params.yaml")
    for name in ("residual_third", "bottleneck_wide", "plain_ninth", "residual_ninth"):
        made, found = build(config.described(name)).eval(), []
        x = made.images(torch.zeros(1, 64))
        for block in [torch.nn.Identity(), *made.blocks]:
            x = block(x)
            found.append(x.numel())
        assert config.streams(name) == found


def tables(seeds=2):
    """Of two networks; seed 1 of b has diverged in epoch 2."""
    of_all = [(variant, seed) for variant in "ab" for seed in range(seeds)]
    lost = [variant == "b" and seed == 1 for variant, seed in of_all]
    of_seeds = pd.DataFrame(of_all, columns=["variant", "seed"]).assign(
        multiply_adds=[100 if variant == "a" else 50 for variant, _ in of_all],
        refused=[1.0 if variant == "a" else np.nan for variant, _ in of_all],
        diverged=[2.0 if one else np.nan for one in lost],
        train_accuracy=[0.5 + seed / 10 for _, seed in of_all],
    )
    history = pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "epoch": epoch, "train_loss": 2.0 / epoch + seed}
            | {"val_loss": 3.0, "val_accuracy": 0.25 * epoch + seed / 4}
            for (variant, seed), gone in zip(of_all, lost, strict=True)
            for epoch in ((1,) if gone else (1, 2))
        ]
    )
    norms = [(0, "stem", 2.0), (1, "block_1.a", 3.0), (1, "block_1.b", 4.0), (2, "block_2", 1.0), (3, "head", 8.0)]
    gradients = pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "epoch": 1, "step": 1, "layer": layer, "name": name}
            | {"grad_norm": norm * (1 + seed * (layer == 3))}
            for layer, name, norm in norms
            for variant, seed in of_all
        ]
    )
    return {"seeds": of_seeds, "history": history, "gradients": gradients}


def test_the_numbers_of_a_variant():
    numbers = {
        name: summary.of_variant(**{key: table[table["variant"] == name] for key, table in tables().items()}, blocks=2)
        for name in "ab"
    }
    whole, lost = numbers["a"], numbers["b"]
    assert (whole["multiply_adds"], whole["refused"], whole["lost"], whole["seeds"]) == (100, 1.0, 0.0, 2)
    assert whole["train_loss"] == {"mean": 1.5, "std": 0.5, "min": 1.0, "max": 2.0, "seeds": 2}
    assert whole["val_accuracy"]["mean"] == 0.625 and whole["train_accuracy"]["max"] == 0.6
    assert whole["gradient_ratio"] == {"mean": 12.0, "std": 4.0, "min": 8.0, "max": 16.0, "seeds": 2}
    assert whole["gradient_first_over_last"] == {"mean": 5.0, "std": 0.0, "min": 5.0, "max": 5.0, "seeds": 2}
    assert lost["refused"] is None and lost["lost"] == 0.5 and lost["gradient_ratio"]["seeds"] == 2
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        assert lost[name]["seeds"] == 1, name
    assert lost["train_loss"]["mean"] == 1.0


def test_a_gradient_of_nothing_has_no_ratio():
    given = tables()
    gradients = given["gradients"]
    gradients.loc[(gradients["seed"] == 0) & (gradients["layer"] == 2), "grad_norm"] = 0.0
    numbers = summary.of_variant(**{key: table[table["variant"] == "a"] for key, table in given.items()}, blocks=2)
    assert numbers["gradient_ratio"] == {"mean": 16.0, "std": 0.0, "min": 16.0, "max": 16.0, "seeds": 1}
    assert numbers["gradient_first_over_last"] == {"mean": 5.0, "std": 0.0, "min": 5.0, "max": 5.0, "seeds": 1}
    assert plot.by_seed(**given)["gradient_ratio"].isna().tolist() == [True, False, True, False]


def test_where_all_seeds_diverge_in_the_first_step_there_are_numbers_and_figures(trained, tmp_path):
    trained("a")
    config, found = load(Params, tmp_path / "params.yaml"), {}
    for name, columns in summary.tables(config).items():
        table = artefacts.joined(tmp_path / "a", f".{name}.parquet", {"a": columns})
        table = table.assign(diverged=1.0) if name == "seeds" else table[:0]
        artefacts.write_csv(tmp_path / f"{name}.csv", table)
        found[name] = artefacts.read_table(tmp_path / f"{name}.csv", by_variant(columns, config.variants))
    numbers = summary.of_variant(**found, blocks=config.blocks("a"))
    assert numbers["lost"] == 1.0
    for name in ("train_loss", "gradient_ratio", "gradient_first_over_last"):
        assert numbers[name] == {"mean": None, "std": None, "min": None, "max": None, "seeds": 0}, name
    ends = plot.by_seed(**found)
    assert ends["train_loss"].isna().all() and ends["gradient_ratio"].isna().all()
    for figure in (plot.by_depth(config, ends), plot.by_cost(config, ends)):
        figure.draw_without_rendering()


def test_kinds_of_networks_are_told_apart_by_all_that_differs_but_depth_and_batch_norm():
    config = load(Params, FOLDER / "params.yaml")
    kinds = plot.of_kinds(config, config.plot.by_depth)
    assert list(dict.fromkeys(kinds.values())) == ["plain", "residual", "residual, unclipped"]
    assert kinds["unnormed_residual_third"] == kinds["residual"] == "residual"
    named = plot.of_kinds(config, ["residual", "projection", "plain", "bottleneck"])
    assert named["projection"] == "residual, shortcut projection" and named["plain"] == "plain"
    assert named["bottleneck"] == "residual, block bottleneck, shortcut projection, widths [16, 32, 64]"


def test_a_seed_that_diverged_is_told_with_the_layers_of_its_network():
    config = load(Params, FOLDER / "params.yaml")
    ends = pd.DataFrame({"variant": ["unnormed_residual"] * 3 + ["residual"], "seed": [0, 1, 2, 0]})
    ends["diverged"] = [1.0, 1.0, np.nan, np.nan]
    names = ["unnormed_residual", "residual"]
    where = {"unnormed_residual": "56 layers without batch norm", "residual": "56 layers with batch norm"}
    found = plot.experiment(config, ends, dict.fromkeys(names, "residual"), where)
    assert found.caption.endswith("He's initialisation.")
    assert found.label("residual") == "residual (diverged: 2 of 8 seeds at 56 layers without batch norm)"
    assert plot.experiment(config, ends, {"residual": "residual"}, {}).label("residual") == "residual"


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(seeds):
    given = SMALL | {"seeds": seeds, "plot": {"by_depth": ["a", "b"], "costs": ["a", "b"]}}
    given["variants"] = {"a": SMALL["variants"]["a"], "b": SMALL["variants"]["a"] | {"skip": False, "depth_over": 2}}
    config = Params.model_validate(given)
    ends = plot.by_seed(**tables(seeds))
    assert ends["train_loss"].isna().sum() == (seeds == 2)
    setting = plot.experiment(config, ends, {"a": "a", "b": "b"}, {})
    for figure in (plot.by_depth(config, ends), costs.draw(ends.dropna(subset="train_loss"), setting)):
        figure.draw_without_rendering()
        assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
