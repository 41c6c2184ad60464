"""Lenses: what the head would say if the network ended behind a block.

The logit lens reads each stream as if it were the last one (nostalgebraist 2020). The tuned lens (Belrose et al. 2023,
arXiv 2303.08112) first takes it through an affine map of its own, ``x + A_l x + b_l``, trained so that what is read is
close to what the network says in the end.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import kl_div
from torch.optim.adam import adam

Read = Callable[[Tensor], Tensor]  # a stream (..., rows, width) to logits (..., rows, tokens)


def distance(last: Tensor, logits: Tensor) -> Tensor:
    """KL(network || lens) in nats of each row: logits (..., rows, tokens) to (..., rows); axes may be broadcast."""
    return kl_div(logits.log_softmax(-1), last.log_softmax(-1), reduction="none", log_target=True).sum(-1)


class Tuned:
    """Affine maps, one for each stream.

    Args:
        streams: (rows, width) each, to train on.
        read: The norm in front of the head, and the head.
        steps: Of Adam, each on all rows.
        lr: Its learning rate.
    """

    def __init__(self, streams: Sequence[Tensor], read: Read, *, steps: int, lr: float) -> None:
        x = torch.stack([each.detach() for each in streams])
        with torch.no_grad():
            last = read(x[-1])
        width = x.shape[-1]
        values = [x.new_zeros(len(x), width, width), x.new_zeros(len(x), 1, width)]
        self._maps, self._shifts = (value.requires_grad_() for value in values)
        self._read = read
        means, squares = ([torch.zeros_like(value) for value in values] for _ in range(2))
        taken = [torch.zeros(()) for _ in values]
        for _ in range(steps):
            with torch.enable_grad():
                gradients = torch.autograd.grad(distance(last, self(x)).mean(1).sum(), values)
            with torch.no_grad():  # the class torch.optim.Adam would first load PyTorch's compiler, for seconds
                adam(
                    values,
                    list(gradients),
                    means,
                    squares,
                    max_exp_avg_sqs=[],
                    state_steps=taken,
                    amsgrad=False,
                    beta1=0.9,
                    beta2=0.999,
                    lr=lr,
                    weight_decay=0.0,
                    eps=1e-8,
                    maximize=False,
                )

    def __call__(self, streams: Tensor) -> Tensor:
        """Logits of streams (layers, rows, width): (layers, rows, tokens)."""
        return self._read(torch.baddbmm(self._shifts, streams, self._maps) + streams)
