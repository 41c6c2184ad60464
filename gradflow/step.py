"""One step of training for all seeds at once: gradients, their norms, clipping, momentum, update.

Nothing here waits for a result: what a step finds stays in tensors until the epoch is over, so a GPU
never runs dry, and the step can be captured as a CUDA graph.
"""

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gradflow import params, passes
from gradflow.network import Network
from gradflow.probe import norm

_IN_CACHE = 2**15  # numbers
_LARGEST = torch.finfo(torch.float32).max


class Flat:
    """All parameters of a network in one (seeds, numbers) tensor, and their gradients in another.

    The network's parameters become views of the first, so that clipping, momentum and the update are
    one operation each over all layers and seeds.

    Attributes:
        values: (seeds, numbers).
        gradients: Likewise.
        views: Each parameter to its own part of ``gradients``.
    """

    def __init__(self, network: Network) -> None:
        parameters = list(network.parameters())
        self.values = torch.cat([p.detach().flatten(1) for p in parameters], 1)
        self.gradients = torch.zeros_like(self.values)
        self.views: dict[Tensor, Tensor] = {}
        end = 0
        for parameter in parameters:
            start, end = end, end + parameter[0].numel()
            parameter.data = self.values[:, start:end].view_as(parameter)
            self.views[parameter] = self.gradients[:, start:end].view_as(parameter)
        # The same layout repeats in every block, so one strided view holds a parameter of all blocks.
        ends = [(p,) for end in (network.stem, network.head) for p in end.parameters()]
        groups = [*ends, *zip(*(block.parameters() for block in network.blocks), strict=True)]
        stacks = {group[0]: self._stack(group) for group in groups}
        stem, first, *_, head = network.linears()
        first_weights, hidden, last_weights = (stacks.pop(one.get_parameter("weight")) for one in (stem, first, head))
        # Some blocks at a time: the copy in float64 that a norm makes then stays in the processor's cache.
        at_once = max(1, _IN_CACHE // hidden[:, 0].numel())
        self._weights = [first_weights, *torch.split(hidden, at_once, 1), last_weights]
        self._others = list(stacks.values())

    def norms(self) -> tuple[Tensor, Tensor]:
        """||dLoss/dW||_F of every layer, (seeds, depth + 2), and of all gradients together, (seeds,); float64."""
        layers = torch.cat([norm(weight, (2,)) for weight in self._weights], 1)
        others = [norm(other, (2,)) for other in self._others]
        return layers, norm(torch.cat([layers, *others], 1), (1,))

    def _stack(self, alike: tuple[Tensor, ...]) -> Tensor:
        """The gradients of parameters that lie at equal distances: (seeds, parameters, numbers of each)."""
        offsets = [self.views[parameter].storage_offset() for parameter in alike]
        distance = offsets[1] - offsets[0] if len(offsets) > 1 else 0
        size = len(self.gradients), len(alike), alike[0][0].numel()
        return self.gradients.as_strided(size, (self.gradients.stride(0), distance, 1), offsets[0])


class Step:
    """A step of SGD with momentum and per-seed gradient-norm clipping, each seed on its own.

    A seed whose loss or gradient stops being finite, or whose next weights would, keeps the weights it has.

    Attributes:
        alive: (seeds,), which seeds are still training.
        loss_sum: (seeds,), the losses of the rows seen since it was last set to zero.
        grad_norm: (steps, seeds, layers) float32, ||dLoss/dW||_F before clipping, layers stem, 1..depth, head.
        valid: (steps, seeds), False from the step on at which a seed diverged.
    """

    def __init__(self, network: Network, train_set: tuple[Tensor, Tensor], config: params.Train, steps: int) -> None:
        """Prepare for ``steps`` steps on rows of the train set (see :func:`gradflow.training.train`)."""
        self._network, self._config = network, config
        self._points, self._labels = train_set
        self._flat = flat = Flat(network)
        seeds, new = len(flat.values), flat.values.new_zeros
        self._momentum = torch.zeros_like(flat.values)
        self._passes: dict[int, passes.Pass] = {}
        self._done = torch.zeros(1, dtype=torch.int64, device=flat.values.device)
        self.alive = new(seeds, dtype=torch.bool).logical_not_()
        self.loss_sum = new(seeds)
        self.grad_norm = new(steps, seeds, len(network.linears())).fill_(torch.nan)
        self.valid = new(steps, seeds, dtype=torch.bool)

    @property
    def gradients(self) -> Mapping[Tensor, Tensor]:
        """Where the gradient of each parameter is written; nothing of it is needed between two steps."""
        return self._flat.views

    @property
    def state(self) -> list[Tensor]:
        """What a step changes and the next one needs."""
        return [self._flat.values, self._momentum, self._done, self.alive, self.loss_sum]

    def restore(self, state: list[Tensor]) -> None:
        """Go back to copies of :attr:`state`."""
        for tensor, value in zip(self.state, state, strict=True):
            tensor.copy_(value)

    @torch.no_grad()
    def __call__(self, rows: Tensor) -> None:
        """Train on a batch, given by the numbers of its rows."""
        if len(rows) not in self._passes:  # all batches but the last are of one size
            self._passes[len(rows)] = passes.fastest(self._network, self._flat.views, len(rows))
        losses = self._passes[len(rows)](self._points[rows], self._labels[rows])
        layers, total = self._flat.norms()
        self.alive &= losses.isfinite() & (total < _LARGEST)
        self.loss_sum.add_(losses, alpha=len(rows))
        self._update(total)
        self.grad_norm.index_copy_(0, self._done, layers.float().unsqueeze(0))
        self.valid.index_copy_(0, self._done, self.alive.unsqueeze(0))
        self._done += 1

    def _update(self, total: Tensor) -> None:
        config, momentum, alive = self._config, self._momentum, self.alive.unsqueeze(1)
        # A factor of 0 holds a diverged seed where it is, once its gradients are numbers.
        gradients = self._flat.gradients.nan_to_num_(0.0, 0.0, 0.0)
        momentum.mul_(alive * config.momentum)
        if config.clip_norm is None:
            momentum.addcmul_(gradients, alive.float())
            # A step can be as large as it likes: it must not leave float32.
            largest = config.lr * momentum.abs().amax(1) + self._flat.values.abs().amax(1)
            self.alive &= largest < _LARGEST
            momentum.nan_to_num_(0.0, 0.0, 0.0).mul_(alive)
        else:  # the rule of torch.nn.utils.clip_grad_norm_
            factor = (config.clip_norm / (total + 1e-6)).clamp_(max=1.0).float()
            momentum.addcmul_(gradients, factor.where(self.alive, 0.0).unsqueeze(1))
        self._flat.values.sub_(momentum, alpha=config.lr)


def captured(step: Step) -> Callable[[Tensor], None]:
    """A step for CUDA: captured once for each size of batch, then started by one call instead of hundreds.

    A block that cannot be captured (one that waits for a result) is trained as it is.
    """
    graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor] | None] = {}

    def run(rows: Tensor) -> None:
        if len(rows) not in graphs:
            try:
                graphs[len(rows)] = _capture(step, rows)
            except RuntimeError as error:
                warnings.warn(f"no CUDA graph, training step by step: {error}", stacklevel=2)
                graphs[len(rows)] = None
        found = graphs[len(rows)]
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
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries set themselves up in the first calls, which a graph must not hold
        for _ in range(3):
            step(place)
            step.restore(before)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):  # nothing is computed here
            step(place)
    finally:
        step.restore(before)
    return graph, place
