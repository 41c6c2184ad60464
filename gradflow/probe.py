"""The probe: activations and gradients of every block on a fixed set of rows, with the mean loss.

Notation: x_l is the stream after block l, z_l = W_l x_{l-1} + b_l the pre-activation of block l.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradflow.network import Network

COLUMNS = (
    "weight_grad_norm",
    "delta_norm",
    "z_mean",
    "z_std",
    "x_mean",
    "x_std",
    "dead_fraction",
    "branch_ratio",
)


def mean_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean over the batch: logits (seeds, batch, classes), labels (batch,) -> (seeds,)."""
    seeds, batch, _ = logits.shape
    losses = cross_entropy(logits.flatten(0, 1), labels.repeat(seeds), reduction="none")
    mean: Tensor = losses.view(seeds, batch).mean(1)
    return mean


def norm(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Euclidean norm, summed in float64: squares of float32 gradients below 1e-19 would vanish."""
    total: Tensor = torch.linalg.vector_norm(x, dim=dim, dtype=torch.float64)
    return total


def probe(network: Network, points: Tensor, labels: Tensor) -> Tensor:
    """Measure every block of every seed; the network's own ``.grad`` is left alone.

    Args:
        network: Stacked network on float32.
        points: (batch, 2).
        labels: (batch,).

    Returns:
        (seeds, depth, columns) in float64, columns as in :data:`COLUMNS`: ||dLoss/dW_l||_F;
        ||dLoss/dz_l||_F over batch and units; mean and standard deviation of z_l and of x_l over batch
        and units; share of units with z_l <= 0 on the whole batch; ||x_l - x_{l-1}|| / ||x_{l-1}||,
        which is nan for a block without a skip or a stream that is 0.
    """
    streams_in: list[Tensor] = []
    streams_out: list[Tensor] = []
    pre_activations: list[Tensor] = []

    def keep_streams(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        streams_in.append(inputs[0])
        streams_out.append(output)

    def keep_pre_activation(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        pre_activations.append(output)

    linears = network.linears()[1:-1]
    hooks = [block.register_forward_hook(keep_streams) for block in network.blocks]
    hooks += [linear.register_forward_hook(keep_pre_activation) for linear in linears]
    weights = [linear.get_parameter("weight") for linear in linears]
    try:
        loss = mean_losses(network(points.expand(weights[0].shape[0], -1, -1)), labels).sum()
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(loss, weights + pre_activations)

    rows = []
    with torch.no_grad():
        for layer, block in enumerate(network.blocks):
            x_in, x, z = streams_in[layer], streams_out[layer], pre_activations[layer]
            added = norm(x - x_in, (1, 2)) / norm(x_in, (1, 2)) if block.skip else z.new_full(z.shape[:1], torch.nan)
            row = [
                norm(gradients[layer], (1, 2)),
                norm(gradients[len(weights) + layer], (1, 2)),
                *_mean_and_deviation(z),
                *_mean_and_deviation(x),
                (z <= 0).all(1).double().mean(1),
                added.double().where(added.isfinite(), torch.nan),
            ]
            rows.append(torch.stack(row, 1))
    return torch.stack(rows, 1)


def _mean_and_deviation(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (not corrected for the mean) of x (seeds, batch, units) per seed."""
    mean = x.mean((1, 2), dtype=torch.float64)
    deviation = norm(x - mean.to(x.dtype)[:, None, None], (1, 2)) / (x.shape[1] * x.shape[2]) ** 0.5
    return mean, deviation
