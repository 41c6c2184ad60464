"""The recipe in small: a stacked network, rows of two classes, the task on them, a step, a training."""

from dataclasses import asdict, fields
from functools import partial

import torch

from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.training import compiled, trainer
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows

DESCENT = asdict(Descent("sgd", 0.1, 0.9, 1.0))
TASK = {"epochs": 3, "batch_size": 16, "seed": 0, "probe_rows": 32, "probe_every": 1}


def about(block="residual", depth=4, width=16, *, seeds=3, widths=None, network="mlp", **settings):
    """The configuration of a network, from which checkpoints build it too."""
    found = {"network": network, "block": block, "settings": settings, "depth": depth, "width": width}
    return found | {"widths": widths, "seeds": seeds}


def network(*arguments, init="default", **options):
    """Networks of seeds 0, 1, ... as one; for the arguments see about()."""
    described = about(*arguments, **options)
    return stack(partial(build, described), seeds=described["seeds"], init=init, seed=0)


def singles(stacked, *arguments, **options):
    """The networks of a stacked one, each by itself and of torch.nn's layers, with the weights that it has now."""
    found = []
    for seed in range(len(next(stacked.parameters()))):
        single = build(about(*arguments, **options))
        single.load_state_dict({name: value[seed] for name, value in stacked.state_dict().items()})
        found.append(single)
    return found


def moons(rows=50):
    points = torch.randn(rows, 2, generator=torch.Generator().manual_seed(1))
    return points, (points[:, 0] > 0).long()


def task(rows=None, validation=None, **changes):
    return Rows(rows or moons(), validation or moons(23), **(TASK | changes))


def step(stacked, rows=None, *, make=None, **changes):
    """A step on a task, each with changes; the fastest one, or what another function makes."""
    descent = {field.name: changes.pop(field.name, DESCENT[field.name]) for field in fields(Descent)}
    return (make or compiled.fastest)(stacked, task(rows, **changes), Descent(**descent))


def train(stacked, rows=None, unfinished=None, **changes):
    """The record of a training, and what was reported of its epochs."""
    epochs = []
    made = step(stacked, rows, **changes)
    return trainer.train(made, made._task, report=epochs.append, unfinished=unfinished), epochs
