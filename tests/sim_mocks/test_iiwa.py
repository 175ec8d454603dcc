"""The mock controller by itself, on seven masses on rails: session, brakes, watchdogs, sensors."""

from __future__ import annotations

import numpy as np
import pytest

from sim_mocks.config import IiwaConfig
from sim_mocks.iiwa import EPOCH_NS, RobotRefusal
from sim_mocks.iiwa_dynamics import ControllerPhysics
from tests.sim_mocks.iiwa_rig import GRAVITY, Q0, ZERO, Rig
from tests.sim_mocks.raw_fri import command


def test_session_goes_through_its_states_and_ends_with_one_idle_message() -> None:
    rig = Rig()
    rig.activate()
    order = [state for k, state in enumerate(rig.states) if k == 0 or state != rig.states[k - 1]]
    assert order == [1, 2, 3, 4]
    assert rig.states.index(2) == 96  # 96 of 100 answers make GOOD
    rig.controller.close_session(rig.t_ns)
    idle = rig.tick()
    assert idle is not None
    assert idle.session_state == 0
    assert [rig.tick() for _ in range(200)] == [None] * 200


def test_session_can_be_opened_again_after_five_seconds_only() -> None:
    rig = Rig()
    rig.run(10)
    with pytest.raises(RobotRefusal, match="open already"):
        rig.controller.open_session(rig.t_ns)
    rig.controller.close_session(rig.t_ns)
    closed = rig.t_ns
    rig.tick()
    with pytest.raises(RobotRefusal, match="wait 5"):
        rig.controller.open_session(closed + 4_999_999_999)
    rig.controller.open_session(closed + 5_000_000_000)
    again = rig.tick()
    assert again is not None
    assert (again.session_state, again.quality, again.seq) == (1, 0, 0)


def test_unanswered_stream_never_gets_ready_and_overlay_is_refused() -> None:
    rig = Rig()
    for _ in range(300):
        rig.tick()
    assert set(rig.states) == {1}
    with pytest.raises(RobotRefusal, match="MONITORING_READY"):
        rig.controller.start_overlay(rig.t_ns)


@pytest.mark.parametrize(
    "how", [{"stiffness": [1.0] * 6}, {"stiffness": [-1.0] * 7}, {"damping": [np.nan] * 7}, {"mode": "WRENCH"}]
)
def test_impossible_overlays_are_refused(how: dict[str, object]) -> None:
    rig = Rig()
    rig.run(150)
    with pytest.raises(RobotRefusal):
        rig.controller.start_overlay(rig.t_ns, **how)  # type: ignore[arg-type]
    assert rig.controller.state == 2


def test_brakes_open_late_with_the_motors_carrying_the_load_and_nothing_moves() -> None:
    rig = Rig()
    rig.run(150)
    assert all(rig.braked)
    rig.controller.start_overlay(rig.t_ns)
    rig.run(100)
    opened = rig.braked.index(False)
    assert opened >= 150 + 50  # release_delay
    assert np.abs(rig.tau[opened] - GRAVITY).max() < 1.5
    rig.run(200)
    assert np.abs(rig.world.q - Q0).max() < 1e-3


def test_signs_on_the_wire() -> None:
    rig = Rig()
    rig.activate()
    rig.world.push(np.array([0.0, 5.0, 0.0, 0.0, 0.0, 0.0]))
    seen = rig.tick()
    assert seen is not None
    assert seen.tau_measured is not None
    assert seen.tau_commanded is not None
    assert np.allclose(seen.tau_measured, -GRAVITY, atol=1.5)
    assert np.allclose(seen.tau_commanded, -GRAVITY, atol=1.5)
    rig.controller.cancel_overlay(rig.t_ns)
    for _ in range(300):
        seen = rig.tick()
    assert seen is not None
    assert seen.tau_external is not None
    assert seen.tau_external[1] == pytest.approx(5.0, abs=0.05)  # pushing joint 2 along +q reads positive


def test_overlay_moves_the_joint_its_way_and_shows_negative_on_the_wire() -> None:
    rig = Rig()
    rig.activate()
    tau = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.run(50, tau)
    assert rig.last is not None
    assert rig.last.tau_commanded is not None
    assert rig.world.q[0] > Q0[0]
    assert rig.world.qd[0] > 0.0
    assert rig.last.tau_commanded[0] == pytest.approx(-1.0, abs=0.05)
    assert rig.overlay[-1].tolist() == tau.tolist()


def test_impedance_pulls_towards_the_commanded_position() -> None:
    rig = Rig()
    rig.activate(stiffness=[100.0] * 6 + [5.0], damping=[10.0, 30.0, 5.0, 10.0, 1.5, 1.5, 0.1])
    q_ref = Q0 + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0015, 0.0])
    rig.run(2000, ZERO, q_ref)
    assert rig.states[-1] == 4
    assert np.abs(rig.world.q - q_ref).max() < 1e-4


def abort_with(rig: Rig, q: np.ndarray | None, tau: np.ndarray | None) -> str:
    seen = rig.last
    assert seen is not None
    rig.inbox.clear()
    # The toolkit's encoder refuses what is not finite or not seven, so the bytes are made by hand.
    as_list = [None if part is None else part.tolist() for part in (q, tau)]
    rig.inbox.append(command(rig.client_seq, seen.seq, *as_list))
    rig.client_seq += 1
    before = len(rig.controller.errors)
    rig.tick()
    assert len(rig.controller.errors) == before + 1, "the command was not refused"
    return rig.controller.errors[-1][1]


def one(joint: int, value: float) -> np.ndarray:
    array = np.zeros(7)
    array[joint] = value
    return array


BAD = {
    "six torques": (Q0, np.zeros(6), "7 expected"),
    "eight torques": (Q0, np.zeros(8), "7 expected"),
    "six positions": (Q0[:6], ZERO, "7 expected"),
    "no torque": (Q0, None, "jointTorque is missing"),
    "no position": (None, ZERO, "jointPosition is missing"),
    "nothing": (None, None, "missing"),
    "NaN torque": (Q0, one(3, np.nan), "jointTorque is not finite"),
    "infinite torque": (Q0, one(3, np.inf), "jointTorque is not finite"),
    "NaN position": (Q0 + one(2, np.nan), ZERO, "jointPosition is not finite"),
    "torque": (Q0, one(6, 40.1), "overlay torque of A7"),
    "rate": (Q0, one(0, 1.51), "torque rate of A1"),
    "axis delta": (Q0 + one(4, 0.2), ZERO, "axis delta"),
    "position step": (Q0 + one(4, 0.01), ZERO, "step of the commanded position"),
    "position range": (Q0 + one(6, 3.0), ZERO, "commanded position of A7"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_command_aborts_and_is_never_felt(name: str) -> None:
    q, tau, text = BAD[name]
    rig = Rig()
    rig.activate()
    rig.run(20)
    ticks = len(rig.tau)
    assert text in abort_with(rig, q, tau)
    rig.run(100)
    assert rig.states[-1] in (1, 2)
    assert not np.any(rig.overlay[ticks:])
    assert np.abs(np.array(rig.tau[ticks - 5 :]) - GRAVITY)[:50].max() < 0.5
    assert rig.braked[-1]


def test_predicted_total_torque_is_bounded() -> None:
    rig = Rig()
    # A spring of 5000 N·m/rad under a position reference within every other limit.
    rig.activate(stiffness=[0.0, 5000.0, 0.0, 0.0, 0.0, 0.0, 0.0], damping=[0.0, 400.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    rig.world.push(np.array([0.0, -1e4, 0.0, 0.0, 0.0, 0.0]))  # held back by force, so that the spring winds up
    for _ in range(400):
        if rig.controller.errors:
            break
        rig.run(1)
    share, rate = rig.felt()
    assert rig.controller.errors
    assert share <= 1.0 + 1e-9
    assert rate <= 1.0 + 1e-9


def test_bad_command_while_waiting_aborts_too() -> None:
    rig = Rig()
    rig.run(150)
    rig.controller.start_overlay(rig.t_ns)
    rig.run(5)
    assert "jointTorque is missing" in abort_with(rig, Q0, None)


def test_waiting_ends_only_with_a_client_that_mirrors() -> None:
    rig = Rig()
    rig.run(150)
    rig.controller.start_overlay(rig.t_ns)
    for _ in range(5100):
        seen = rig.tick()
        assert seen is not None
        if seen.q_ipo is not None:
            rig.send(seen.seq, seen.q_ipo + 1e-3, ZERO)
        else:
            rig.send(seen.seq, None, None)
    assert 4 not in rig.states
    assert "mirror" in rig.controller.errors[-1][1]


def test_lost_commands_are_bridged_then_the_arm_brakes() -> None:
    rig = Rig()
    rig.activate()
    tau = one(1, 1.5)
    rig.run(40, tau)
    rig.inbox.clear()
    last = len(rig.tau)
    for _ in range(200):
        rig.tick()
    overlay = np.array(rig.overlay)[last:, 1]
    held = int(np.argmax(overlay < 1.5))
    # The command of the tick before was the last one: bridging counts from there.
    assert held == 9
    assert rig.states[last + held - 1] == 4
    assert rig.states[last + held] in (1, 2)
    assert "no command for 10.0 ms" in rig.controller.errors[-1][1]
    closed = last + int(np.argmax(rig.braked[last:]))
    assert closed - (last + held) == 50  # engage_delay
    assert rig.overlay[closed][1] == 0.0
    speed_when_closed = abs(rig.world.qd).max()
    assert speed_when_closed == 0.0
    assert rig.felt()[1] <= 1.0 + 1e-9


def test_bridging_is_at_least_three_periods() -> None:
    rig = Rig(IiwaConfig(send_period_ms=5))
    for _ in range(5):
        rig.run(150)
    rig.controller.start_overlay(rig.t_ns)
    rig.run(300)
    assert rig.states[-1] == 4
    start = len(rig.states)
    for _ in range(40):
        rig.tick()
        if rig.states[-1] != 4:
            break
    assert 15 <= len(rig.states) - start <= 20


def test_slow_link_ends_commanding_by_its_quality() -> None:
    rig = Rig()
    rig.activate()
    for k in range(100):
        seen = rig.tick()
        assert seen is not None
        if k % 10 < 9:  # one lost in ten: never bridged out, but below GOOD
            rig.send(seen.seq, seen.q_ipo, ZERO if seen.session_state >= 3 else None)
    assert "quality fell below GOOD" in rig.controller.errors[-1][1]


def test_stale_answers_never_act() -> None:
    rig = Rig()
    rig.activate()
    tau = one(0, 1.0)
    for _ in range(5):
        seen = rig.tick()
        assert seen is not None
        rig.send(seen.seq, Q0, ZERO)
        rig.send(seen.seq, Q0, tau)  # a second answer to the same packet
        rig.send(seen.seq - 3, Q0, tau)
        rig.send(seen.seq + 5, Q0, tau)
    rig.tick()
    assert not np.any(rig.overlay)
    quality = rig.controller.quality
    assert (quality.stale, quality.unknown) == (5, 5)
    assert quality.late == 5


def test_torque_sent_in_the_waiting_state_never_acts() -> None:
    rig = Rig()
    rig.run(150)
    rig.controller.start_overlay(rig.t_ns)
    for _ in range(200):
        if rig.states[-1] == 4:
            break
        seen = rig.tick()
        assert seen is not None
        torque = {3: np.full(7, 30.0), 4: ZERO}.get(seen.session_state)
        rig.send(seen.seq, seen.q_ipo, torque)
    rig.tick()
    assert rig.states[-1] == 4
    assert not np.any(rig.overlay)


@pytest.mark.parametrize("cause", ["cancel", "stop", "mode", "close"])
def test_every_end_of_a_motion_brakes(cause: str) -> None:
    rig = Rig()
    rig.activate()
    rig.run(100, one(1, 1.0))
    assert rig.world.qd[1] > 0.05
    controller = rig.controller
    {
        "cancel": lambda: controller.cancel_overlay(rig.t_ns),
        "stop": lambda: controller.safety_stop(rig.t_ns, 1),
        "mode": lambda: controller.set_mode(rig.t_ns, 0),
        "close": lambda: controller.close_session(rig.t_ns),
    }[cause]()
    start = len(rig.braked)
    rig.run(60)
    assert rig.braked[start : start + 51] == [False] * 50 + [True]
    assert rig.felt()[1] <= 1.0 + 1e-9
    if cause == "stop":
        rig.run(100)
        with pytest.raises(RobotRefusal, match="safety stop"):
            controller.start_overlay(rig.t_ns)
        controller.safety_stop(rig.t_ns, 0)
        controller.start_overlay(rig.t_ns)


def test_sensors_are_late_quantised_biased_and_noisy() -> None:
    physics = ControllerPhysics(
        np.ones(7), np.full(7, 0.1), np.full(7, 0.7), q_noise=1e-5, q_quantum=1e-5, delay_ticks=2
    )
    rig = Rig(physics=physics)
    rig.run(400)
    rig.world.q = rig.world.q + 0.5
    readings = []
    for _ in range(5):
        seen = rig.tick()
        assert seen is not None
        assert seen.q is not None
        readings.append(seen.q[0])
    assert np.allclose(readings, Q0[0] + np.array([0.0, 0.0, 0.5, 0.5, 0.5]), atol=1e-4)
    assert np.allclose(np.array(readings) / 1e-5, np.rint(np.array(readings) / 1e-5), atol=1e-6)
    torque = []
    for _ in range(500):
        seen = rig.tick()
        assert seen is not None
        assert seen.tau_measured is not None
        torque.append(seen.tau_measured)
    error = np.array(torque) + GRAVITY  # the wire carries −(true + bias + noise)
    assert np.allclose(error.mean(axis=0), -0.7, atol=0.02)  # 0.1/√500 is 0.0045
    assert np.allclose(error.std(axis=0), 0.1, atol=0.02)


def test_message_carries_what_a_client_relies_on() -> None:
    rig = Rig()
    seen = rig.tick()
    assert seen is not None
    assert (seen.n_joints, seen.send_period_ms, seen.receive_multiplier, seen.control_mode) == (7, 1, 1, 3)
    assert (seen.q_ipo, seen.client_command_mode, seen.drive_state) == (None, -1, [0] * 7)
    assert seen.t_device_ns == EPOCH_NS + 1_000_000
    rig.activate()
    rig.run(100)
    seen = rig.last
    assert seen is not None
    assert seen.q_ipo is not None
    assert (seen.control_mode, seen.client_command_mode, seen.overlay_type, seen.drive_state) == (2, 3, 1, [2] * 7)
    assert seen.tracking > 0.9
    assert np.allclose(seen.q_ipo, Q0)


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    physics = ControllerPhysics(np.ones(7), np.full(7, 0.1), np.zeros(7), q_noise=1e-5)

    def run(seed: int) -> list[float]:
        rig = Rig(physics=physics, seed=seed)
        rig.activate()
        rig.run(100, one(2, 0.3))
        assert rig.last is not None
        assert rig.last.tau_measured is not None
        return [*rig.world.q.tolist(), *rig.last.tau_measured.tolist()]

    assert run(1) == run(1)
    assert run(1) != run(2)
