"""Checkpoints: the weights of all seeds of a variant in one safetensors file, its configuration in the metadata.

The metadata also hold a digest of both, so that damage is noticed even without a dvc.lock.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from gradflow.files.writing import replacing
from gradflow.guards import manifest
from gradflow.guards.errors import InputError
from gradflow.kit.building import build
from gradflow.kit.network import Network
from gradflow.tables import configuration

_DESCRIPTION = "config"


def save(path: Path, network: nn.Module, config: dict[str, Any]) -> None:
    """Write all parameters and buffers, each with its leading seeds axis, and the configuration.

    Args:
        path: The file; the same weights give the same bytes.
        network: A stacked network.
        config: What :func:`gradflow.kit.building.build` needs, and ``seeds``; plain JSON values.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    # One metadata entry only: safetensors writes several in an order that changes from run to run.
    described = json.dumps({"config": config, "digest": _digest(tensors, config)}, sort_keys=True)
    with replacing(path) as file:
        file.write(serialised(tensors, metadata={_DESCRIPTION: described}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors by name, and the configuration.

    Raises:
        RunError: The file is missing or damaged, or no checkpoint of this project.
    """
    manifest.check(path)
    try:
        with safe_open(path, framework="pt") as file:
            described = json.loads(file.metadata()[_DESCRIPTION])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        config: dict[str, Any] = described["config"]
        intact = described["digest"] == _digest(tensors, config)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise manifest.unusable(path, error) from None
    if not intact:
        raise manifest.unusable(path, "is damaged, its digest is that of other weights or of another configuration")
    return tensors, config


def _digest(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    """SHA-256 of the configuration and of name, kind, shape and numbers of each tensor."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def load(path: Path | str, seed: int = 0, trained: Mapping[str, Any] | None = None) -> Network:
    """One seed's network as an ordinary ``nn.Module``, in evaluation mode.

    Args:
        path: The file.
        seed: Which of its seeds.
        trained: The configuration that it must have; None: its own, whatever that asks for.

    Raises:
        RunError: The file is not usable, or of another configuration.
        IndexError: The checkpoint has no such seed.
    """
    tensors, config = read(Path(path))
    if trained is not None:
        configuration.check(Path(path), config, trained)
    try:
        seeds, network = int(config["seeds"]), build(config)
    except (InputError, ImportError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = f"asks for a network that does not exist here, {type(error).__name__}: {error}"
        raise manifest.unusable(Path(path), why) from None
    if not 0 <= seed < seeds:
        raise IndexError(f"{path}: has seeds 0 to {seeds - 1}, got {seed}")
    try:
        network.load_state_dict({name: tensor[seed] for name, tensor in tensors.items()})
    except (IndexError, RuntimeError):
        raise manifest.unusable(Path(path), "has weights that do not fit its configuration") from None
    return network.eval()
