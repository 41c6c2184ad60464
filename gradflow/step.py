"""One step of training for all seeds at once: gradients, their norms, clipping, momentum, update.

Nothing here waits for a result: what a step finds stays in tensors until the epoch is over, so a GPU
never runs dry, and the step can be captured as a CUDA graph.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow import params, passes
from gradflow.network import Network
from gradflow.precision import LARGEST, float32_will_do


class Flat:
    """All parameters of a network in two tensors (layers, seeds, numbers), and their gradients in two more.

    The first holds the weights of the blocks' linear maps, a layer each; the second all else, as one layer. The
    network's parameters become views of them, so that clipping, momentum and the update are one operation each
    over all seeds. In this order the weights of one layer lie side by side for all seeds, as batched
    matrix products like them.

    Attributes:
        values: Two tensors (layers, seeds, numbers).
        gradients: Likewise.
        views: Each parameter to its own part of ``gradients``.
    """

    def __init__(self, network: Network) -> None:
        stem, *hidden, head = (linear.get_parameter("weight") for linear in network.linears())
        known = {stem, head, *hidden}
        rest = [stem, head, *(parameter for parameter in network.parameters() if parameter not in known)]
        self.values = [
            torch.stack([weight.detach().flatten(1) for weight in hidden]),
            torch.cat([parameter.detach().flatten(1) for parameter in rest], 1).unsqueeze(0),
        ]
        self.gradients = [torch.zeros_like(part) for part in self.values]
        self._hidden, self._rest = hidden, rest
        self._numbers = [parameter[0].numel() for parameter in rest]
        for parameter, value in self.parts(self.values).items():
            parameter.data = value
        self.views = self.parts(self.gradients)

    def parts(self, tensors: list[Tensor]) -> dict[Tensor, Tensor]:
        """Each parameter to its own part of two tensors like ``values``."""
        blocks, others = tensors
        parts = (*blocks, *torch.split(others[0], self._numbers, 1))
        own = zip((*self._hidden, *self._rest), parts, strict=True)
        return {parameter: part.view_as(parameter) for parameter, part in own}

    def norms(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """||dLoss/dW||_F of every layer and the norm of all gradients together.

        Args:
            dtype: In which squares are summed.

        Returns:
            (depth + 2, seeds) and (seeds,).
        """
        hidden, rest = self.gradients
        ends = [*self._numbers[:2], sum(self._numbers[2:])]
        stem, head, others = (vector_norm(part, dim=2, dtype=dtype) for part in torch.split(rest, ends, 2))
        layers = torch.cat([stem, vector_norm(hidden, dim=2, dtype=dtype), head])
        return layers, vector_norm(torch.cat([layers, others]), dim=0)


class Step:
    """A step of SGD with momentum and per-seed gradient-norm clipping, each seed on its own.

    A seed whose loss or gradient stops being finite, or whose next weights would, keeps the weights it has.

    Attributes:
        alive: (seeds,), which seeds are still training.
        loss_sum: (seeds,), the losses of the rows seen in this epoch.
        grad_norm: (steps, seeds, layers) float32, ||dLoss/dW||_F before clipping, layers stem, 1..depth, head.
        valid: (steps, seeds), False from the step on at which a seed diverged.
        sum_in: In which type squares are summed to norms.
    """

    def __init__(self, network: Network, train_set: tuple[Tensor, Tensor], config: params.Train, steps: int) -> None:
        """Prepare for ``steps`` steps on rows of the train set (see :func:`gradflow.training.train`)."""
        self._network, self._config = network, config
        self._points, self._labels = train_set
        self._flat = flat = Flat(network)
        weights = flat.values[0]
        seeds, new = weights.shape[1], weights.new_zeros
        self._momentum = [torch.zeros_like(part) for part in flat.values]
        # Clipping bounds how far all steps together can go; where that may leave float32, each step is looked at.
        bound = math.inf if config.clip_norm is None else config.lr * config.clip_norm / (1 - config.momentum)
        self._unbounded = steps * bound > LARGEST / 1e6
        self._pass_for = passes.fastest(network, flat.views)
        self._passes: dict[int, passes.Pass] = {}
        self._taken = 0  # steps of this epoch
        self._before: list[Tensor] = []  # the state at its start
        self.sum_in = torch.float32
        self._done = torch.zeros(1, dtype=torch.int64, device=weights.device)
        self.alive = new(seeds, dtype=torch.bool).logical_not_()
        self.loss_sum = new(seeds)
        self.grad_norm = new(steps, seeds, len(network.linears())).fill_(torch.nan)
        self.valid = new(steps, seeds, dtype=torch.bool)

    @property
    def gradients(self) -> Mapping[Tensor, Tensor]:
        """Memory for the gradient of each parameter, free between steps; what one leaves there is not defined."""
        return self._flat.views

    @property
    def state(self) -> list[Tensor]:
        """What a step changes and the next one needs."""
        return [*self._flat.values, *self._momentum, self._done, self.alive, self.loss_sum]

    def restore(self, state: list[Tensor]) -> None:
        """Go back to copies of :attr:`state`."""
        for tensor, value in zip(self.state, state, strict=True):
            tensor.copy_(value)

    def unfinished(self) -> dict[str, Tensor]:
        """All that the rest of an epoch needs, by name, and what has been recorded; not copied."""
        done = int(self._done)
        parts = {"now": self.state, "before": self._before}
        tensors = {f"{name}.{i}": tensor for name, state in parts.items() for i, tensor in enumerate(state)}
        numbers = {"taken": torch.tensor(self._taken), "in_float64": torch.tensor(self.sum_in == torch.float64)}
        return tensors | numbers | {"grad_norm": self.grad_norm[:done], "valid": self.valid[:done]}

    def go_on(self, saved: Mapping[str, Tensor]) -> None:
        """Be as the step was that gave :meth:`unfinished`, in the middle of an epoch."""
        self.restore([saved[f"now.{i}"] for i in range(len(self.state))])
        self._before = [saved[name].to(self._done.device) for name in saved if name.startswith("before.")]
        self._taken = int(saved["taken"])
        self.sum_in = torch.float64 if saved["in_float64"] else torch.float32
        for record, name in ((self.grad_norm, "grad_norm"), (self.valid, "valid")):
            record[: len(saved[name])] = saved[name]

    def epoch(self, batches: Sequence[Tensor], take: Callable[[Tensor], None], pause: Callable[[], object]) -> None:
        """Take a step on each batch, or on those that are left of an epoch that has been begun.

        Norms are summed in float32 while that loses nothing. The first epoch in which it may, by the size of the
        norms or because a seed seems to diverge, is taken again and summed in float64, and so are all that follow.

        Args:
            batches: Each the numbers of its rows.
            take: Takes one step: this object, or what :func:`captured` makes of it.
            pause: Called after each step.
        """
        if not self._taken:
            self.loss_sum.zero_()
            self._before = [tensor.clone() for tensor in self.state] if self.sum_in == torch.float32 else []
        self._rest_of(batches, take, pause)
        if self.sum_in == torch.float32 and not self._was_exact():
            self.sum_in = torch.float64
            self.restore(self._before)
            self._before, self._taken = [], 0
            self._rest_of(batches, take, pause)
        self._taken = 0

    def _rest_of(self, batches: Sequence[Tensor], take: Callable[[Tensor], None], pause: Callable[[], object]) -> None:
        for rows in batches[self._taken :]:
            take(rows)
            self._taken += 1
            pause()

    def _was_exact(self) -> bool:
        """Whether no seed diverged in this epoch, nor any norm was too large or small for sums in float32."""
        *_, done, alive, _ = self._before
        norms = self.grad_norm[int(done) : int(self._done), alive]
        return torch.equal(alive, self.alive) and bool(float32_will_do(norms))

    @torch.no_grad()
    def __call__(self, rows: Tensor) -> None:
        """Train on a batch, given by the numbers of its rows."""
        if len(rows) not in self._passes:  # all batches but the last are of one size
            self._passes[len(rows)] = self._pass_for(len(rows))
        losses = self._passes[len(rows)](self._points.index_select(0, rows), self._labels.index_select(0, rows))
        layers, total = self._flat.norms(self.sum_in)
        self.alive &= losses.isfinite() & (total < LARGEST)
        self.loss_sum.add_(losses, alpha=len(rows))
        self._update(total)
        self.grad_norm.index_copy_(0, self._done, layers.mT.float().unsqueeze(0))
        self.valid.index_copy_(0, self._done, self.alive.unsqueeze(0))
        self._done += 1

    def validate(self, rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy on points (rows, 2) with labels (rows,): (seeds,) each."""
        points, labels = rows
        with torch.no_grad():
            logits = self._network(points.expand(len(self.alive), -1, -1))
            return passes.mean_losses(logits, labels), (logits.argmax(2) == labels).double().mean(1)

    def _update(self, total: Tensor) -> None:
        config, alive = self._config, self.alive.unsqueeze(1)
        factor = torch.ones_like(total)
        if config.clip_norm is not None:  # the rule of torch.nn.utils.clip_grad_norm_
            factor = (config.clip_norm / (total + 1e-6)).clamp_(max=1.0)
        # A factor of 0 holds a diverged seed where it is, once its gradients are numbers.
        factor, kept = factor.where(self.alive, 0.0).float().unsqueeze(1), alive * config.momentum
        for gradients, momentum in zip(self._flat.gradients, self._momentum, strict=True):
            momentum.mul_(kept).addcmul_(gradients.nan_to_num_(0.0, 0.0, 0.0), factor)
        if self._unbounded:
            for values, momentum in zip(self._flat.values, self._momentum, strict=True):
                largest = config.lr * momentum.abs().amax(2) + values.abs().amax(2)
                self.alive &= (largest < LARGEST).all(0)
            for momentum in self._momentum:
                momentum.nan_to_num_(0.0, 0.0, 0.0).mul_(alive)
        for values, momentum in zip(self._flat.values, self._momentum, strict=True):
            values.sub_(momentum, alpha=config.lr)


def captured(step: Step) -> Callable[[Tensor], None]:
    """A step for CUDA: captured once for each size of batch and type of sums, then started by one call.

    A block that cannot be captured (one that waits for a result) is trained as it is.
    """
    graphs: dict[tuple[int, torch.dtype], tuple[torch.cuda.CUDAGraph, Tensor] | None] = {}

    def run(rows: Tensor) -> None:
        kind = len(rows), step.sum_in
        if kind not in graphs:
            try:
                graphs[kind] = _capture(step, rows)
            except RuntimeError as error:
                warnings.warn(f"no CUDA graph, training step by step: {error}", stacklevel=2)
                graphs[kind] = None
        found = graphs[kind]
        if found is None:
            step(rows)
        else:
            graph, place = found
            place.copy_(rows)
            graph.replay()

    return run


def _capture(step: Step, rows: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """The graph, and the place where it looks for the numbers of its rows."""
    place, before = rows.clone(), [tensor.clone() for tensor in step.state]
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
