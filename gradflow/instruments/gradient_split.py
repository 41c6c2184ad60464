"""Where the gradient of the stream comes from, at each block: along the skip connection, or through the branch.

For x_l = x_{l-1} + f_l(x_{l-1}) and g_l = dLoss/dx_l::

    g_{l-1} = g_l + J_l^T g_l

(He et al. 2016, arXiv 1603.05027, equation 5). The two parts can point against each other: f(x) = -x makes
their sum 0, so a skip connection alone does not keep ||g_{l-1}|| / ||g_l|| at 1 or above. Without a skip the
first part is absent.
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.trace import Trace

COLUMNS = ("identity_norm", "branch_norm", "split_cosine", "gradient_gain")


def measure(trace: Trace) -> Tensor:
    """Measure the two parts of g_{l-1}, over batch and units.

    Returns:
        (seeds, depth, 4): ||g_l|| where the block has a skip, else 0; ||J_l^T g_l||; the cosine of the angle
        between the two; ||g_{l-1}|| / ||g_l||. A quotient by 0 is nan.
    """
    along_skip = trace.g[1:] * trace.skips[:, None, None, None]
    identity, branch = (vector_norm(part, dim=(2, 3)) for part in (along_skip, trace.through_branch))
    # Normalised first: the product of two norms may underflow where neither does.
    units = [part / size[..., None, None] for part, size in ((along_skip, identity), (trace.through_branch, branch))]
    cosine = (units[0] * units[1]).sum((2, 3))
    norms = vector_norm(trace.g, dim=(2, 3))
    gain = norms[:-1] / norms[1:]
    measured = torch.stack([identity.T, branch.T, cosine.T, gain.T], 2)
    return measured.where(measured.isfinite(), torch.nan)
