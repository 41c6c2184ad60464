"""The gradient by path length against autograd, and against sums over all paths."""

import math
from functools import partial
from itertools import product

import pytest
import torch

from gradflow.instruments import paths
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from tests.instruments.conftest import BATCH, SEEDS, WIDTH, squared_error

DEPTH = 4


class Weighted(torch.autograd.Function):
    """The identity, whose gradient is multiplied by t on its way back."""

    @staticmethod
    def forward(ctx, x, t):
        ctx.t = t
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.t * gradient, None


def split(network, x, target):
    return paths.by_length(list(network.blocks), x, partial(squared_error, target))


@pytest.fixture
def inputs():
    x = torch.randn(SEEDS, BATCH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return x, x.flip(1)


@pytest.mark.parametrize("t", [1.0, -0.7, 2.0])
def test_the_parts_are_the_coefficients_of_a_gradient_in_which_each_branch_counts_t(built, inputs, t):
    """With t = 1 they sum to the gradient itself."""
    network, (x, target) = built.make("trunk", depth=DEPTH).double(), inputs
    parts = split(network, x, target)

    start = x.clone().requires_grad_()
    last = start
    for block in network.blocks:
        carried, branch = block.carry(last), block.branch(Weighted.apply(last, t))
        last = block.after(branch if carried is None else carried + branch)
    (expected,) = torch.autograd.grad(squared_error(target, last).sum(), start)

    weights = t ** torch.arange(DEPTH + 1, dtype=torch.float64)
    found = (parts * weights[:, None, None, None]).sum(0)
    assert (found - expected).norm() <= 1e-10 * expected.norm()


def test_each_part_is_the_sum_over_the_paths_of_its_length():
    described = {"network": "trunk", "block": "residual", "settings": {"scale": 0.5}, "widths": None}
    network = stack(partial(build, described | {"depth": 3, "width": 5}), seeds=1, init="he", seed=0).double()
    x = torch.randn(1, 1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parts = paths.by_length(list(network.blocks), x, lambda last: last.sum((1, 2)))[:, 0, 0]

    jacobians = []
    for block in network.blocks:
        jacobians.append(torch.func.jacrev(block.branch)(x).view(5, 5))
        x = block(x)
    expected = torch.zeros(4, 5, dtype=torch.float64)
    for taken in product([False, True], repeat=3):
        whole = torch.eye(5, dtype=torch.float64)
        for through, jacobian in zip(taken, jacobians, strict=True):
            whole = (jacobian if through else torch.eye(5, dtype=torch.float64)) @ whole
        expected[sum(taken)] += whole.T @ torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(parts.detach(), expected)


def test_a_plain_network_has_one_length(inputs):
    described = {"network": "trunk", "block": "plain", "settings": {}, "widths": None, "depth": DEPTH, "width": WIDTH}
    network = stack(partial(build, described), seeds=SEEDS, init="he", seed=0).double()
    parts = split(network, *inputs)
    assert not parts[:-1].any() and parts[-1].any()
    assert paths.energies(parts)[-1].tolist() == [1.0] * SEEDS


def test_before_training_the_energy_is_binomial_where_branches_end_in_a_linear_map():
    """p / (1 - p) is the power of a branch, 1 with He's two maps and the scale 1/sqrt(2)."""
    depth = 12
    described = {"network": "trunk", "block": "linear_terminated", "settings": {"scale": 0.5**0.5}, "widths": None}
    network = stack(partial(build, described | {"depth": depth, "width": 128}), seeds=8, init="he", seed=0).double()
    random = torch.Generator().manual_seed(2)
    x, v = torch.randn(2, 8, 16, 128, dtype=torch.float64, generator=random)
    energy = paths.energies(paths.by_length(list(network.blocks), x, lambda last: (last * v).sum((1, 2)))).mean(1)
    expected = [math.comb(depth, k) / 2**depth for k in range(depth + 1)]
    assert (energy - torch.tensor(expected)).abs().max() < 0.03


def test_shares_sum_to_one_and_may_be_negative():
    parts = torch.tensor([2.0, -1.0]).view(2, 1, 1, 1)
    assert paths.shares(parts).flatten().tolist() == [2.0, -1.0]
    assert paths.energies(parts).flatten().tolist() == pytest.approx([0.8, 0.2])
