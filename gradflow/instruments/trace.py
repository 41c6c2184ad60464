"""The results of one forward and one backward pass through a stack of blocks, for instruments to measure."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

from gradflow.kit import layers
from gradflow.kit.block import Block, adds_to_the_stream


@dataclass(frozen=True)
class Trace:
    """What the passes produced, in float64: squares of float32 gradients below 1e-19 would vanish.

    The first axis is the layer. Notation: x_l is the stream after block l, c_l what the block carries past its branch,
    f_l what its branch makes, so that x_l is what the block does to c_l + f_l; z_l the output of its first linear map,
    W_l x_{l-1} + b_l where that reads the stream; J_l the Jacobian of f_l, C_l that of c_l.

    Attributes:
        carries: (depth,), whether the block carries anything; row l - 1 of what follows belongs to block l.
        adds: (depth,), whether x_l = x_{l-1} + f_l.
        x: (depth + 1, seeds, batch, width), x_0 to x_depth.
        f: (depth, seeds, batch, width), likewise the following ones.
        g: (depth + 1, seeds, batch, width), dLoss/dx_l as backpropagation added it up.
        through_carry: The part of g_{l-1} that came past the branch of block l: g_l itself, where the block adds.
        through_branch: The part that came through it.
        z: For each block (seeds, batch, units).
        delta: For each block (seeds, batch, units), dLoss/dz_l.
        weight_gradients: For each block those of its linear maps, (seeds, outputs, inputs).
    """

    carries: Tensor
    adds: Tensor
    x: Tensor
    f: Tensor
    g: Tensor
    through_carry: Tensor
    through_branch: Tensor
    z: list[Tensor]
    delta: list[Tensor]
    weight_gradients: list[list[Tensor]]


def record(blocks: Iterable[nn.Module], x: Tensor, losses: Callable[[Tensor], Tensor]) -> Trace:
    """Take a stream through stacked blocks, and the gradient of its loss back.

    What is carried and the branch read the stream through views of their own, so that one backward pass tells the
    gradients that come through the two apart.

    Args:
        blocks: Those of a stacked network, all of one width.
        x: x_0, (seeds, batch, width).
        losses: Maps the last stream to a loss for each seed.
    """
    carries, adds, weights, pre_activations, branches, past, through = [], [], [], [], [], [], []
    streams = [x.detach().requires_grad_()]
    with torch.enable_grad():
        for block in blocks:
            assert isinstance(block, Block)
            before = streams[-1]
            maps = list(layers.linear_maps(block).values())
            outputs: list[Tensor] = []
            hook = maps[0].register_forward_hook(lambda _, __, z, outputs=outputs: outputs.append(z))
            past.append(before.view_as(before))
            through.append(before.view_as(before))
            branch = block.branch(through[-1])
            hook.remove()
            carried = block.carry(past[-1])
            carries.append(carried is not None)
            adds.append(adds_to_the_stream(block, past[-1], carried))
            weights.append([each.get_parameter("weight") for each in maps])
            pre_activations.append(outputs[0])
            branches.append(branch)
            streams.append(block.after(branch if carried is None else carried + branch))
        of_maps: list[Tensor] = [weight for own in weights for weight in own]
        wanted = [streams, past, through, pre_activations, of_maps]
        gradients = iter(
            torch.autograd.grad(
                losses(streams[-1]).sum(), [tensor for group in wanted for tensor in group], materialize_grads=True
            )
        )
    g, past_gradients, through_gradients, delta, of_weights = ([next(gradients) for _ in group] for group in wanted)
    left = iter(of_weights)
    return Trace(
        carries=torch.tensor(carries, device=x.device),
        adds=torch.tensor(adds, device=x.device),
        x=_wide(streams),
        f=_wide(branches),
        g=_wide(g),
        through_carry=_wide(past_gradients),
        through_branch=_wide(through_gradients),
        z=[tensor.detach().double() for tensor in pre_activations],
        delta=[tensor.double() for tensor in delta],
        weight_gradients=[[next(left).double() for _ in own] for own in weights],
    )


def named(instruments: Sequence[str]) -> list[ModuleType]:
    """Instruments by their names, each with ``COLUMNS`` and ``measure``."""
    return [importlib.import_module(f"gradflow.instruments.{name}") for name in instruments]


def measured(traced: Trace, instruments: Sequence[ModuleType]) -> Tensor:
    """The columns of instruments side by side: (seeds, depth, columns) in float64, nan where there is no number."""
    return torch.cat([instrument.measure(traced) for instrument in instruments], 2)


def _wide(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([tensor.detach().double() for tensor in tensors])
