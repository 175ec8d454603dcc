"""A whole cobot cell on the simulated arm: it holds under gravity, sinks and drops as it should, and reads true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cobot_cells import Q0, URDF, Master, cobot_config

from estimators.rigid_body import BodyInertia, RigidBodyModel

PER_MILLE = np.array([1.5, 1.5, 1.0, 0.35, 0.35, 0.25]) * 0.101
TOOL = BodyInertia(1.2, np.array([0.0, 0.002, 0.06]), np.diag([2e-3, 2e-3, 1e-3]))
COUNT = 2.0 * np.pi / (131072 * 101)
"""Joint angle of an increment, rad."""

Make = Callable[..., Master]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Master] = []

    def build(profile: str = "ideal", **how: Any) -> Master:
        master = Master(cobot_config(profile, **how))
        made.append(master)
        master.bring_up(deadline_ms=0)
        return master

    yield build
    for master in made:
        master.close()


MODEL = RigidBodyModel(URDF, TOOL)


def measured(master: Master) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Joint positions and torques as the newest TPDO1 of all drives tell them."""
    counts = np.array([master.feedback[joint][0] for joint in range(6)])
    return counts * COUNT, np.array([master.feedback[joint][1] for joint in range(6)]) * PER_MILLE


def hold(master: Master, cycles: int, damping: float = 1.0) -> None:
    """Gravity compensation by the nominal model with some stiffness and damping, from what the drives report."""
    q_hold, last = None, None
    stiffness = np.array([400.0, 400.0, 300.0, 60.0, 60.0, 40.0])
    for _ in range(cycles):
        q = measured(master)[0] if master.feedback else np.array(Q0)
        q_hold = q if q_hold is None else q_hold
        qd = np.zeros(6) if last is None else (q - last) / 2e-3
        last = q
        tau = MODEL.gravity(q) + stiffness * (q_hold - q) - damping * 0.1 * stiffness * qd
        master.sync([0x0F] * 6, np.rint(tau / PER_MILLE).astype(int).tolist())


def enabled(master: Master) -> None:
    """Enabled with the torque that holds the arm, before the brakes have opened."""
    target = np.rint(MODEL.gravity(np.array(Q0)) / PER_MILLE).astype(int).tolist()
    master.enable(target)
    hold(master, 40)
    assert not any(drive["brake_closed"] for drive in master.control.state()["drives"])


@pytest.mark.parametrize("profile", ["ideal", "standard"])
def test_the_arm_holds_under_gravity_and_reads_its_weight(make: Make, profile: str) -> None:
    master = make(profile, seed=1, ft=True)
    enabled(master)
    hold(master, 250)
    q, tau = measured(master)
    assert np.abs(q - np.array(Q0)).max() < 0.02
    assert q == pytest.approx(master.cell.world.q, abs=2e-5 if profile == "ideal" else 2e-4)
    assert np.abs(master.cell.world.qd).max() < 0.05
    # motor torque tells the weight up to friction (coulomb x 1.15 x static 1.5) and one per mille
    slack = PER_MILLE if profile == "ideal" else np.array([12.0, 16.0, 10.5, 3.5, 3.1, 2.6]) + 1.0
    assert (np.abs(tau - MODEL.gravity(q)) <= slack).all()


def test_push_attach_and_release_act_on_the_cobot(make: Make) -> None:
    master = make("ideal", ft=True)
    enabled(master)
    hold(master, 100)
    before, sensor = measured(master)[1], master.cell.world.wrench_sensor
    master.control.attach(2.0, (0.0, 0.0, 0.1))
    hold(master, 400, damping=2.0)
    heavier = measured(master)[1]
    loaded = MODEL.gravity(measured(master)[0])
    assert np.linalg.norm(heavier - loaded) > 8.0  # shoulder and elbow carry 20 N at most of a metre
    assert np.linalg.norm(before - MODEL.gravity(np.array(Q0))) < 1.0
    change = master.cell.world.wrench_sensor - sensor
    assert np.linalg.norm(change[:3]) == pytest.approx(2.0 * 9.81, rel=0.05)
    master.control.release()
    master.control.push([5.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    hold(master, 10)
    assert master.cell.world.wrench_contact == pytest.approx([5.0, 0, 0, 0, 0, 0])


def test_power_off_in_motion_stops_on_the_brakes_and_the_stop_is_in_the_truth(make: Make) -> None:
    master = make("standard", seed=2)
    enabled(master)
    for k in range(60):
        tau = MODEL.gravity(measured(master)[0]) + np.array([25.0, 0, 0, 0, 0, 0]) * min(1.0, 0.1 * k)
        master.sync([0x0F] * 6, np.rint(tau / PER_MILLE).astype(int).tolist())
    speed = abs(master.cell.world.qd[0])
    assert speed > 0.2
    tick = master.cell.ticks - 1
    master.sync([0x00] * 6)
    ticks = master.control.run_out()
    assert 40 <= ticks <= 250
    truth = master.control.truth(since=tick)
    assert 0.5 * speed * 0.05 < truth["travel"][0] < speed * 0.05 + 0.05
    assert truth["braked_since"] is not None
    assert master.cell.standing()


def test_quick_stop_under_gravity_holds_before_the_brakes_close(make: Make) -> None:
    """The drives' own ramp ends at rest and not in a fall: the integral carries the weight."""
    master = make("ideal")
    enabled(master)
    hold(master, 50)
    start = master.cell.world.q
    for _ in range(150):
        master.sync([0x02] * 6)
    assert np.abs(master.cell.world.q - start).max() < 5e-3
    assert all(drive["brake_closed"] for drive in master.control.state()["drives"])
    assert all(drive["state"] == "SWITCH_ON_DISABLED" for drive in master.control.state()["drives"])


def test_without_brakes_the_arm_drops_until_it_hangs(make: Make) -> None:
    master = make("standard", brakes=False)
    height = master.cell.world.pose()[0][2]
    master.control.run_out()
    assert master.cell.standing()
    assert height - master.cell.world.pose()[0][2] > 0.1


def test_the_truth_log_has_six_joints(make: Make) -> None:
    master = make("ideal")
    enabled(master)
    truth = master.cell.log.truth()
    assert truth["q"].shape[1] == truth["tau_motor"].shape[1] == 6
    assert truth["session_state"][-1] == 6  # drives in operation
    assert truth["overlay"][-1] == pytest.approx(truth["tau_motor"][-1])
