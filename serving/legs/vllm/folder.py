"""The model folder: what vLLM reads instead of a folder from the hub."""

import json
from pathlib import Path

from safetensors import safe_open

from gradflow.files.writing import write_text
from serving import bundle as bundles
from serving.bundle import Scaler
from serving.forms import FILES, Network

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"


def write(bundle: Path, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, with the weights of the form that the bundle serves.

    Args:
        bundle: With its description, its scaler and its weights.
        folder: Where to.
    """
    form = bundles.described(bundle).form
    weights = (bundle / FILES[form]).read_bytes()
    with safe_open(bundle / FILES[form], framework="pt") as file:
        network = json.loads(file.metadata()["config"])["config"]
    scaler = json.loads((bundle / bundles.SCALER).read_text(encoding="utf-8"))
    config = {"model_type": "gradflow", "architectures": ["GradflowNetwork"], "network": network, "scaler": scaler}
    write_text(folder / _CONFIG, json.dumps(config | {"half": form == "float16"}, indent=2, sort_keys=True) + "\n")
    (folder / _WEIGHTS).write_bytes(weights)


def network(folder: Path) -> Network:
    """The network that the model folder holds, behind the scaler and in the form that it names."""
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    return Network(folder / _WEIGHTS, Scaler(**config["scaler"]), "float16" if config["half"] else "float32")
