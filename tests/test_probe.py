"""The probe: right where squares leave float32, and in C what autograd finds."""

import pytest
import torch

from gradflow.training import compiled
from gradflow.training.probe import COLUMNS, probe
from gradflow.training.step import Step
from tests import small

DEPTH, SEEDS = 5, 3
SIZES = [COLUMNS.index(name) for name in ("weight_grad_norm", "delta_norm", "z_std", "x_std")]


def probed(stacked, dtype=torch.float32, rows=40):
    """What autograd finds; for comparison the same network in float64, whose squares reach far down and up."""
    points, labels = small.moons(rows)
    return probe(stacked.to(dtype), points.to(dtype), labels, small.task().losses)


@pytest.mark.parametrize("block", ["plain", "residual"])
@pytest.mark.parametrize("factor", [1.0, 1e-5, 1e5], ids=["healthy", "vanishing", "exploding"])
@pytest.mark.parametrize("make", [Step, compiled.fastest], ids=["PyTorch", "C"])
def test_sizes_are_right_where_squares_leave_float32(make, block, factor):
    stacked = small.network(block, DEPTH, seeds=SEEDS, init="he")
    with torch.no_grad():
        for parameter in stacked.blocks.parameters():
            parameter.mul_(factor)
    found = small.step(stacked, make=make).probe(*small.moons(40))
    expected = probed(stacked, torch.float64)
    if factor < 1 and block == "plain":
        assert expected[..., SIZES].min() < 1e-23, "too small for its square"
    if factor > 1:
        assert expected[..., SIZES].max() > 1e20, "too large for its square"
    torch.testing.assert_close(found[..., SIZES], expected[..., SIZES], rtol=2e-4, atol=0)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("block", "settings"),
    [("plain", {}), ("residual", {"scale": 0.5}), ("residual", {"scale": -2}), ("skipinit", {"start": -0.5})],
)
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("width", [16, 48, 64])
@pytest.mark.parametrize("rows", [1, 40])  # a batch has 16
def test_c_finds_what_autograd_finds(block, settings, seeds, width, rows):
    stacked = small.network(block, DEPTH, width, seeds=seeds, **settings)
    step = small.step(stacked)
    assert step.engine == "C"
    before = [tensor.clone() for tensor in (*step.state, step.valid)]
    found, expected = step.probe(*small.moons(rows)), probed(stacked, rows=rows)

    assert (found.shape, found.dtype) == ((seeds, DEPTH, len(COLUMNS)), torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(found[..., SIZES], expected[..., SIZES], rtol=1e-5, atol=0)
    assert (found[..., COLUMNS.index("branch_ratio")].isnan() == (block == "plain")).all()
    after = (*step.state, step.valid)
    assert all(torch.equal(one, same) for one, same in zip(before, after, strict=True)), "probing trains nothing"


def test_dead_units_are_counted():
    stacked = small.network("plain", DEPTH)
    with torch.no_grad():
        stacked.blocks[2].linear.bias[1, :4] = -100.0
    found, expected = small.step(stacked).probe(*small.moons(40)), probed(stacked)

    dead = COLUMNS.index("dead_fraction")
    assert found[1, 2, dead] >= 4 / 16
    assert torch.equal(found[..., dead], expected[..., dead])


@pytest.mark.parametrize("make", [Step, compiled.fastest], ids=["PyTorch", "C"])
@pytest.mark.parametrize("where", ["stem", "head"])
def test_a_seed_beyond_float32_does_not_disturb_the_others(make, where):
    whole, broken = small.network(), small.network()
    with torch.no_grad():
        broken.get_submodule(where).weight[1] = 3e38
    expected, step = small.step(whole, make=make).probe(*small.moons(40)), small.step(broken, make=make)
    found, are_whole = small.task().probe(step)

    assert are_whole.tolist() == [True, False, True]
    torch.testing.assert_close(step.probe(*small.moons(40))[[0, 2]], expected[[0, 2]], rtol=1e-6, atol=0)
    assert found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("make", [Step, compiled.fastest], ids=["PyTorch", "C"])
def test_a_stream_of_nothing_has_no_branch_ratio_and_is_no_divergence(make):
    stacked = small.network()
    with torch.no_grad():
        stacked.stem.weight[1] = 0.0
        stacked.stem.bias[1] = 0.0
        stacked.blocks[0].linear.bias[1] = 1.0
    step = small.step(stacked, make=make)
    found, whole = step._task.probe(step)

    ratios = found[..., COLUMNS.index("branch_ratio")]
    assert whole.all()
    assert ratios.isnan().nonzero().tolist() == [[1, 0]] and not ratios.isinf().any()
