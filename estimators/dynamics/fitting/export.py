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
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Samples, Scaling

Array = npt.NDArray[np.float64]

PROBE = 500
"""Samples that a file carries to judge by what is learnt online."""


def export(
    model: VariationalModel, provenance: dict[str, object] | None = None, held_out: Samples | None = None
) -> DynamicsPredictor:
    """The predictor of a trained SVDKL, SVGP or deep SGPR; up to :data:`PROBE` of the samples ``held_out`` go with it.

    Raises ParameterError before training.
    """
    gp, scaling = model.trained()
    probe = None if held_out is None else _probe(held_out, model.prior)
    found = replace(posterior(gp, scaling), standstill=model.standstill)
    return DynamicsPredictor(found, model.prior, provenance, probe=probe)


def _probe(held_out: Samples, prior: Prior | None) -> tuple[Array, Array]:
    """Some of the samples, always the same: inputs, and torque without the prior's."""
    r = held_out.tau if prior is None else held_out.tau - prior.of(held_out)
    some = np.sort(np.random.default_rng(0).permutation(len(held_out))[:PROBE])
    return held_out.inputs[some], r[some]


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
