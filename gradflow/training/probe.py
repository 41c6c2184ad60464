"""The probe: activations and gradients of every block on a fixed set of rows, with the mean loss.

Notation: x_l is the stream after block l, z_l the output of the first linear map of block l, which is W_l x_{l-1} + b_l
where the block has but one, dLoss/dW_l the gradients of all its linear maps together. Sums are in float64, where the
square of no float32 is 0 or infinite. The numbers are those that the instruments of the same names find in a trace;
here they are measured during the pass, so that no trace has to be kept.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from gradflow.kit.block import Block, adds_to_the_stream
from gradflow.kit.network import Network
from gradflow.tables import logs

COLUMNS = tuple(logs.PROBED)


def probe(network: Network, points: Tensor, targets: Tensor, losses: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Measure every block of every seed.

    Args:
        network: A stacked network.
        points: (batch, ...).
        targets: (batch, ...).
        losses: Maps outputs and targets to a loss for each seed.

    Returns:
        (seeds, depth, columns) in float64, columns as in :data:`COLUMNS`: ||dLoss/dW_l||_F;
        ||dLoss/dz_l||_F over batch and units; mean and standard deviation of z_l and of x_l over batch
        and units; share of units with z_l <= 0 on the whole batch, where a unit of images is a channel, with all its
        pixels; the norm of what the block's branch adds over that of x_{l-1}, which is nan where nothing is carried
        past the branch or the stream is 0.
    """
    maps = [[each for each in network.linear_maps() if each.layer == layer + 1] for layer in range(len(network.blocks))]
    found: dict[str, list[Tensor]] = {column: [] for column in COLUMNS}
    pre_activations: list[Tensor] = []

    def linear(_: nn.Module, __: tuple[Tensor, ...], z: Tensor) -> None:
        pre_activations.append(z)

    def block(number: int, module: nn.Module, before: tuple[Tensor, ...], after: Tensor) -> None:
        assert isinstance(module, Block)
        z, x = pre_activations[number].detach(), before[0].detach()
        del pre_activations[number + 1 :]  # a map that the block uses twice
        by_unit = z.movedim(2, -1).flatten(1, -2)  # the pixels of images beside the batch
        found["dead_fraction"].append((by_unit.amax(1) <= 0).double().mean(1))
        for name, values in (("z", z), ("x", after.detach())):
            mean, std = _spread(values)
            found[f"{name}_mean"].append(mean)
            found[f"{name}_std"].append(std)
        with torch.no_grad():
            found["branch_ratio"].append(_branch_ratio(module, x, after.detach()))
        del pre_activations[number + 1 :]  # asking for the branch has called its map again

    hooks = [own[0].module.register_forward_hook(linear) for own in maps]
    hooks += [each.register_forward_hook(partial(block, number)) for number, each in enumerate(network.blocks)]
    weights = [[each.weight for each in own] for own in maps]
    seeds = len(weights[0][0])
    try:
        with torch.enable_grad():
            total = losses(network(points.expand(seeds, *points.shape)), targets).sum()
            asked = [*pre_activations, *(weight for own in weights for weight in own)]
            gradients = torch.autograd.grad(total, asked)
    finally:
        for hook in hooks:
            hook.remove()
    depth = len(maps)
    found["delta_norm"] = [_norm(delta) for delta in gradients[:depth]]
    of_weights = iter(gradients[depth:])
    found["weight_grad_norm"] = [
        vector_norm(torch.stack([_norm(next(of_weights)) for _ in own]), dim=0) for own in weights
    ]
    return torch.stack([torch.stack(found[column], 1) for column in COLUMNS], 2)


def _branch_ratio(block: Block, x: Tensor, after: Tensor) -> Tensor:
    carried = block.carry(x)
    if carried is None:
        return torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)
    added = after - x if adds_to_the_stream(block, x, carried) else block.branch(x)
    ratio = _norm(added) / _norm(x)
    return ratio.where(ratio.isfinite(), torch.nan)


def _spread(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, not corrected for the mean, of each seed."""
    x = x.flatten(1).double()
    std, mean = torch.std_mean(x, dim=1, correction=0)
    return mean, std


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm of each seed."""
    total: Tensor = vector_norm(x.flatten(1), dim=1, dtype=torch.float64)
    return total
