"""What runs in TorchServe's worker: the network of the archive, rebuilt by the code in it.

The worker has its archive's folder on its path, so ``gradflow`` here is the part of it that :mod:`archive` packed.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from ts.utils.util import PredictionException

from gradflow.kit.building import build


class Handler:
    """The network behind its scaler.

    TorchServe's ``BaseHandler`` is left aside: all that it would add are ways to load pickles and other requests.
    """

    def initialize(self, context: Any) -> None:
        """Load the network; TorchServe calls this once in each worker."""
        folder = Path(context.system_properties["model_dir"])
        form = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["form"]
        scaler = json.loads((folder / "scaler.json").read_text(encoding="utf-8"))
        with safe_open(folder / "network.safetensors", framework="pt") as file:
            config = json.loads(file.metadata()["config"])["config"]
            weights = {name: file.get_tensor(name)[0] for name in file.keys()}  # noqa: SIM118  # no mapping
        network = build(config)
        network.load_state_dict(weights)
        self.precision = torch.float16 if form == "float16" else torch.float32
        self.network = network.eval().to(self.precision)
        self.mean, self.scale = (torch.tensor(scaler[key], dtype=torch.float64) for key in ("mean", "scale"))

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        """Answer requests ``{"points": (rows, 2)}`` with ``{"probabilities": (rows, 2)}``, an empty one with nothing.

        Raises:
            PredictionException: A request is something else; TorchServe answers it with its number and its text.
        """
        for index in range(len(data)):
            context.set_response_content_type(index, "application/json")
        # As text: TorchServe would write each number on a line of its own, and in Python instead of C.
        return [json.dumps({"probabilities": self._probabilities(one.get("body"))}) for one in data]

    def _probabilities(self, body: Any) -> list[list[float]]:
        if body == b"":
            return []
        points = _points(body)
        with torch.inference_mode():
            logits = self.network(((points - self.mean) / self.scale).to(self.precision))
            probabilities: list[list[float]] = torch.softmax(logits.double(), dim=1).tolist()
        return probabilities


def _points(body: Any) -> Tensor:
    try:
        points = torch.tensor(body["points"], dtype=torch.float64)
    except (KeyError, OverflowError, TypeError, ValueError, RuntimeError):
        points = torch.empty(0)
    if points.ndim != 2 or points.shape[0] == 0 or points.shape[1] != 2 or not points.isfinite().all():
        raise PredictionException("points: must be pairs of finite numbers", 400)
    return points
