"""What one cycle checks: which estimates count, when, and that all findings are kept."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "safety"))
from safety_rig import LIMITS, N, Q, at, health, sample, traits, wrench

from drivers.contract import SafetyState
from hil.build_safety import build_contact, build_energy, build_variance, monitor_params
from hil.checks import CycleChecks
from hil.control.shown import Shown
from hil.cycle import Estimate
from safety.consistency import ConsistencyMonitor
from safety.contact import ContactLimits, ContactMonitor
from safety.energy import EnergyMonitor
from safety.faults import FaultCode, FaultReport
from safety.monitors import StateMonitor
from safety.prediction import RestPrediction
from safety.variance import VarianceMonitor
from tests.hil.lint_cells import changed, shipped

M = np.diag([5.0, 6.0, 1.5, 1.5, 0.15, 0.12, 0.02])
J = np.zeros((6, N))
HARD = (0.12 * LIMITS.tau_max).tolist()
CODE = FaultCode


def estimate(**changes: Any) -> Estimate:
    """An observer that feels nothing and is sure of it."""
    plain = Estimate(np.zeros(N), 1e-4 * np.eye(N), np.zeros(6), 1e-2 * np.eye(6), np.zeros(6), known=True)
    return dataclasses.replace(plain, **changes)


def shown(sd: float = 0.0, kp: float = 10.0) -> Shown:
    ones = np.ones(N)
    return Shown(ones, sd * ones, ones, kp * ones, ones, 1.0, False, False, False)


class Cell:
    """The checks of an arm on paper."""

    def __init__(self, **parts: Any) -> None:
        arm = traits(adds=frozenset({"gravity"}))
        plain: dict[str, Any] = {
            "arm": SimpleNamespace(health=lambda: health()),
            "model": SimpleNamespace(n=N),
            "monitor": StateMonitor(LIMITS, arm),
            "consistency": ConsistencyMonitor(LIMITS, arm),
            "rest": RestPrediction(LIMITS, arm),
            "energy": EnergyMonitor(N, 50.0, 400.0),
            "variance": VarianceMonitor(HARD, LIMITS.qd_max.tolist(), 20.0, 1e-3, None, [1000.0] * N),
            "contact_limits": ContactMonitor(ContactLimits(200.0, 100.0, "hand", "the test")),
        }
        self.parts = SimpleNamespace(**(plain | parts))
        self.checks = CycleChecks(self.parts)
        self.seq = 0

    def check(self, on: Any = None, said: Estimate | None = None, count: int = 1, **how: Any) -> list[FaultReport]:
        """The findings of the last of ``count`` cycles; positions and torques move a little, as measured ones do."""
        asked = {"enabled": True, "moving": True, "touched": False, "shown": None} | how
        found: list[FaultReport] = []
        for _ in range(count):
            self.seq += 1
            noise = 1e-9 * self.seq * np.ones(N)
            now = on or sample()
            now = dataclasses.replace(now, seq=self.seq, q=now.q + noise, tau=now.tau + noise)
            dyn = SimpleNamespace(M=M, g=np.zeros(N), J=J)
            arm = wrench(wrench=1e-9 * self.seq * np.ones(6))
            found = self.checks.check(now, arm, said or estimate(), dyn, now.t_ns, 1e-3, **asked)  # type: ignore[arg-type]
        return found

    def codes(self, *args: Any, **how: Any) -> set[FaultCode]:
        return {fault.code for fault in self.check(*args, **how)}


def test_a_sound_cycle_finds_nothing() -> None:
    assert Cell().check(count=60) == []


def test_all_findings_of_a_cycle_are_kept() -> None:
    """Seven checks see something in the same cycle; none hides another."""
    on = sample(q=at(0, float(LIMITS.q_max[0]) - 0.001, Q), qd=at(3, 20.0, at(0, 2.0)), tau=at(3, 500.0))
    cell = Cell(arm=SimpleNamespace(health=lambda: health(safety=SafetyState.STOP_1)))
    said = estimate(wrench=np.array([0.0, 0.0, 300.0, 0.0, 0.0, 0.0]))
    codes = cell.codes(on, said, shown=shown(kp=2000.0))
    assert codes == {
        CODE.ROBOT_SAFETY, CODE.POSITION_RANGE, CODE.VELOCITY, CODE.TORQUE_MEASURED, CODE.BRAKING_DISTANCE,
        CODE.CONTACT_TRANSIENT, CODE.GAIN_BOUND, CODE.KINETIC_ENERGY, CODE.POWER,
    }  # fmt: skip


def test_without_the_optional_checks_the_state_is_checked() -> None:
    bare = Cell(consistency=None, rest=None, energy=None, variance=None, contact_limits=None)
    assert bare.codes(sample(qd=at(0, 9.0))) == {CODE.VELOCITY}


def test_looking_ahead_is_for_motions_not_for_stops() -> None:
    on = sample(q=at(0, float(LIMITS.q_max[0]) - 0.05, Q), qd=at(0, 1.0))
    assert Cell().codes(on) == {CODE.BRAKING_DISTANCE}
    assert Cell().codes(on, moving=False) == set()
    assert Cell().codes(on, enabled=False) == set()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_a_variance_that_says_nothing_slows_the_arm_down(bad: float) -> None:
    """Beyond half the limit for more than 50 ms."""
    on, said = sample(qd=at(6, 0.6 * float(LIMITS.qd_max[6]))), estimate(P=np.diag(at(2, bad)))
    assert Cell().codes(on, said, count=50) == set()
    assert Cell().codes(on, said, count=51) == {CODE.SPEED_DOUBT}
    assert Cell().codes(on, estimate(), count=60) == set()
    assert Cell().codes(on, said, count=60, moving=False) == set()


def test_an_estimate_of_another_cycle_is_no_estimate() -> None:
    on = sample(qd=at(6, 0.6 * float(LIMITS.qd_max[6])))
    codes = Cell().codes(on, estimate(known=False), count=60)
    assert codes == {CODE.SPEED_DOUBT, CODE.CONTACT_UNKNOWN}


def test_a_learnt_torque_that_is_unsure_slows_the_arm_down() -> None:
    on = sample(qd=at(6, 0.6 * float(LIMITS.qd_max[6])))
    assert Cell().codes(on, shown=shown(sd=0.01), count=60) == set()
    assert Cell().codes(on, shown=shown(sd=10.0), count=60) == {CODE.SPEED_DOUBT}


def test_beside_an_observer_without_a_model_only_a_learnt_torque_counts() -> None:
    def cell() -> Cell:
        limits = VarianceMonitor(HARD, LIMITS.qd_max.tolist(), 20.0, 1e-3, observes=False)
        return Cell(variance=limits, contact_limits=None)

    on = sample(qd=at(6, 0.6 * float(LIMITS.qd_max[6])))
    assert cell().codes(on, estimate(P=np.diag(at(2, math.nan))), count=60) == set()
    assert cell().codes(on, estimate(known=False), count=60) == set()
    assert cell().codes(on, shown=shown(sd=10.0), count=60) == {CODE.SPEED_DOUBT}
    assert cell().codes(None, estimate(tau_ext=at(0, 12.0)), count=60) == set()


def test_a_sure_observer_makes_the_comparison_narrower() -> None:
    """12 N·m on A1 that the sensor does not feel: within the fixed 38.4, beyond a quarter of it."""
    said = estimate(tau_ext=at(0, 12.0))
    assert Cell().codes(None, said, count=60) == {CODE.TORQUE_MODEL}
    assert Cell(variance=None).codes(None, said, count=60) == set()
    unsure = estimate(tau_ext=at(0, 12.0), P=np.diag(at(0, 3.0**2)))
    assert Cell().codes(None, unsure, count=60) == set()
    beyond = estimate(tau_ext=at(0, 39.0), P=np.diag(at(0, 30.0**2)))
    assert Cell().codes(None, beyond, count=60) == {CODE.TORQUE_MODEL}, "never looser than the fixed one"


def test_forces_are_compared_the_same_way() -> None:
    said = estimate(wrench=np.array([0.0, 0.0, 8.0, 0.0, 0.0, 0.0]))
    assert Cell().codes(None, said, count=60) == {CODE.WRENCH_MISMATCH}
    assert Cell(variance=None).codes(None, said, count=60) == set()


def test_what_is_switched_off_stays_off() -> None:
    params = shipped("piper").safety.consistency_params()
    off = ConsistencyMonitor(LIMITS, traits(), params)
    said = estimate(tau_ext=at(0, 100.0), wrench=np.array([0.0, 0.0, 99.0, 0.0, 0.0, 0.0]))
    assert Cell(consistency=off).codes(None, said, count=60) == set()


def test_a_hand_elsewhere_is_no_disagreement_but_still_a_contact() -> None:
    said = estimate(tau_ext=at(0, 100.0), wrench=np.array([0.0, 0.0, 150.0, 0.0, 0.0, 0.0]))
    assert Cell().codes(None, said, count=510, touched=True) == {CODE.CONTACT_QUASI_STATIC}


def test_contact_is_forgotten_while_nothing_is_enabled() -> None:
    said = estimate(wrench=np.array([0.0, 0.0, 150.0, 0.0, 0.0, 0.0]))
    cell = Cell(consistency=None)
    cell.check(None, said, count=490)
    cell.check(None, said, count=1, enabled=False)
    assert cell.codes(None, said, count=490) == set()


LEARNED = {"kp_min": [10.0] * 7, "kp_max": [100.0] * 7}


def test_limits_move_where_a_model_knows_its_variance() -> None:
    assert build_variance(shipped("iiwa14_polish")) is None
    for keys in ({"safety.moving.on": True}, {"observer.kind": "kvark"}):
        asked = build_variance(changed("iiwa14_polish", keys))
        assert asked is not None
        assert asked.observes
    learned = {"controller.joint.learned": LEARNED}
    built = build_variance(changed("iiwa14_polish", learned))
    assert built is not None
    assert not built.observes, "a momentum observer states what the file says"
    assert [f.code for f in built.check([0.0] * 7, 0, 0, np.full(7, 100.1))] == [CODE.GAIN_BOUND] * 7
    assert build_variance(changed("iiwa14_polish", learned | {"safety.moving.on": False})) is None


def test_the_fixed_limits_are_those_of_the_cell() -> None:
    keys = {"safety.moving": {"on": True, "torque_share": 1.0, "speed_share": 1.0}, "safety.speed_fraction": 0.5}
    built = build_variance(changed("iiwa14_polish", keys))
    assert built is not None
    assert built.speeds == pytest.approx([0.6, 0.6, 0.7, 0.55, 0.9, 0.95, 0.95])
    assert built.thresholds == pytest.approx(HARD)
    assert built.force == 20.0
    off = build_variance(changed("piper", {"safety.moving": {"on": True, "torque_share": 1.0}}))
    assert off is not None
    assert off.thresholds == pytest.approx([0.12 * tau for tau in (32, 32, 32, 8, 8, 8)])
    assert off.force == math.inf


def test_energy_is_bounded_where_the_cell_states_it() -> None:
    assert build_energy(shipped("iiwa14_polish")) is None
    on = sample(qd=at(0, 2.0), tau=at(0, 100.0))
    for keys, codes in (
        ({"safety.energy_max": 9.9}, [CODE.KINETIC_ENERGY]),
        ({"safety.power_max": 199.0}, [CODE.POWER]),
        ({"safety.energy_max": 10.1, "safety.power_max": 201.0}, []),
    ):
        built = build_energy(changed("iiwa14_polish", keys))
        assert built is not None
        assert [fault.code for fault in built.check(on, M, 0)] == codes


def test_contact_limits_are_built_where_the_cell_has_a_table() -> None:
    contact = {"safety.contact": {"table": "x.yaml", "regions": ["tip"]}, "_limit": 60.0}
    assert build_contact(shipped("iiwa14_polish")) is None
    built = build_contact(changed("iiwa14_polish", contact))
    assert built is not None
    assert built.limits.quasi_static == 60.0


def test_drives_on_a_bus_state_no_mode() -> None:
    assert monitor_params(shipped("cobot")).not_stated == {"safety", "mode"}
    assert monitor_params(shipped("iiwa14_polish")).not_stated == frozenset()
