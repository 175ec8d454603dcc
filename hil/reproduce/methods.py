"""The methods that are compared: which residual model, and what the filter does with its mean and variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from estimators.residual import kmp, remembering, train
from estimators.residual.base import ResidualModel
from estimators.residual.memory import MemoryParams
from estimators.residual.velocity import VelocityResidual
from hil.reproduce.case import TRAIN, TUNE, VALIDATE, Case

Array = npt.NDArray[np.float64]

GEAR_RIPPLE = 202.0
"""Periods of the gear's ripple in a revolution: twice the ratio, from the data sheet."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the tables."""

    name: str
    title: str
    residual: str | None
    """Name in :data:`RESIDUALS`; None: nothing is known of friction."""
    variance: bool = True
    """Whether R follows the model's variance; else it is constant."""
    adapt_q: Literal["off", "innovation", "literal"] = "off"
    adapt_r: Literal["off", "residual", "literal"] = "off"
    bounded: bool = True
    """Whether adaptation stays within the shipped bounds."""
    low_pass: bool = False
    """The momentum observer: a low-pass of first order in place of the filter."""


def _kmp(case: Case) -> ResidualModel:
    fits = train.fit_arm(*case.labels(TRAIN), *case.labels((VALIDATE,)))
    return VelocityResidual.of([each.kmp for each in fits])


def _memory(case: Case) -> ResidualModel:
    return remembering.fit(
        case.make_model(), [case.free(name) for name in TRAIN], [case.free(name) for name in TUNE],
        MemoryParams(ripple=(GEAR_RIPPLE,)),
    )  # fmt: skip


RESIDUALS: dict[str, Callable[[Case], ResidualModel]] = {"kmp": _kmp, "memory": _memory}

METHODS = {
    each.name: each
    for each in (
        Method("mo", "momentum observer, no friction model", None, variance=False, low_pass=True),
        Method("mo_kmp", "momentum observer + KMP mean", "kmp", variance=False, low_pass=True),
        Method("dkf", "disturbance Kalman filter, no friction model", None, variance=False),
        Method("kmp_const", "KMP mean, constant Q and R", "kmp", variance=False),
        Method("kmp_r", "… + R_emp", "kmp", variance=False, adapt_r="residual"),
        Method("kmp_vb", "… + VB process noise", "kmp", variance=False, adapt_q="innovation"),
        Method("kmp_var", "… + KMP variance in R", "kmp"),
        Method("kmp_var_r", "… + variance and R_emp", "kmp", adapt_r="residual"),
        Method("kvark_literal", "K-VARK, to the letter", "kmp", adapt_q="literal", adapt_r="literal", bounded=False),
        Method("kvark", "K-VARK, corrected (variance + VB)", "kmp", adapt_q="innovation"),
        Method("kvark_all", "K-VARK, corrected, + R_emp", "kmp", adapt_q="innovation", adapt_r="residual"),
        Method("semi_const", "semi-parametric, constant Q and R", "memory", variance=False),
        Method("semi", "semi-parametric K-VARK", "memory", adapt_q="innovation"),
    )
}
"""By name, in the order of the tables."""
QUICK = ("mo", "kmp_const", "kmp_var", "kvark_literal", "kvark", "semi")
"""For a first look."""


def residual_of(case: Case, method: Method) -> ResidualModel | None:
    """The method's residual model, learnt once for each robot."""
    if method.residual is None:
        return None
    if method.residual not in case.kept:
        case.kept[method.residual] = RESIDUALS[method.residual](case)
    return case.kept[method.residual]  # type: ignore[return-value]
