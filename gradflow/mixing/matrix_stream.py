"""A stream that is a matrix, written and read with keys (Mak and Flanigan 2025, arXiv 2506.22696)."""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from gradflow.kit.layers import Kit
from gradflow.kit.mixing import Mixing


class MatrixStream(Mixing):
    """``M_0 = w_0 (x) x``, ``M_l = M_{l-1} + w_l (x) branch_l(r_l . M_{l-1})``, out comes ``r_out . M_depth``.

    As in Residual Matrix Transformers. M has a row of the branch's width for each slot; the keys r and w, one number a
    slot, are learnt. So the stream can be larger than what a branch reads. What was written with key w comes back as
    (r . w) times itself: keys are drawn, w from N(0, 1) and r from N(0, 1/slots), so that the mean of (r . w)^2 is 1.
    (The paper has a layer norm on the matrix, which is left out here, as in the other networks.)

    Args:
        kit: Makes its parameters.
        depth: Blocks of the network.
        width: Units that a block reads and writes.
        slots: Rows of the matrix.
    """

    def __init__(self, kit: Kit, depth: int, width: int, *, slots: int = 4) -> None:
        super().__init__()
        self.slots = slots
        self.reads = nn.ParameterList(kit.parameter(slots) for _ in range(depth + 1))
        self.writes = nn.ParameterList(kit.parameter(slots) for _ in range(depth + 1))

    def forward(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        """See :meth:`Mixing.forward`."""
        matrix = _outer(self.writes[0], x)
        for read, write, block in zip(self.reads, self.writes[1:], blocks, strict=False):
            matrix = matrix + _outer(write, block(_inner(read, matrix)))
        return _inner(self.reads[-1], matrix)

    def start(self) -> None:
        """Draw the keys."""
        for read, write in zip(self.reads, self.writes, strict=True):
            nn.init.normal_(read, std=1 / math.sqrt(self.slots))
            nn.init.normal_(write)


def _outer(key: Tensor, x: Tensor) -> Tensor:
    """Key (..., 1, slots) times row (..., batch, width): (..., batch, slots, width)."""
    return key.unsqueeze(-1) * x.unsqueeze(-2)


def _inner(key: Tensor, matrix: Tensor) -> Tensor:
    """The row (..., batch, width) that a key (..., 1, slots) reads."""
    return (key.unsqueeze(-1) * matrix).sum(-2)
