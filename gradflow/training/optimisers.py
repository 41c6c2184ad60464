"""How weights move: SGD with momentum, Adam, AdamW, each seed on its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol

import torch
from torch import Tensor

Name = Literal["sgd", "adam", "adamw"]
Precision = Literal["float32", "bfloat16", "float16"]
LARGEST = torch.finfo(torch.float32).max
_BETAS, _EPS, _DECAY = (0.9, 0.999), 1e-8, 0.01  # those of torch.optim


@dataclass(frozen=True)
class Transfer:
    """CompleteP: rates that were found at one depth and width, carried to another (Dey et al. 2025, arXiv 2505.01618).

    With m_L = depth / base depth and m_N = width / base width, table 1 of the paper has for what stands in blocks::

        weights:              lr * m_L^(exponent - 1) / m_N,  decay * m_N,  eps * m_L^-exponent / m_N
        biases, norms, gates: lr * m_L^(exponent - 1),        decay,        eps * m_L^-exponent / m_N

    and leaves stem and head as they are. The factor m_L^-exponent on the branch is a setting of the block.

    Attributes:
        deeper: m_L.
        wider: m_N.
        exponent: Of the depth: 0, 1/2 or 1.
    """

    deeper: float
    wider: float
    exponent: float

    @property
    def weights(self) -> "Factors":
        """Of the linear maps in blocks."""
        lr = self.deeper ** (self.exponent - 1) / self.wider
        return Factors(lr, self.wider, self.others.eps)

    @property
    def others(self) -> "Factors":
        """Of all else in blocks."""
        return Factors(self.deeper ** (self.exponent - 1), 1.0, self.deeper**-self.exponent / self.wider)


@dataclass(frozen=True)
class Factors:
    """On the learning rate, the weight decay and the eps of Adam; numbers, or tensors that go with the values."""

    lr: float | Tensor = 1.0
    decay: float | Tensor = 1.0
    eps: float | Tensor = 1.0


@dataclass(frozen=True)
class Descent:
    """How a network is trained.

    Attributes:
        optimizer: A key of :data:`OPTIMISERS`.
        lr: Learning rate.
        momentum: Of SGD; Adam and AdamW have 0.9 and 0.999 of their own.
        clip_norm: Largest norm of a seed's gradients together; None: no clipping.
        warmup: Steps in which the learning rate rises linearly to ``lr``.
        transfer: CompleteP's factors, for Adam and AdamW; None: none.
        precision: Of forward and backward pass; weights and norms are float32 or better (arXiv 1710.03740).
        loss_scale: Factor on the loss in the backward pass, which keeps small gradients apart from 0 in float16
            (section 3.2 of the same paper).
    """

    optimizer: Name
    lr: float
    momentum: float = 0.0
    clip_norm: float | None = None
    warmup: int = 0
    transfer: Transfer | None = None
    precision: Precision = "float32"
    loss_scale: float = 1.0


class Optimiser(Protocol):
    """Moves values, a list of tensors (parameters, seeds, numbers).

    Attributes:
        state: Tensors that one update changes and the next one needs.
    """

    state: list[Tensor]

    def update(
        self,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor],
        factor: Tensor,
        alive: Tensor,
        rate: float | Tensor,
    ) -> None:
        """Move the values.

        Args:
            values: Tensors (parameters, seeds, numbers).
            gradients: Likewise, finite; of a seed that is not alive they are not used.
            factor: (seeds, 1), by which each seed's gradients count; 0 for a seed that is not alive.
            alive: (seeds, 1), which seeds are still training.
            rate: Share of the learning rate that this step takes; a number: all of it.
        """


class Sgd:
    """Momentum m = momentum * m + gradient, value = value - lr * m (Sutskever et al. 2013, PMLR 28:1139-1147)."""

    def __init__(self, config: Descent, values: Sequence[Tensor], factors: Sequence[Factors]) -> None:
        if config.transfer:
            raise ValueError("CompleteP has no rules for SGD")
        self._lr, self._momentum = config.lr, config.momentum
        self.state = [torch.zeros_like(part) for part in values]

    def update(
        self,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor],
        factor: Tensor,
        alive: Tensor,
        rate: float | Tensor,
    ) -> None:
        """See :class:`Optimiser`."""
        for value, gradient, moving in zip(values, gradients, self.state, strict=True):
            moving.mul_(self._momentum * alive).addcmul_(gradient, factor)
            if isinstance(rate, Tensor):  # during a warm-up
                value.sub_(moving * (self._lr * rate))
            else:
                value.sub_(moving, alpha=self._lr)


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980); with decay AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101)."""

    def __init__(self, config: Descent, values: Sequence[Tensor], factors: Sequence[Factors]) -> None:
        self._lr, self._decay = config.lr, _DECAY if config.optimizer == "adamw" else 0.0
        self._factors = factors
        self._steps = values[0].new_zeros(values[0].shape[1], 1, dtype=torch.float64)  # 1 - 0.999 costs digits
        self._means, self._squares = ([torch.zeros_like(part) for part in values] for _ in range(2))
        self.state = [self._steps, *self._means, *self._squares]

    def update(
        self,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor],
        factor: Tensor,
        alive: Tensor,
        rate: float | Tensor,
    ) -> None:
        """See :class:`Optimiser`."""
        self._steps += 1
        first, second = ((1 - beta**self._steps) for beta in _BETAS)
        lr = self._lr * rate
        size, root, diverged = (lr / first).float(), second.sqrt().float(), ~alive
        parts = zip(values, gradients, self._means, self._squares, self._factors, strict=True)
        for value, gradient, mean, square, factors in parts:
            clipped = gradient * factor
            mean.lerp_(clipped, 1 - _BETAS[0]).masked_fill_(diverged, 0.0)
            square.mul_(_BETAS[1]).addcmul_(clipped, clipped, value=1 - _BETAS[1])
            square.masked_fill_(diverged, 0.0)  # which may be infinite where the gradient was not
            if self._decay:
                value.mul_(1 - lr * self._decay * (factors.lr * factors.decay) * alive)
            value.sub_(size * factors.lr * mean / (square.sqrt() / root + _EPS * factors.eps))


def stays_in_float32(config: Descent, steps: int) -> bool:
    """Whether weights surely stay finite during that many steps, whatever the gradients."""
    if config.optimizer == "sgd":  # clipping bounds how far all steps together can go
        bound = inf if config.clip_norm is None else config.lr * config.clip_norm / (1 - config.momentum)
        return steps * bound <= LARGEST / 1e6
    # A step of Adam is a few times lr at most; decay alone can make weights larger.
    return not config.transfer and (config.optimizer == "adam" or config.lr * _DECAY <= 2)


OPTIMISERS: dict[Name, Callable[[Descent, Sequence[Tensor], Sequence[Factors]], Optimiser]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": Adam,
}
