"""The forms in which one network is served: as trained, with weights in FP16, and computed in FP16.

torch.fx writes the network behind its scaler as one graph, in which the type of the numbers is changed. The graph
itself is not kept: what ``torch.export`` saves of it holds a pickle (its example of an input), folders of the machine
and its own file's name, hence other bytes in another checkout, and takes 2 s to load. So the weights are kept as a
checkpoint of this project, and the graph is made again from its code, which takes a twentieth of a second.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, fx, nn

from gradflow import checkpoints
from gradflow.data.dataset import Points
from gradflow.files import documents
from serving import bundle
from serving.bundle import Scaler
from serving.params import Form

FILES: dict[Form, str] = {
    "float32": "float32.safetensors",
    "float16_stored": "float16.safetensors",
    "float16": "float16.safetensors",
}
MARGIN = 0.5  # of the region around rows in which forms are compared, as a share of the rows' range


class OnPoints(nn.Module):
    """``network((points - mean) / scale)``, with the difference in float64: points may lie far from 0.

    Args:
        network: Takes standardised points.
        scaler: With which they were standardised.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, scaler: Scaler) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(scaler.mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scaler.scale, dtype=torch.float64))

    def forward(self, points: Tensor) -> Tensor:
        """Logits (rows, 2) in float32 of points (rows, 2) in float64."""
        logits: Tensor = self.network(((points - self.mean) / self.scale).to(torch.float32))
        return logits


class Network:
    """A network behind its scaler, in one of its forms.

    Args:
        weights: One of :data:`FILES`.
        scaler: Of the training rows.
        form: Which one.

    Raises:
        RunError: The file is missing or damaged.
    """

    def __init__(self, weights: Path, scaler: Scaler, form: Form) -> None:
        # What is kept in float16 is read into a network in float32, whose numbers are then those of float16.
        graph = fx.symbolic_trace(OnPoints(checkpoints.load(weights), scaler).eval())
        self.graph = _in_float16(graph) if form == "float16" else graph

    def probabilities(self, points: ArrayLike) -> Points:
        """Probabilities of both classes (rows, 2) in float64, for points (rows, 2) in the raw data's units."""
        return probabilities(self.graph, points)


def probabilities(module: nn.Module, points: ArrayLike) -> Points:
    """Probabilities of both classes (rows, 2) in float64 by a module from points (rows, 2) to logits."""
    with torch.inference_mode():
        logits = module(torch.from_numpy(np.ascontiguousarray(points, dtype=np.float64)))
        return np.asarray(torch.softmax(logits.double(), dim=1).numpy())


def load(folder: Path, form: Form | None = None) -> Network:
    """The network of a bundle, whose checksums are compared first.

    Args:
        folder: The bundle.
        form: None: the one that its description names.

    Raises:
        RunError: A file is missing, damaged or something else.
    """
    bundle.check(folder)
    scaler = Scaler(**documents.read(folder / bundle.SCALER, Scaler))
    form = form or bundle.described(folder).form
    return Network(folder / FILES[form], scaler, form)


def _in_float16(module: fx.GraphModule) -> fx.GraphModule:
    """Compute in float16 from behind the scaler up to the logits."""
    module.get_submodule("network").half()
    for node in module.graph.nodes:
        if node.op == "call_method" and node.target == "to":
            node.args = (node.args[0], torch.float16)
        elif node.op == "output":
            with module.graph.inserting_before(node):
                node.args = (module.graph.call_method("to", (node.args[0], torch.float32)),)
    module.graph.lint()
    module.recompile()
    return module
