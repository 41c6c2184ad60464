"""The U-Net: stacked seeds against single networks, its way through stages by hand, and what its long skips do."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.layers import Kit
from gradflow.networks import unet

SEEDS = 3


def about(long_skips=True, widths=(4, 6, 8, 6, 4)):
    found = {"network": "unet", "block": "stage", "settings": {"long_skips": long_skips}}
    return found | {"widths": list(widths), "depth": len(widths)}


def single(long_skips=True, **given):
    torch.manual_seed(0)
    return build(about(long_skips, **given))


def images(rows=5, side=8):
    return torch.rand(rows, side * side, generator=torch.Generator().manual_seed(1))


def by_hand(network, x, long_skips):
    """Two halvings, with torch's own functions on ordinary images."""
    one, two, middle, four, five = network.blocks

    def stage(block, at):
        return functional.relu(block.second(functional.relu(block.first(at))))

    def up(at, skipped):
        skipped = skipped if long_skips else 0 * skipped
        return torch.cat([functional.interpolate(at, scale_factor=2, mode="nearest"), skipped], 1)

    large = stage(one, x.view(-1, 1, 8, 8))
    small = stage(two, functional.max_pool2d(large, 2))
    smallest = stage(middle, functional.max_pool2d(small, 2))
    return network.head(stage(five, up(stage(four, up(smallest, small)), large))).flatten(1)


@pytest.mark.parametrize("long_skips", [True, False])
def test_the_way_through_the_stages_is_that_of_the_paper(long_skips):
    network = single(long_skips)
    assert torch.allclose(network(images()), by_hand(network, images(), long_skips), atol=1e-6)


@pytest.mark.parametrize("long_skips", [True, False])
@pytest.mark.parametrize("init", ["default", "he"])
def test_each_of_the_stacked_seeds_is_the_single_network_of_its_seed(long_skips, init):
    stacked = stack(partial(build, about(long_skips)), seeds=SEEDS, init=init, seed=7)
    found = stacked(images().expand(SEEDS, -1, -1))
    found.square().mean((1, 2)).sum().backward()
    for seed in range(SEEDS):
        alone = stack(partial(build, about(long_skips)), seeds=1, init=init, seed=7 + seed)
        own = build(about(long_skips))
        own.load_state_dict({name: value[0] for name, value in alone.state_dict().items()})
        expected = own(images())
        assert torch.allclose(found[seed], expected, rtol=1e-4, atol=1e-6)
        expected.square().mean().backward()
        gradients = {name: value.grad for name, value in own.named_parameters()}
        for name, value in stacked.named_parameters():
            assert torch.allclose(value.grad[seed], gradients[name], rtol=1e-3, atol=1e-7), name


def test_with_zeros_in_their_place_the_same_weights_are_there_and_do_nothing():
    with_skips, zeroed = single(True), single(False)
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (with_skips, zeroed)]
    assert shapes[0] == shapes[1]
    before = {name: each(images()) for name, each in (("with", with_skips), ("zeroed", zeroed))}
    for each in (with_skips, zeroed):
        with torch.no_grad():
            for stage, below in zip(each.blocks[3:], (8, 6), strict=True):
                stage.first.weight[:, below:] += 1.0  # what reads the long skip
    assert torch.equal(zeroed(images()), before["zeroed"])
    assert not torch.allclose(with_skips(images()), before["with"])


@pytest.mark.parametrize("long_skips", [True, False])
def test_without_long_skips_all_comes_through_the_middle(long_skips):
    network = single(long_skips)
    with torch.no_grad():
        network.blocks[2].second.weight.zero_()  # the middle is the same for all images
    made = network(images())
    assert torch.allclose(made, made[:1].expand_as(made)) == (not long_skips)


@pytest.mark.parametrize(("widths", "side"), [((4,), 8), ((4, 6, 4), 8), ((2, 3, 4, 5, 4, 3, 2), 8), ((4, 6, 4), 4)])
@pytest.mark.parametrize("seeds", [None, SEEDS])
def test_images_come_out_as_large_as_they_went_in(widths, side, seeds):
    network = build(about(widths=widths), Kit(seeds))
    inputs = images(side=side) if seeds is None else images(side=side).expand(seeds, -1, -1)
    assert network(inputs).shape == inputs.shape


def test_the_convolutions_have_the_names_of_their_stages():
    maps = single(widths=(4, 6, 4)).linear_maps()
    stages = [(layer, f"block_{layer}.{name}") for layer in (1, 2, 3) for name in ("first", "second")]
    assert [(each.layer, each.name) for each in maps] == [*stages, (4, "head")]
    assert [tuple(each.weight.shape[:2]) for each in maps] == [(4, 1), (4, 4), (6, 4), (6, 6), (4, 10), (4, 4), (1, 4)]


@pytest.mark.parametrize("widths", [(4, 6), (4, 6, 5)])
def test_widths_of_no_encoder_and_decoder_are_refused(widths):
    with pytest.raises(ValueError, match=r"^stages must be odd in number and read the same from both ends, got \[4, 6"):
        build(about(widths=widths))


def test_a_block_that_is_no_stage_is_not_made():
    with pytest.raises(KeyError, match="residual"):
        build(about() | {"block": "residual"})


def test_halving_keeps_the_largest_and_doubling_repeats():
    image = torch.tensor([[1.0, 2.0, 5.0, 0.0], [3.0, 4.0, 0.0, 0.0]]).view(1, 1, 2, 4)
    assert unet.halved(image).tolist() == [[[[4.0, 5.0]]]]
    rows = [[1, 1, 2, 2, 5, 5, 0, 0], [3, 3, 4, 4, 0, 0, 0, 0]]
    assert unet.doubled(image)[0, 0].tolist() == [rows[0], rows[0], rows[1], rows[1]]
