"""Activation patching: what of a clean run comes back when a part of its stream is put into a corrupted one.

Meng et al. 2022 (arXiv 2202.05262) call it causal tracing. It needs two runs and no stable basis of the stream.
"""

import torch
from torch import Tensor

from gradflow.kit.network import Network


@torch.no_grad()
def streams(network: Network, first: Tensor) -> list[Tensor]:
    """x_0 to x_depth, from x_0 (..., rows, width)."""
    found = [first]
    for block in network.blocks:
        found.append(block(found[-1]))
    return found


@torch.no_grad()
def patched(network: Network, clean: list[Tensor], corrupted: list[Tensor], layer: int, rows: Tensor) -> Tensor:
    """The last stream of the corrupted run with rows of x_layer from the clean one.

    Args:
        network: Any with blocks.
        clean: Its streams, from :func:`streams`.
        corrupted: Likewise.
        layer: 0 for the stream before the first block.
        rows: (rows,), which are taken from the clean run.
    """
    x = torch.where(rows.unsqueeze(1), clean[layer], corrupted[layer])
    for block in list(network.blocks)[layer:]:
        x = block(x)
    return x


def recovered(clean: Tensor, corrupted: Tensor, patched: Tensor) -> Tensor:
    """The share of the change by the corruption that the patch undoes: 0 as corrupted, 1 as clean."""
    share: Tensor = (patched - corrupted) / (clean - corrupted)
    return share
