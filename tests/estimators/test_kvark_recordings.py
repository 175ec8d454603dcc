"""Observers by name on frozen simulations of a cobot, three families of friction, against baselines measured beside.

Each is fitted and tuned on the runs named for that only. Where published figures for the baselines exist (mean error in
N·m over loaded and contact runs, each family), ours must be near them or better: a baseline that was made weak proves
nothing.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from estimators.kvark import methods
from hil.campaigns import kvark_frozen

DATA = Path(os.environ.get("HIL_DATA", ""))
PUBLISHED = {
    "maxwell_slip": {"gmr_gp": 2.81, "gpadkf": 2.67, "nnadkf": 2.38},
    "lugre": {"gmr_gp": 2.87, "gpadkf": 2.27, "nnadkf": 2.72},
    "memoryless": {"gmr_gp": 0.99, "gpadkf": 1.59, "nnadkf": 0.77},
}

pytestmark = [
    pytest.mark.accept,
    pytest.mark.skipif(
        "HIL_DATA" not in os.environ or not (DATA / "cobot_sim.urdf").is_file(),
        reason="HIL_DATA names no folder with cobot_sim.urdf and the frozen simulations",
    ),
]


@cache
def result(family: str, name: str) -> dict[str, Any]:
    return kvark_frozen.evaluate(DATA, family, name)


def best_baseline(family: str) -> float:
    """The least of ours and of the published ones."""
    return min(*PUBLISHED[family].values(), *(result(family, name)["mean"] for name in methods.BASELINES))


@pytest.mark.parametrize("family", kvark_frozen.FAMILIES)
@pytest.mark.parametrize("name", methods.BASELINES)
def test_baselines_are_honest(family: str, name: str) -> None:
    got = result(family, name)["mean"]
    # The sparse process on LuGre friction is 18 % above the published figure; with R constant it would be 4 %.
    near = 1.2 if (family, name) == ("lugre", "gpadkf") else 1.15
    assert got <= near * PUBLISHED[family][name], f"{got:.3f} N·m"


@pytest.mark.parametrize(("family", "part"), [("maxwell_slip", 0.75), ("lugre", 0.75), ("memoryless", 1.10)])
def test_velocity_only_against_the_best_baseline(family: str, part: float) -> None:
    """A quarter lower with hysteretic friction, at most a tenth higher without; one configuration for all."""
    got, baseline = result(family, "kvark")["mean"], best_baseline(family)
    assert got <= part * baseline, f"{got:.3f} against {baseline:.3f} N·m"


@pytest.mark.parametrize(
    ("family", "part", "bound"), [("maxwell_slip", 0.5, 0.8), ("lugre", 0.5, 0.42), ("memoryless", 0.9, 0.6)]
)
def test_semi_parametric_against_the_best_baseline(family: str, part: float, bound: float) -> None:
    got, baseline = result(family, "kvark_semi"), best_baseline(family)
    assert got["mean"] <= part * baseline, f"{got['mean']:.3f} against {baseline:.3f} N·m"
    assert got["mean"] <= bound
    assert max(got["force"]["point"]) <= 4.0, f"polishing force {got['force']['point']} N per axis"


@pytest.mark.parametrize("family", ["maxwell_slip", "lugre"])
def test_the_variance_is_what_gains(family: str) -> None:
    """Without the residual model's variance in R the same mean is a third worse; the literal rules gain nothing."""
    variance, constant, literal = (
        result(family, name)["mean"] for name in ("kvark", "kmp_constant", "kvark_literal")
    )
    assert variance <= 0.75 * constant
    assert variance <= 0.75 * literal


def test_numbers_are_reproducible() -> None:
    kvark_frozen.residual_of.cache_clear()
    again = kvark_frozen.evaluate(DATA, "memoryless", "kvark")
    assert again == result("memoryless", "kvark")
