"""How a controller learns to run a share of the blocks."""

from copy import deepcopy

import numpy as np
import torch

from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.training.rows import Labelled, Rows
from studies.routing.params import Learning
from studies.routing.routers.controller import Controller, divergence
from studies.routing.routers.router import width


def learned(
    network: Network, rows: Labelled, batch_size: int, learning: Learning, share: float, *, reads: str, jointly: bool
) -> tuple[Network, Controller]:
    """Train a controller for each seed of a network, all together; scores above 0 run a block.

    The loss is KL(whole || routed), or where the network is trained on the cross-entropy, plus penalty * max(0, share
    that runs - wanted)^2, both of the batch. What is wanted falls in equal steps from 1 to ``share`` over the first
    half of the steps.

    Args:
        network: A stacked one, which stays as it is.
        rows: Points and labels to learn from.
        batch_size: Rows of a step.
        learning: Rates, epochs, penalty.
        share: Of the blocks to run in the end.
        reads: ``stream`` or ``norm``.
        jointly: Whether a copy of the network is trained on as well.

    Returns:
        The network to be routed, that copy if jointly, and the controller.
    """
    moving = deepcopy(network).requires_grad_(jointly)
    controller = Controller(len(next(network.parameters())), len(network.blocks), width(network), reads)
    groups = [{"params": list(controller.parameters()), "lr": learning.lr}]
    if jointly:
        groups.append({"params": list(moving.parameters()), "lr": learning.network_lr})
    adam = torch.optim.Adam(groups)
    task = Rows(
        rows, rows, epochs=learning.epochs, batch_size=batch_size, seed=learning.seed, probe_rows=1, probe_every=1
    )
    steps = task.epochs * task.steps
    with torch.no_grad():
        whole = network(training.stacked(rows[0], network))
    random = np.random.default_rng(learning.seed)
    for step, batch in enumerate(batch for epoch in task.batches(1) for batch in epoch):
        points, labels = task.pick(batch)
        stacked = training.stacked(points, network)
        noise = torch.from_numpy(random.logistic(size=(len(network.blocks), *stacked.shape[:2]))).float()
        logits, ran = controller.train_through(moving, stacked, noise)
        losses = task.losses(logits, labels) if jointly else divergence(whole[:, batch], logits).mean(1)
        wanted = 1 - (1 - share) * min(1, 2 * (step + 1) / steps)
        excess = (ran - wanted).clamp(min=0)
        adam.zero_grad()
        torch.autograd.backward((losses + learning.penalty * excess**2).sum())
        adam.step()
    return moving.requires_grad_(False), controller.requires_grad_(False)
