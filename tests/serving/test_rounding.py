"""Rounding whose errors cancel: against its definition, and what it is good for."""

import copy

import pytest
import torch

from gradflow.kit.building import build
from gradflow.params import catalogue
from serving import rounding

SPACING = 2.0**-10  # of FP16 between 1 and 2


def one_by_one(weight, gram):
    """The definition: after each rounding all weights behind it are chosen anew, by least squares on the inputs."""
    found = weight.clone()
    for column in range(len(gram)):
        nearest = found[:, column].half().double()
        error, rest = found[:, column] - nearest, slice(column + 1, None)
        found[:, rest] += torch.outer(error, torch.linalg.solve(gram[rest, rest], gram[rest, column]))
        found[:, column] = nearest
    return found


def test_columns_are_rounded_as_defined_and_errors_cancel():
    torch.manual_seed(0)
    inputs = torch.randn(500, 3).double() @ torch.randn(3, 24).double() + 0.01 * torch.randn(500, 24).double()
    weight, gram = torch.rand(7, 24).double() - 0.5, inputs.T @ inputs
    found = rounding.column_by_column(weight, gram)
    assert torch.equal(found, one_by_one(weight, gram))
    assert torch.equal(found, found.half().double())
    assert (found - weight).abs().max() < 4 * SPACING * 0.5
    apart, nearest = (((each - weight) @ inputs.T).square().mean() for each in (found, weight.half().double()))
    assert apart < nearest / 4


@pytest.fixture
def points():
    torch.manual_seed(1)
    return 2 * torch.randn(400, 2)


def made(block, width=16):
    torch.manual_seed(2)
    config = {"network": "mlp", "block": block, "settings": {}, "depth": 6, "width": width, "widths": None}
    network = build(config)
    with torch.no_grad():
        for parameter in network.parameters():  # some start at 0 or 1
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@torch.no_grad()
def errors(network, found):
    """Mean squares of what is wrong with logits at other points: rounded together, and each weight for itself."""
    fresh = 2 * torch.randn(400, 2).double()
    right = copy.deepcopy(network).double()(fresh)
    return [float((each.double()(fresh) - right).square().mean()) for each in (found, copy.deepcopy(network).half())]


@pytest.mark.parametrize("block", catalogue.names())
def test_whatever_the_block_it_is_nearer_to_the_trained_network(block, points):
    network = made(block)
    found = rounding.rounded(network, points)
    for name, parameter in found.named_parameters():
        trained = network.get_parameter(name)
        assert torch.equal(parameter, parameter.half().double())
        assert (parameter - trained).abs().max() < 4 * SPACING * trained.abs().max()
    together, alone = errors(network, found)
    assert together < alone


def test_later_layers_make_up_for_the_first_one_which_cannot_itself(points):
    """It has two inputs and a bias, so rounded together they are hardly nearer than each for itself."""
    network = made("residual", width=64)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.startswith("stem"):
                parameter.copy_(parameter.half())
    together, alone = errors(network, rounding.rounded(network, points))
    assert together < alone / 20


def test_what_is_in_fp16_already_stays_as_it_is(points):
    network = made("residual").half().float()
    found = rounding.rounded(network, points).state_dict()
    assert all(torch.equal(found[name], weight.double()) for name, weight in network.state_dict().items())
