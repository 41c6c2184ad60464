"""The probe's sums: in float32 as long as that loses nothing, and right also where it would."""

import pytest
import torch

from gradflow.kit.inits import initialised
from gradflow.training.probe import COLUMNS, Probe

DEPTH, SEEDS = 5, 3


def probed(stack, dtype=torch.float32):
    """What the probe finds; for comparison the same network in float64, whose squares reach far down and up."""
    stack = stack.to(dtype)
    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    gradients = {parameter: torch.zeros_like(parameter) for parameter in stack.parameters()}
    return Probe(stack, gradients, points, (points[:, 0] > 0).long())()


@pytest.mark.parametrize("block", ["plain", "residual"])
@pytest.mark.parametrize("factor", [1.0, 1e-5, 1e5], ids=["healthy", "vanishing", "exploding"])
def test_sizes_are_right_where_squares_leave_float32(block, factor):
    stack = initialised(block, {}, DEPTH, 8, seeds=SEEDS, init="he", seed=0)
    with torch.no_grad():
        for parameter in stack.blocks.parameters():
            parameter.mul_(factor)
    found = probed(stack)
    expected = probed(stack, torch.float64)
    sizes = [COLUMNS.index(name) for name in ("weight_grad_norm", "delta_norm", "z_std", "x_std")]
    if factor < 1 and block == "plain":
        assert expected[..., sizes].min() < 1e-23, "too small for its square"
    if factor > 1:
        assert expected[..., sizes].max() > 1e20, "too large for its square"
    torch.testing.assert_close(found[..., sizes], expected[..., sizes], rtol=2e-4, atol=0)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0, equal_nan=True)
