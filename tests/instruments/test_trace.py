"""A trace against autograd on the network's formulas, and the identities that tie its parts together."""

import pytest
import torch

from gradflow.instruments import branch_ratio, dead_units, gradient_norms, statistics, trace
from gradflow.kit.inits import initialised
from gradflow.training import passes
from gradflow.training.probe import COLUMNS, Probe


def close(actual, expected):
    """Layer by layer, up to the rounding of a pass in float32."""
    for one, other in zip(actual, expected, strict=True):
        assert (one - other.detach()).norm() <= 1e-5 * other.norm()


def test_a_trace_holds_what_autograd_finds(measured):
    for seed, r in enumerate(measured.references):
        for actual, expected in (
            (measured.trace.x, r.x),
            (measured.trace.f, r.f),
            (measured.trace.z, r.z),
            (measured.trace.g, r.x_gradient),
            (measured.trace.delta, r.z_gradient),
            (measured.trace.weight_gradient, r.weight_gradient),
        ):
            close(actual[:, seed], expected)


def test_gradient_through_the_branch_is_the_jacobian_of_the_branch_times_the_gradient(measured):
    for seed, r in enumerate(measured.references):
        expected = [torch.einsum("boi,bo->bi", j, g) for j, g in zip(r.jacobian, r.x_gradient[1:], strict=True)]
        close(measured.trace.through_branch[:, seed], expected)


def test_the_two_parts_sum_to_the_full_gradient(measured):
    traced = measured.trace
    along_skip = traced.g[1:] if measured.skip else 0
    difference = traced.g[:-1] - along_skip - traced.through_branch
    assert difference.norm() <= 1e-6 * traced.g.norm()


def test_what_the_blocks_add_telescopes(measured):
    if measured.skip:
        moved = measured.trace.x[-1] - measured.trace.x[0]
        assert (moved - measured.trace.f.sum(0)).norm() <= 1e-5 * moved.norm()


@pytest.mark.parametrize(
    ("block", "settings"), [("plain", {}), ("residual", {"scale": 0.7}), ("rezero", {"start": 0.1})]
)
def test_the_streaming_probe_sees_the_same(block, settings):
    network = initialised(block, settings, 6, 16, seeds=3, init="default", seed=0)
    points, labels = torch.randn(32, 2, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 2
    gradients = {parameter: torch.empty_like(parameter) for parameter in network.parameters()}
    expected = Probe(network, gradients, points, labels)()

    traced = trace.record(
        network.blocks,
        network.stem(points.expand(3, -1, -1)),
        lambda x: passes.mean_losses(network.head(x), labels),
    )

    instruments = (gradient_norms, statistics, dead_units, branch_ratio)
    assert [column for instrument in instruments for column in instrument.COLUMNS] == list(COLUMNS)
    actual = torch.cat([instrument.measure(traced) for instrument in instruments], 2)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-9, equal_nan=True)


def test_hooks_are_gone_afterwards(measured):
    network = initialised("plain", {}, 2, 4, seeds=1, init="he", seed=0)
    trace.record(network.blocks, torch.randn(1, 3, 4), lambda x: x.sum((1, 2)))
    assert not any(module._forward_hooks for module in network.modules())
