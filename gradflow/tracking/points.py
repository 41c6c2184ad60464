"""A network of points as a model: behind the scaler of the points that it was trained on."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from gradflow.kit.network import Network
    from gradflow.tracking.result import Scaler


class OnPoints(nn.Module):
    """``network((points - mean) / scale)``: what a network makes of points as the source has them.

    Args:
        network: Takes standardised points.
        scaler: With which they were standardised.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: "Network", scaler: "Scaler") -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(scaler.mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scaler.scale, dtype=torch.float64))

    def forward(self, points: Tensor) -> Tensor:
        """Logits (rows, 2) in float32 of points (rows, 2) of any type of number.

        The difference is in float64 whatever comes in, since the mean is; a conversion of the points themselves would
        be exported with a check that they have the type of the example.
        """
        logits: Tensor = self.network(((points - self.mean) / self.scale).float())
        return logits
