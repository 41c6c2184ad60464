"""All that one forward and one backward pass through a stack of blocks come by, for instruments to measure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Trace:
    """What a pass left, in float64: squares of float32 gradients below 1e-19 would vanish.

    The first axis is the layer. Notation: x_l is the stream after block l, f_l what block l adds to it (the
    new stream itself, where the block has no skip), z_l = W_l x_{l-1} + b_l, and J_l the Jacobian of f_l.

    Attributes:
        skips: (depth,), whether the block adds to its stream; row l - 1 of what follows belongs to block l.
        x: (depth + 1, seeds, batch, width), x_0 to x_depth.
        f: (depth, seeds, batch, width), likewise z, delta and through_branch.
        z: Pre-activations of each block's ``linear``.
        g: (depth + 1, seeds, batch, width), dLoss/dx_l as backpropagation added it up.
        through_branch: J_l^T g_l, the part of g_{l-1} that came through the branch of block l.
        delta: dLoss/dz_l.
        weight_gradient: (depth, seeds, outputs, inputs), dLoss/dW_l.
    """

    skips: Tensor
    x: Tensor
    f: Tensor
    z: Tensor
    g: Tensor
    through_branch: Tensor
    delta: Tensor
    weight_gradient: Tensor


def record(blocks: Iterable[nn.Module], x: Tensor, losses: Callable[[Tensor], Tensor]) -> Trace:
    """Take a stream through stacked blocks, and the gradient of its loss back.

    Each branch reads the stream through a view of its own, so that one backward pass tells the gradient that
    comes through the branch from the one that comes along the skip connection.

    Args:
        blocks: Those of a stacked network, all of one width.
        x: x_0, (seeds, batch, width).
        losses: Maps the last stream to a loss for each seed.
    """
    skips, weights, pre_activations, branches, readings = [], [], [], [], []
    streams = [x.detach().requires_grad_()]
    with torch.enable_grad():
        for block in blocks:
            linear = block.get_submodule("linear")
            hook = linear.register_forward_hook(lambda _, __, z: pre_activations.append(z))
            reading = streams[-1].view_as(streams[-1])
            branch = block.branch(reading) if block.skip else block(reading)  # type: ignore[operator]  # a method
            hook.remove()
            skips.append(bool(block.skip))
            weights.append(linear.get_parameter("weight"))
            readings.append(reading)
            branches.append(branch)
            streams.append(streams[-1] + branch if block.skip else branch)
        wanted = [streams, readings, pre_activations, weights]
        gradients = iter(
            torch.autograd.grad(losses(streams[-1]).sum(), [tensor for group in wanted for tensor in group])
        )
    g, through_branch, delta, weight_gradient = (_wide(next(gradients) for _ in group) for group in wanted)
    return Trace(
        skips=torch.tensor(skips, device=x.device),
        x=_wide(streams),
        f=_wide(branches),
        z=_wide(pre_activations),
        g=g,
        through_branch=through_branch,
        delta=delta,
        weight_gradient=weight_gradient,
    )


def _wide(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([tensor.detach().double() for tensor in tensors])
