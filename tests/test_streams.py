"""What is read on a stream, and changed on it, against sums and networks whose answer is known."""

from functools import partial

import pytest
import torch

from gradflow.kit.building import build
from gradflow.networks import transformer
from gradflow.streams import lens, patching
from gradflow.streams.contributions import contributions

TOKENS, POSITIONS, LAYERS = 6, 5, 3


def network(block="pre", type_=torch.float32, **settings):
    torch.manual_seed(0)
    about = {"network": "transformer", "block": block, "depth": LAYERS, "width": 16, "widths": None}
    made = build(about | {"settings": {"tokens": TOKENS, "positions": POSITIONS, "heads": 2, **settings}})
    for name, parameter in made.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter)
    return made.to(type_).requires_grad_(False)


def inputs(seed=0, type_=torch.float32):
    random = torch.Generator().manual_seed(seed)
    return transformer.inputs(torch.randint(TOKENS, (4, POSITIONS), generator=random), TOKENS).to(type_)


@pytest.mark.parametrize(("type_", "most"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize("settings", [{}, {"norm": "rms"}, {"block": "peri"}, {"block": "none"}])
def test_contributions_sum_to_the_logits(type_, most, settings):
    net, x = network(type_=type_, **settings), inputs(type_=type_)
    parts = contributions(net, x)
    assert len(parts) == 2 + 2 * LAYERS and (parts.abs().amax((1, 2))[:-1] > 1e-3).all()
    assert (parts.sum(0) - net(x)).abs().max() < most


def test_the_contribution_of_a_sublayer_that_is_silent_is_nothing():
    net = network()
    for parameter in net.blocks[2].core.out.parameters():
        torch.nn.init.zeros_(parameter)
    parts = contributions(net, inputs())
    assert parts[3].abs().max() == 0 and parts[2].abs().max() > 0


@pytest.mark.parametrize("settings", [{"block": "post"}, {"skip": False}])
def test_logits_are_no_sum_where_sublayers_do_not_add(settings):
    with pytest.raises(ValueError, match="sublayer 1 does not add to the stream"):
        contributions(network(**settings), inputs())


@pytest.mark.parametrize("settings", [{}, {"block": "post"}, {"skip": False}])
def test_a_whole_layer_brings_all_back_and_none_of_it_nothing(settings):
    net, x, other = network(**settings), inputs(), inputs(seed=1)
    runs = [patching.streams(net, net.embedded(each)) for each in (x, other)]
    clean, corrupted = net(x), net(other)
    whole, none = torch.ones(len(x), dtype=torch.bool), torch.zeros(len(x), dtype=torch.bool)
    changed = (clean - corrupted).abs() > 1e-2
    for layer in range(2 * LAYERS + 1):
        back = patching.recovered(clean, corrupted, net.read(patching.patched(net, *runs, layer, whole)))
        assert (back[changed] - 1).abs().max() < 1e-3  # of differences of 0.01
        assert torch.allclose(net.read(patching.patched(net, *runs, layer, whole)), clean, atol=1e-5)
        assert torch.equal(net.read(patching.patched(net, *runs, layer, none)), net.read(runs[1][-1]))


def test_a_patched_position_changes_none_before_it():
    net, x, other = network(), inputs(), inputs(seed=1)
    runs = [patching.streams(net, net.embedded(each)) for each in (x, other)]
    rows = torch.arange(len(x)) % POSITIONS == 2
    moved = (net.read(patching.patched(net, *runs, 1, rows)) - net(other)).abs().amax(1).view(-1, POSITIONS)
    assert (moved[:, :2] < 1e-6).all() and (moved[:, 2:] > 1e-4).any(0).all()


def test_the_logit_lens_of_the_last_stream_is_the_network():
    net, x = network(), inputs()
    last = patching.streams(net, net.embedded(x))[-1]
    assert torch.equal(net.read(last), net(x))
    assert lens.distance(net(x), net.read(last)).abs().max() < 1e-6
    assert (lens.distance(net(x), net(inputs(seed=1))) > 0).all()


def test_distances_are_those_of_the_definition():
    one, other = torch.randn(2, 7, TOKENS, generator=torch.Generator().manual_seed(0)).unbind(0)
    p, q = one.softmax(1), other.softmax(1)
    torch.testing.assert_close(lens.distance(one, other), (p * (p / q).log()).sum(1))


def test_a_tuned_lens_finds_the_basis_that_a_stream_was_turned_into():
    net = network()
    x = torch.cat([net.embedded(inputs(seed)) for seed in range(20)])
    last = patching.streams(net, x)[-1]
    turned = last @ torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(3)))[0]
    found = partial(lens.distance, net.read(last))
    tuned = lens.Tuned([turned, last], net.read, steps=300, lr=0.02)
    read = tuned(torch.stack([turned, last]))
    assert found(net.read(turned)).mean() > 20 * found(read[0]).mean()
    assert found(read[1]).mean() < 1e-3
