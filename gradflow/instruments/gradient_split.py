"""Where the gradient of the stream comes from, at each block: along the skip connection, or through the branch.

For x_l = c_l(x_{l-1}) + f_l(x_{l-1}), C_l and J_l the Jacobians of what is carried and of the branch, and
g_l = dLoss/dx_l::

    g_{l-1} = C_l^T g_l + J_l^T g_l

where C_l is the identity if the stream itself is carried (He et al. 2016, arXiv 1603.05027, equation 5). A block that
does something to the sum does so to g_l first. The two parts can point against each other: f(x) = -x makes
their sum 0, so a skip connection alone does not keep ||g_{l-1}|| / ||g_l|| at 1 or above. Where nothing is carried the
first part is absent.
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.instruments.trace import Trace

COLUMNS = ("identity_norm", "branch_norm", "split_cosine", "gradient_gain")


def measure(trace: Trace) -> Tensor:
    """Measure the two parts of g_{l-1}, over batch and units.

    Returns:
        (seeds, depth, 4): the norm of what came past the branch, ||g_l|| where the stream itself is carried and 0 where
        nothing is; that of what came through the branch; the cosine of the angle between the two;
        ||g_{l-1}|| / ||g_l||. A quotient by 0 is nan.
    """
    parts = trace.through_carry, trace.through_branch
    identity, branch = (vector_norm(part, dim=(2, 3)) for part in parts)
    # Normalised first: the product of two norms may underflow where neither does.
    units = [part / size[..., None, None] for part, size in zip(parts, (identity, branch), strict=True)]
    cosine = (units[0] * units[1]).sum((2, 3))
    norms = vector_norm(trace.g, dim=(2, 3))
    gain = norms[:-1] / norms[1:]
    measured = torch.stack([identity.T, branch.T, cosine.T, gain.T], 2)
    return measured.where(measured.isfinite(), torch.nan)
