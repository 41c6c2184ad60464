"""Measured signals at initialisation against the theory lines of the figures."""

from functools import cache

import numpy as np
import pytest
import torch

from gradflow import theory
from gradflow.initialisation import initialised
from gradflow.probe import COLUMNS, Probe


@cache
def probed(init, seeds=300, depth=20, width=64):
    """The probe of a plain network at initialisation, (seeds, depth, columns)."""
    network = initialised("plain", {}, depth, width, seeds=seeds, init=init, seed=0)
    points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    gradients = {parameter: torch.empty_like(parameter) for parameter in network.parameters()}
    return Probe(network, gradients, points, (points[:, 0] > 0).long())().numpy()


def root_mean_square(init, column):
    """Over seeds, since theory speaks of the mean square: (depth,)."""
    return np.sqrt((probed(init)[:, :, COLUMNS.index(column)] ** 2).mean(axis=0))


@pytest.mark.parametrize("init", ["default", "he"])
def test_gradients_of_a_plain_network_decay_as_predicted(init):
    slope = np.polyfit(np.arange(20), np.log(root_mean_square(init, "delta_norm")), 1)[0]
    assert np.exp(-slope) == pytest.approx(theory.factor(init), rel=0.05)


def test_the_default_initialisation_loses_0_408_a_layer():
    assert theory.factor("default") == pytest.approx(0.40825, abs=1e-5)
    assert theory.factor("he") == 1


def test_the_decay_is_that_of_theory_at_every_single_layer():
    norms = root_mean_square("default", "delta_norm")
    assert norms[:-1] / norms[1:] == pytest.approx(np.full(19, theory.factor("default")), rel=0.05)


def test_weight_gradients_follow_their_line_once_the_rows_look_alike():
    # In the first six blocks the stream still tells the classes apart, and the rows' shares add up.
    measured = root_mean_square("default", "weight_grad_norm")
    predicted = theory.weight_gradients("default", 20, 64)
    assert (measured / measured[-1])[6:] == pytest.approx(predicted[6:], rel=0.3)
    assert np.all((measured / measured[-1])[:6] > predicted[:6])


def test_the_activations_fall_to_a_floor_that_the_biases_hold():
    # rms 1/sqrt(5n), so that from there on the norm falls by sqrt(chi) alone.
    ratios = theory.weight_gradients("default", 30, 64)
    assert ratios[-2] == pytest.approx(theory.factor("default"), rel=1e-6)
    assert theory.weight_gradients("he", 5, 64) == pytest.approx(np.ones(5))
