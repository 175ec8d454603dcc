"""Gradient steps on a model that is in use: network, kernel and inducing points, from the posterior's plain arrays.

The bound and the grouped rates are those of training. q(u) moves along, so that the gradients are right, and is not
what comes out: it is found anew in closed form (:mod:`estimators.dynamics.online`), given the features that do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from estimators.dynamics.fitting.deep_kernel import NOISE_FLOOR, DeepKernelGP, bound, whitening
from estimators.dynamics.fitting.export import posterior as exported
from estimators.dynamics.fitting.options import KernelOptions, TrainOptions
from estimators.dynamics.posterior import Posterior
from estimators.errors import ModelError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepOptions:
    """Of :class:`Steps`."""

    rates: TrainOptions = field(default_factory=TrainOptions)
    """Its peak rates, before ``part``."""
    part: float = 0.2
    """Of the peak rates: the model is good already."""
    clip: float = 10.0
    """Norm of the gradient."""


class Steps:
    """Adam steps from ``start`` on, in double precision.

    ``noise``: move it too; otherwise it stays as validation samples calibrated it, and what a model cannot explain yet
    does not become noise. Raises ModelError where the model is none of training's.
    """

    def __init__(self, start: Posterior, options: StepOptions | None = None, noise: bool = False) -> None:
        self.options = o = options or StepOptions()
        self._start = start
        gp = self._gp = module(start)
        for parameter in gp.likelihood.parameters():
            parameter.requires_grad_(noise)
        variational = list(gp.base._variational_distribution.parameters())
        groups = [
            (list(gp.features.parameters()), o.rates.rate_network),
            (variational, o.rates.rate_variational),
            ([gp.base.inducing_points], o.rates.rate_inducing),
        ]
        known = {id(each) for group, _ in groups for each in group}
        rest = [each for each in gp.parameters() if each.requires_grad and id(each) not in known]
        groups.append((rest, o.rates.rate_kernel))
        self._optimizer = torch.optim.Adam([{"params": group, "lr": o.part * rate} for group, rate in groups if group])

    def step(self, x: Array, r: Array, samples: int) -> float:
        """One step on a batch, inputs (k, 3n) and torque (k, n) N·m less the prior's; the bound, nats a sample.

        ``samples``: how many there are in all. Raises ModelError where the kernel's covariance is none any more.
        """
        scaling, gp = self._start.scaling, self._gp
        self._optimizer.zero_grad(set_to_none=True)
        inputs, targets = torch.as_tensor(scaling.inputs(x)), torch.as_tensor(scaling.targets(r))
        try:
            loss = bound(gp, inputs, targets, 1.0 / samples)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise ModelError(f"gradient steps led to no proper covariance: {error}") from error
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(gp.parameters(), self.options.clip)
        self._optimizer.step()
        return float(loss.detach())

    def posterior(self) -> Posterior:
        """The model now, q(u) as the gradients left it. Raises ModelError where it is not finite."""
        try:
            found = exported(self._gp, self._start.scaling)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise ModelError(f"gradient steps led to no proper covariance: {error}") from error
        return replace(found, standstill=self._start.standstill)


def require_trainable(start: Posterior) -> None:
    """Raises ModelError where no steps can be made from ``start``; from now on torch computes on one thread."""
    # Small matrices are faster on one thread, and the other cores are the control cycle's.
    torch.set_num_threads(1)
    module(start)


def module(start: Posterior) -> DeepKernelGP:
    """``start`` as a module in double precision; the same predictions but for jitter. Raises ModelError."""
    (L, M, _), D = start.points.shape, start.scaling.x_mean.size
    widths = [len(b) for b in start.biases]
    if start.mixing is not None:
        raise ModelError("gradient steps while a cell runs take independent joints: train a model without latent GPs")
    if widths and (len(widths) != 3 or widths[0] != widths[1]):
        raise ModelError(f"a network with layers of {widths} is none that training makes: export the model anew")
    if widths:
        options = KernelOptions(M, hidden=widths[0], features=widths[2], skip=start.skip)
    else:
        options = KernelOptions(M, deep=False)
    gp = DeepKernelGP(D, L, options)
    gp.double().eval()
    with torch.no_grad():
        gp.covar_module.base_kernel.lengthscale = _tensor(start.lengths[:, None, :])
        gp.covar_module.outputscale = _tensor(start.s2)
        gp.likelihood.task_noises = _tensor(np.maximum(start.noise, NOISE_FLOOR * (1.0 + 1e-9)))
        gp.base.inducing_points.copy_(_tensor(start.points * start.lengths[:, None, :]))
        if gp.features.net is not None:
            layers = [each for each in gp.features.net if isinstance(each, nn.Linear)]
            for layer, W, b in zip(layers, start.weights, start.biases, strict=True):
                layer.weight.copy_(_tensor(W))
                layer.bias.copy_(_tensor(b))
        _believe(gp, start)
    return gp


def _believe(gp: DeepKernelGP, start: Posterior) -> None:
    """q(v): m = Lᵀ alpha, S = I − Lᵀ B L, whose digits are those that B has left."""
    W, _, _ = whitening(gp)
    eye = torch.eye(W.shape[-1], dtype=W.dtype).expand_as(W)
    L = torch.linalg.solve_triangular(W, eye, upper=False)
    S = eye - L.mT @ _tensor(start.B) @ L
    values, vectors = torch.linalg.eigh(0.5 * (S + S.mT))
    S = (vectors * values.clamp(1e-8, 1.0)[:, None, :]) @ vectors.mT
    distribution = gp.base._variational_distribution
    distribution.variational_mean.copy_((L.mT @ _tensor(start.alpha)[..., None]).squeeze(-1))
    distribution.chol_variational_covar.copy_(torch.linalg.cholesky(0.5 * (S + S.mT)))


def _tensor(array: Array) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float64))
