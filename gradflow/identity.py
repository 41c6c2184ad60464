"""The distant identity: a deep stack of square blocks learns to give back its input, Y = X.

Inputs are uniform on (-1, 1) and fresh at every step, so nothing can be learnt by heart; the loss is the mean
squared error, and predicting 0 costs E[x^2] = 1/3.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gradflow import catalogue, trace
from gradflow.network import Trunk
from gradflow.studies import IdentityTrain
from gradflow.unfinished import Unfinished

# What the numbers of a seed are drawn for. NumPy draws them and PyTorch the weights: two streams that share nothing.
_BATCHES, _PROBE = 0, 1


@dataclass(frozen=True)
class Record:
    """What a training leaves.

    Attributes:
        losses: (steps + 1, seeds) in float64: before each step, on its batch; the last one on a batch more.
        probes: Steps taken to (seeds, depth, columns of all instruments).
    """

    losses: Tensor
    probes: dict[int, Tensor]


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean over batch and units, for each seed: x (batch, width), y (seeds, batch, width) -> (seeds,)."""
    return (y - x).square().mean((1, 2))


def train(
    network: Trunk,
    config: IdentityTrain,
    *,
    width: int,
    probe_at: Sequence[int],
    instruments: Sequence[str],
    report: Callable[[int], object],
    unfinished: Unfinished | None = None,
) -> Record:
    """Train a stacked network in place with Adam (arXiv 1412.6980), each seed on its own; all see the same batches.

    Adam's update is one of each number for itself, and the seeds' losses are added up, so no seed knows of another.

    Args:
        network: From :func:`gradflow.initialisation.stack`, on the device to use.
        config: The section ``train`` of the study's params.yaml.
        width: Units of the stream.
        probe_at: Numbers of steps after which to measure, beside before the first and after the last.
        instruments: Names of the instruments to measure with, on one batch that is never trained on.
        report: Called after each step with its number.
        unfinished: Where to save what is needed to go on, and to look for it; nothing is saved without.

    Raises:
        StoppedError: A signal came; the state has been saved.
    """
    parameters = list(network.parameters())
    seeds, where = len(parameters[0]), parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=True)
    probe_batch = next(_uniform(config, width, _PROBE)).to(where)
    record = Record(losses=torch.empty(config.steps + 1, seeds, dtype=torch.float64), probes={})
    first = 0
    if unfinished and (arrays := unfinished.read()):
        saved = {name: torch.from_numpy(array) for name, array in arrays.items()}
        first = _go_on(saved, parameters, optimizer, record)
    batches = _uniform(config, width, _BATCHES, after=first)
    for step in range(first, config.steps + 1):
        if unfinished and unfinished.due():
            unfinished.save(_unfinished(step, parameters, optimizer, record), f"step {step} of {config.steps}")
        if step in {0, config.steps, *probe_at}:
            record.probes[step] = probe(network, probe_batch, instruments)
        x = next(batches).to(where)
        losses = squared_error(x, network(x.expand(seeds, -1, -1)))
        record.losses[step] = losses.detach()
        if step < config.steps:
            optimizer.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]  # PyTorch's
            optimizer.step()
            report(step + 1)
    if unfinished:
        state = _unfinished(config.steps + 1, parameters, optimizer, record)
        unfinished.save(state, "the end of the training")
    return record


def _unfinished(
    step: int, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer, record: Record
) -> dict[str, Tensor]:
    """All that is needed to go on with a step, by name; not copied."""
    state = {f"parameter.{i}": parameter for i, parameter in enumerate(parameters)}
    for i, moments in optimizer.state_dict()["state"].items():
        state |= {f"{name}.{i}": value for name, value in moments.items()}
    if record.probes:
        state["probes"] = torch.stack(list(record.probes.values()))
    return state | {"losses": record.losses[:step], "probed": torch.tensor(list(record.probes))}


def _go_on(
    saved: Mapping[str, Tensor], parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer, record: Record
) -> int:
    """Be as :func:`_unfinished` found it; returns the step to go on with."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in saved.items():
        kind, _, number = name.partition(".")
        if kind == "parameter":
            parameters[int(number)].data.copy_(value)
        elif number:
            moments.setdefault(int(number), {})[kind] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    step = len(saved["losses"])
    record.losses[:step] = saved["losses"]
    record.probes.update(zip(saved["probed"].tolist(), saved.get("probes", ()), strict=True))
    return step


def probe(network: Trunk, x: Tensor, instruments: Sequence[str]) -> Tensor:
    """Measure a batch x (batch, width) with instruments: (seeds, depth, all their columns)."""
    seeds = len(next(network.parameters()))
    traced = trace.record(network.blocks, x.expand(seeds, -1, -1), lambda y: squared_error(x, y))
    return torch.cat([catalogue.instrument(name).measure(traced) for name in instruments], 2)


def _uniform(config: IdentityTrain, width: int, purpose: int, after: int = 0) -> Iterator[Tensor]:
    """Batches (batch, width) without end, those after the first ``after``."""
    random = np.random.default_rng((config.seed, purpose))
    random.bit_generator.advance(after * config.batch_size * width)  # type: ignore[attr-defined]  # PCG64 has it
    while True:
        yield torch.from_numpy(random.uniform(-1, 1, (config.batch_size, width)).astype(np.float32))


def tables(record: Record, instruments: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """What was recorded, up to where a seed's loss stops being finite.

    Returns:
        Columns seed, step, loss; and seed, step, layer (from 1) and those of the instruments, with a gap for what
        does not exist.
    """
    losses = record.losses.numpy()
    finite = np.logical_and.accumulate(np.isfinite(losses), axis=0)
    seed, step = np.nonzero(finite.T)
    history = pa.table(
        {"seed": seed.astype(np.int32), "step": step.astype(np.int32), "loss": losses[step, seed]},
    )
    steps = np.array(sorted(record.probes), dtype=np.int32)
    probes = np.stack([record.probes[step].cpu().numpy() for step in steps.tolist()])
    probes[~np.isfinite(probes)] = np.nan
    seed, index = np.nonzero(finite[steps].T)
    depth = probes.shape[2]
    columns = {
        "seed": np.repeat(seed.astype(np.int32), depth),
        "step": np.repeat(steps[index], depth),
        "layer": np.tile(np.arange(1, depth + 1, dtype=np.int32), len(seed)),
    }
    names = [column for name in instruments for column in catalogue.instruments()[name]]
    values = probes[index, seed]
    measured = {name: pa.array(values[:, :, i].ravel(), from_pandas=True) for i, name in enumerate(names)}
    return history, pa.table(columns | measured)
