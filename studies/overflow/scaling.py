"""How far the first map of each branch can be scaled before a precision no longer holds the passes of a training.

The networks are those of the recipe, with stem and head, and cross-entropy on two classes. As with ``train.precision``
weights are float32 and the passes run under ``torch.autocast``: linear maps compute in the lower precision, while norms
give float32, since the numbers that they learn are float32. So the stream has the lower precision, that of the stem's
output, where no norm stands behind the branch.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gradflow.kit import layers
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.networks.mlp import FEATURES
from gradflow.params.starts import Start
from studies.overflow.params import Params


class Passes(NamedTuple):
    """What one forward and one backward pass showed, each (seeds,).

    Attributes:
        overflow: Whether anything in them is not finite.
        block: The first block in which that is so, in the order of the passes; 0: none.
        zero_gradient: Whether the gradient of some block's first map is exactly 0.
    """

    overflow: Tensor
    block: Tensor
    zero_gradient: Tensor


class Scaled:
    """The deepest network of a variant, all seeds, with its first maps multiplied by a factor for each seed.

    Attributes:
        network: All seeds.
        points: What it is given, (rows, 2).
        labels: Their classes (rows,).
    """

    def __init__(self, config: Params, start: Start) -> None:
        random = np.random.default_rng(config.inputs.seed)
        self.points = torch.from_numpy(random.standard_normal((config.inputs.rows, FEATURES))).float()
        self.labels = (self.points[:, 0] > 0).long()
        self._seeds, self._step = config.seeds, config.overflow.step
        described = {"network": "mlp", "block": start.block, "settings": start.settings(), "widths": None}
        make = partial(build, described | {"depth": config.depths[-1], "width": config.width})
        self.network = stack(make, seeds=config.seeds, init=start.init, seed=config.seed)
        maps = (next(iter(layers.linear_maps(block).values())) for block in self.network.blocks)
        self._weights = [each.get_parameter("weight") for each in maps]
        self._drawn = [weight.detach().clone() for weight in self._weights]

    def passes(self, steps: Tensor, precision: str) -> Passes:
        """Go forward and back with the first maps multiplied by 10^(steps * overflow.step), ``steps`` (seeds,)."""
        factors = (10.0 ** (steps.double() * self._step)).float()[:, None, None]
        with torch.no_grad():
            for weight, drawn in zip(self._weights, self._drawn, strict=True):
                weight.copy_(drawn * factors)
        blocks = self.network.blocks
        outputs: list[list[Tensor]] = [[] for _ in blocks]

        def keep(own: list[Tensor], output: Tensor) -> None:
            output.retain_grad()
            own.append(output)

        hooks = [
            part.register_forward_hook(lambda _, __, output, own=own: keep(own, output))
            for block, own in zip(blocks, outputs, strict=True)
            for part in block.modules()
        ]
        dtype = getattr(torch, precision)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = self.network(self.points.expand(self._seeds, -1, -1)).float()
        for hook in hooks:
            hook.remove()
        self.network.zero_grad()
        losses = cross_entropy(logits.flatten(0, 1), self.labels.repeat(self._seeds), reduction="sum")
        (losses / len(self.points)).backward()  # type: ignore[no-untyped-call]  # PyTorch's
        lost = _not_finite(outputs)
        lost_back = _not_finite(
            [tensor.grad for tensor in (*own, *block.parameters()) if tensor.grad is not None]
            for block, own in zip(blocks, outputs, strict=True)
        )
        last_block = len(lost_back) - lost_back.flip(0).int().argmax(0)  # where the gradient comes first
        block = torch.where(lost.any(0), lost.int().argmax(0) + 1, torch.where(lost_back.any(0), last_block, 0))
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        zero = [(gradient == 0).flatten(1).all(1) for gradient in gradients]
        return Passes(block > 0, block, torch.stack(zero).any(0))

    def smallest(self, failure: Literal["overflow", "zero_gradient"], precision: str, most: Tensor) -> Tensor:
        """The smallest numbers of steps from 0 on with which that happens, one a seed; ``most`` where none below it."""
        low, high = torch.zeros_like(most), most
        while bool((low < high).any()):
            middle = (low + high) // 2
            failed = getattr(self.passes(middle, precision), failure)
            left = low < high
            low, high = middle.add(1).where(left & ~failed, low), middle.where(left & failed, high)
        return high


def by_precision(config: Params, start: Start) -> pd.DataFrame:
    """Scale the first maps of the deepest network by ever larger factors, in each precision.

    The smallest factor of each seed is found by bisection: where one makes the passes fail, so do all larger ones.

    Returns:
        Columns seed, precision, overflow (log10 of the smallest factor with which anything in the forward or the
        backward pass is not finite; nan: none up to 10^decades), block (the first one in which that is so),
        zero_gradient (log10 of the smallest factor with which the gradient of some block's first map is exactly 0;
        nan: none below the overflow).
    """
    scaled, step = Scaled(config, start), config.overflow.step
    most = torch.full((config.seeds,), round(config.overflow.decades / step) + 1)
    tables = []
    for precision in config.overflow.precisions:
        overflow = scaled.smallest("overflow", precision, most)
        zero = scaled.smallest("zero_gradient", precision, overflow)
        found = overflow < most
        table = {
            "seed": range(config.seeds),
            "precision": precision,
            "overflow": (overflow.double() * step).where(found, torch.nan),
            "block": scaled.passes(overflow, precision).block.double().where(found, torch.nan),
            "zero_gradient": (zero.double() * step).where(zero < overflow, torch.nan),
        }
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def _not_finite(of_blocks: Iterable[Sequence[Tensor]]) -> Tensor:
    """Whether a number in any of a block's tensors (seeds, ...) is not finite: (blocks, seeds)."""
    each = ([~tensor.isfinite().flatten(1).all(1) for tensor in own] for own in of_blocks)
    return torch.stack([torch.stack(own).any(0) for own in each])
