"""Denoising: its task, its stages and its numbers, against what is worked out by hand."""

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from gradflow import checkpoints
from gradflow.digits import dataset
from gradflow.drawing.experiment import Experiment
from gradflow.guards.errors import InputError, RunError
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load
from gradflow.tables.artefacts import joined
from gradflow.training import unfinished
from studies.convnets import plot, track
from studies.convnets.denoise import measure, summary, train
from studies.convnets.denoise.params import Denoise, Denoiser, Measure, Train
from studies.convnets.denoise.task import Denoising, bright, psnr
from studies.convnets.figures import denoised
from studies.convnets.params import Params

STUDY = Path(__file__).parents[2] / "studies" / "convnets"
SEEDS, ROWS = 2, 12


def config(**given):
    chosen = {
        "widths": [3, 4, 3],
        "seeds": SEEDS,
        "train": Train(init="he", steps=4, batch_size=8, every=2, lr=0.003, seed=0),
        "variants": {
            "low": Denoiser(noise=0.1, long_skips=True),
            "low_zeroed": Denoiser(noise=0.1, long_skips=False),
            "high": Denoiser(noise=0.5, long_skips=True),
        },
        "measure": Measure(starts=["default", "he"], shown=2),
    }
    return Denoise(**chosen | given)


def images(rows=ROWS):
    return torch.rand(rows, 64, generator=torch.Generator().manual_seed(0))


def task(noise=0.1, steps=6, seed=0):
    return Denoising(images(), images(40), noise=noise, steps=steps, batch_size=8, every=2, seed=seed)


def test_psnr_is_twenty_decibels_at_a_tenth():
    errors = torch.tensor([0.01, 1.0, 0.25], dtype=torch.float64)
    assert psnr(errors).tolist() == pytest.approx([20.0, 0.0, 6.0206], abs=1e-4)


def test_standardised_digits_become_as_bright_as_they_were():
    train, validation = images(), 0.5 * images(4)
    train[0, 0], train[1, 1] = 0.0, 1.0
    found = bright(3 * train - 2, 3 * validation - 2)
    assert torch.allclose(found[0], train, atol=1e-6) and torch.allclose(found[1], validation, atol=1e-6)


def test_noise_has_its_size_and_is_fresh_in_each_batch():
    of_epochs = [batch for batches in task().batches(1) for batch in batches]
    assert len(of_epochs) == 6 and len(of_epochs[0]) == 8
    drawn = []
    for batch in of_epochs:
        noisy, clean = task().pick(batch)
        assert noisy.shape == (8, 64) and {*map(tuple, clean.tolist())} <= {*map(tuple, images().tolist())}
        drawn.append(noisy - clean)
    assert torch.stack(drawn).std().item() == pytest.approx(0.1, rel=0.05)
    assert all(not torch.allclose(one, other) for i, one in enumerate(drawn) for other in drawn[:i])


def test_an_epoch_begins_with_the_same_noise_wherever_the_training_began():
    whole, later = [*task().batches(1)], [*task().batches(3)]
    assert len(whole) == 3 and len(later) == 1
    assert all(torch.equal(*pair) for pair in zip(whole[2], later[0], strict=True))


def test_networks_see_the_same_noise_but_for_its_size():
    low, high = task(0.1), task(0.5)
    assert torch.allclose(5 * (low.noisy - low.clean), high.noisy - high.clean, atol=1e-5)
    (one, *_), (other, *_) = next(iter(low.batches(1))), next(iter(high.batches(1)))
    assert torch.equal(one[:, 1], other[:, 1])
    assert torch.allclose(5 * (one[:, 0] - one[:, 1]), other[:, 0] - other[:, 1], atol=1e-5)
    assert not torch.allclose(low.noisy, task(0.1, seed=1).noisy)


def networks(variant="low", init="he"):
    return stack(lambda kit=None: build(config().described(variant), kit), seeds=SEEDS, init=init, seed=0)


def test_the_loss_of_each_seed_is_the_mean_squared_error_of_its_own_images():
    net, about = networks(), task()
    found = about.measure(net)
    outputs = net(about.noisy.expand(SEEDS, -1, -1))
    expected = [np.mean((own.detach().numpy() - about.clean.numpy()) ** 2) for own in outputs]
    assert found.shape == (SEEDS, 1) and found[:, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_gradients_before_training_are_those_of_each_seed():
    found = measure._gradients(networks(), task()).set_index(["seed", "name"])["grad_norm"]
    for seed in range(SEEDS):
        own = build(config().described("low"))
        own.load_state_dict({name: value[seed] for name, value in networks().state_dict().items()})
        (own(task().noisy) - task().clean).square().mean().backward()
        for each in own.linear_maps():
            assert found[seed, each.name] == pytest.approx(each.weight.grad.norm().item(), rel=1e-4)


def test_what_is_shown_is_what_the_network_makes_of_the_noisy_digits():
    own = build(config().described("low"))
    found = measure._shown(own, task(), 2).set_index(["image", "pixel"])
    assert len(found) == 128
    assert found.loc[(1, 3), "clean"] == task().clean[1, 3] and found.loc[(1, 3), "noisy"] == task().noisy[1, 3]
    assert found.loc[(1, 3), "denoised"] == pytest.approx(own(task().noisy[1:2])[0, 3].item(), abs=1e-6)


def history():
    """At the end of low noise there are 22 and 23 dB with long skips, 19 and 18 without; a seed of high diverged."""
    ends = {"low": [22.0, 23.0], "low_zeroed": [19.0, 18.0], "high": [14.0, None]}
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "step": step, "noisy": 6.0 if variant == "high" else 20.0}
            | {"psnr": end if step == 4 else 9.0}
            for variant, of_seeds in ends.items()
            for seed, end in enumerate(of_seeds)
            for step in (2, 4)
            if step == 2 or end is not None
        ]
    )


def starts():
    """Long skips make first gradients at low noise 3 and 8 times as large from He's weights, by default twice that."""
    first = {"low": [6.0, 8.0], "low_zeroed": [2.0, 1.0], "high": [1.0, 1.0]}
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "layer": layer, "name": name, "start": start}
            | {"grad_norm": (norm if name == "block_1.first" else 9.0) * (2 if (variant, start) == twice else 1)}
            for twice in [("low", "default")]
            for variant, of_seeds in first.items()
            for start in ("default", "he")
            for seed, norm in enumerate(of_seeds)
            for layer, name in ((1, "block_1.first"), (1, "block_1.second"), (4, "head"))
        ]
    )


def test_the_numbers_of_all_variants():
    found = summary.of_variants(config(), history(), starts())
    assert found["low"]["psnr"] == {"mean": 22.5, "std": 0.5, "min": 22.0, "max": 23.0, "seeds": 2}
    assert found["low"]["noisy"] == 20.0 and found["low_zeroed"]["gain"]["mean"] == -1.5
    assert (found["low"]["long_skips_gain"]["min"], found["low"]["long_skips_gain"]["max"]) == (3.0, 5.0)
    for start, ratios in (("default", (6, 16)), ("he", (3, 8))):
        own = found["low"][f"first_gradient_{start}"]
        assert (own["min"], own["max"], own["seeds"]) == (*ratios, 2)
    assert found["high"]["psnr"]["seeds"] == 1 and found["high"]["seeds"] == 2
    assert "long_skips_gain" not in found["high"] and "long_skips_gain" not in found["low_zeroed"]


def test_a_gradient_of_nothing_has_no_ratio_and_lost_networks_saw_the_same_noise():
    before = starts()
    before.loc[(before["variant"] == "low_zeroed") & (before["seed"] == 0), "grad_norm"] = 0.0
    looks = history()
    found = summary.of_variants(config(), looks[looks["step"] < 4], before)["low"]
    assert found["first_gradient_he"] == {"mean": 8.0, "std": 0.0, "min": 8.0, "max": 8.0, "seeds": 1}
    assert found["noisy"] == 20.0 and found["psnr"]["seeds"] == found["gain"]["seeds"] == 0


@pytest.mark.parametrize(
    ("given", "key", "rule"),
    [
        ({"widths": [3, 4]}, "denoise.widths", "must be odd in number and read the same from both ends, got [3, 4]"),
        (
            {"train": config().train.model_copy(update={"steps": 5})},
            "denoise.train.steps",
            "must be a multiple of denoise.train.every, 2, got 5",
        ),
        (
            {"variants": {name: Denoiser(noise=0.1, long_skips=True) for name in ("one", "other")}},
            "denoise.variants.other",
            "must differ from one in noise or long_skips, got {'noise': 0.1, 'long_skips': True}",
        ),
        (
            {"measure": Measure(starts=["he", "he"], shown=1)},
            "denoise.measure.starts",
            "must differ, got ['he', 'he']",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_one_line(given, key, rule):
    config().check(500)
    with pytest.raises(InputError) as error:
        config(**given).check(500)
    assert error.value.message == f"params.yaml: {key}: {rule}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with digits and small parameters, in which the stages are run."""
    whole = yaml.safe_load((STUDY / "params.yaml").read_text(encoding="utf-8"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(whole | {"denoise": config().model_dump()}), encoding="utf-8")
    for name, rows in (("train", 30), ("validation", 10)):
        dataset.write(tmp_path / f"{name}.parquet", images(rows).numpy(), np.zeros(rows, dtype=np.int64))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADFLOW_STATES", str(tmp_path / "states"))
    monkeypatch.setenv("GRADFLOW_DEVICE", "cpu")
    return tmp_path


def test_weights_start_from_their_seed(folder):
    given = config(train=config().train.model_copy(update={"lr": 1e-12, "seed": 3}))
    whole = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8")) | {"denoise": given.model_dump()}
    (folder / "params.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    assert run(train, "low", "models", "logs").exit_code == 0
    found = checkpoints.read(folder / "models" / "low.safetensors")[0]
    expected = stack(lambda kit=None: build(given.described("low"), kit), seeds=SEEDS, init="he", seed=3)
    for name, value in expected.state_dict().items():
        assert torch.allclose(found[name], value, atol=1e-6), name


def run(stage, name, models, logs):
    return CliRunner().invoke(stage.main, [name, "train.parquet", "validation.parquet", models, logs])


def files(*folders):
    return {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}


def test_a_training_that_is_killed_goes_on_to_the_same_bytes(folder, monkeypatch):
    assert run(train, "denoise@low", "models", "logs").exit_code == 0
    expected = files(folder / "models", folder / "logs")
    assert set(expected) == {"low.safetensors", "low.history.parquet"}
    asked = []

    def due(state):
        asked.append(state)
        if len(asked) == 3:  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return state._interrupt.number is not None

    monkeypatch.setattr(unfinished.Unfinished, "due", due)
    stopped = run(train, "denoise@low", "again", "again_logs")
    assert stopped.exit_code != 0 and not (folder / "again").exists() and len([*(folder / "states").iterdir()]) == 1
    gone_on = run(train, "denoise@low", "again", "again_logs")
    assert "going on from epoch 2 of 2" in gone_on.output and len(asked) == 4
    assert files(folder / "again", folder / "again_logs") == expected


def test_the_stages_write_tables_whose_columns_are_known(folder):
    columns = summary.tables(config())
    for name in config().variants:
        assert run(train, name, "models", "logs").exit_code == 0
        assert run(measure, name, "models", "logs").exit_code == 0
    tables = {
        each: joined(folder / "logs", f".{each}.parquet", dict.fromkeys(config().variants, own))
        for each, own in columns.items()
    }
    assert len(tables["history"]) == 3 * SEEDS * 2 and len(tables["images"]) == 3 * 2 * 64
    assert len(tables["starts"]) == 3 * 2 * SEEDS * 7
    found = summary.of_variants(config(), tables["history"], tables["starts"])
    assert found["low"]["noisy"] == pytest.approx(20, abs=0.5)  # of 640 pixels
    assert found["low"]["long_skips_gain"]["seeds"] == SEEDS
    noisy = tables["images"].groupby("variant")["noisy"].agg(list)
    assert noisy["low"] == noisy["low_zeroed"] != noisy["high"]


def test_a_checkpoint_of_other_noise_is_not_measured(folder):
    assert run(train, "low", "models", "logs").exit_code == 0
    (folder / "models" / "low.safetensors").rename(folder / "models" / "high.safetensors")
    refused = run(measure, "high", "models", "logs")
    assert refused.exit_code == 1 and "was trained with noise 0.1, params.yaml says 0.5" in refused.output


def test_a_model_is_tracked_only_of_the_training_that_the_params_describe(folder, monkeypatch):
    assert run(train, "low", "models", "logs").exit_code == 0
    found = []
    monkeypatch.setattr(track.study, "read", lambda _, networks, __: found.extend(networks))
    monkeypatch.setattr(track.stage, "log", lambda *_: None)
    arguments = ["train.parquet", "validation.parquet", "convnets", "logs", "models", "logs", "reports", "tracked"]
    assert CliRunner().invoke(track.main, arguments).exit_code == 0
    about = {network.name: network.about for network in found}
    path = folder / "models" / "low.safetensors"
    assert checkpoints.read(path)[1] == about["low"]
    with pytest.raises(RunError, match=r"was trained with noise 0\.1, params\.yaml says 0\.5"):
        checkpoints.load(path, trained=about["high"])
    assert set(about["residual"]) >= {"widths", "seeds", "train"} and about["residual"]["train"]["clip_norm"] is None


def shown():
    pixels = pd.MultiIndex.from_product([config().variants, range(2), range(64)], names=["variant", "image", "pixel"])
    return pd.DataFrame({"clean": 0.5, "noisy": 0.4, "denoised": 0.6}, index=pixels).reset_index()


def test_the_figure_tells_of_all_seeds_that_were_lost_at_which_noise():
    whole = load(Params, STUDY / "params.yaml").model_copy(update={"denoise": config()})
    seen, looks = [], history()
    looks = looks[(looks["variant"] != "low") | (looks["seed"] != 1)]  # lost before the first look
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoised, "draw", lambda *arguments: seen.append(arguments))
        plot.of_denoising(whole, looks, starts(), shown())
        plot.of_denoising(whole, looks[:0], starts(), shown())
    (*_, setting), (*_, of_nothing) = seen
    assert setting.diverged == {"long skips": {1: 4}, "zeros instead": {}}
    assert setting.label("long skips") == "long skips (diverged: 1 of 2 seeds at noise 0.1, 1 of 2 seeds at noise 0.5)"
    assert setting.label("zeros instead") == "zeros instead"
    assert "He's weights. Gradients before training: at noise" in setting.caption
    assert setting.caption.endswith("from PyTorch's default weights and He's weights.")
    assert of_nothing.diverged == {"long skips": {0: 2, 1: 2}, "zeros instead": {0: 2, 1: 2}}
    for arguments in seen:
        figure = denoised.draw(*arguments)
        figure.draw_without_rendering()
        assert figure.axes[1].get_xlim() == pytest.approx((0.04, 0.56))


@pytest.mark.parametrize(("seeds", "levels", "starting"), [(1, [0.1], ["he"]), (2, [0.1, 0.5], ["default", "he"])])
def test_the_figure_shows_what_there_is(seeds, levels, starting):
    kinds = {"long skips": {}, "zeros": {0: 2}}
    experiment = Experiment(dict.fromkeys(kinds, 3), seeds, 1, kinds, "a caption")
    of_kinds = [(kind, noise) for noise in levels for kind in kinds]
    shown = pd.DataFrame(
        [
            {
                "variant": kind,
                "noise": noise,
                "image": image,
                "pixel": pixel,
                "clean": 0.5,
                "noisy": 0.4,
                "denoised": 0.6,
            }
            for kind, noise in of_kinds
            for image in range(3)
            for pixel in range(64)
        ]
    )
    ends = pd.DataFrame(
        [
            {"variant": kind, "noise": noise, "seed": seed, "psnr": 20.0}
            for kind, noise in of_kinds
            for seed in range(seeds)
        ]
    )
    norms = pd.DataFrame(
        [
            {"variant": kind, "start": start, "seed": seed, "layer": layer, "grad_norm": 0.1}
            for kind in kinds
            for start in starting
            for seed in range(seeds)
            for layer in (1, 1, 2, 3, 4)
        ]
    )
    figure = denoised.draw(shown, ends, pd.Series(19.0, index=levels), norms, experiment)
    figure.draw_without_rendering()
    assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
    digits, _, *gradients = figure.axes
    assert [label.get_text().replace("\n", " ") for label in digits.get_xticklabels()] == [
        "clean", *["noisy", "long skips", "zeros"] * len(levels),
    ]  # fmt: skip
    picture = digits.images[0].get_array().data
    assert picture.shape == (3 * 8 + 2, 8 + len(levels) * (4 + 3 * 8 + 2))
    assert [picture[0, column] for column in (0, 12, 21, 30)] == [0.5, 0.4, 0.6, 0.6]
    assert [axes.get_title(loc="left").split("\n")[1] for axes in gradients] == [
        {"default": "PyTorch's default weights", "he": "He's weights"}[start] for start in starting
    ]
    assert gradients[0].lines[0].get_ydata()[0] == pytest.approx(0.1 * 2**0.5)  # of two convolutions
