"""Networks trained on two moons, all seeds together, and read again."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradflow import checkpoints
from gradflow.data import dataset
from gradflow.files import documents
from gradflow.files.documents import Document
from gradflow.guards import manifest
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.layers import Kit
from gradflow.kit.network import Network
from gradflow.networks import mlp
from gradflow.params.moons import Descending
from gradflow.params.starts import Start
from gradflow.tables import configuration, logs
from gradflow.tables.logs import Divergence
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Labelled, Rows
from gradflow.training.step import Step

_CPU = torch.device("cpu")
Stepping = Callable[[Network, Rows, Descent], Step]


class Facts(Document):
    """Which seeds diverged, and when."""

    diverged: list[Divergence]


def described(start: Start, depth: int, width: int) -> dict[str, Any]:
    """What a network is, in plain JSON values, as :func:`gradflow.kit.building.build` reads it."""
    about = {"network": "mlp", "block": start.block, "settings": start.settings(), "widths": None}
    return about | {"depth": depth, "width": width, "init": start.init}


def drawn(about: Mapping[str, Any], seeds: int, seed: int, kit: Callable[[int], Kit] = Kit) -> mlp.Network:
    """The networks of all seeds before training, made of the layers of a kit."""
    network = stack(partial(build, about), seeds=seeds, init=about["init"], seed=seed, kit=kit)
    assert isinstance(network, mlp.Network)
    return network


def train(
    about: Mapping[str, Any],
    descending: Descending,
    seeds: int,
    rows: tuple[Path, Path],
    written: Path,
    stepping: Stepping = compiled.fastest,
    kit: Callable[[int], Kit] = Kit,
) -> None:
    """Train a network from its start, or from where an earlier process was killed.

    Args:
        about: From :func:`described`, and whatever else the result depends on.
        descending: How.
        seeds: How many side by side.
        rows: Files of the rows to train on, and of those to validate on.
        written: The checkpoint to write; beside it a JSON file of the same name with which seeds diverged.
        stepping: Makes the step.
        kit: Makes the kit of whose layers the network is.
    """
    where, threads = device.from_environment()
    task = Rows(
        *(labelled(path, where) for path in rows),
        epochs=descending.epochs,
        batch_size=descending.batch_size,
        seed=descending.seed,
        probe_rows=1,
        probe_every=descending.epochs,
    )
    network = drawn(about, seeds, descending.seed, kit).to(where)
    descent = Descent("sgd", descending.lr, descending.momentum, descending.clip_norm)
    step = stepping(network, task, descent)
    about = {**about, "seeds": seeds, "train": descending.model_dump()}
    circumstances = device.circumstances(where, threads) | {
        "step": step.engine,
        "processor": device.processor(where),
    }
    with unfinished.kept(unfinished.fingerprint(about, circumstances, rows, step.made)) as state:
        record = trainer.train(step, task, report=lambda _: None, unfinished=state)
        checkpoints.save(written, network, about)
        logs.write_facts(written.with_suffix(".json"), record, about)


def read(
    path: Path, about: Mapping[str, Any], descending: Descending, seeds: int, kit: Callable[[int], Kit] = Kit
) -> tuple[mlp.Network, dict[int, int]]:
    """The trained networks of all seeds, made of the layers of a kit, and which of them diverged, with the epoch.

    Raises:
        RunError: The files are missing or damaged, or belong to another network.
    """
    tensors, found = checkpoints.read(path)
    configuration.check(path, found, {**about, "seeds": seeds, "train": descending.model_dump()})
    network = build(about, kit(seeds))
    assert isinstance(network, mlp.Network)
    try:
        network.load_state_dict(tensors)
    except RuntimeError:
        raise manifest.unusable(path, "has weights that do not fit its configuration") from None
    facts: dict[str, Any] = documents.read(path.with_suffix(".json"), Facts)
    return network, {entry["seed"]: entry["epoch"] for entry in facts["diverged"]}


def labelled(path: Path, where: torch.device = _CPU) -> Labelled:
    """Rows as networks read them, see :func:`gradflow.data.dataset.read`."""
    points, labels = dataset.read(path)
    return torch.from_numpy(points).float().to(where), torch.from_numpy(labels).to(where)


def stacked(points: Tensor, network: Network) -> Tensor:
    """The same points (rows, 2) for all seeds of a network: (seeds, rows, 2)."""
    return points.expand(len(next(network.parameters())), -1, -1)
