"""Measured signals at initialisation against the theory lines of the figures."""

import numpy as np
import pytest
import torch

from gradflow import theory
from gradflow.initialisation import initialised
from gradflow.probe import COLUMNS, probe


def deltas(init, seeds=24, depth=20, width=64):
    """||dLoss/dz|| at initialisation, (seeds, depth)."""
    network = initialised("plain", {}, depth, width, seeds=seeds, init=init, seed=0)
    points = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
    return probe(network, points, (points[:, 0] > 0).long())[:, :, COLUMNS.index("delta_norm")].numpy()


@pytest.mark.parametrize("init", ["default", "he"])
def test_gradients_of_a_plain_network_decay_as_predicted(init):
    # The theory speaks of the mean square over initialisations.
    root_mean_square = np.sqrt((deltas(init) ** 2).mean(axis=0))
    slope = np.polyfit(np.arange(20), np.log(root_mean_square), 1)[0]
    assert np.exp(-slope) == pytest.approx(theory.factor(init), rel=0.05)


def test_the_default_initialisation_loses_0_408_a_layer():
    assert theory.factor("default") == pytest.approx(0.40825, abs=1e-5)
    assert theory.factor("he") == 1


def test_layer_by_layer_the_decay_is_geometric():
    ratios = np.sqrt((deltas("default") ** 2).mean(axis=0))
    ratios = ratios[:-1] / ratios[1:]
    assert ratios == pytest.approx(np.full(19, theory.factor("default")), rel=0.25)
