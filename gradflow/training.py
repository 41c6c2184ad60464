"""Training: all seeds of one variant together, with the norm of every layer's gradient after every backward pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradflow import compiled, params
from gradflow.network import Network
from gradflow.probe import COLUMNS, Probe
from gradflow.step import captured
from gradflow.unfinished import Unfinished


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

    def unfinished(self, epochs: int) -> dict[str, Tensor]:
        """What has been recorded in that many epochs besides what a step records, by name; not copied."""
        diverged = [(seed, *when) for seed, when in self.diverged.items()]
        return {
            "history": self.history[:epochs],
            "probed": torch.tensor(list(self.probes)),
            "probes": torch.stack(list(self.probes.values())),
            "diverged": torch.tensor(diverged, dtype=torch.int64).view(-1, 3),
        }

    def go_on(self, saved: Mapping[str, Tensor]) -> None:
        """Hold what :meth:`unfinished` gave."""
        self.history[: len(saved["history"])] = saved["history"]
        self.probes = dict(zip(saved["probed"].tolist(), saved["probes"].to(self.history.device), strict=True))
        self.diverged = {seed: (epoch, step) for seed, epoch, step in saved["diverged"].tolist()}


def train(
    network: Network,
    train_set: tuple[Tensor, Tensor],
    val_set: tuple[Tensor, Tensor],
    config: params.Train,
    probes: params.Probe,
    *,
    report: Callable[[Epoch], None],
    unfinished: Unfinished | None = None,
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
        unfinished: Where to save what is needed to go on, and to look for it; nothing is saved without.

    Raises:
        StoppedError: A signal came; the state has been saved.
    """
    points, labels = train_set
    batches = -(-len(points) // config.batch_size)
    step = compiled.fastest(network, train_set, config, config.epochs * batches)
    take = captured(step) if points.is_cuda else step
    seeds = len(step.alive)
    record = Record(
        grad_norm=step.grad_norm,
        valid=step.valid,
        steps_per_epoch=batches,
        history=points.new_full((config.epochs, seeds, 3), torch.nan, dtype=torch.float64),
    )
    probe = Probe(network, step.gradients, points[: probes.samples], labels[: probes.samples])
    order = torch.Generator().manual_seed(config.seed)
    first = 1
    if unfinished and (arrays := unfinished.read()):
        saved = {name: torch.from_numpy(array) for name, array in arrays.items()}
        first = int(saved["epoch"])
        step.go_on(saved)
        record.go_on(saved)
        order.set_state(saved["order"])
        probe.in_float64 = bool(saved["probe_in_float64"])
    else:
        _probe_into(record, 0, probe, step.alive)

    def save(epoch: int, order: Tensor) -> None:
        """What is needed to go on with the rest of an epoch, whose order of rows was drawn from that state."""
        if unfinished:
            state = step.unfinished() | record.unfinished(epoch - 1)
            numbers = {"epoch": torch.tensor(epoch), "probe_in_float64": torch.tensor(probe.in_float64)}
            reached = f"epoch {epoch} of {config.epochs}" if epoch <= config.epochs else "the end of the training"
            unfinished.save(state | numbers | {"order": order}, reached)

    def save_when_due() -> None:
        if unfinished and unfinished.due():
            save(epoch, order_before)

    for epoch in range(first, config.epochs + 1):
        order_before = order.get_state()
        shuffled = torch.randperm(len(points), generator=order).to(points.device)
        step.epoch(torch.split(shuffled, config.batch_size), take, save_when_due)
        with torch.no_grad():
            val_loss, val_accuracy = step.validate(val_set)
            step.alive &= val_loss.isfinite()
            row = torch.stack([step.loss_sum / len(points), val_loss, val_accuracy], 1)
            record.history[epoch - 1] = row.where(step.alive[:, None], torch.nan)
        if epoch % probes.every == 0 or epoch == config.epochs:
            _probe_into(record, epoch, probe, step.alive)
        for seed in (~step.alive).nonzero().flatten().tolist():
            if seed not in record.diverged:
                record.diverged[seed] = (epoch, min(int(step.valid[:, seed].sum()) + 1, epoch * batches))
        means = record.history[epoch - 1].nanmean(0).tolist()
        report(Epoch(epoch, means[0], means[2], seeds - len(record.diverged), seeds))
        if len(record.diverged) == seeds:
            break
    save(config.epochs + 1, order.get_state())
    return record


def _probe_into(record: Record, epoch: int, probe: Probe, alive: Tensor) -> None:
    """Add a probe, with a seed's numbers only while all of them are finite (branch_ratio may be nan)."""
    measured = probe()
    alive &= measured[..., : COLUMNS.index("branch_ratio")].isfinite().all(2).all(1)
    record.probes[epoch] = measured.where(alive[:, None, None], torch.nan)
