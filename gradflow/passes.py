"""Forward and backward passes of a stacked network: losses out, gradients into memory that stays."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradflow.network import Network


class Watch(Protocol):
    """Looks at what a pass comes by, block after block; nothing of it lasts."""

    def pre_activation(self, z: Tensor) -> None:
        """The output of a block's linear map."""

    def stream(self, before: Tensor, after: Tensor) -> None:
        """The stream before and after a block."""

    def delta(self, delta: Tensor, scale: float) -> None:
        """The gradient with respect to a block's pre-activation is ``scale * delta``; the last block comes first."""


class Pass(Protocol):
    """Forward and backward."""

    def __call__(self, points: Tensor, labels: Tensor, watch: Watch | None = None) -> Tensor:
        """Losses (seeds,) of points (batch, 2) with labels (batch,); writes the gradients of their sum."""


def mean_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean over the batch: logits (seeds, batch, classes), labels (batch,) -> (seeds,)."""
    seeds, batch, _ = logits.shape
    losses = cross_entropy(logits.flatten(0, 1), labels.repeat(seeds), reduction="none")
    mean: Tensor = losses.view(seeds, batch).mean(1)
    return mean


def fastest(network: Network, gradients: Mapping[Tensor, Tensor]) -> Callable[[int], Pass]:
    """The fastest kind of pass that the blocks of a network allow: called with a number of rows, it makes one for them.

    Args:
        network: A stacked network.
        gradients: For each of its parameters a tensor to write its gradient into.
    """
    return partial(Fused, network, gradients) if by_hand(network) else lambda _: Autograd(network, gradients)


def by_hand(network: Network) -> bool:
    """Whether all blocks are ``relu_scale * relu(linear(x))``, plus ``x`` where they have a skip, and no more.

    Each is looked at on a few inputs: one that was edited, and still says ``relu_scale``, is left to autograd.
    """
    return all(
        hasattr(block, "relu_scale")
        and {*block.parameters()} == {*linear.parameters()}
        and _is_scaled_relu(block, linear)
        for block, linear in zip(network.blocks, network.linears()[1:-1], strict=True)
    )


@torch.no_grad()
def _is_scaled_relu(block: nn.Module, linear: nn.Module) -> bool:
    weight = linear.get_parameter("weight")
    *seeds, width, _ = weight.shape
    rows = torch.linspace(-1.0, 1.0, 4 * width, dtype=weight.dtype, device=weight.device).view(4, width)
    x = rows.expand(*seeds, 4, width)
    branch = cast("float", block.relu_scale) * torch.relu(linear(x))
    return torch.allclose(block(x), x + branch if block.skip else branch, equal_nan=True)


class Autograd:
    """The pass for any block, by PyTorch's autograd."""

    def __init__(self, network: Network, gradients: Mapping[Tensor, Tensor]) -> None:
        self._network = network
        self._parameters, self._gradients = list(gradients), list(gradients.values())

    def __call__(self, points: Tensor, labels: Tensor, watch: Watch | None = None) -> Tensor:
        """See :class:`Pass`."""
        with torch.enable_grad(), _Hooks(self._network, watch):
            losses = mean_losses(self._network(points.expand(len(self._parameters[0]), -1, -1)), labels)
            torch._foreach_copy_(self._gradients, torch.autograd.grad(losses.sum(), self._parameters))
        return losses.detach()


class _Hooks:
    """Shows a network's blocks to a watch while the context is open."""

    def __init__(self, network: Network, watch: Watch | None) -> None:
        self._network, self._watch = network, watch
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        watch = self._watch
        if watch is None:
            return

        def linear(_: nn.Module, __: tuple[Tensor, ...], z: Tensor) -> None:
            watch.pre_activation(z.detach())
            z.register_hook(lambda delta: watch.delta(delta, 1.0))  # type: ignore[no-untyped-call]  # PyTorch's

        def block(_: nn.Module, before: tuple[Tensor, ...], after: Tensor) -> None:
            watch.stream(before[0].detach(), after.detach())

        self._hooks = [one.register_forward_hook(linear) for one in self._network.linears()[1:-1]]
        self._hooks += [one.register_forward_hook(block) for one in self._network.blocks]

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


class _Linear:
    """A linear layer: weight (seeds, out, in) and bias (seeds, 1, out), and where their gradients go."""

    def __init__(self, linear: nn.Module, gradients: Mapping[Tensor, Tensor], scale: float = 1.0) -> None:
        weight, bias = linear.get_parameter("weight"), linear.get_parameter("bias")
        self.weight, self._transposed, self._bias = weight.detach(), weight.detach().mT, bias.detach().unsqueeze(1)
        self._weight_gradient, self._bias_gradient = gradients[weight], gradients[bias]
        # As a tensor too: a product with a Python number makes one each time.
        self.scale, self._factor = scale, None if scale == 1.0 else weight.new_tensor(scale)

    def forward(self, x: Tensor, out: Tensor) -> Tensor:
        """Write W x + b."""
        return torch.baddbmm(self._bias, x, self._transposed, out=out)

    def backward(self, delta: Tensor, x: Tensor) -> None:
        """Write the gradients of weight and bias from ``scale * delta``, that of the output."""
        self._weight_gradient.baddbmm_(delta.mT, x, beta=0, alpha=self.scale)
        torch.sum(delta, 1, out=self._bias_gradient)
        if self._factor is not None:
            self._bias_gradient.mul_(self._factor)


class Fused:
    """The pass for blocks ``relu_scale * relu(linear(x))``, plus ``x`` where they have a skip, written by hand.

    With h = relu(W x + b), s the scale and g the gradient with respect to the stream after the block::

        delta = g where h > 0, else 0
        dLoss/dW = s delta^T x      dLoss/db = s sum(delta)
        g = g + s delta W           (without a skip: s delta W)

    Every product is written into memory that is there already, and s rides along in the products.
    """

    def __init__(self, network: Network, gradients: Mapping[Tensor, Tensor], batch: int) -> None:
        stem, *hidden, head = network.linears()
        self._stem, self._head = _Linear(stem, gradients), _Linear(head, gradients)
        seeds, width, _ = self._stem.weight.shape
        new = self._stem.weight.new_empty
        self._stream = new(seeds, batch, width)
        self._blocks = []
        for block, linear in zip(network.blocks, hidden, strict=True):
            skip, scale = bool(block.skip), cast("float", block.relu_scale)
            scaled = _Linear(linear, gradients, scale)
            branch = new(seeds, batch, width)
            # The stream after a block: its branch itself, where there is no skip and no scale.
            after = new(seeds, batch, width) if skip or scale != 1.0 else branch
            self._blocks.append((scaled, skip, branch, after))
        self._logits = new(seeds, batch, self._head.weight.shape[1])
        self._delta, self._gradient = new(seeds, batch, width), new(seeds, batch, width)

    @torch.no_grad()
    def __call__(self, points: Tensor, labels: Tensor, watch: Watch | None = None) -> Tensor:
        """See :class:`Pass`."""
        points = points.expand(len(self._logits), -1, -1)
        log_p = self._forward(points, watch).log_softmax(2)
        truth = labels.expand(len(log_p), -1).unsqueeze(2)
        losses: Tensor = log_p.gather(2, truth).squeeze(2).mean(1).neg_()
        error = log_p.exp_().scatter_add_(2, truth, log_p.new_full((), -1.0).expand(truth.shape))
        self._backward(points, error.div_(len(labels)), watch)
        return losses

    def _forward(self, points: Tensor, watch: Watch | None) -> Tensor:
        x = self._stem.forward(points, out=self._stream)
        for linear, skip, branch, after in self._blocks:
            linear.forward(x, out=branch)
            if watch:
                watch.pre_activation(branch)
            branch.relu_()
            if skip:
                torch.add(x, branch, alpha=linear.scale, out=after)
            elif after is not branch:
                torch.mul(branch, linear.scale, out=after)
            if watch:
                watch.stream(x, after)
            x = after
        return self._head.forward(x, out=self._logits)

    def _backward(self, points: Tensor, error: Tensor, watch: Watch | None) -> None:
        """From the gradient of the losses' sum with respect to the logits."""
        delta, g = self._delta, self._gradient
        streams = [self._stream, *(after for *_, after in self._blocks)]
        self._head.backward(error, streams[-1])
        torch.bmm(error, self._head.weight, out=g)
        for (linear, skip, branch, _), x in zip(reversed(self._blocks), reversed(streams[:-1]), strict=True):
            torch.ops.aten.threshold_backward.grad_input(g, branch, 0, grad_input=delta)
            if watch:
                watch.delta(delta, linear.scale)
            linear.backward(delta, x)
            g.baddbmm_(delta, linear.weight, beta=float(skip), alpha=linear.scale)
        self._stem.backward(g, points)
