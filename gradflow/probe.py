"""The probe: activations and gradients of every block on a fixed set of rows, with the mean loss.

Notation: x_l is the stream after block l, z_l = W_l x_{l-1} + b_l the pre-activation of block l.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gradflow import passes
from gradflow.network import Network

COLUMNS = (
    "weight_grad_norm",
    "delta_norm",
    "z_mean",
    "z_std",
    "x_mean",
    "x_std",
    "dead_fraction",
    "branch_ratio",
)


def norm(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Euclidean norm, summed in float64: squares of float32 gradients below 1e-19 would vanish."""
    total: Tensor = torch.linalg.vector_norm(x, dim=dim, dtype=torch.float64)
    return total


class Probe:
    """Measures every block of every seed while a pass goes through the network.

    Args:
        network: Stacked network on float32.
        gradients: For each of its parameters a tensor that a measurement may write into.
        points: (batch, 2).
        labels: (batch,).
    """

    def __init__(self, network: Network, gradients: Mapping[Tensor, Tensor], points: Tensor, labels: Tensor) -> None:
        weights = [linear.get_parameter("weight") for linear in network.linears()[1:-1]]
        self._weight_gradients = [gradients[weight] for weight in weights]
        self._skips = torch.tensor([bool(block.skip) for block in network.blocks], device=points.device)
        self._pass = passes.fastest(network, gradients, len(points))
        self._rows = points, labels
        shape = len(weights[0]), len(points), weights[0].shape[1]
        self._wide, self._scratch = (points.new_empty(shape, dtype=torch.float64) for _ in range(2))
        self._measured: dict[str, list[Tensor]] = {}

    def __call__(self) -> Tensor:
        """Measure.

        Returns:
            (seeds, depth, columns) in float64, columns as in :data:`COLUMNS`: ||dLoss/dW_l||_F;
            ||dLoss/dz_l||_F over batch and units; mean and standard deviation of z_l and of x_l over batch
            and units; share of units with z_l <= 0 on the whole batch; ||x_l - x_{l-1}|| / ||x_{l-1}||,
            which is nan for a block without a skip or a stream that is 0.
        """
        self._measured = {column: [] for column in COLUMNS}
        self._pass(*self._rows, self)
        self._measured["weight_grad_norm"] = [norm(gradient, (1, 2)) for gradient in self._weight_gradients]
        self._measured["delta_norm"].reverse()  # a backward pass comes by the last block first
        measured = torch.stack([torch.stack(self._measured[column], 1) for column in COLUMNS], 2)
        added = measured[..., COLUMNS.index("branch_ratio")]
        added.masked_fill_(~(added.isfinite() & self._skips), torch.nan)
        return measured

    def pre_activation(self, z: Tensor) -> None:
        """See z_l."""
        self._spread("z", self._wide.copy_(z))
        self._measured["dead_fraction"].append((z.amax(1) <= 0).double().mean(1))

    def stream(self, before: Tensor, after: Tensor) -> None:
        """See x_{l-1} and x_l."""
        wide = self._wide.copy_(before)
        size = norm(wide, (1, 2))
        torch.sub(after, wide, out=wide)
        self._measured["branch_ratio"].append(norm(wide, (1, 2)) / size)
        self._spread("x", wide.copy_(after))

    def delta(self, delta: Tensor, scale: float) -> None:
        """See dLoss/dz_l, up to a factor."""
        self._measured["delta_norm"].append(norm(delta, (1, 2)) * abs(scale))

    def _spread(self, name: str, x: Tensor) -> None:
        """Mean and standard deviation, not corrected for the mean."""
        mean = x.mean((1, 2))
        centred = torch.sub(x, mean[:, None, None], out=self._scratch)
        self._measured[f"{name}_mean"].append(mean)
        self._measured[f"{name}_std"].append(norm(centred, (1, 2)) / (x.shape[1] * x.shape[2]) ** 0.5)
