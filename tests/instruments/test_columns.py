"""Every instrument's columns against numpy on what autograd found, seed by seed and layer by layer."""

import math

import numpy as np
import pytest
import torch

from gradflow.instruments import (
    branch_ratio,
    dead_units,
    gradient_norms,
    gradient_split,
    shattering,
    statistics,
    telescoping,
    trace,
)
from gradflow.kit.block import Block
from gradflow.kit.layers import Kit
from gradflow.params import catalogue


def check(measured, instrument, expected):
    """``expected(reference, layer from 0)`` gives the columns."""
    actual = instrument.measure(measured.trace).numpy()
    assert actual.shape == (3, 5, len(instrument.COLUMNS)) and actual.dtype == np.float64
    for seed, r in enumerate(measured.references):
        for layer in range(5):
            values = [float(value) for value in expected(r, layer)]
            assert actual[seed, layer] == pytest.approx(values, rel=1e-3, abs=1e-6, nan_ok=True)


def array(tensor):
    return tensor.detach().numpy()


def test_gradient_norms(measured):
    check(
        measured,
        gradient_norms,
        lambda r, i: [
            np.linalg.norm([np.linalg.norm(gradient) for gradient in r.weight_gradients[i]]),
            np.linalg.norm(r.z_gradient[i]),
        ],
    )


def test_statistics(measured):
    def expected(r, i):
        z, x = array(r.z[i]), array(r.x[i + 1])
        return [z.mean(), z.std(), x.mean(), x.std()]

    check(measured, statistics, expected)


def test_dead_units(measured):
    check(measured, dead_units, lambda r, i: [np.mean([(unit <= 0).all() for unit in array(r.z[i]).T])])


def test_dead_units_are_those_that_pass_nothing_on_any_sample():
    block = one_block(torch.diag(torch.tensor([1.0, 0.0, -1.0, 2.0])))
    traced = trace.record([block], torch.rand(1, 6, 4) + 0.1, lambda x: x.sum((1, 2)))
    assert dead_units.measure(traced).item() == 0.5


def test_branch_ratio(measured):
    def expected(r, i):
        ratio = np.linalg.norm(array(r.f[i])) / np.linalg.norm(array(r.x[i]))
        return [ratio if measured.row.carry else math.nan]

    check(measured, branch_ratio, expected)


def test_gradient_split(measured):
    def expected(r, i):
        identity, branch = (
            np.einsum("boi,bo->bi", array(jacobian), array(r.sum_gradient[i])).ravel() for jacobian in r.jacobians[i]
        )
        sizes = np.linalg.norm(identity), np.linalg.norm(branch)
        cosine = identity @ branch / (sizes[0] * sizes[1]) if measured.row.carry else math.nan
        return [*sizes, cosine, np.linalg.norm(r.x_gradient[i]) / np.linalg.norm(r.x_gradient[i + 1])]

    check(measured, gradient_split, expected)


def test_a_branch_that_opposes_the_stream_leaves_no_gradient_in_spite_of_the_skip():
    block = one_block(-torch.eye(4), carries=True)
    traced = trace.record([block], torch.rand(1, 6, 4) + 0.1, lambda x: x.sum((1, 2)))
    assert not traced.x[-1].any()
    identity, branch, cosine, gain = gradient_split.measure(traced)[0, 0].tolist()
    assert identity == branch > 0
    assert (cosine, gain) == (pytest.approx(-1), 0)


def test_tiny_gradients_have_norms_and_angles():
    traced = trace.record([one_block(torch.eye(4), carries=True)], torch.rand(1, 6, 4), lambda x: 1e-30 * x.sum((1, 2)))
    weight_gradient, delta = gradient_norms.measure(traced)[0, 0].tolist()
    assert delta == pytest.approx(1e-30 * math.sqrt(24), rel=1e-5) and weight_gradient > 0
    assert gradient_split.measure(traced)[0, 0, 2].item() == pytest.approx(1)


def test_telescoping(measured):
    def expected(r, i):
        if not measured.row.adds:
            return [math.nan, math.nan]
        way = array(r.x[-1] - r.x[0])
        return [np.sum(array(r.f[i]) * way) / np.sum(way * way), 0]

    check(measured, telescoping, expected)
    if measured.row.adds:
        share, error = telescoping.measure(measured.trace).unbind(2)
        assert error.max() <= 1e-5
        torch.testing.assert_close(share.sum(1), torch.ones(3, dtype=torch.float64), rtol=1e-5, atol=0)


def test_a_stream_that_does_not_move_has_no_shares():
    traced = trace.record([one_block(torch.zeros(4, 4), carries=True)], torch.rand(1, 6, 4), lambda x: x.sum((1, 2)))
    assert telescoping.measure(traced).isnan().all() and not branch_ratio.measure(traced).any()


def test_shattering_is_the_mean_cosine_of_input_gradients_by_lag():
    points = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None] * torch.ones(4)
    v = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    weights = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def network(x):
        return x.square() @ weights

    actual = shattering.correlation(network, points.expand(2, -1, -1) + torch.arange(4) / 3, v)

    for seed in range(2):
        x = (points + torch.arange(4) / 3).numpy()
        gradients = 2 * x * (weights[seed].numpy() @ v.numpy())
        directions = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
        for lag in range(9):
            expected = np.mean([directions[i] @ directions[i + lag] for i in range(9 - lag)])
            assert actual[seed, lag].item() == pytest.approx(expected)


def test_a_linear_network_does_not_shatter():
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    found = shattering.correlation(lambda x: x @ matrix, torch.randn(2, 7, 4), torch.ones(4))
    torch.testing.assert_close(found, torch.ones_like(found))


def test_every_instrument_is_found_by_its_file_with_its_columns():
    modules = [branch_ratio, dead_units, gradient_norms, gradient_split, statistics, telescoping]
    assert catalogue.instruments() == {module.__name__.rpartition(".")[2]: module.COLUMNS for module in modules}


def one_block(weight, carries=False):
    """A block of one seed: x -> relu(W x), or with what it carries x -> x + W x."""

    class One(Block):
        def __init__(self):
            super().__init__()
            self.linear = Kit(seeds=1).linear(*weight.mT.shape)
            self.linear.weight.data, self.linear.bias.data = weight[None], torch.zeros(1, len(weight))

        def carry(self, x):
            return x if carries else None

        def branch(self, x):
            return self.linear(x) if carries else self.linear(x).relu()

    return One()
