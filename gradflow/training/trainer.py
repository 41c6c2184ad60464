"""The trainer: all seeds of a network together on a task, with the norm of every gradient after every backward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch

from gradflow.training.record import Record
from gradflow.training.step import Step, captured
from gradflow.training.task import Task
from gradflow.training.unfinished import Unfinished


@dataclass(frozen=True)
class Epoch:
    """What a progress display shows.

    Attributes:
        number: From 1 on.
        means: Of the history's columns over the seeds that are still training, the train loss first.
        training: How many seeds these are.
        seeds: How many there were.
    """

    number: int
    means: list[float]
    training: int
    seeds: int


def train(
    step: Step,
    task: Task,
    *,
    report: Callable[[Epoch], object],
    unfinished: Unfinished | None = None,
) -> Record:
    """Train the network of a step in place, each seed on its own.

    A seed whose loss or gradient stops being finite, or whose next weights would, keeps the weights it has, and the
    others go on.

    Args:
        step: From :func:`gradflow.training.compiled.fastest`.
        task: What it was made for.
        report: Called after each epoch.
        unfinished: Where to save what is needed to go on, and to look for it; nothing is saved without.

    Raises:
        StoppedError: A signal came; the state has been saved.
    """
    take = captured(step) if step.alive.is_cuda else step
    seeds, columns = len(step.alive), 1 + step.measure().shape[1]
    record = Record(
        maps=[(each.layer, each.name) for each in step.network.linear_maps()],
        grad_norm=step.grad_norm,
        valid=step.valid,
        steps_per_epoch=task.steps,
        history=step.loss_sum.new_full((task.epochs, seeds, columns), torch.nan, dtype=torch.float64),
    )
    first = taken = 0
    if unfinished and (arrays := unfinished.read()):
        saved = {name: torch.from_numpy(array) for name, array in arrays.items()}
        first, taken = saved["position"].tolist()
        step.go_on(saved)
        record.go_on(saved)
    else:
        first = 1
        _probe_into(record, 0, task, step)

    def save(epoch: int, taken: int) -> None:
        """What is needed to go on in an epoch in which that many steps were taken."""
        if unfinished:
            state = step.unfinished() | record.unfinished(epoch - 1) | {"position": torch.tensor([epoch, taken])}
            reached = f"epoch {epoch} of {task.epochs}" if epoch <= task.epochs else "the end of the training"
            unfinished.save(state, reached)

    for epoch, batches in zip(count(first), task.batches(first)):
        if not taken:
            step.loss_sum.zero_()
        for batch in batches[taken:]:
            take(batch)
            taken += 1
            if unfinished and unfinished.due():
                save(epoch, taken)
        _finish(record, epoch, task, step, sum(map(len, batches)))
        taken = 0
        means = record.history[epoch - 1].nanmean(0).tolist()
        report(Epoch(epoch, means, seeds - len(record.diverged), seeds))
        if len(record.diverged) == seeds:
            break
    save(task.epochs + 1, 0)
    return record


def _finish(record: Record, epoch: int, task: Task, step: Step, inputs: int) -> None:
    """Record the results of an epoch of that many inputs, and the seeds that diverged in it."""
    measured = step.measure()
    step.alive &= measured.isfinite().all(1)
    row = torch.cat([(step.loss_sum / inputs).double().unsqueeze(1), measured], 1)
    record.history[epoch - 1] = row.where(step.alive[:, None], torch.nan)
    if epoch == task.epochs or task.probed(epoch):
        _probe_into(record, epoch, task, step)
    for seed in (~step.alive).nonzero().flatten().tolist():
        if seed not in record.diverged:
            record.diverged[seed] = (epoch, min(int(step.valid[:, seed].sum()) + 1, epoch * task.steps))


def _probe_into(record: Record, epoch: int, task: Task, step: Step) -> None:
    """Record a probe, with the numbers of the seeds that have not diverged."""
    measured, whole = task.probe(step)
    step.alive &= whole
    record.probes[epoch] = measured.where(step.alive[:, None, None], torch.nan)
