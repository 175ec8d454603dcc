"""GPyTorch's own prediction at a single sample: what the real-time predictor is compared with."""

from __future__ import annotations

from collections.abc import Callable

import gpytorch
import numpy as np
import numpy.typing as npt
import torch

from estimators.dynamics.fitting.deep_kernel import DeepKernelGP
from estimators.dynamics.fitting.options import KernelOptions

Array = npt.NDArray[np.float64]


def single(inducing: int, hidden: int, features: int, n: int) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    """Mean and standard deviation of ``n`` joints at (q, qd, qdd), of an untrained model of this size."""
    torch.manual_seed(0)
    gp = DeepKernelGP(3 * n, n, KernelOptions(inducing=inducing, hidden=hidden, features=features)).double()
    with torch.no_grad():
        gp.base.inducing_points.normal_()
    gp.eval()

    def step(q: Array, qd: Array, qdd: Array) -> tuple[Array, Array]:
        with torch.no_grad(), gpytorch.settings.fast_pred_var():
            found = gp.likelihood(gp(torch.as_tensor(np.concatenate((q, qd, qdd)))[None]))
            return found.mean[0].numpy(), found.stddev[0].numpy()

    return step
