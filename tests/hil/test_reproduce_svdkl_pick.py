"""Sections about pick and place, from results that are made up here."""

from __future__ import annotations

from typing import Any

from hil.reproduce.svdkl.plan import Settings
from hil.reproduce.svdkl.results import Results
from hil.reproduce.svdkl.sections_pick import end_effector, gain_reduction, masses, task, trips

SETTINGS = Settings(parts=("pick",))


def row(family: str, law: str, error: float, count: int = 1, **other: Any) -> dict[str, Any]:
    figures = {
        "ee_rmse_m": error, "ee_rmse_carrying_m": None, "ff_rmse": [1e3 * error] * 7, "rmse_joint": [error] * 7,
        "kp_ratio": [0.25] * 7, "gain_reduction": 0.75, "saturated": 0.01, "held": True,
    }  # fmt: skip
    case = {
        "family": family, "law": law, "thing": "cube", "mass": 3.0, "gripper": "parallel", "mirrored": False,
        "warmup": 50, "seed": 0, "faults": [],
    }  # fmt: skip
    last = [figures | {"rmse_joint": [error / (k + 1)] * 7} for k in range(count)]
    return case | figures | {"trips": last} | other


def results(*rows: dict[str, Any]) -> Results:
    return Results(SETTINGS, pick=list(rows))


def test_errors_stand_beside_the_papers_by_task() -> None:
    section = end_effector(
        results(
            row("svdkl", "paper", 0.010), row("svgp", "paper", 0.020), row("svdkl", "ours", 0.001),
            row("svdkl", "paper", 0.030, mirrored=True), row("svgp", "paper", 0.020, mirrored=True),
        )
    )  # fmt: skip
    assert "cube, parallel gripper: SVDKL, innovation and payload, 1.0 mm" in section.finding
    assert "ahead of SVGP for cube, parallel gripper and behind it for mirrored" in section.finding
    assert "8.69" in section.body[0], "the paper's, in mm"
    assert "objects of random shape" not in section.body[0]


def test_only_like_is_compared_with_like() -> None:
    section = end_effector(
        results(
            row("svdkl", "paper", 0.010), row("svdkl", "paper", 0.090, mass=15.0), row("svgp", "paper", 0.020),
        )
    )  # fmt: skip
    assert "SVDKL, the paper's law, 10.0 mm" in section.finding, "15 kg were not tried with the other"
    assert "SVDKL is ahead of SVGP" in section.finding
    section = end_effector(results(row("svdkl", "paper", 0.010), row("svgp", "paper", 0.020, mass=15.0)))
    assert "the paper's law, – mm" in section.finding
    assert "ahead" not in section.finding


def test_a_task_is_told_from_the_case() -> None:
    assert task(row("svdkl", "ours", 0.1, thing="random_003")) == "random"
    assert task(row("svdkl", "ours", 0.1, gripper="tong")) == "tong"
    assert task(row("svdkl", "ours", 0.1, mirrored=True)) == "mirrored"


def test_feed_forward_against_mass() -> None:
    section = masses(
        results(
            row("svdkl", "paper", 0.002, mass=1.0), row("svdkl", "paper", 0.040, mass=15.0, faults=["torque limit"]),
            row("svdkl", "rnea_high", 0.006, mass=1.0),
        )
    )  # fmt: skip
    assert "from 1 to 15 kg" in section.finding
    assert "SVDKL, the paper's law 2.0 → 40.0" in section.finding
    assert "rigid body, largest gains 6.0 (1 kg)" in section.finding
    assert "torque limit" in section.body[1]


def test_trajectories_are_counted() -> None:
    section = trips(results(row("svdkl", "paper", 0.010, 4), row("svdkl", "ours", 0.001)))
    assert "A3 10.0 → 2.5, A7 10.0 → 2.5" in section.finding
    assert "innovation" not in section.finding, "one trip is no course"


def test_gains_for_random_objects() -> None:
    told = gain_reduction(results(row("svdkl", "paper", 0.01), row("svdkl", "rnea_high", 0.01))).finding
    assert "Objects of random shape are not part of this run" in told
    assert "the loop lets 25.0 % of Kmax act" in told
    told = gain_reduction(results(row("svdkl", "paper", 0.01, thing="random_003", gain_reduction=0.4))).finding
    assert "by SVDKL, the paper's law 40.0 %; the paper says 18.54 %" in told


def test_what_was_not_run_says_how_to_run_it() -> None:
    left_out = Results(Settings(parts=("fit",)))
    for make in (end_effector, masses, trips, gain_reduction):
        assert "hil reproduce svdkl --part pick" in make(left_out).finding
    failed = Results(SETTINGS, failed={"pick/a": "ImportError: No module named 'pybullet'"})
    assert "pybullet" in end_effector(failed).finding
