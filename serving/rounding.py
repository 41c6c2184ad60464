"""Rounds the weights of a network to FP16 so that errors cancel, instead of each weight to the number nearest to it.

This is GPTQ (Frantar et al. 2022, arXiv 2210.17323), with one step before it: what earlier layers have got wrong is
first fitted away. That matters most here. The first layer sees two features, so nothing in it can make up for its own
rounding, and that error would go through the whole network.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from gradflow.kit.layers import linear_maps

_DAMPING = 1e-3  # of the mean square of an input: keeps weights near the trained ones where points say nothing of them


@torch.no_grad()
def rounded(network: nn.Module, points: Tensor) -> nn.Module:
    """A copy of a network whose parameters are numbers of FP16, in float64.

    A linear map that gets inputs X from the rounded layers before it, and should make the Y of the original network,
    gets the weights W of the least ``|X W^T - Y|^2 + damping |W - W_trained|^2``, rounded by :func:`column_by_column`.
    All other parameters become the nearest numbers.

    Args:
        network: A single one, of ``torch.nn``'s layers.
        points: (rows, features), like those that it will be asked for.
    """
    original, copy = deepcopy(network).double(), deepcopy(network).half().double()
    wanted = _seen(original, points)
    for name in wanted:
        inputs, _ = _seen(copy, points)[name]
        trained, kept = (dict(each.get_submodule(name).named_parameters()) for each in (original, copy))
        weight: Tensor = trained["weight"]
        if "bias" in trained:
            inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
            weight = torch.cat([weight, trained["bias"][:, None]], 1)
        gram = inputs.T @ inputs
        gram += _DAMPING * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        missing = wanted[name][1] - inputs @ weight.T
        chosen = column_by_column(weight + torch.linalg.solve(gram, inputs.T @ missing).T, gram)
        kept["weight"].copy_(chosen[:, : kept["weight"].shape[1]])
        if "bias" in kept:
            kept["bias"].copy_(chosen[:, -1])
    return copy


def column_by_column(weight: Tensor, gram: Tensor) -> Tensor:
    """Round to FP16, one input after the other; the weights of later inputs make up for the error of each.

    Args:
        weight: (outputs, inputs).
        gram: ``X^T X`` (inputs, inputs) of the inputs X, positive definite.
    """
    spread = torch.linalg.cholesky(torch.linalg.inv(gram), upper=True)
    found = weight.clone()
    for column, row in enumerate(spread):
        nearest = found[:, column].half().double()
        error = (found[:, column] - nearest) / row[column]
        found -= error[:, None] * row  # which is 0 before this column
        found[:, column] = nearest
    return found


def _seen(network: nn.Module, points: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Inputs (rows, inputs) and outputs (rows, outputs) of each linear map, in the order in which it is asked."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str, given: Tensor, made: Tensor) -> None:
        found[name] = given.flatten(0, -2), made.flatten(0, -2)

    hooks = [
        layer.register_forward_hook(lambda _, given, made, name=name: keep(name, given[0], made))
        for name, layer in linear_maps(network).items()
    ]
    network(points.double())
    for hook in hooks:
        hook.remove()
    return found
