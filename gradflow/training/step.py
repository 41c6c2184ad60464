"""One step of training for all seeds at once: gradients, their norms, clipping, update.

On a GPU nothing here waits for a result: what a step finds stays in tensors until the epoch is over, so that the
GPU always has work, and the step can be captured as a CUDA graph.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from gradflow.kit.network import Network
from gradflow.training.optimisers import LARGEST, OPTIMISERS, Descent, Factors, Transfer, stays_in_float32
from gradflow.training.probe import probe
from gradflow.training.task import Task


class Flat:
    """All parameters of a network in a few tensors (parameters, seeds, numbers), and their gradients in as many.

    The weights of linear maps of one size share a tensor, a row each; the last one holds all else, as one row. The
    network's parameters become views of them, so that clipping and update are a few operations over all parameters
    and seeds. The weights of one map lie side by side for all seeds, as batched matrix products like them.

    Attributes:
        values: The tensors.
        gradients: Likewise.
        views: Each parameter to its own part of ``gradients``.
    """

    def __init__(self, network: Network) -> None:
        weights = [each.weight for each in network.linear_maps()]
        sizes = Counter(weight[0].numel() for weight in weights)
        alike = [[weight for weight in weights if weight[0].numel() == size] for size in sizes]
        known = set(weights)
        self._rest = [parameter for parameter in network.parameters() if parameter not in known]
        self._numbers = [parameter[0].numel() for parameter in self._rest]
        self._alike = alike
        self.values = [torch.stack([weight.detach().flatten(1) for weight in group]) for group in alike]
        self.values.append(torch.cat([parameter.detach().flatten(1) for parameter in self._rest], 1).unsqueeze(0))
        self.gradients = [torch.zeros_like(part) for part in self.values]
        place = {weight: number for number, weight in enumerate(weight for group in alike for weight in group)}
        self._order = torch.tensor([place[weight] for weight in weights], device=weights[0].device)
        for parameter, value in self.parts(self.values).items():
            parameter.data = value
        self.views = self.parts(self.gradients)

    def parts(self, tensors: list[Tensor]) -> dict[Tensor, Tensor]:
        """Each parameter to its own part of tensors like ``values``."""
        *groups, others = tensors
        own = [
            pair for group, tensor in zip(self._alike, groups, strict=True) for pair in zip(group, tensor, strict=True)
        ]
        own += zip(self._rest, torch.split(others[0], self._numbers, 1), strict=True)
        return {parameter: part.view_as(parameter) for parameter, part in own}

    def factors(self, transfer: Transfer | None, blocks: nn.Module) -> list[Factors]:
        """CompleteP's factors on what moves each of ``values``."""
        if not transfer:
            return [Factors()] * len(self.values)
        weights, inside = {weight for group in self._alike for weight in group}, set(blocks.parameters())
        lr, decay, eps = ([torch.ones_like(value) for value in self.values] for _ in range(3))
        for tensors, name in ((lr, "lr"), (decay, "decay"), (eps, "eps")):
            for parameter, part in self.parts(tensors).items():
                if parameter in inside:
                    part.fill_(getattr(transfer.weights if parameter in weights else transfer.others, name))
        return [Factors(*own) for own in zip(lr, decay, eps, strict=True)]

    def norms(self) -> tuple[Tensor, Tensor]:
        """||dLoss/dW||_F of every linear map and the norm of all gradients together.

        Returns:
            (maps, seeds) and (seeds,), in float64.
        """
        of_parts = [_norm(part) for part in self.gradients]
        return torch.cat(of_parts[:-1])[self._order], vector_norm(torch.cat(of_parts), dim=0)


def _norm(part: Tensor) -> Tensor:
    """Euclidean norm over the last axis, in float64, where the square of no float32 is 0; nan or inf where one is."""
    norm: Tensor = vector_norm(part, dim=2, dtype=torch.float64)
    return norm


class Step:
    """A step by autograd, for networks of any kind.

    A seed whose loss or gradient stops being finite, or whose next weights would, keeps the weights and buffers it has.

    Attributes:
        engine: What takes it, ``PyTorch`` or ``C``, for the logs.
        made: Files other than Python modules that it depends on.
        network: What is trained.
        alive: (seeds,), which seeds are still training.
        loss_sum: (seeds,), the losses of the inputs seen in this epoch.
        grad_norm: (steps, seeds, maps) float32, ||dLoss/dW||_F before clipping, in the network's order of linear maps.
        valid: (steps, seeds), False from the step on at which a seed diverged.
    """

    engine = "PyTorch"

    def __init__(self, network: Network, task: Task, config: Descent) -> None:
        """Prepare for the steps of a task."""
        self.made: list[Path] = []
        self.network, self._task, self._config = network, task, config
        self._flat = flat = Flat(network)
        self._parameters, self._views = list(flat.views), list(flat.views.values())
        self._buffers = list(network.buffers())
        factors = flat.factors(config.transfer, network.blocks)
        self._optimiser = OPTIMISERS[config.optimizer](config, flat.values, factors)
        seeds, new, steps = flat.values[0].shape[1], flat.values[0].new_zeros, task.epochs * task.steps
        self._unbounded = not stays_in_float32(config, steps)  # then each step is checked
        self._done = torch.zeros(1, dtype=torch.int64, device=flat.values[0].device)
        self.alive = new(seeds, dtype=torch.bool).logical_not_()
        self.loss_sum = new(seeds)
        self.grad_norm = new(steps, seeds, len(network.linear_maps())).fill_(torch.nan)
        self.valid = new(steps, seeds, dtype=torch.bool)

    @property
    def state(self) -> list[Tensor]:
        """What a step changes and the next one needs."""
        return [*self._flat.values, *self._optimiser.state, self._done, self.alive, self.loss_sum, *self._buffers]

    def restore(self, state: list[Tensor]) -> None:
        """Go back to copies of :attr:`state`."""
        for tensor, value in zip(self.state, state, strict=True):
            tensor.copy_(value)

    def unfinished(self) -> dict[str, Tensor]:
        """All that further steps need, by name, and what has been recorded; not copied."""
        done = int(self._done)
        tensors = {f"step.{i}": tensor for i, tensor in enumerate(self.state)}
        return tensors | {"grad_norm": self.grad_norm[:done], "valid": self.valid[:done]}

    def go_on(self, saved: dict[str, Tensor]) -> None:
        """Take over what :meth:`unfinished` gave."""
        self.restore([saved[f"step.{i}"] for i in range(len(self.state))])
        for record, name in ((self.grad_norm, "grad_norm"), (self.valid, "valid")):
            record[: len(saved[name])] = saved[name]

    @torch.no_grad()
    def __call__(self, batch: Tensor) -> None:
        """Train on a batch of the task."""
        buffers = [buffer.clone() for buffer in self._buffers]
        losses = self._gradients(batch)
        layers, total = (norm / self._config.loss_scale for norm in self._flat.norms())
        self.alive &= losses.isfinite() & (total < LARGEST)
        self.loss_sum.add_(losses, alpha=len(batch))
        self._update(total)
        for buffer, old in zip(self._buffers, buffers, strict=True):
            buffer.copy_(buffer.where(self.alive.view(-1, *[1] * (buffer.dim() - 1)), old))
        self.grad_norm.index_copy_(0, self._done, layers.mT.float().unsqueeze(0))
        self.valid.index_copy_(0, self._done, self.alive.unsqueeze(0))
        self._done += 1

    def measure(self) -> Tensor:
        """What the task measures after an epoch, of networks in evaluation mode."""
        self.network.eval()
        with torch.no_grad():
            measured = self._task.measure(self.network)
        self.network.train()
        return measured

    def probe(self, points: Tensor, targets: Tensor) -> Tensor:
        """Measure every block, see :mod:`gradflow.training.probe`, of networks in evaluation mode."""
        self.network.eval()
        measured = probe(self.network, points, targets, self._task.losses)
        self.network.train()
        return measured

    def _gradients(self, batch: Tensor) -> Tensor:
        """Write the gradients of all parameters, return the losses (seeds,)."""
        inputs, targets = self._task.pick(batch)
        with torch.enable_grad():
            with self._precision():
                outputs = self.network(inputs.expand(len(self.alive), *inputs.shape[-2:])).float()
            losses = self._task.losses(outputs, targets)
            scaled = losses.sum() * self._config.loss_scale
            torch._foreach_copy_(self._views, torch.autograd.grad(scaled, self._parameters))
        return losses.detach()

    def _precision(self) -> AbstractContextManager[object]:
        if self._config.precision == "float32":
            return nullcontext()
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}[self._config.precision]
        return torch.autocast(self.alive.device.type, dtype)

    def _update(self, total: Tensor) -> None:
        config, values, gradients = self._config, self._flat.values, self._flat.gradients
        factor = torch.ones_like(total)
        if config.clip_norm is not None:  # the rule of torch.nn.utils.clip_grad_norm_
            factor = (config.clip_norm / (total + 1e-6)).clamp_(max=1.0)
        factor = factor / config.loss_scale
        # A factor of 0 holds a diverged seed where it is, once its gradients are numbers.
        for gradient in gradients:
            gradient.nan_to_num_(0.0, 0.0, 0.0)
        before = [value.clone() for value in values] if self._unbounded else []
        factor = factor.where(self.alive, 0.0).float().unsqueeze(1)
        rate = ((self._done + 1) / config.warmup).clamp_(max=1.0) if config.warmup else 1.0
        self._optimiser.update(values, gradients, factor, self.alive.unsqueeze(1), rate)
        if before:
            self.alive &= torch.stack([value.isfinite().all(2).all(0) for value in values]).all(0)
            alive = self.alive.unsqueeze(1)
            for value, old in zip(values, before, strict=True):
                value.copy_(value.where(alive, old))
            for moving in self._optimiser.state:
                moving.masked_fill_(~alive, 0.0)


def captured(step: Step) -> Callable[[Tensor], None]:
    """A step for CUDA: captured once for each size of batch, then started by one call.

    A block that cannot be captured (one that waits for a result) is trained without a graph.
    """
    graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor] | None] = {}

    def run(batch: Tensor) -> None:
        size = len(batch)
        if size not in graphs:
            try:
                graphs[size] = _capture(step, batch)
            except RuntimeError as error:
                warnings.warn(f"no CUDA graph, training step by step: {error}", stacklevel=2)
                graphs[size] = None
        found = graphs[size]
        if found is None:
            step(batch)
        else:
            graph, place = found
            place.copy_(batch)
            graph.replay()

    return run


def _capture(step: Step, batch: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """The graph, and the tensor from which it reads its batch."""
    place, before = batch.clone(), [tensor.clone() for tensor in step.state]
    current = torch.cuda.current_stream()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # PyTorch's
    side.wait_stream(current)
    with torch.cuda.stream(side):  # libraries set themselves up in the first calls, which a graph must not hold
        for _ in range(3):
            step(place)
            step.restore(before)
    current.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.stream(current), torch.cuda.graph(graph):  # the outer one: a failed capture leaves its own set
            step(place)
    finally:
        torch.cuda.synchronize()
        step.restore(before)
    return graph, place
