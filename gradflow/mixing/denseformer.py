"""The weighted average over depth of DenseFormer (Pagliardini et al. 2024, arXiv 2402.02622)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gradflow.kit.layers import Kit
from gradflow.kit.mixing import Mixing, weighted


class DenseFormer(Mixing):
    """``x_l = sum_{j <= l} a_lj X_j`` with ``X_l = block_l(x_{l-1})`` and ``X_0`` the stream before the blocks.

    Before training a_ll is 1 and all others are 0, so that the network starts as one without mixing. The blocks keep
    what they carry. These are depth (depth + 3) / 2 further numbers (section 3 of the paper).

    Args:
        kit: Makes its parameters.
        depth: Blocks of the network.
        width: Units of the stream, which do not matter.
    """

    carries = True

    def __init__(self, kit: Kit, depth: int, width: int) -> None:
        super().__init__()
        self.a = nn.ParameterList(kit.parameter(block + 1) for block in range(1, depth + 1))

    def forward(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        """See :meth:`Mixing.forward`."""
        made = [x]
        for a, block in zip(self.a, blocks, strict=True):
            made.append(block(x))
            x = weighted(torch.split(a, 1, -1), made)
        return x

    def start(self) -> None:
        """Hand on what the last block made, and nothing else."""
        for a in self.a:
            a.zero_()
            a[..., -1] = 1

    def weights(self, blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
        """The numbers a, of any sign."""
        return [*self.a]
