"""The study of streams: task, measurements, numbers and figures, against sequences and tables made by hand."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from matplotlib.collections import PathCollection

from gradflow import checkpoints
from gradflow.guards.errors import RunError
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load
from gradflow.streams import lens, patching
from gradflow.streams.contributions import contributions
from gradflow.tables.artefacts import read_table
from studies.streams import measure, plot, summary
from studies.streams import tables as of_all
from studies.streams.figures import layers, patches, reading, starts, tokens, training
from studies.streams.induction import PATCHES, UNTOLD, VALIDATION, Induction, drawn, targets
from studies.streams.params import Params, Sequences
from studies.streams.twin import measure as twin_measure
from studies.streams.twin import rows as twin_rows

TOKENS, POSITIONS, LONGEST = 6, 7, 3
ABOUT = Sequences(tokens=TOKENS, positions=POSITIONS, shortest=2, longest=LONGEST, validation=30, seed=0)


@pytest.fixture
def config():
    whole = load(Params, Path(__file__).parents[2] / "studies/streams/params.yaml")
    measured = whole.measure.model_copy(update={"sequences": 6, "lens_steps": 3, "patched": 5})
    return whole.model_copy(update={"sequences": ABOUT, "measure": measured, "seeds": 2})


def network(block="pre", **settings):
    torch.manual_seed(0)
    about = {"network": "transformer", "block": block, "depth": 2, "width": 8, "widths": None}
    return build(about | {"settings": {"tokens": TOKENS, "positions": POSITIONS, "heads": 2, **settings}})


def test_sequences_repeat_a_block_of_distinct_tokens():
    periods = set()
    for row in drawn(ABOUT, 200, 0, VALIDATION).tolist():
        period = next(p for p in range(1, POSITIONS) if row[p:] == row[:-p])
        assert len(set(row[:period])) == period
        periods.add(period)
    assert periods == {2, 3} and drawn(ABOUT, 3, 1, PATCHES).shape == (3, POSITIONS + 1)


def test_the_next_token_can_be_told_where_the_one_before_it_has_stood_already():
    rows = drawn(ABOUT, 50, 0, VALIDATION)
    for row, known in zip(rows.tolist(), targets(rows).tolist(), strict=True):
        assert known == [row[i + 1] if row[i] in row[:i] else UNTOLD for i in range(POSITIONS)]


def task():
    return Induction(ABOUT, steps=7, batch_size=4, every=3, seed=5)


def test_batches_are_fresh_and_go_on_where_they_were():
    assert (task().epochs, task().steps) == (2, 3)
    first, second = task().batches(1)
    assert len(first) == len(second) == 3 and len({batch.numpy().tobytes() for batch in [*first, *second]}) == 6
    [again] = task().batches(2)
    assert all(torch.equal(one, other) for one, other in zip(second, again, strict=True))


def test_loss_and_accuracy_count_only_what_can_be_told():
    net = network()
    of_seeds = torch.func.functional_call
    inputs, known = task().pick(task().validation)
    logits = of_seeds(net, dict(net.named_parameters()), (inputs,))
    told = [(row, token) for row, token in enumerate(known.tolist()) if token != UNTOLD]
    expected = np.mean([-logits[row].log_softmax(0)[token].item() for row, token in told])
    assert Induction.losses(logits.unsqueeze(0), known).tolist() == pytest.approx([expected])

    class Always(torch.nn.Module):
        """Says token 2 for sure."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, 1))

        def forward(self, x):
            return torch.eye(TOKENS)[2].expand(*x.shape[:-1], TOKENS)

    [[_, accuracy]] = task().measure(Always()).tolist()
    assert accuracy == pytest.approx(np.mean([token == 2 for _, token in told]))


def test_streams_and_gradients_are_those_of_the_network(config):
    net, sequences = network(), drawn(ABOUT, 6, 3)
    found = measure._streams(net, config, sequences)
    inputs, known = task().pick(torch.from_numpy(sequences))
    first = net.embedded(inputs)
    assert found["norm"][0] == pytest.approx(first.square().sum(1).mean().sqrt().item())
    assert len(found) == 5
    last = net.through(first).detach().requires_grad_()
    Induction.losses(net.read(last).unsqueeze(0), known).sum().backward()
    assert found["gradient"][4] == pytest.approx(last.grad.square().sum(1).mean().sqrt().item(), rel=1e-5)
    pairs = [
        torch.cosine_similarity(x[i], x[j], dim=0).item()
        for x in last.detach().view(6, POSITIONS, -1)
        for i in range(POSITIONS)
        for j in range(i)
    ]
    assert found["cosine"][4] == pytest.approx(np.mean(pairs), rel=1e-4)
    second = net.blocks[0](first)
    changes = ((second - first).norm(dim=1) / first.norm(dim=1)).square().mean().sqrt()
    assert np.isnan(found["change"][0]) and found["change"][1] == pytest.approx(changes.item(), rel=1e-5)


def test_without_skip_positions_become_the_same(config):
    torch.manual_seed(0)
    about = {"network": "transformer", "block": "pre", "depth": 12, "width": 32, "widths": None}
    for skip, low, high in ((True, -0.1, 0.7), (False, 0.99, 1.0001)):
        settings = {"tokens": TOKENS, "positions": POSITIONS, "heads": 2, "skip": skip}
        cosine = measure._streams(build(about | {"settings": settings}), config, drawn(ABOUT, 6, 3))["cosine"]
        assert low < cosine.iloc[-1] < high and cosine.iloc[0] < 0.5


@pytest.mark.parametrize(("block", "skip"), [("pre", True), ("post", True), ("pre", False)])
def test_what_is_read_and_written(config, block, skip):
    net, sequences = network(block, skip=skip), drawn(ABOUT, 6, 3)
    tuned = measure._tuned(net, config, drawn(ABOUT, 6, 4))
    found = measure._reading(net, tuned, config, sequences)
    inputs, known = task().pick(torch.from_numpy(sequences))
    told = known != UNTOLD
    logits = net(inputs)[told]
    assert found["logit"].iloc[-1] == pytest.approx(0, abs=1e-6) and (found["logit"][:-1] > 1e-3).all()
    first = net.read(net.embedded(inputs)[told])
    assert found["logit"][0] == pytest.approx(lens.distance(logits, first).mean().item(), rel=1e-5)
    if (block, skip) == ("pre", True):
        right = logits[torch.arange(len(logits)), known[told]] - logits.mean(1)
        assert found["direct"].sum() == pytest.approx(right.mean().item(), abs=1e-5)  # a bias of 0 at the end
    else:
        assert found["direct"].isna().all()


@pytest.mark.parametrize(("block", "skip"), [("pre", True), ("post", True), ("pre", False)])
def test_contributions_sum_to_the_logits_where_sublayers_add(config, block, skip, monkeypatch):
    net, sequences = network(block, skip=skip), drawn(ABOUT, 6, 3)
    found = measure._sums(net, config, sequences).iloc[0]
    if (block, skip) != ("pre", True):
        assert found.isna().all()
        return
    assert 0 < found["float64"] < 1e-10 < found["float32"] < 1e-4
    monkeypatch.setattr(measure, "contributions", lambda *given: contributions(*given)[:-2])
    assert measure._sums(net, config, sequences)["float64"].iloc[0] > 1e-3  # a sublayer is missing


@pytest.mark.parametrize(("block", "skip"), [("pre", True), ("post", True), ("pre", False)])
def test_patches(config, block, skip):
    by_position, whole = measure._patches(network(block, skip=skip), config)
    assert by_position.shape == (5, POSITIONS) and whole == pytest.approx([1] * 5, abs=1e-5)
    assert by_position[-1].tolist() == pytest.approx([0] * (POSITIONS - 1) + [1], abs=1e-5)
    stood = [POSITIONS - LONGEST, POSITIONS - 2 * LONGEST]
    assert [position for position in range(POSITIONS) if abs(by_position[0, position]) > 1e-6] == sorted(stood)


def test_tokens_are_those_that_the_lens_holds_for_likeliest(config):
    net, sequence = network(), drawn(ABOUT, 1, 3)
    tuned = measure._tuned(net, config, drawn(ABOUT, 6, 4))
    found = measure._tokens(net, tuned, config, sequence).set_index(["layer", "position"])
    inputs, known = task().pick(torch.from_numpy(sequence))
    sure = net(inputs).softmax(1).max(1)
    last = found.loc[4]
    assert last["logit"].tolist() == sure.indices.tolist()
    assert last["logit_probability"].tolist() == pytest.approx(sure.values.tolist())
    first = tuned(torch.stack(patching.streams(net, net.embedded(inputs))))[0].softmax(1).max(1)
    assert found.loc[0]["tuned"].tolist() == first.indices.tolist()
    assert found.loc[0]["tuned_probability"].tolist() == pytest.approx(first.values.tolist())
    assert last["token"].tolist() == sequence[0, :-1].tolist() and last["next"].tolist() == sequence[0, 1:].tolist()
    assert last["told"].tolist() == (known != UNTOLD).long().tolist() and len(found) == 5 * POSITIONS


def tables(config, seeds=2):
    """Of two variants; post learns at step 75 with seed 0 alone, and reads the answer from half of its sublayers on."""
    variants, depth = ("post", "pre"), 2 * config.depth
    about = config.sequences
    history = [
        {"variant": variant, "seed": seed, "epoch": epoch, "train_loss": 1.0, "val_loss": 1.0}
        | {"val_accuracy": 0.96 if epoch >= 3 and (seed == 0 or variant == "pre") else 0.5}
        for variant in variants
        for seed in range(seeds)
        for epoch in range(1, 13)
    ]
    streams = [
        {"variant": variant, "layer": layer, "norm": 2.0 + layer, "gradient": 2.0 ** (seed - layer / depth)}
        | {"cosine": layer / depth, "change": layer / 10 if layer else np.nan, "seed": seed, "moment": moment}
        for variant in variants
        for moment in ("start", "end")
        for seed in range(seeds)
        for layer in range(depth + 1)
    ]
    read = [
        {"variant": variant, "layer": layer, "logit": 3.0 - layer / depth, "tuned": 1.0 - layer / depth}
        | {"direct": layer if variant == "pre" else np.nan, "whole": 1 + 1e-6 * layer, "seed": seed}
        for variant in variants
        for seed in range(seeds)
        for layer in range(depth + 1)
    ]
    patched = [
        {"variant": variant, "layer": layer, "position": position, "seed": seed}
        | {"recovered": float((position == about.positions - 1) == (layer > 4)) if position > 3 else 0.0}
        for variant in variants
        for seed in range(seeds)
        for layer in range(depth + 1)
        for position in range(about.positions)
    ]
    said = [
        {"variant": variant, "layer": layer, "position": position, "token": position % 3, "next": (position + 1) % 3}
        | {
            "told": int(position > 2),
            "logit": layer % 3,
            "logit_probability": 0.5,
            "tuned": 0,
            "tuned_probability": 1.0,
        }
        for variant in variants
        for layer in range(depth + 1)
        for position in range(about.positions)
    ]
    sums = [
        {"variant": variant, "float32": 1e-6 if variant == "pre" else np.nan, "float64": 1e-15, "seed": seed}
        for variant in variants
        for seed in range(seeds)
    ]
    names = ("history", "streams", "reading", "patches", "tokens", "sums")
    return dict(zip(names, map(pd.DataFrame, (history, streams, read, patched, said, sums)), strict=True))


def test_the_numbers_of_a_variant(config):
    found = tables(config)
    del found["tokens"]
    post, pre = (
        summary.of_variant(config, **{name: table[table["variant"] == variant] for name, table in found.items()})
        for variant in ("post", "pre")
    )
    depth = 2 * config.depth
    assert post["accuracy"]["mean"] == pytest.approx(0.73) and post["solved"] == 0.5 and post["lost"] == 0
    assert post["tuned_lens_reads"]["mean"] == (depth // 2 + 1) / depth  # from there on less than half a nat
    assert post["logit_lens_there"]["mean"] == pytest.approx(3 - (depth // 2 + 1) / depth)
    assert post["best_position"]["mean"] == pytest.approx(1)
    assert post["solved_at"] == {"mean": 75, "std": 0, "min": 75, "max": 75, "seeds": 1} and pre["solved"] == 1
    assert post["norm_growth_end"]["mean"] == (2 + depth) / 2
    assert post["power_added_start"]["mean"] == ((2 + depth) / 2) ** 2 - 1
    assert post["power_of_one_start"]["mean"] == (((2 + depth) / 2) ** 2 - 1) / depth
    assert post["change_end"]["mean"] == pytest.approx((depth + 1) / 20)
    assert post["gradient_ratio_start"]["mean"] == pytest.approx(2)
    assert post["cosine_start"]["mean"] == 1 and post["first_cosine_end"]["mean"] == 0
    assert post["logit_lens_middle"]["mean"] == 2.5 and post["tuned_lens_middle"]["mean"] == 0.5
    assert post["source_half"]["mean"] == 4 / depth and post["query_half"]["mean"] == 5 / depth
    assert post["moved"]["mean"] == pytest.approx(1 / depth)
    assert post["whole_layer_error"]["max"] == pytest.approx(1e-6 * depth)
    assert "direct_of_last_quarter" not in post
    layers_of = range(depth + 1)
    late = sum(layer for layer in layers_of if layer > 0.75 * depth) / sum(layers_of)
    assert pre["direct_of_last_quarter"]["mean"] == pytest.approx(late)
    assert pre["direct_least"]["mean"] == pytest.approx(1 / sum(layers_of))
    assert pre["direct_most"]["mean"] == pytest.approx(depth / sum(layers_of))
    assert pre["sum_error_float32"]["max"] == 1e-6 and pre["sum_error_float64"]["max"] == 1e-15


def test_a_seed_that_has_diverged_has_no_accuracy_and_gaps_where_numbers_are_not_finite(config, tmp_path):
    found = tables(config)
    del found["tokens"]
    found = {name: table[table["variant"] == "post"] for name, table in found.items()}
    lost = (found["history"]["seed"] == 0) & (found["history"]["epoch"] > 5)
    found["history"] = found["history"][~lost]
    found["streams"] = found["streams"].assign(norm=np.where(found["streams"]["seed"] == 0, np.inf, 1.0))
    measure._write(tmp_path / "streams.parquet", found["streams"].drop(columns="variant"))
    found["streams"] = read_table(tmp_path / "streams.parquet", summary.tables(config, "post")["streams"])
    numbers = summary.of_variant(config, **found)
    assert numbers["lost"] == 0.5 and numbers["accuracy"]["seeds"] == 1 and numbers["accuracy"]["mean"] == 0.5
    assert numbers["norm_growth_end"] == {"mean": 1, "std": 0, "min": 1, "max": 1, "seeds": 1}


SMALL = {
    "depth": 2,
    "width": 8,
    "heads": 2,
    "seeds": 2,
    "sequences": ABOUT.model_dump() | {"validation": 8},
    "measure": {"sequences": 6, "lens_steps": 2, "lens_lr": 0.01, "patched": 3},
}
SMALL_TWIN = {"depth": 3, "width": 8, "hidden": 4, "seeds": 2, "digits": {"validation": 0.9, "seed": 0}}


def overflowed(about, trained, path, seeds, **factors):
    """A checkpoint of two seeds, of which some have so large weights in some parts that not all numbers are finite."""
    network = stack(partial(build, about), seeds=2, init=about["init"], seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter[seeds] *= factors.get(name.split(".")[0], 1)
    path.parent.mkdir(exist_ok=True)
    checkpoints.save(path, network, trained)


def test_networks_that_have_overflowed_leave_gaps_in_tables_numbers_and_figures(tmp_path, monkeypatch):
    params = yaml.safe_load((Path(__file__).parents[2] / "studies/streams/params.yaml").read_text(encoding="utf-8"))
    params |= SMALL | {"variants": {name: params["variants"][name] for name in ("post", "pre", "no_skip")}}
    params["twin"] |= SMALL_TWIN
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config, history = load(Params), tables(load(Params))["history"].query("variant == 'pre'")

    def run(stage, *arguments):
        CliRunner().invoke(stage.main, arguments, catch_exceptions=False, standalone_mode=False)

    nan, inf = {"stem": 1e30, "blocks": 1e30, "head": 1e30}, {"head": 1e38}  # inf: KL of lenses
    for name, lost, factors in (("post", [0, 1], nan), ("pre", [0], nan), ("no_skip", [1], inf)):
        overflowed(config.described(name), config.trained(name), Path(f"models/{name}.safetensors"), lost, **factors)
        run(measure, name, "models", "logs")
        history.drop(columns="variant").to_parquet(f"logs/{name}.history.parquet", index=False)
    run(twin_rows, "train.parquet", "validation.parquet")
    for name, lost, factors in (("residual", [0, 1], nan), ("no_skip", [0], inf)):
        about = config.twin.described(name)
        overflowed(about, config.twin.trained(name), Path(f"models/twin/{name}.safetensors"), lost, **factors)
        run(twin_measure, name, "models/twin", "train.parquet", "validation.parquet", "logs/twin")
        history.query("epoch <= 2").drop(columns="variant").to_parquet(f"logs/twin/{name}.history.parquet", index=False)
    run(of_all, "logs", "reports")
    run(plot, "reports", "figures")

    numbers = json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))
    for name in ("pre", "no_skip", "twin_no_skip"):
        assert numbers[name]["logit_lens_middle"]["seeds"] == 1
    assert numbers["twin_no_skip"]["probe_own"]["seeds"] == 2
    nothing = {"mean": None, "std": None, "min": None, "max": None, "seeds": 0}
    assert numbers["post"]["best_position"] == numbers["twin_residual"]["left_out"] == nothing
    said = pd.read_csv("reports/tokens.csv")
    said = said.set_index("variant")[["logit_probability", "tuned_probability"]].isna()  # of seed 0
    assert said.drop("no_skip").all(axis=None) and not said.loc["no_skip"].any(axis=None)
    assert {path.stem for path in Path("figures").glob("*.png")} >= {"tokens", "patches", "reading", "layers", "twin"}


def test_a_figure_leaves_out_letters_where_logits_are_not_finite(config):
    said = tables(config)["tokens"].assign(logit_probability=np.nan)
    figure = tokens.draw(said, plot.experiment(config, ["post"], {"post": {}}))
    figure.draw_without_rendering()
    logit, tuned = ([text.get_text() for text in axes.texts] for axes in figure.axes[:2])
    assert set(logit) == {""} and set(tuned) == {"A"}
    [marks] = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    assert len(marks.get_offsets()) == 0


def test_a_seed_whose_history_ends_early_has_diverged(config):
    history = tables(config)["history"]
    kept = history[~((history["variant"] == "post") & (history["seed"] == 1) & (history["epoch"] > 4))]
    variants = {name: config.variants[name] for name in ("post", "pre")}
    found = plot.diverged(config.model_copy(update={"variants": variants}), kept)
    assert found == {"post": {1: 100}, "pre": {}}


def test_what_is_shown_are_networks_that_have_learnt_by_their_mean_accuracy(config, tmp_path):
    metrics, nothing = tmp_path / "metrics.json", dict.fromkeys(("mean", "std", "min", "max"))
    means = dict.fromkeys([*config.variants, "twin_residual", "twin_no_skip"], 0.5) | {"pre": 0.9, "no_skip": 0.899}
    means["none"] = None
    numbers = {name: {"accuracy": nothing | {"mean": mean, "seeds": 4}} for name, mean in means.items()}
    metrics.write_text(json.dumps(numbers), encoding="utf-8")
    assert summary.have_learnt(config, metrics) == ["pre"]
    del numbers["none"]
    metrics.write_text(json.dumps(numbers), encoding="utf-8")
    with pytest.raises(RunError, match=r"metrics\.json"):
        summary.have_learnt(config, metrics)


def test_gradients_are_drawn_relative_to_the_last_stream():
    table = pd.DataFrame({"variant": "a", "seed": 0, "moment": "end", "layer": [2, 0, 1], "gradient": [2.0, 8.0, 4.0]})
    assert plot.relative(table)["gradient"].tolist() == [1, 4, 2]
    assert plot.relative(table.assign(gradient=0.0))["gradient"].isna().all()


def test_networks_are_compared_in_a_panel_with_those_of_the_same_start(config):
    history = tables(config)["history"]
    names = ("post", "pre_warm", "post_gpt2", "no_skip_half")
    both = pd.concat([history[history["variant"] == "pre"].assign(variant=name) for name in names])
    drawn_by, experiment = plot.by_kind(config, both, {name: {} for name in config.variants} | {"post_gpt2": {1: 50}})
    found = drawn_by.groupby(["panel", "variant"], sort=False).size()
    assert list(found.index) == [
        ("Xavier's weights, rate 0.003, 8 layers", "post-norm"),
        ("Xavier's weights, rate 0.003, 8 layers", "pre-norm, warm-up 100"),
        ("GPT-2's weights, rate 0.01, 8 layers", "post-norm"),
        ("Xavier's weights, rate 0.001, no skip", "pre-norm, no skip, 4 layers, warm-up 100"),
    ]
    assert experiment.label("post-norm") == "post-norm (diverged: 1 of 2 seeds at GPT-2's weights, rate 0.01, 8 layers)"
    assert drawn_by["step"].max() == 12 * config.train.every


def test_starts_are_compared_where_nothing_else_differs_but_the_place_of_the_norms(config):
    streams = tables(config)["streams"]
    of_pre = streams[streams["variant"] == "pre"].assign(passed=lambda table: table["layer"] / 16)
    both = pd.concat([of_pre.assign(variant=name) for name in config.variants])
    lost = {name: {} for name in config.variants} | {"post_gpt2_slow": {1: 50}, "post_gpt2": {0: 50}}
    drawn_by, experiment = plot.by_start(config, both, lost)
    found = drawn_by.groupby(["panel", "variant"], sort=False)["moment"].unique().map(list).to_dict()
    kinds = ["Xavier's weights", "GPT-2's weights", "PyTorch's default weights"]
    starts_of = [("post-norm", kind) for kind in kinds] + [("pre-norm", kind) for kind in kinds]
    assert found == {key: ["start", "end"] for key in [*starts_of, ("pre-norm", "LeCun's weights")]}
    assert len(drawn_by) == 7 * len(of_pre)
    assert experiment.label("GPT-2's weights") == "GPT-2's weights (diverged: 1 of 2 seeds at post-norm)"
    figure = starts.draw(drawn_by, experiment)
    figure.draw_without_rendering()
    lines = [len(axes.lines) for axes in figure.axes]
    assert lines == [3, 3, 3, 4, 4, 4]

    variants = {name: config.variants[name] for name in ("post", "none")}
    of_two, _ = plot.by_start(config.model_copy(update={"variants": variants}), both, lost)
    assert list(of_two["panel"].unique()) == ["post-norm", "no norm"]
    nothing = drawn_by.assign(norm=np.nan, gradient=np.nan)
    for table in (nothing, drawn_by.where(drawn_by["moment"] == "start", nothing)):
        starts.draw(table, experiment).draw_without_rendering()


def test_networks_that_differ_in_nothing_that_is_said_are_told_by_their_names(config):
    history = tables(config)["history"]
    shallow = config.model_copy(update={"depth": 1})
    both = pd.concat([history[history["variant"] == "pre"].assign(variant=name) for name in ("pre", "pre_half")])
    found, _ = plot.by_kind(shallow, both, {name: {} for name in config.variants})
    assert set(found["variant"]) == {"pre-norm", "pre-norm (pre_half)"} and found["panel"].nunique() == 1


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(config, seeds):
    config = config.model_copy(update={"seeds": seeds})
    found = tables(config, seeds)
    lost = {name: {} for name in config.variants}
    experiment = plot.experiment(config, ["post", "pre"], lost)
    passed = {name: found[name].assign(passed=found[name]["layer"] / 16) for name in ("streams", "reading")}
    drawn_figures = [
        training.draw(*plot.by_kind(config, found["history"], lost)),
        layers.draw(passed["streams"], experiment),
        reading.draw(passed["reading"], experiment),
        patches.draw(found["patches"], 4, experiment),
        tokens.draw(found["tokens"], experiment),
    ]
    for figure in drawn_figures:
        figure.draw_without_rendering()
    for figure in drawn_figures[:3]:
        assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
    read = found["tokens"][lambda table: table["variant"] == "post"]
    right = ((read["logit"] == read["next"]) & (read["told"] == 1)).sum()
    [marks] = [each for each in drawn_figures[4].axes[0].collections if isinstance(each, PathCollection)]
    assert len(marks.get_offsets()) == right > 0
    letters = [text.get_text() for text in drawn_figures[4].axes[0].texts]
    assert letters[:POSITIONS] == ["A"] * POSITIONS and letters[POSITIONS] == "B"
