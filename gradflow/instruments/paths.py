"""The gradient by path length: how many branches it has come through (Veit et al. 2016, arXiv 1605.06431).

For x_l = a_l(c_l(x_{l-1}) + f_l(x_{l-1})) with the Jacobians A_l, C_l and J_l, the gradient of the stream is a sum over
the 2^depth paths, each of which goes past or through the branch of every block. Let v_k be the sum over those through
k branches. From v_0 = dLoss/dx_depth and v_k = 0 for k > 0, each block towards the input makes it::

    v_k <- C_l^T A_l^T v_k + J_l^T A_l^T v_{k-1}

so v_0 + v_1 + ... + v_depth is dLoss/dx_0, exactly. Where parts are as likely to point anywhere and each branch
passes on a power p / (1 - p) of what is carried, the shares of ||v_k||^2 are binomial, of depth trials with chance p.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.kit.block import Block


def by_length(blocks: Sequence[Block], x: Tensor, losses: Callable[[Tensor], Tensor]) -> Tensor:
    """Split the gradient at the first stream by path length.

    Args:
        blocks: Those of a stacked network, all of one width, which map each row of the batch on its own.
        x: x_0, (seeds, batch, width).
        losses: Maps the last stream to a loss for each seed.

    Returns:
        v_0 to v_depth: (depth + 1, seeds, batch, width), of the type of x.
    """
    streams = [x.detach()]
    with torch.no_grad():
        for block in blocks:
            streams.append(block(streams[-1]))
    with torch.enable_grad():
        last = streams[-1].requires_grad_()
        parts = torch.autograd.grad(losses(last).sum(), last)[0].unsqueeze(0)
    for block, before in zip(reversed(blocks), reversed(streams[:-1]), strict=True):
        carried, through = _back(block, before, parts)
        nothing = torch.zeros_like(parts[:1])
        parts = torch.cat([carried, nothing]) + torch.cat([nothing, through])
    return parts


def _back(block: Block, x: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """What comes past the branch and through it of gradients behind a block, (lengths, seeds, batch, width) each."""
    lengths, (seeds, batch, width) = len(parts), x.shape
    sent = parts.transpose(0, 1).reshape(seeds, lengths * batch, width)
    with torch.enable_grad():
        past, through = (x.repeat(1, lengths, 1).requires_grad_() for _ in range(2))
        carried, branch = block.carry(past), block.branch(through)
        whole = block.after(branch if carried is None else carried + branch)
        found = torch.autograd.grad(whole, (past, through), sent, materialize_grads=True)
    back = (part.view(seeds, lengths, batch, width).transpose(0, 1) for part in found)
    return next(back), next(back)


def energies(parts: Tensor) -> Tensor:
    """||v_k||^2 over the sum of these over k: (depth + 1, seeds)."""
    powers = vector_norm(parts, dim=(2, 3)).square()
    energy: Tensor = powers / powers.sum(0)
    return energy


def shares(parts: Tensor) -> Tensor:
    """<v_k, g> / ||g||^2 with g = v_0 + v_1 + ..., which sum to 1; negative: against the whole. (depth + 1, seeds)."""
    whole = parts.sum(0)
    share: Tensor = (parts * whole).sum((2, 3)) / whole.square().sum((1, 2))
    return share
