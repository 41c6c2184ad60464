"""Backward passes through whole networks that keep less: what changes in their gradients, and what does not."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from gradflow.memory import sketched
from gradflow.memory.bits import ReluAsBits
from gradflow.memory.sketched import Sketch
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.training.rows import Labelled
from studies.memory.gradients import Batch


def compared(network: Network, batch: Batch, rows: Labelled, buckets: int, share: float, seed: int) -> pd.DataFrame:
    """Take a batch through a network of a :class:`gradflow.memory.sketched.SketchingKit` in several ways, and compare.

    Args:
        network: All seeds.
        batch: What :func:`studies.memory.gradients.on` finds on these rows.
        rows: Points and labels.
        buckets: Of the sketches of all blocks.
        share: Of the rows that runs through each block, where not all do.
        seed: Of the sketches.

    Returns:
        Columns seed; sketch_others, how many numbers a sketch changes in the gradients of biases, stem and head;
        bits_all, how many masks as bits change in any gradient; whole_error, the error of the weights' gradients of all
        blocks with as many buckets as rows; rows_error, that of keeping only the rows that run through a block, and
        rows_kept, their share; means_cosine, the cosine between the gradients of all blocks and the outer products of
        the mean rows of delta and x, which is all that means tell of them.
    """
    depth, seeds, count = batch.x.shape[:3]
    maps = [each.module for each in network.linear_maps() if 1 <= each.layer <= depth]
    inner = {id(each.get_parameter("weight")) for each in maps}
    names = [name for name, parameter in network.named_parameters() if id(parameter) in inner]
    random = np.random.default_rng(seed)
    passes = partial(_passed, network, rows, maps)

    exact = passes([None] * depth)
    few, many = (passes([sketched.drawn(random, count, [each] * seeds) for _ in maps]) for each in (buckets, count))
    with ReluAsBits():
        bits = passes([None] * depth)
    chosen = executed(network, rows, share)
    skipping = [
        block.register_forward_hook(partial(_skipped, mask)) for block, mask in zip(network.blocks, chosen, strict=True)
    ]
    all_rows, kept_rows = passes([None] * depth), passes([sketched.of_rows(mask) for mask in chosen])
    for hook in skipping:
        hook.remove()
    means = torch.einsum("lso,lsi->lsoi", batch.delta.mean(2), batch.x.mean(2))
    return pd.DataFrame(
        {
            "seed": range(seeds),
            "sketch_others": _changed(exact, few, [name for name in exact if name not in names]),
            "bits_all": _changed(exact, bits, list(exact)),
            "whole_error": _error(exact, many, names),
            "rows_error": _error(all_rows, kept_rows, names),
            "rows_kept": chosen.double().mean((0, 2)),
            "means_cosine": (means * batch.exact).sum((0, 2, 3))
            / (vector_norm(means, dim=(0, 2, 3)) * vector_norm(batch.exact, dim=(0, 2, 3))),
        }
    )


def executed(network: Network, rows: Labelled, share: float) -> Tensor:
    """The rows that run through each block, those that it changes most: (depth, seeds, batch) bool."""
    found = []
    with torch.no_grad():
        x = network.stem(training.stacked(rows[0], network))
        most = -int(-share * x.shape[1] // 1)
        for block in network.blocks:
            after = block(x)
            ratio = vector_norm(after - x, dim=2) / vector_norm(x, dim=2)
            places = (-ratio).argsort(dim=1, stable=True).argsort(1)
            found.append(places < most)
            x = after
    return torch.stack(found)


def _passed(
    network: Network, rows: Labelled, maps: Sequence[nn.Module], sketches: Sequence[Sketch | None]
) -> dict[str, Tensor]:
    """The gradients of all parameters, with these sketches of the blocks' maps."""
    points, labels = rows
    sketched.sketching(maps, sketches)
    try:
        logits = network(training.stacked(points, network))
        loss = torch.stack([cross_entropy(own, labels) for own in logits]).sum()
        named = dict(network.named_parameters())
        return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
    finally:
        sketched.sketching(maps, [None] * len(maps))


def _skipped(mask: Tensor, _: nn.Module, before: tuple[Tensor, ...], after: Tensor) -> Tensor:
    """The stream behind a block through which only some rows run: (seeds, batch, width)."""
    return after.where(mask.unsqueeze(2), before[0])


def _changed(exact: dict[str, Tensor], other: dict[str, Tensor], names: Sequence[str]) -> Tensor:
    """How many numbers of these gradients differ: (seeds,)."""
    return torch.stack([(exact[name] != other[name]).flatten(1).sum(1) for name in names]).sum(0).double()


def _error(exact: dict[str, Tensor], other: dict[str, Tensor], names: Sequence[str]) -> Tensor:
    """Distance of these gradients together from the exact ones, relative to them: (seeds,)."""
    whole, apart = (
        torch.cat([each.flatten(1).double() for each in group], 1)
        for group in ([exact[name] for name in names], [exact[name] - other[name] for name in names])
    )
    error: Tensor = vector_norm(apart, dim=1) / vector_norm(whole, dim=1)
    return error
