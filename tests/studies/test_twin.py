"""The twin of the study of streams: perceptrons on digits against networks and tables made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import layer_norm

from gradflow.drawing.experiment import Experiment
from gradflow.kit.building import build
from gradflow.params.digits import Digits
from gradflow.params.moons import Descending
from studies.streams.figures import twin
from studies.streams.twin import measure, setting, summary, tables
from studies.streams.twin.params import Chosen, Measure, Twin
from studies.streams.twin.probes import Probes

DEPTH, WIDTH, SEEDS = 3, 16, 2
HOW = Measure(lens_steps=5, lens_lr=0.01, probe_decay=0.01)
CONFIG = Twin(
    depth=DEPTH,
    width=WIDTH,
    hidden=8,
    init="xavier",
    seeds=SEEDS,
    digits=Digits(validation=0.3, seed=0),
    train=Descending(epochs=2, batch_size=32, lr=0.1, momentum=0.9, clip_norm=None, seed=0),
    variants={"residual": Chosen(skip=True), "no_skip": Chosen(skip=False)},
    measure=HOW,
)


def network(variant):
    torch.manual_seed(0)
    return build(CONFIG.described(variant)).requires_grad_(False)


def rows(seed, count=40):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, 64, generator=random), torch.randint(10, (count,), generator=random)


def by_hand(net, x, skip, blocks=range(DEPTH)):
    """Logits of a network of these blocks."""
    x = net.stem(x)
    for number in blocks:
        core = net.blocks[number].core
        branch = core.out(torch.relu(core.linear(layer_norm(x, (WIDTH,)))))
        x = x + branch if skip else branch
    return net.head(layer_norm(x, (WIDTH,)))


def accuracy(logits, labels):
    return (logits.argmax(1) == labels).double().mean().item()


@pytest.mark.parametrize(("variant", "skip"), [("residual", True), ("no_skip", False)])
def test_a_network_is_blocks_between_a_stem_and_a_norm_with_a_head(variant, skip):
    net, (x, _) = network(variant), rows(0)
    torch.testing.assert_close(net(x), by_hand(net, x, skip))
    assert sum(p.numel() for p in net.parameters()) == 65 * 16 + 3 * (2 * 16 + 17 * 8 + 9 * 16) + 2 * 16 + 17 * 10


def test_probes_are_the_softmax_regression_of_each_stream():
    streams = [torch.randn(60, 5, generator=torch.Generator().manual_seed(seed)) * 10**seed for seed in range(2)]
    labels = torch.arange(60) % 3
    found = Probes(streams, labels, classes=3, decay=0.02)(torch.stack(streams)).softmax(2).detach()
    for x, own in zip(streams, found, strict=True):
        scaled = (x / x.square().mean().sqrt()).double().numpy()
        expected = LogisticRegression(C=1 / (60 * 0.02), tol=1e-10, max_iter=1000).fit(scaled, labels.numpy())
        np.testing.assert_allclose(own.numpy(), expected.predict_proba(scaled), atol=1e-5)


def test_a_probe_reads_other_rows_as_those_on_which_it_has_learnt():
    x, labels = rows(0)
    probes = Probes([x, x], labels, classes=10, decay=0.1)
    read = probes(torch.stack([x, 2 * x]))
    torch.testing.assert_close(read[1] - probes._shifts[1], 2 * (read[0] - probes._shifts[0]))


@pytest.mark.parametrize(("variant", "skip"), [("residual", True), ("no_skip", False)])
def test_what_is_measured_of_each_stream(variant, skip):
    net, train, validation = network(variant), rows(0, 60), rows(1)
    found = measure.measured(net, train, validation, HOW).set_index("layer")
    x, labels = validation
    assert list(found.index) == [0, 1, 2, 3]
    assert (found["recovered"] - 1).abs().max() < 1e-5 and found["logit"].loc[3] == pytest.approx(0, abs=1e-6)
    for block in range(DEPTH):
        others = [number for number in range(DEPTH) if number != block]
        assert found["left_out"].loc[block + 1] == accuracy(by_hand(net, x, skip, others), labels)
        p, q = (by_hand(net, x, skip, range(until)).double().softmax(1) for until in (DEPTH, block))
        assert found["logit"].loc[block] == pytest.approx((p * (p / q).log()).sum(1).mean().item(), rel=1e-3)
    assert found["left_out"].isna().tolist() == [True, False, False, False]
    assert found["next"].isna().tolist() == [False, False, False, True]
    assert (found["tuned"] < found["logit"]).loc[:2].all()


def test_probes_go_on_to_the_next_stream_and_a_silent_block_changes_nothing():
    net = network("residual")
    for parameter in net.blocks[1].core.out.parameters():
        torch.nn.init.zeros_(parameter)
    found = measure.measured(net, rows(0, 60), rows(1, 300), HOW).set_index("layer")
    assert found["next"].loc[1] == found["own"].loc[1] == found["own"].loc[2]
    assert found["logit"].loc[1] == pytest.approx(found["logit"].loc[2])
    assert found["left_out"].loc[2] == accuracy(net(rows(1, 300)[0]), rows(1, 300)[1])
    streams = [net.stem(rows(0, 60)[0])]
    probe = Probes(streams, rows(0, 60)[1], classes=10, decay=HOW.probe_decay)
    first = net.blocks[0](net.stem(rows(1, 300)[0]))
    assert found["next"].loc[0] == accuracy(probe(first.unsqueeze(0))[0], rows(1, 300)[1])


def test_patches_of_nothing_bring_nothing_back(monkeypatch):
    patched = measure.patching.patched
    monkeypatch.setattr(measure.patching, "patched", lambda *given: patched(*given[:-1], torch.zeros_like(given[-1])))
    found = measure.measured(network("residual"), rows(0, 60), rows(1), HOW)
    assert found["recovered"].abs().max() < 1e-5


def table():
    """Of both networks; seed 1 has a tenth more of everything."""
    numbers = {
        "logit": [2.0, 1.0, 0.5, 0.0],
        "tuned": [0.5, 0.25, 0.125, 0.0],
        "own": [0.4, 0.6, 0.8, 0.8],
        "next": [0.2, 0.4, 0.6, np.nan],
        "left_out": [np.nan, 0.1, 0.3, 0.8],
        "recovered": [1.0, 1.0, 0.9, 1.0],
    }
    one = pd.DataFrame({"layer": range(4), **numbers})
    return pd.concat([one.assign(seed=0), (one * 1.1).assign(layer=one["layer"], seed=1)])


def history(epochs=(1, 2)):
    facts = {"train_loss": 1.0, "val_loss": 1.0}
    return pd.DataFrame(
        [
            {"seed": seed, "epoch": epoch, **facts, "val_accuracy": epoch / 4}
            for seed in range(SEEDS)
            for epoch in epochs
        ]
    )


def test_the_numbers_of_a_variant():
    found = summary.of_variant(CONFIG, history(), table())
    means = {name: number["mean"] for name, number in found.items() if name != "seeds"}
    assert means == pytest.approx(
        {
            "accuracy": 0.5,
            "logit_lens_middle": 1.05,
            "tuned_lens_middle": 0.2625,
            "probe_own": 0.65 * 1.05,
            "probe_next": 0.4 * 1.05,
            "probe_next_worst": 0.2 * 1.05,
            "probe_next_best": 0.6 * 1.05,
            "left_out": 0.4 * 1.05,
            "left_out_worst": 0.1 * 1.05,
            "left_out_best": 0.8 * 1.05,
            "whole_layer_error": 0.1,
        }
    )
    assert found["probe_own"]["min"] == pytest.approx(0.65) and found["whole_layer_error"]["max"] == pytest.approx(0.1)


def test_tables_are_written_and_read_again_with_the_seeds_that_diverged(tmp_path):
    for name in CONFIG.variants:
        short = (1,) if name == "no_skip" else (1, 2)
        history(short).to_parquet(tmp_path / f"{name}.history.parquet", index=False)
        table().to_parquet(tmp_path / f"{name}.layers.parquet", index=False)
    numbers = tables.written(CONFIG, tmp_path, tmp_path)
    assert list(numbers) == ["twin_residual", "twin_no_skip"] and numbers["twin_no_skip"]["accuracy"]["mean"] == 0.25
    layers, experiment = setting.read(CONFIG, tmp_path)
    assert len(layers) == 2 * SEEDS * (DEPTH + 1)
    assert experiment.diverged == {"residual": {}, "no_skip": {0: 2, 1: 2}}


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figure_shows_what_there_is(seeds):
    experiment = Experiment({"a": DEPTH, "b": DEPTH}, seeds, 3, {"a": {}, "b": {0: 2}}, "a caption")
    both = pd.concat([table().assign(variant=name) for name in ("a", "b")])
    figure = twin.draw(both[both["seed"] < seeds], experiment)
    figure.draw_without_rendering()
    assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
    shown = {tuple(line.get_ydata()) for line in figure.axes[1].lines if len(line.get_xdata()) == DEPTH}
    assert shown and all(len(values) == DEPTH for values in shown)
