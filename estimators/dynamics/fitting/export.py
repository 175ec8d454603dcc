"""From a trained model to the plain arrays of the real-time predictor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from estimators.dynamics.fitting.deep_kernel import DeepKernelGP, lower, whitening
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.samples import Scaling

Array = npt.NDArray[np.float64]


def export(model: VariationalModel, provenance: dict[str, object] | None = None) -> DynamicsPredictor:
    """The predictor of a trained SVDKL, SVGP or deep SGPR. Raises ParameterError before training."""
    gp, scaling = model.trained()
    found = replace(posterior(gp, scaling), standstill=model.standstill)
    return DynamicsPredictor(found, model.prior, provenance)


def posterior(gp: DeepKernelGP, scaling: Scaling) -> Posterior:
    """Plain arrays of ``gp``, which must be in double precision."""
    with torch.no_grad():
        W, points, s2 = whitening(gp)
        root = lower(gp)
        mean = gp.base._variational_distribution.variational_mean
        eye = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device)
        B = W.mT @ (eye - root @ root.mT) @ W
        alpha = (W.mT @ mean[..., None]).squeeze(-1)
        net = gp.features.net
        layers = [each for each in net if isinstance(each, nn.Linear)] if net is not None else []
        return Posterior(
            tuple(_plain(each.weight) for each in layers),
            tuple(_plain(each.bias) for each in layers),
            gp.features.skip,
            _plain(gp.covar_module.base_kernel.lengthscale.squeeze(1)),
            _plain(points),
            _plain(s2),
            _plain(gp.likelihood.task_noises),
            _plain(alpha),
            _plain(0.5 * (B + B.mT)),
            scaling,
            None if gp.mixing is None else _plain(gp.mixing),
        )


def _plain(tensor: Tensor) -> Array:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64)
