"""The probe: activations and gradients of every block on a fixed set of rows, with the mean loss.

Notation: x_l is the stream after block l, z_l = W_l x_{l-1} + b_l the pre-activation of block l.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow import logs, passes
from gradflow.network import Network
from gradflow.precision import SAFE, float32_will_do

COLUMNS = tuple(logs.PROBED)
# Norms, which must neither underflow nor overflow, and means, which may be 0.
_SIZES = [COLUMNS.index(name) for name in ("weight_grad_norm", "delta_norm", "z_std", "x_std")]
_MEANS = [COLUMNS.index(name) for name in ("z_mean", "x_mean")]


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
        self._pass = passes.fastest(network, gradients)(len(points))
        self._rows = points, labels
        shape = len(weights[0]), len(points) * weights[0].shape[1]
        self._scratch = points.new_empty(shape)
        self._measured: dict[str, list[Tensor]] = {}

    @property
    def in_float64(self) -> bool:
        """Whether sums are in float64, because those in float32 once lost something."""
        return self._scratch.dtype == torch.float64

    @in_float64.setter
    def in_float64(self, exact: bool) -> None:
        self._scratch = self._scratch.double() if exact else self._scratch.float()

    def __call__(self) -> Tensor:
        """Measure, with sums in float32 unless that loses something; once it does, in float64 from then on.

        Returns:
            (seeds, depth, columns) in float64, columns as in :data:`COLUMNS`: ||dLoss/dW_l||_F;
            ||dLoss/dz_l||_F over batch and units; mean and standard deviation of z_l and of x_l over batch
            and units; share of units with z_l <= 0 on the whole batch; ||x_l - x_{l-1}|| / ||x_{l-1}||,
            which is nan for a block without a skip or a stream that is 0.
        """
        measured = self._measure()
        if not self.in_float64 and not (
            float32_will_do(measured[..., _SIZES]) and (measured[..., _MEANS].abs() < SAFE[1]).all()
        ):
            self.in_float64 = True
            measured = self._measure()
        added = measured[..., COLUMNS.index("branch_ratio")]
        added.masked_fill_(~(added.isfinite() & self._skips), torch.nan)
        return measured

    def _measure(self) -> Tensor:
        self._measured = {column: [] for column in COLUMNS}
        self._pass(*self._rows, self)
        self._measured["weight_grad_norm"] = [self._norm(gradient) for gradient in self._weight_gradients]
        self._measured["delta_norm"].reverse()  # a backward pass comes by the last block first
        return torch.stack([torch.stack(self._measured[column], 1).double() for column in COLUMNS], 2)

    def pre_activation(self, z: Tensor) -> None:
        """See z_l."""
        self._spread("z", z)
        self._measured["dead_fraction"].append((z.amax(1) <= 0).double().mean(1))

    def stream(self, before: Tensor, after: Tensor) -> None:
        """See x_{l-1} and x_l."""
        added = torch.sub(after.flatten(1), before.flatten(1), out=self._scratch)
        self._measured["branch_ratio"].append(self._norm(added) / self._norm(before))
        self._spread("x", after)

    def delta(self, delta: Tensor, scale: float) -> None:
        """See dLoss/dz_l, up to a factor."""
        self._measured["delta_norm"].append(self._norm(delta) * abs(scale))

    def _spread(self, name: str, x: Tensor) -> None:
        """Mean and standard deviation, not corrected for the mean."""
        x = x.flatten(1)
        mean = x.mean(1, keepdim=True, dtype=self._scratch.dtype)
        centred = torch.sub(x, mean, out=self._scratch)
        self._measured[f"{name}_mean"].append(mean.squeeze(1))
        self._measured[f"{name}_std"].append(self._norm(centred) / x.shape[1] ** 0.5)

    def _norm(self, x: Tensor) -> Tensor:
        """Euclidean norm, a seed."""
        total: Tensor = vector_norm(x.flatten(1), dim=1, dtype=self._scratch.dtype)
        return total
