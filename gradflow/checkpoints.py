"""Checkpoints: the weights of all seeds of a variant in one safetensors file, its configuration in the metadata."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from gradflow.errors import RunError
from gradflow.network import Network
from gradflow.writing import replacing


def save(path: Path, network: nn.Module, config: dict[str, Any]) -> None:
    """Write all parameters, each with its leading seeds axis, and the configuration.

    Args:
        path: The file; the same weights give the same bytes.
        network: A stacked network.
        config: At least ``block``, ``settings``, ``depth``, ``width`` and ``seeds``; plain JSON values.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.named_parameters()}
    # One metadata entry only: safetensors writes several in an order that changes from run to run.
    with replacing(path) as file:
        file.write(serialised(tensors, metadata={"config": json.dumps(config, sort_keys=True)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors by name, and the configuration.

    Raises:
        RunError: The file is missing or damaged, or no checkpoint of this project.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config: dict[str, Any] = json.loads(file.metadata()["config"])
            return {name: file.get_tensor(name) for name in file.keys()}, config  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: is not a usable checkpoint, run `dvc repro` to make it anew ({error})") from None


def load(path: Path | str, seed: int = 0) -> Network:
    """One seed's network as an ordinary ``nn.Module`` on x (batch, 2), in evaluation mode.

    Raises:
        RunError: The file is not usable.
        IndexError: The checkpoint has no such seed.
    """
    tensors, config = read(Path(path))
    if not 0 <= seed < config["seeds"]:
        raise IndexError(f"{path}: has seeds 0 to {config['seeds'] - 1}, got {seed}")
    network = Network(config["block"], config["settings"], config["depth"], config["width"])
    network.load_state_dict({name: tensor[seed] for name, tensor in tensors.items()})
    return network.eval()
