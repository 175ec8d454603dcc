"""What can be chosen about models and their training, and the named configurations that scores are stated for."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from estimators.errors import ParameterError


@dataclass(frozen=True, slots=True)
class KernelOptions:
    """A sparse variational GP for each joint, on learnt features or on the inputs themselves."""

    inducing: int = 128
    """M, inducing points of each joint."""
    deep: bool = True
    """Features from a network shared by the joints (SVDKL); False: plain SVGP."""
    hidden: int = 128
    """Width of its two hidden layers."""
    features: int = 8
    """m, features that the network makes."""
    skip: bool = True
    """The scaled inputs are features too, so that the model starts as a plain SVGP."""
    latents: int = 0
    """Latent GPs that are mixed linearly to the joints (LMC); 0: one GP for each joint, independent."""

    standstill: float = 0.0
    """Speed v, rad/s: where friction at standstill is not known, the noise of each joint gets a part that fades with
    exp(−(qd/v)²), calibrated with the rest by the validation samples. 0: the same noise at all speeds."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.standstill) and self.standstill >= 0.0):
            raise ParameterError(f"standstill is {self.standstill} rad/s; expected 0 or more")
        least = {"inducing": 1, "hidden": 1, "features": 1, "latents": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ParameterError(f"{name} is {getattr(self, name)}; expected at least {low}")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Mini-batch training: AdamW with a one-cycle schedule, one peak rate for each group of parameters."""

    epochs: int = 15
    batch: int = 512
    rate_kernel: float = 2e-2
    """Of length scales, output scales and noises. With one rate for all groups the noise stays far above the error."""
    rate_variational: float = 1e-2
    rate_inducing: float = 5e-3
    rate_network: float = 3e-3
    weight_decay: float = 1e-2
    """Of the network only."""
    clip: float = 10.0
    """Norm of the gradient."""
    patience: int = 15
    """Epochs without a better validation NLL after which training ends."""
    temper: float = 1.0
    """Weight of the likelihood, in (0, 1]: below 1 where neighbouring samples are copies rather than evidence."""
    refit: bool = True
    """Closed-form optimum of q(u), and noise from the validation samples, at the end."""
    seed: int = 0
    device: str = "auto"
    """``cpu``, ``cuda``, or ``auto``: CUDA where there is one."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.patience < 1:
            raise ParameterError(f"epochs {self.epochs}, batch {self.batch}, patience {self.patience}: expected >= 1")
        rates = [getattr(self, each.name) for each in fields(self) if each.name.startswith("rate_")]
        if not all(math.isfinite(rate) and rate > 0.0 for rate in (*rates, self.clip)):
            raise ParameterError("learning rates and the gradient's clip must be finite and above 0")
        if not 0.0 < self.temper <= 1.0 or not 0.0 <= self.weight_decay < math.inf:
            raise ParameterError(f"temper {self.temper}, weight_decay {self.weight_decay}: expected (0, 1] and >= 0")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ParameterError(f"device is {self.device!r}; expected auto, cpu or cuda")


SMALL = KernelOptions()
LARGE = KernelOptions(inducing=192, hidden=256, features=16)
CONFIGURATIONS: dict[str, tuple[KernelOptions, TrainOptions]] = {
    "small": (SMALL, TrainOptions()),
    "large": (LARGE, TrainOptions(epochs=16)),
}
"""By name; the plain SVGP of the same size is :func:`plain` of it."""


def plain(options: KernelOptions) -> KernelOptions:
    """The SVGP with as many inducing points."""
    return replace(options, deep=False)
