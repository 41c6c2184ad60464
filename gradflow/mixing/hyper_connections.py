"""Hyper-connections: several streams side by side, mixed between blocks (Zhu et al. 2024, arXiv 2409.19606)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gradflow.kit.layers import Kit
from gradflow.kit.mixing import Mixing, weighted


class HyperConnections(Mixing):
    """``h = sum_i m_i H_i``, then ``H_j -> sum_i r_ij H_i + b_j branch_l(h)``, with numbers of its own for each block.

    All streams H_i start as x; the mean of them leaves. (The paper takes the sum and a norm.) Before training block l
    reads the stream l mod n alone, r is the identity and b is 1: all streams are that of a residual network.

    Dynamic ones read the streams: to m_i is added ``s tanh(w_m . norm(H_i))``, to r_ij ``s tanh(w_j . norm(H_i))``, to
    b_i ``t tanh(w_b . norm(H_i))``, with weights that start at 0 and s = t = 0.01 (equations 10 to 13).

    Args:
        kit: Makes its parameters.
        depth: Blocks of the network.
        width: Units of each stream.
        streams: How many, n.
        dynamic: Whether they read the streams.
    """

    def __init__(self, kit: Kit, depth: int, width: int, *, streams: int = 2, dynamic: bool = False) -> None:
        super().__init__()
        self.streams = streams
        self.read, self.keep, self.write = (
            nn.ParameterList(kit.parameter(numbers) for _ in range(depth)) for numbers in (streams, streams**2, streams)
        )
        self.maps, self.norms, self.scales = nn.ModuleList(), nn.ModuleList(), nn.ParameterList()
        for _ in range(depth if dynamic else 0):
            self.maps.append(kit.linear(width, streams + 2, bias=False))
            self.norms.append(kit.norm("rms", width))
            self.scales.append(kit.parameter(2, start=0.01))

    def forward(self, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        """See :meth:`Mixing.forward`."""
        n, streams = self.streams, [x] * self.streams
        for number, block in enumerate(blocks):
            read, keep, write = (list(torch.split(part[number], 1, -1)) for part in (self.read, self.keep, self.write))
            if self.maps:
                s, t = torch.split(self.scales[number], 1, -1)
                for i, stream in enumerate(streams):
                    m, *r, b = torch.split(torch.tanh(self.maps[number](self.norms[number](stream))), 1, -1)
                    read[i], write[i] = read[i] + s * m, write[i] + t * b
                    keep[i * n : (i + 1) * n] = [old + s * new for old, new in zip(keep[i * n :], r, strict=False)]
            branch = block(weighted(read, streams))
            streams = [weighted([*keep[j::n], write[j]], [*streams, branch]) for j in range(n)]
        return torch.stack(streams).mean(0)

    def start(self) -> None:
        """Start as a residual network."""
        for number, (read, keep, write) in enumerate(zip(self.read, self.keep, self.write, strict=True)):
            read[..., number % self.streams] = 1
            keep[..., :: self.streams + 1] = 1
            write.fill_(1)
        for each in self.maps:
            each.get_parameter("weight").zero_()
