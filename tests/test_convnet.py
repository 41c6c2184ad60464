"""Convolutional networks against formulas written with torch.nn.functional, and their multiply-adds against sums."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from gradflow import checkpoints
from gradflow.guards.errors import InputError
from gradflow.kit.block import Place
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.layers import Kit
from gradflow.networks.convnet import BLOCKS, multiply_adds
from gradflow.training.optimisers import Descent
from gradflow.training.probe import COLUMNS
from gradflow.training.rows import Rows
from gradflow.training.step import Step

SETTINGS = {"skip": True, "batch_norm": True, "shortcut": "projection", "padding": "zeros"}
BATCH, PIXELS, SEEDS = 5, 64, 3


def about(block="basic", widths=(8, 16, 32), depth=9, **changes):
    described = {"network": "convnet", "block": block, "settings": SETTINGS | changes, "widths": list(widths)}
    return described | {"depth": depth, "seeds": SEEDS}


def drawn(*arguments, init="he", **changes):
    return stack(partial(build, about(*arguments, **changes)), seeds=SEEDS, init=init, seed=0)


def images(rows=BATCH):
    return torch.randn(rows, PIXELS, generator=torch.Generator().manual_seed(0))


def normed(x, weights, name, stride=1):
    """A convolution and a batch norm in training mode, as the papers have them."""
    kernel = weights[f"{name}.convolution.weight"]
    x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    x = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return weights[f"{name}.norm.weight"][:, None, None] * x + weights[f"{name}.norm.bias"][:, None, None]


@pytest.mark.parametrize(("width", "out"), [(8, 8), (8, 16)])
@pytest.mark.parametrize("shortcut", ["projection", "padding"])
@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_a_block_is_that_of_the_papers(kind, shortcut, width, out):
    """As torchvision's BasicBlock and Bottleneck, which halve the image in the 3x3 convolution."""
    block = BLOCKS[kind](Kit(), Place(width, out), **(SETTINGS | {"shortcut": shortcut})).double()
    for number, parameter in enumerate(block.parameters()):
        parameter.data.normal_(generator=torch.Generator().manual_seed(number))
    weights, stride = dict(block.named_parameters()), out // width
    x = torch.randn(BATCH, width, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(99))
    if kind == "basic":
        branch = normed(normed(x, weights, "units.0", stride).relu(), weights, "units.1")
    else:
        assert weights["units.1.convolution.weight"].shape == (out // 4, out // 4, 3, 3)
        inside = normed(x, weights, "units.0").relu()
        branch = normed(normed(inside, weights, "units.1", stride).relu(), weights, "units.2")
    carried = x
    if width != out and shortcut == "projection":
        carried = normed(x, weights, "projection", stride)
    elif width != out:
        carried = torch.cat([x[:, :, ::2, ::2], torch.zeros(BATCH, out - width, 4, 4, dtype=torch.float64)], 1)
    torch.testing.assert_close(block(x), (carried + branch).relu())
    assert (block.carry(x) is x) == (width == out)


def test_without_skip_and_batch_norm_a_block_is_two_convolutions():
    block = BLOCKS["basic"](Kit(), Place(8, 16), **(SETTINGS | {"skip": False, "batch_norm": False}))
    x = torch.randn(BATCH, 8, 8, 8)
    first, second = (unit.convolution for unit in block.units)
    inside = functional.conv2d(x, first.weight, first.bias, 2, 1).relu()
    torch.testing.assert_close(block(x), functional.conv2d(inside, second.weight, second.bias, 1, 1).relu())
    assert block.carry(x) is None and block.projection is None


@pytest.mark.parametrize(
    ("described", "count"),
    [
        (about("basic", shortcut="padding"), 631_616),
        (about("basic"), 635_712),
        (about("basic", (16, 32, 64)), 2_532_992),
        (about("bottleneck", (16, 32, 64)), 191_104),
    ],
    ids=["padding", "projection", "basic", "bottleneck"],
)
def test_multiply_adds_are_those_counted_by_hand(described, count):
    first, *_ = widths = described["widths"]
    by_hand = 9 * 1 * first * 8 * 8 + 10 * widths[-1]  # stem and head
    before, side = first, 8
    for width in widths:
        for number in range(3):
            coarse = side // 2 if number == 0 and width != first else side
            if described["block"] == "basic":
                by_hand += 9 * (before * width + width * width) * coarse**2
            else:
                inside = width // 4
                by_hand += before * inside * side**2 + (9 * inside * inside + inside * width) * coarse**2
            if before != width and described["settings"]["shortcut"] == "projection":
                by_hand += before * width * coarse**2
            before, side = width, coarse
    assert multiply_adds(build(described), PIXELS) == by_hand == count


def test_images_of_another_size_cost_by_their_pixels():
    made = build(about())
    head = 10 * 32
    assert multiply_adds(made, 4 * PIXELS) - head == 4 * (multiply_adds(made, PIXELS) - head)


def test_counting_leaves_the_statistics_of_batch_norms_alone():
    made = build(about())
    before = {name: value.clone() for name, value in made.state_dict().items()}
    multiply_adds(made, PIXELS)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("basic", {}),
        ("bottleneck", {}),
        ("basic", {"batch_norm": False, "padding": "circular", "shortcut": "padding"}),
        ("bottleneck", {"batch_norm": False, "padding": "circular", "shortcut": "padding"}),
        ("basic", {"skip": False}),
    ],
)
def test_seeds_side_by_side_are_single_networks(kind, changes, mode):
    together = drawn(kind, depth=3, **changes)
    getattr(together, mode)()
    x = images()
    singles = []
    for seed in range(SEEDS):
        single = build(about(kind, depth=3, **changes))
        single.load_state_dict({name: value[seed] for name, value in together.state_dict().items()})
        singles.append(getattr(single, mode)())
    found = together(x.expand(SEEDS, -1, -1))
    gradients = torch.autograd.grad(found.square().sum(), list(together.parameters()))
    for seed, single in enumerate(singles):
        torch.testing.assert_close(found[seed], single(x), rtol=1e-5, atol=1e-6)
        for name, value in single.named_buffers():
            torch.testing.assert_close(together.get_buffer(name)[seed], value, rtol=1e-5, atol=1e-6)
        own = torch.autograd.grad(single(x).square().sum(), list(single.parameters()))
        for one, other in zip(gradients, own, strict=True):
            torch.testing.assert_close(one[seed], other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def test_convolutions_start_with_the_inputs_of_a_pixel_and_the_head_as_pytorchs_own():
    for init, power in (("he", 2.0), ("gpt2", 1.0)):
        made = drawn(widths=(32, 64), depth=2, init=init)
        convolution = made.blocks[1].units[0].convolution.weight
        assert (convolution.var() * 9 * 32).item() == pytest.approx(power, rel=0.02)
        assert made.head.weight.abs().max().item() == pytest.approx(64**-0.5, rel=0.01)
    last = drawn(widths=(32, 64), depth=2, init="gpt2").blocks[1].units[1].convolution.weight
    assert (last.var() * 9 * 64).item() == pytest.approx(1 / 2, rel=0.02)  # it writes to the stream
    last = drawn(widths=(32, 64), depth=2, init="gpt2", skip=False).blocks[1].units[1].convolution.weight
    assert (last.var() * 9 * 64).item() == pytest.approx(1.0, rel=0.02)  # there is none


def test_layers_are_named_in_their_order():
    assert [(each.layer, each.name) for each in build(about(depth=1)).linear_maps()] == [
        (0, "stem.convolution"),
        (1, "block_1.units.0.convolution"),
        (1, "block_1.units.1.convolution"),
        (2, "head"),
    ]


@pytest.mark.parametrize("kit", [Kit(), Kit(SEEDS)])
def test_a_change_of_channels_without_a_shortcut_is_refused_in_one_line(kit):
    with pytest.raises(InputError) as error:
        build(about(depth=3, shortcut="none"), kit)
    rule = "must be projection or padding where channels change, from 8 to 16 at block 2, got none"
    assert error.value.message == f"shortcut: {rule}"
    build(about(widths=(8,), depth=3, shortcut="none"), kit)


def test_zeros_at_the_edges_break_hes_power_and_what_stands_opposite_keeps_it():
    """Of the pixels that a window of 3x3 sees, a share of ((3 side - 2) / (3 side))^2 is inside of the image."""
    torch.manual_seed(0)
    for side in (8, 4, 2):
        x = torch.randn(64, 256, side, side)
        for padding, expected in (("zeros", ((3 * side - 2) / (3 * side)) ** 2), ("circular", 1.0)):
            layer = Kit().convolution(256, 256, 3, bias=False, padding=padding)
            torch.nn.init.normal_(layer.weight, std=(1 / (9 * 256)) ** 0.5)
            with torch.no_grad():
                assert (layer(x).square().mean() / x.square().mean()).item() == pytest.approx(expected, rel=0.02)


def step():
    rows = images(), torch.arange(BATCH) % 10
    task = Rows(rows, rows, epochs=2, batch_size=BATCH, seed=0, probe_rows=BATCH, probe_every=9)
    return Step(drawn(depth=3), task, Descent("sgd", 0.1, 0.9))


def test_a_step_measures_by_running_statistics_and_trains_by_those_of_the_batch():
    made = step()
    norm = made.network.stem.norm
    made.measure()
    assert norm.num_batches_tracked.tolist() == [0] * SEEDS and made.network.training
    made(torch.arange(BATCH))
    assert norm.num_batches_tracked.tolist() == [1] * SEEDS
    seen = functional.conv2d(images().view(-1, 1, 8, 8), drawn(depth=3).stem.convolution.weight[1], padding=1)
    torch.testing.assert_close(norm.running_mean[1], 0.1 * seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    found = made.measure()
    whole = made.network.eval()(images().expand(SEEDS, -1, -1))
    expected = torch.stack([functional.cross_entropy(own, torch.arange(BATCH) % 10) for own in whole])
    torch.testing.assert_close(found[:, 0], expected.double(), rtol=1e-6, atol=0)


def probed_by_hand(single):
    """Of each block, a row of what the probe finds, by autograd on one network in evaluation mode."""
    x, rows, waiting = single.eval().images(images()), [], []
    for block in single.blocks:
        first, second = block.units
        z = first.convolution(x)
        branch = second(first.norm(z).relu())
        after = (block.carry(x) + branch).relu()
        waiting.append([z, *(part.weight for part in block.modules() if isinstance(part, torch.nn.Conv2d))])
        dead = (z.amax((0, 2, 3)) <= 0).double().mean()
        of_streams = [of(own) for own in (z, after) for of in (torch.mean, partial(torch.std, correction=0))]
        rows.append([number.item() for number in (*of_streams, dead, branch.norm() / x.norm())])
        x = after
    loss = functional.cross_entropy(single.head(x.mean((2, 3))), torch.arange(BATCH) % 10)
    gradients = iter(torch.autograd.grad(loss, [each for own in waiting for each in own]))
    norms = [[next(gradients).norm().item() for _ in own] for own in waiting]
    return [
        [sum(norm**2 for norm in of_maps) ** 0.5, delta, *row]
        for (delta, *of_maps), row in zip(norms, rows, strict=True)
    ]


def test_the_probe_finds_of_each_seed_what_is_in_a_single_network_and_leaves_statistics_alone():
    made = step()
    made(torch.arange(BATCH))
    with torch.no_grad():
        dead = made.network.blocks[1].units[0].convolution.weight[1, :4]
        dead.copy_(-dead.abs())  # of a stream that is nowhere negative
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    found, whole = made._task.probe(made)
    assert made.network.training and whole.all() and found.shape == (SEEDS, 3, len(COLUMNS))
    assert found[1, 1, COLUMNS.index("dead_fraction")] >= 4 / 16
    assert all(torch.equal(value, before[name]) for name, value in made.network.state_dict().items())
    for seed in range(SEEDS):
        single = build(about(depth=3))
        single.load_state_dict({name: value[seed] for name, value in before.items()})
        expected = torch.tensor(probed_by_hand(single), dtype=torch.float64)
        torch.testing.assert_close(found[seed], expected, rtol=1e-4, atol=1e-6)


def test_a_seed_that_diverges_keeps_its_statistics_too():
    made = step()
    made(torch.arange(BATCH))
    with torch.no_grad():
        made.network.stem.convolution.weight[1] = torch.inf
    before = {name: value.clone() for name, value in made.network.named_buffers()}
    made(torch.arange(BATCH))
    assert made.alive.tolist() == [True, False, True]
    for name, value in made.network.named_buffers():
        assert torch.equal(value[1], before[name][1]), name
        assert not torch.equal(value[0], before[name][0]), name


def test_a_state_that_is_taken_over_holds_the_statistics():
    first, later = step(), step()
    first(torch.arange(BATCH))
    later.go_on({name: value.clone() for name, value in first.unfinished().items()})
    for each in (first, later):
        each(torch.arange(BATCH).flip(0))
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, later.network.state_dict()[name]), name


def test_a_checkpoint_holds_the_statistics_of_batch_norms(tmp_path):
    made = step()
    made(torch.arange(BATCH))
    checkpoints.save(tmp_path / "a.safetensors", made.network, about(depth=3))
    whole = made.network.eval()(images().expand(SEEDS, -1, -1))
    for seed in range(SEEDS):
        single = checkpoints.load(tmp_path / "a.safetensors", seed)
        assert not single.training and isinstance(single.stem.norm, torch.nn.BatchNorm2d)
        torch.testing.assert_close(single(images()), whole[seed], rtol=1e-4, atol=1e-5)
