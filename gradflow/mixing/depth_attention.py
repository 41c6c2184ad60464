"""Attention over depth: each block reads all earlier ones (Attention Residuals, Chen et al. 2026, arXiv 2603.15031)."""

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from gradflow.kit.layers import Kit
from gradflow.kit.mixing import Mixing


class DepthAttention(Mixing):
    """``x_l = sum_{j <= l} s_lj v_j``, ``s_l = softmax_j(c q_l . rms_norm(v_j))``, ``v_l = branch_l(x_{l-1})``.

    v_0 is the stream before the blocks. The queries q_l are learnt, one for each block, and start at 0: all shares are
    the same then. The paper has one query more, for what the first block reads; there is but one value to read then.

    Args:
        kit: Makes its parameters.
        depth: Blocks of the network.
        width: Units of the stream.
        form: ``alone``: as above. ``normed``: ``v_l = branch_l(rms_norm(x_{l-1}))``, as in the paper, whose branches
            begin with a norm. ``added``: the blocks keep what they carry, ``x_l = v_l + g_l sum_j s_lj v_j`` with
            ``v_l = block_l(x_{l-1})`` and numbers g_l that are learnt and start at 0, as a network without mixing.
        scaled: c is 1/sqrt(width), as in attention (arXiv 1706.03762, section 3.2.1); else 1, as in the paper.
    """

    def __init__(
        self,
        kit: Kit,
        depth: int,
        width: int,
        *,
        form: Literal["alone", "normed", "added"] = "alone",
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.form, self.carries = form, form == "added"
        self.scale = 1 / math.sqrt(width) if scaled else 1.0
        self.queries = nn.ParameterList(kit.parameter(width) for _ in range(depth))
        self.gains = nn.ParameterList(kit.parameter() for _ in range(depth if self.carries else 0))

    def _steps(self, blocks: Iterable[nn.Module], x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Behind each block the stream and the shares (..., batch, values)."""
        values, factors = [x], [self._factor(x)]
        for number, block in enumerate(blocks):
            made = block(rms_norm(x, x.shape[-1:]) if self.form == "normed" else x)
            values.append(made)
            factors.append(self._factor(made))
            of_all = torch.stack(values, -2)
            scores = (of_all @ self.queries[number].unsqueeze(-1)).squeeze(-1)
            shares = torch.softmax(scores * torch.cat(factors, -1), -1)
            x = (shares.unsqueeze(-2) @ of_all).squeeze(-2)
            if self.form == "added":
                x = torch.addcmul(made, self.gains[number], x)
            yield x, shares

    def forward(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        """See :meth:`Mixing.forward`."""
        *_, (last, _) = self._steps(blocks, x)
        return last

    def weights(self, blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
        """The shares s, which sum to 1."""
        return [shares for _, shares in self._steps(blocks, x)]

    def _factor(self, x: Tensor) -> Tensor:
        """``c / rms`` of each row, (..., batch, 1), with what :func:`rms_norm` adds so that it is finite."""
        return self.scale * (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).rsqrt()
