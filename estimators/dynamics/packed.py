"""A posterior as the kernels read it: arrays that may lie in memory that is written anew while the kernels stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.dynamics.posterior import Posterior
from estimators.errors import ModelError

Array = npt.NDArray[np.float64]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All numbers of a posterior but the mixing, C-contiguous; P joints, L GPs, D inputs, M points, F features."""

    net: Array
    """(layers, width + 1, width): Wᵀ of each layer, the biases in the last row. What is beside them is never read."""
    inputs: Array
    """(2, D): mean of the inputs, 1/standard deviation."""
    outputs: Array
    """(5, P): mean and scale of the torque, noise, its addition at standstill, 1/speed of that."""
    spread: Array
    """(2, L): log s², s²."""
    points: Array
    """Zt, (L, F, M)."""
    inverse: Array
    """1/l, (L, F)."""
    half: Array
    """½|Zt|² − log s², (L, M)."""
    alpha: Array
    """(L, M)."""
    B: Array
    """(L, M, M)."""

    @staticmethod
    def shapes(posterior: Posterior) -> Shapes:
        """Of each array, for posteriors like this one."""
        L, M, F = posterior.points.shape
        D, P = posterior.scaling.x_mean.size, posterior.n
        width = max(D, F, *(len(b) for b in posterior.biases)) if posterior.biases else max(D, F)
        return {
            "net": (len(posterior.weights), width + 1, width),
            "inputs": (2, D),
            "outputs": (5, P),
            "spread": (2, L),
            "points": (L, F, M),
            "inverse": (L, F),
            "half": (L, M),
            "alpha": (L, M),
            "B": (L, M, M),
        }

    @staticmethod
    def of(posterior: Posterior) -> Packed:
        """In memory of its own."""
        packed = Packed(**{name: np.zeros(shape) for name, shape in Packed.shapes(posterior).items()})
        packed.fill(posterior)
        return packed

    def fill(self, posterior: Posterior) -> None:
        """Write ``posterior`` in the place of what is there. Raises ModelError where it has other shapes."""
        p, scaling = posterior, posterior.scaling
        for name, shape in Packed.shapes(p).items():
            found = getattr(self, name).shape
            if shape != found:
                raise ModelError(f"a posterior whose {name} has shape {shape} cannot follow one of {found}")
        for layer, W, b in zip(self.net, p.weights, p.biases, strict=True):
            layer[: W.shape[1], : W.shape[0]] = W.T
            layer[-1, : b.size] = b
        self.inputs[:] = scaling.x_mean, 1.0 / scaling.x_std
        still = (np.zeros(p.n), np.ones(p.n)) if p.standstill is None else p.standstill
        self.outputs[:] = scaling.y_mean, scaling.y_std, p.noise, still[0], 1.0 / still[1]
        logs = np.log(p.s2)
        self.spread[:] = logs, p.s2
        self.points[:] = p.points.transpose(0, 2, 1)
        self.inverse[:] = 1.0 / p.lengths
        self.half[:] = 0.5 * np.square(p.points).sum(axis=2) - logs[:, None]
        self.alpha[:] = p.alpha
        self.B[:] = p.B
