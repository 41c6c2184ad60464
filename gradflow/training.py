"""Training: all seeds of one variant together, with the norm of every layer's gradient after every backward pass."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradflow import params
from gradflow.network import Network
from gradflow.probe import COLUMNS, mean_losses, norm, probe

_LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class Epoch:
    """What a progress display wants to know: means over the seeds that are still training, and how many are."""

    number: int
    train_loss: float
    val_accuracy: float
    training: int
    seeds: int


@dataclass
class Record:
    """What a training leaves besides the weights.

    Attributes:
        grad_norm: (steps, seeds, layers) float32, ||dLoss/dW||_F before clipping, layers stem, 1..depth, head.
        valid: (steps, seeds), False from the step on at which a seed diverged.
        steps_per_epoch: Backward passes of an epoch.
        history: (epochs, seeds, 3): train_loss, val_loss, val_accuracy; nan once a seed has diverged.
        probes: Epoch to (seeds, depth, columns of the probe); nan once a seed has diverged.
        diverged: Seed to the (epoch, step) at which loss, gradient or next weights stopped being finite;
            both count from 1 at the start of the training.
    """

    grad_norm: Tensor
    valid: Tensor
    steps_per_epoch: int
    history: Tensor
    probes: dict[int, Tensor] = field(default_factory=dict)
    diverged: dict[int, tuple[int, int]] = field(default_factory=dict)


class _Flat:
    """All parameters of a network in one (seeds, numbers) tensor, and their gradients in another.

    The network's parameters become views of the first, so that clipping, momentum and the update are
    one operation each over all layers and seeds.
    """

    def __init__(self, network: Network) -> None:
        self.parameters = list(network.parameters())
        self.values = torch.cat([p.detach().flatten(1) for p in self.parameters], 1)
        self.gradients = torch.zeros_like(self.values)
        self._views, start, end = [], {}, 0
        for parameter in self.parameters:
            start[parameter], end = end, end + parameter[0].numel()
            parameter.data = self.values[:, start[parameter] : end].view_as(parameter)
            self._views.append(self.gradients[:, start[parameter] : end].view_as(parameter))
        stem, *hidden, head = [linear.get_parameter("weight") for linear in network.linears()]
        self._stem, self._head = (self.gradients[:, start[w] : start[w] + w[0].numel()] for w in (stem, head))
        # The same layout repeats in every block: one strided view holds all hidden weight gradients.
        self._hidden = self.gradients.as_strided(
            (len(self.gradients), len(hidden), hidden[0][0].numel()),
            (self.gradients.shape[1], start[hidden[1]] - start[hidden[0]] if len(hidden) > 1 else 0, 1),
            start[hidden[0]],
        )

    def backward(self, loss: Tensor) -> None:
        """Replace the gradients by those of the loss."""
        torch._foreach_copy_(self._views, torch.autograd.grad(loss, self.parameters))

    def layer_norms(self) -> Tensor:
        """||dLoss/dW||_F of every layer: (seeds, depth + 2) in float64."""
        return torch.cat(
            [norm(self._stem, (1,))[:, None], norm(self._hidden, (2,)), norm(self._head, (1,))[:, None]], 1
        )


def train(
    network: Network,
    train_set: tuple[Tensor, Tensor],
    val_set: tuple[Tensor, Tensor],
    config: params.Train,
    probes: params.Probe,
    *,
    report: Callable[[Epoch], None],
) -> Record:
    """Train a stacked network in place with SGD, momentum and per-seed gradient-norm clipping.

    The batches are those of a shuffling data loader that keeps the smaller last one; all seeds see the
    same ones, so seeds differ by their initial weights alone. A seed whose loss or gradient stops being
    finite, or whose next weights would, keeps the weights it has, and the others go on.

    Args:
        network: From :func:`gradflow.initialisation.initialised`, on the device to use.
        train_set: Points (rows, 2) float32 and labels (rows,) int64 on the same device.
        val_set: Likewise.
        config: The section ``train`` of params.yaml.
        probes: The section ``probe``; the probe looks at the first rows of ``train_set``.
        report: Called after each epoch.
    """
    points, labels = train_set
    seeds, device = network.stem.get_parameter("weight").shape[0], points.device
    batches = -(-len(points) // config.batch_size)
    flat = _Flat(network)
    momentum = torch.zeros_like(flat.values)
    alive = torch.ones(seeds, dtype=torch.bool, device=device)
    record = Record(
        grad_norm=torch.full((config.epochs * batches, seeds, len(network.linears())), torch.nan, device=device),
        valid=torch.zeros(config.epochs * batches, seeds, dtype=torch.bool, device=device),
        steps_per_epoch=batches,
        history=torch.full((config.epochs, seeds, 3), torch.nan, dtype=torch.float64, device=device),
    )
    probe_rows = points[: probes.samples], labels[: probes.samples]
    order = torch.Generator().manual_seed(config.seed)
    _probe_into(record, 0, network, probe_rows, alive)

    step = 0
    for epoch in range(1, config.epochs + 1):
        rows = torch.randperm(len(points), generator=order).to(device)
        loss_sum = torch.zeros(seeds, device=device)
        for batch in torch.split(rows, config.batch_size):
            losses = mean_losses(network(points[batch].expand(seeds, -1, -1)), labels[batch])
            flat.backward(losses.sum())
            with torch.no_grad():
                norms = flat.layer_norms()
                total = norm(flat.gradients, (1,))
                alive &= losses.isfinite() & total.isfinite()
                record.grad_norm[step] = norms
                loss_sum += losses.detach() * len(batch)
                if config.clip_norm is not None:  # the rule of torch.nn.utils.clip_grad_norm_
                    flat.gradients.mul_((config.clip_norm / (total + 1e-6)).clamp_(max=1.0).float()[:, None])
                momentum.mul_(config.momentum).add_(flat.gradients)
                if config.clip_norm is None:  # a step can be as large as it likes: it must not leave float32
                    alive &= config.lr * momentum.abs().amax(1) + flat.values.abs().amax(1) < _LARGEST
                record.valid[step] = alive
                momentum.masked_fill_(~alive[:, None], 0.0)
                flat.values.sub_(momentum, alpha=config.lr)
            step += 1
        with torch.no_grad():
            val_loss, val_accuracy = _validate(network, val_set, seeds)
            alive &= val_loss.isfinite()
            row = torch.stack([loss_sum / len(points), val_loss, val_accuracy], 1)
            record.history[epoch - 1] = row.where(alive[:, None], torch.nan)
        if epoch % probes.every == 0 or epoch == config.epochs:
            _probe_into(record, epoch, network, probe_rows, alive)
        for seed in (~alive).nonzero().flatten().tolist():
            if seed not in record.diverged:
                record.diverged[seed] = (epoch, min(int(record.valid[:, seed].sum()) + 1, step))
        means = record.history[epoch - 1].nanmean(0).tolist()
        report(Epoch(epoch, means[0], means[2], seeds - len(record.diverged), seeds))
        if len(record.diverged) == seeds:
            break
    return record


def _validate(network: Network, val_set: tuple[Tensor, Tensor], seeds: int) -> tuple[Tensor, Tensor]:
    points, labels = val_set
    logits = network(points.expand(seeds, -1, -1))
    accuracy = (logits.argmax(2) == labels).double().mean(1)
    return mean_losses(logits, labels), accuracy


def _probe_into(record: Record, epoch: int, network: Network, rows: tuple[Tensor, Tensor], alive: Tensor) -> None:
    """Add a probe, with a seed's numbers only while all of them are finite (branch_ratio may be nan)."""
    measured = probe(network, *rows)
    alive &= measured[..., : COLUMNS.index("branch_ratio")].isfinite().all(2).all(1)
    record.probes[epoch] = measured.where(alive[:, None, None], torch.nan)
