"""A trace against autograd on the network's formulas, and the identities that tie its parts together."""

import torch
from torch.nn.functional import cross_entropy

from gradflow.instruments import trace
from gradflow.params import catalogue
from gradflow.training.probe import COLUMNS, probe


def close(actual, expected):
    """Layer by layer, up to the rounding of a pass in float32."""
    for one, other in zip(actual, expected, strict=True):
        assert (one - other.detach()).norm() <= 5e-5 * other.norm()


def of_seed(tensors, seed):
    return [tensor[seed] for tensor in tensors]


def test_a_trace_holds_what_autograd_finds(measured):
    traced = measured.trace
    for seed, r in enumerate(measured.references):
        for actual, expected in (
            (traced.x[:, seed], r.x),
            (traced.f[:, seed], r.f),
            (of_seed(traced.z, seed), r.z),
            (traced.g[:, seed], r.x_gradient),
            (of_seed(traced.delta, seed), r.z_gradient),
        ):
            close(actual, expected)


def test_a_trace_holds_the_gradients_of_all_maps_of_a_block(measured):
    for seed, r in enumerate(measured.references):
        for actual, expected in zip(measured.trace.weight_gradients, r.weight_gradients, strict=True):
            close(of_seed(actual, seed), expected)


def test_gradients_past_and_through_the_branch_are_the_jacobians_of_both_times_that_of_their_sum(measured):
    for seed, r in enumerate(measured.references):
        for part, actual in enumerate((measured.trace.through_carry, measured.trace.through_branch)):
            expected = [
                torch.einsum("boi,bo->bi", jacobians[part], gradient)
                for jacobians, gradient in zip(r.jacobians, r.sum_gradient, strict=True)
            ]
            close(actual[:, seed], expected)


def test_the_two_parts_sum_to_the_full_gradient(measured):
    traced = measured.trace
    difference = traced.g[:-1] - traced.through_carry - traced.through_branch
    assert difference.norm() <= 1e-6 * traced.g.norm()


def test_a_trace_says_which_blocks_carry_and_which_add_to_their_stream(measured):
    traced = measured.trace
    assert traced.carries.tolist() == [measured.row.carry is not None] * 5
    assert traced.adds.tolist() == [measured.row.adds] * 5
    if measured.row.adds:
        assert torch.equal(traced.through_carry, traced.g[1:])


def test_what_the_blocks_add_telescopes(measured):
    moved = measured.trace.x[-1] - measured.trace.x[0]
    telescopes = (moved - measured.trace.f.sum(0)).norm() <= 1e-5 * moved.norm()
    assert telescopes == measured.row.adds


def test_the_streaming_probe_sees_the_same(built):
    network = built.make("mlp", depth=6, width=16)
    points, labels = torch.randn(32, 2, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 2

    def losses(logits, labels):
        return torch.stack([cross_entropy(own, labels) for own in logits])

    expected = probe(network, points, labels, losses)
    traced = trace.record(
        network.blocks, network.stem(points.expand(3, -1, -1)), lambda x: losses(network.head(x), labels)
    )

    instruments = ("gradient_norms", "statistics", "dead_units", "branch_ratio")
    assert [column for name in instruments for column in catalogue.instruments()[name]] == list(COLUMNS)
    torch.testing.assert_close(
        trace.measured(traced, trace.named(instruments)), expected, rtol=1e-4, atol=1e-9, equal_nan=True
    )


def test_hooks_are_gone_afterwards(built):
    network = built.make("mlp")
    points, labels = torch.randn(8, 2), torch.arange(8) % 2
    trace.record(network.blocks, network.stem(points.expand(3, -1, -1)), lambda x: x.sum((1, 2)))
    probe(network, points, labels, lambda logits, _: logits.sum((1, 2)))
    assert not any(module._forward_hooks for module in network.modules())
