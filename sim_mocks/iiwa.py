"""The mock KUKA LBR iiwa controller with its FRI channel: bytes in, bytes out, no I/O, time handed in.

What is ours
------------
The real controller's inner workings are not published. Everything in this list is our choice, made careful where
a choice had to be made, and none of it may be relied on with a real robot:

* Quality: a window of 100 expected answers; EXCELLENT from 99 %, GOOD from 95 %, FAIR from 80 %, entered one answer
  above where it is left; an answer is on time within one receive period. A new session starts with an empty window,
  hence POOR, so that GOOD takes 96 answers.
* An answer acts if it is on time, reflects the newest counter so far, and was made for a packet of the state that
  the controller is in. Late, stale and doubled answers are counted and never act. Bursts are accepted.
* COMMANDING_WAIT lasts until the brakes are open, the arm is held by the controller's own stiff position control,
  and 20 answers in a row mirrored the interpolator's position to within 0.1 mrad; after 5 s it is given up. Values
  of torque are ignored in it, but their absence or a value that is not finite aborts.
* Lost commands: the last overlay is held for ``bridging`` (or 3 receive periods, the larger) after the last accepted
  command, then the motion is aborted. A command that comes while the quality is below GOOD aborts it too, as do 10
  missing answers in a row in COMMANDING_WAIT.
* Abort, cancel and safety stop all stop alike: the overlay fades to zero within the torque-rate limit, the
  controller brakes with its own joint damping under gravity compensation, and after the brakes' engage delay they
  close and the motor torque goes. The error text is kept; the session lives on in monitoring.
* Brakes are closed whenever no motion is active. At the start of a motion the motors take over the load first.
* Checks: axis delta 10°, position inside the range of the URDF, commanded speed at most the data sheet's (plus
  2 mrad of slack a step), overlay and predicted total within the data-sheet torque, rate of overlay and spring
  set-point at most 1500 N·m/s; measured speed above 110 % of the data sheet. Anything outside aborts the motion and
  is not applied. The motor torque itself is bounded in magnitude and rate after everything else.
* A datagram with other than 7 values aborts a commanding motion; one that is no command at all is counted only.
* Impedance: ``K (q_ref − q) − D qd`` with D in N·m·s/rad (a real one takes a damping ratio). Friction and Coriolis
  torque are not compensated. With a send period above the controller's tick, overlay steps are applied at the rate
  limit.
* externalTorque is gravity model minus measured torque, low-passed with 20 ms: it sees inertial torque in motion.
* ipoData is absent in monitoring; controlMode is NO_CONTROL there, JOINT_IMPEDANCE otherwise. driveState is OFF
  with brakes closed, TRANSITIONING while they open or close. commandedTorque is the whole motor torque.
* POSITION mode with all stiffness zero is the robot's stiff position control, which takes one receive period for the
  way to each commanded position; with stiffness it is joint impedance. WRENCH mode stands on joint impedance too, and
  the wrench acts at the flange in base axes as J(q)ᵀ w, with the limits of a torque overlay. Its moments are refused
  while ``moment_order`` is not set.
* CARTESIAN_POSE (FRI 2) means the flange in base axes with joint A3 as redundancy; the joints go to the solution next
  to the reference before, under the checks of a position command. Poses, the external force (damped least squares of
  the external torques; FRI 2.7) and redundancy are those of the controller's own model.
* Outputs are written by on-time answers in any state; a write to an input, an unknown name or of another type is
  counted (``rejected["io"]``) and does nothing else.
* trackingPerformance is a 10-packet average of "a command came and was followed without a bound".
* A change of the operating mode aborts a motion. A session can be opened again 5 s after it was closed; its counters
  start from 0. The controller's clock starts at 1 700 000 000 s Unix time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from drivers.contract import Array, OperationMode
from drivers.errors import ProtocolError
from drivers.fri.codec import CommandMsg, Monitoring, codec_for
from drivers.fri.wire import ClientCommandMode, ControlMode, DriveState, Redundancy, SessionState, WireSafety
from sim_mocks.config import IiwaConfig
from sim_mocks.errors import MockError
from sim_mocks.fri_quality import GOOD, Answer, LinkQuality
from sim_mocks.iiwa_cartesian import Kinematics, wire_pose
from sim_mocks.iiwa_checks import CommandChecks
from sim_mocks.iiwa_dynamics import ControllerPhysics, GravityModel, SensorModel
from sim_mocks.iiwa_ios import IoBank
from sim_mocks.iiwa_motion import JointController, Phase
from sim_mocks.iiwa_overlay import Overlay

N = 7
EPOCH_NS = 1_700_000_000 * 1_000_000_000
_EXTERNAL_TIME_CONSTANT = 0.02
_SENT = 4096
"""Packets whose time of sending is remembered."""
_DRIVES = {
    Phase.BRAKED: DriveState.OFF,
    Phase.RELEASING: DriveState.TRANSITIONING,
    Phase.HOLDING: DriveState.ACTIVE,
    Phase.OVERLAY: DriveState.ACTIVE,
    Phase.STOPPING: DriveState.TRANSITIONING,
}

Corrupt = Callable[[str, Array], Array]


class RobotRefusal(MockError):
    """The robot's side refuses what its operator asked for (wrong state, wrong numbers); nothing has changed."""


class FriController:
    """One robot controller. Per tick: :meth:`receive` what has come, :meth:`control`, step the world, :meth:`emit`.

    Times are virtual, ns; joint vectors have shape (7,), SI. Emission of tick k and reception of tick k+1 carry the
    same time, so that an answer within the tick is of age zero.
    """

    def __init__(
        self,
        config: IiwaConfig,
        physics: ControllerPhysics,
        model: GravityModel,
        limits: tuple[Array, Array, Array, Array],
        dt: float,
        rng: np.random.Generator,
        kinematics: Kinematics | None = None,
    ) -> None:
        """``limits`` are q_min, q_max, qd_max and tau_max of the data sheet; ``dt`` is the controller's tick.
        ``kinematics``: of the flange; without it there are no poses and no wrenches."""
        q_min, q_max, qd_max, tau_max = limits
        overlay_max = tau_max if config.overlay_max is None else np.array(config.overlay_max)
        self._config = config
        self._codec = codec_for(config.wire_version)
        self._checks = CommandChecks(q_min, q_max, qd_max, tau_max, overlay_max, config.tau_rate_max, config.axis_delta)
        self._kinematics = kinematics
        self._overlay = Overlay(ClientCommandMode.TORQUE, False, kinematics, config.moment_order)
        self._pose_hold: Array | None = None
        self.ios = IoBank(config.ios)
        self._sensors = SensorModel(physics, rng)
        self._period_ns = config.send_period_ms * 1_000_000
        self._receive_ns = self._period_ns * config.receive_multiplier
        bridging = physics.bridging if config.bridging is None else config.bridging
        self._bridging_ns = max(round(bridging * 1e9), 3 * self._receive_ns)
        self.joints = JointController(
            model, tau_max, config.tau_rate_max, dt, config.release_delay, physics.engage_delay
        )
        self.ticks_per_packet = max(1, round(self._period_ns * 1e-9 / dt))
        """The controller's ticks in a send period; a packet leaves at the end of the last of them."""
        self._receive_ticks = self.ticks_per_packet * config.receive_multiplier
        self._external_gain = 1.0 / (1.0 + _EXTERNAL_TIME_CONSTANT / (self._period_ns * 1e-9))
        self._external: Array | None = None
        self.quality = self._new_quality()
        self.session_open = False
        self.state = SessionState.IDLE
        self.errors: deque[tuple[int, str]] = deque(maxlen=100)
        """Time (ns) and text of what the robot complained about."""
        self.rejected: dict[str, int] = {}
        """Datagrams that are no command, by the codec's reason."""
        self.safety = WireSafety.NORMAL_OPERATION
        self.mode = OperationMode(config.mode)
        self.clock_offset_ns = 0
        """By how much the time stamps are off (faults)."""
        self._closed_ns: int | None = None
        self._reopen_ns: int | None = None
        self._say_idle = False
        self._seq = -1
        self._client_seq = 0
        self._tick = 0
        self._command: CommandMsg | None = None
        self._malformed: str | None = None
        self._q: Array | None = None
        self._stiffness = self._damping = np.zeros(N)
        self._sync = 0
        self._wait_ns = 0
        self._wait_seq = 0
        self._active_seq = 0
        self._accepted_ns = 0
        self._commanded = False
        self._tracking = 0.0
        self._sent_ns = [0] * _SENT
        self.command_age = -1.0
        """Age of the packet that was answered by a command which acts from this tick on, s; -1: none does. Kept apart
        from the judgement of :class:`LinkQuality`, so that it can be held against it."""

    # --- the robot application's side (on a real robot: Java on the cabinet) ------------------------------------

    def open_session(self, t_ns: int) -> None:
        """Begin to stream. Raises :class:`RobotRefusal` when open already or closed less than 5 s ago."""
        if self.session_open:
            raise RobotRefusal("the FRI session is open already; close it first")
        if self._closed_ns is not None and t_ns - self._closed_ns < self._config.reopen_delay * 1e9:
            waited = (t_ns - self._closed_ns) * 1e-9
            raise RobotRefusal(f"the FRI session was closed {waited:.3f} s ago; wait {self._config.reopen_delay} s")
        self.quality = self._new_quality()
        self._seq, self._client_seq, self._command, self._external = -1, 0, None, None
        self.session_open, self.state, self._say_idle = True, SessionState.MONITORING_WAIT, False
        self._reopen_ns = None

    def close_session(self, t_ns: int, *, reopens: bool = False) -> None:
        """Stop a motion, send one IDLE message, then be silent. Legal in every state.

        ``reopens``: the application opens the next session by itself as soon as it may.
        """
        if not self.session_open:
            return
        self.joints.stop(t_ns)
        self.session_open, self.state, self._say_idle = False, SessionState.IDLE, True
        self._closed_ns = t_ns
        self._reopen_ns = t_ns + round(self._config.reopen_delay * 1e9) if reopens else None

    def start_overlay(
        self,
        t_ns: int,
        mode: str = "TORQUE",
        stiffness: Sequence[float] = (0.0,) * N,
        damping: Sequence[float] = (0.0,) * N,
    ) -> None:
        """Start a position-hold motion with an FRI overlay of a client command ``mode``: TORQUE, POSITION, WRENCH, and
        CARTESIAN_POSE on FRI 2.

        ``stiffness`` in N·m/rad and ``damping`` in N·m·s/rad act once COMMANDING_ACTIVE is reached. Raises
        :class:`RobotRefusal`, saying why: wrong state, brakes still moving, a safety stop, impossible numbers.
        """
        k, d = np.array(stiffness, dtype=np.float64), np.array(damping, dtype=np.float64)
        wire_mode = self._command_mode(mode)
        if k.shape != (N,) or d.shape != (N,) or not (np.isfinite(k).all() and np.isfinite(d).all()):
            raise RobotRefusal("stiffness and damping must be 7 finite numbers each")
        if (k < 0.0).any() or (d < 0.0).any() or (k > 5000.0).any():
            raise RobotRefusal("stiffness must lie in 0 … 5000 N·m/rad and damping be at least 0")
        if self.safety != WireSafety.NORMAL_OPERATION:
            raise RobotRefusal(f"a safety stop is active ({self.safety.name}); clear it first")
        if self.state != SessionState.MONITORING_READY:
            raise RobotRefusal(f"FRI is {self.state.name}, an overlay needs MONITORING_READY (quality GOOD or better)")
        if self.joints.phase is not Phase.BRAKED or self._q is None:
            raise RobotRefusal("the last motion is still being braked; wait until the brakes have closed")
        self._stiffness, self._damping = k, d
        stiff = wire_mode == ClientCommandMode.POSITION and not k.any()
        self._overlay = Overlay(wire_mode, stiff, self._kinematics, self._config.moment_order)
        self.joints.start(t_ns, self._q)
        if wire_mode == ClientCommandMode.CARTESIAN_POSE and self._kinematics is not None:
            self._pose_hold = wire_pose(self._kinematics, self.joints.q_hold)
        self.state, self._wait_ns, self._sync = SessionState.COMMANDING_WAIT, t_ns, 0
        self._wait_seq = self._seq + 1

    def cancel_overlay(self, t_ns: int) -> None:
        """End the motion in order; no effect when there is none."""
        if self.state >= SessionState.COMMANDING_WAIT:
            self._leave(t_ns)

    def safety_stop(self, t_ns: int, level: int) -> None:
        """Set the safety state as on the wire (0 clears, 1…3 stop); stops abort a motion."""
        if level not in range(4):
            raise RobotRefusal(f"safety state {level} does not exist; 0 … 3 do")
        self.safety = WireSafety(level)
        if level:
            self._abort(t_ns, f"safety stop: {self.safety.name}")

    def set_mode(self, t_ns: int, mode: int) -> None:
        """Turn the mode switch (0 T1, 1 T2, 2 AUT); aborts a motion."""
        if mode not in range(3):
            raise RobotRefusal(f"operating mode {mode} does not exist; 0 (T1), 1 (T2) and 2 (AUT) do")
        if mode != self.mode:
            self.mode = OperationMode(mode)
            self._abort(t_ns, f"operating mode changed to {self.mode.name}")

    # --- the tick -----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, t_ns: int) -> None:
        """Take one datagram of the client."""
        if not self.session_open:
            return
        try:
            command = self._codec.decode_command(data)
        except ProtocolError as error:
            self.rejected[error.reason] = self.rejected.get(error.reason, 0) + 1
            if error.reason == "joint_count":
                self._malformed = str(error)
            return
        if self.quality.answer(command.reflected_seq, t_ns) is Answer.ON_TIME:
            self._command = command
            self._client_seq = command.seq
            for io in command.ios:
                if not self.ios.write(io):
                    self.rejected["io"] = self.rejected.get("io", 0) + 1

    def control(self, t_ns: int, q: Array, qd: Array) -> tuple[Array, bool]:
        """Motor torque (7,) for the coming tick and whether the brakes are closed in it; ``q``, ``qd`` are true."""
        self._q = q
        self.command_age = -1.0
        self.quality.expire(t_ns)
        if self._reopen_ns is not None and t_ns >= self._reopen_ns:
            self.open_session(t_ns)
        command, self._command = self._command, None
        if self.state >= SessionState.COMMANDING_WAIT:
            self._commanding(t_ns, command, q, qd)
        elif self.session_open:
            self._rest()
        self._malformed = None
        return self.joints.step(t_ns, q, qd)

    def emit(self, t_ns: int, q: Array, tau_link: Array, corrupt: Corrupt | None = None) -> bytes | None:
        """The datagram that is due at the end of this tick, if one is.

        ``q`` and ``tau_link`` are the truth after the tick; ``corrupt(name, array)`` may change what is measured.
        """
        self._sensors.push(q, tau_link)
        self._tick += 1
        due = self._tick % self.ticks_per_packet == 0
        if not due:
            return None
        if not self.session_open:
            if not self._say_idle:
                return None
            self._say_idle = False
        self._seq += 1
        q_measured, tau_measured = self._sensors.read()
        external = self.joints.g - tau_measured
        if self._external is not None:
            external = self._external + self._external_gain * (external - self._external)
        self._external = external
        message = self._message(t_ns, q_measured, tau_measured, external, corrupt)
        if self.session_open:
            self.quality.sent(self._seq, t_ns)
            self._sent_ns[self._seq % _SENT] = t_ns
        return self._codec.encode_monitoring(message)

    # --- inside -------------------------------------------------------------------------------------------------

    def _commanding(self, t_ns: int, command: CommandMsg | None, q: Array, qd: Array) -> None:
        # While commands are missing the last overlay is held, whatever the quality; the bridging time bounds that.
        bridged = (
            command is None
            and self.state == SessionState.COMMANDING_ACTIVE
            and t_ns - self._accepted_ns < self._bridging_ns
            and self._malformed is None
        )
        problem = (None if bridged else self._link_problem(t_ns)) or self._checks.motion(q, qd)
        if command is not None and command.reflected_seq < self._wait_seq:
            command = None  # answers a monitoring packet from before the motion: its content means nothing
        if problem is None and command is not None:
            problem = self._overlay.form(command)
        if problem is not None:
            self._abort(t_ns, problem)
        elif self.state == SessionState.COMMANDING_WAIT:
            self._synchronise(t_ns, command)
        else:
            self._follow(t_ns, command, q)

    def _link_problem(self, t_ns: int) -> str | None:
        if self._malformed is not None:
            return f"invalid command: {self._malformed}"
        if self.state == SessionState.COMMANDING_ACTIVE and t_ns - self._accepted_ns >= self._bridging_ns:
            return f"no command for {(t_ns - self._accepted_ns) * 1e-6:.1f} ms"
        if self.quality.level < GOOD:
            return f"connection quality fell below GOOD ({self.quality.share():.0%} on time)"
        if self.quality.misses >= self._config.max_misses:
            return f"{self.quality.misses} answers in a row are missing"
        return None

    def _synchronise(self, t_ns: int, command: CommandMsg | None) -> None:
        if command is not None:
            tolerance = self._config.mirror_tolerance
            mirrored = self._overlay.mirrors(command, self.joints.q_hold, self._pose_hold, tolerance)
            self._sync = self._sync + 1 if mirrored else 0
        if self._sync >= self._config.sync_cycles and self.joints.phase is Phase.HOLDING:
            self.state = SessionState.COMMANDING_ACTIVE
            self.joints.follow(self._stiffness, self._damping, self._overlay.stiff)
            self._active_seq, self._accepted_ns, self._tracking = self._seq + 1, t_ns, 1.0
        elif t_ns - self._wait_ns > self._config.sync_timeout * 1e9:
            self._abort(t_ns, f"not synchronised after {self._config.sync_timeout} s: the client must mirror ipoData")

    def _follow(self, t_ns: int, command: CommandMsg | None, q: Array) -> None:
        if command is not None:
            if command.reflected_seq < self._active_seq:  # made for COMMANDING_WAIT: its values mean nothing
                self._accepted_ns = t_ns
                return
            joints = self.joints
            elapsed = max(t_ns - self._accepted_ns, self._receive_ns) * 1e-9
            meaning = self._overlay.meaning(command, q, joints.q_ref)
            if isinstance(meaning, str):
                self._abort(t_ns, meaning)
                return
            q_ref, tau = meaning
            problem = self._checks.command(
                q_ref, tau, q, joints.g, joints.stiffness, joints.q_ref, joints.overlay_commanded, elapsed
            )
            if problem is not None:
                self._abort(t_ns, problem)
                return
            joints.command(tau, q_ref, self._receive_ticks)
            known = self._seq - command.reflected_seq < _SENT
            self.command_age = (t_ns - self._sent_ns[command.reflected_seq % _SENT]) * 1e-9 if known else math.inf
            self._accepted_ns, self._commanded = t_ns, True

    def _abort(self, t_ns: int, text: str) -> None:
        if self.state >= SessionState.COMMANDING_WAIT:
            self.errors.append((t_ns, text))
            self._leave(t_ns)

    def _leave(self, t_ns: int) -> None:
        self.joints.stop(t_ns)
        self._rest()

    def _rest(self) -> None:
        good = self.quality.level >= GOOD
        self.state = SessionState.MONITORING_READY if good else SessionState.MONITORING_WAIT

    def _command_mode(self, name: str) -> ClientCommandMode:
        known = [m.name for m in ClientCommandMode if m != ClientCommandMode.NONE]
        if not self._codec.has_pose:
            known.remove("CARTESIAN_POSE")
        if name not in known:
            raise RobotRefusal(f"client command mode {name!r}: FRI {self._config.wire_version} has {', '.join(known)}")
        if name in ("WRENCH", "CARTESIAN_POSE") and self._kinematics is None:
            raise RobotRefusal(f"client command mode {name!r} needs a kinematic model, this controller has none")
        return ClientCommandMode[name]

    def _new_quality(self) -> LinkQuality:
        return LinkQuality(self._config.window, self._period_ns, self._config.receive_multiplier)

    def _message(self, t_ns: int, q: Array, tau: Array, external: Array, corrupt: Corrupt | None) -> Monitoring:
        joints, state = self.joints, self.state
        commanding = state >= SessionState.COMMANDING_WAIT
        followed = 1.0 if self._commanded and not joints.saturated else 0.0
        self._tracking += 0.1 * (followed - self._tracking)
        self._commanded = False
        q_set = joints.q_hold if commanding else None
        if corrupt is not None:
            q, tau, external = corrupt("q", q), corrupt("tau", tau), corrupt("tau_ext", external)
            q_set = None if q_set is None else corrupt("q_set", q_set)
        q_commanded = joints.q_ref if joints.phase is Phase.OVERLAY else joints.q_hold if commanding else q
        by_pose = commanding and self._overlay.mode == ClientCommandMode.CARTESIAN_POSE
        message = Monitoring(
            seq=self._seq,
            reflected_seq=self._client_seq,
            session_state=state,
            quality=self.quality.level,
            send_period_ms=self._config.send_period_ms,
            receive_multiplier=self._config.receive_multiplier,
            n_joints=N,
            safety_state=self.safety,
            operation_mode=self.mode,
            control_mode=self._overlay.control if commanding else ControlMode.NO_CONTROL,
            drive_state=[int(_DRIVES[joints.phase])] * N,
            q=q,
            tau_measured=-tau,
            q_commanded=q_commanded,
            tau_commanded=-joints.tau,
            tau_external=external,
            q_ipo=None if by_pose else q_set,
            client_command_mode=self._overlay.mode if commanding else -1,
            overlay_type=self._overlay.type if commanding else -1,
            tracking=self._tracking if state == SessionState.COMMANDING_ACTIVE else 0.0 if commanding else float("nan"),
            t_device_ns=EPOCH_NS + t_ns + self.clock_offset_ns,
            ios=self.ios.report(),
        )
        if self._kinematics is not None and self._codec.has_pose:
            self._add_cartesian(message, self._kinematics, by_pose)
        return message

    def _add_cartesian(self, message: Monitoring, kinematics: Kinematics, by_pose: bool) -> None:
        q, external = message.q, message.tau_external
        if q is None or external is None or not np.isfinite(q).all():
            return
        message.pose, message.redundancy = wire_pose(kinematics, q), (Redundancy.E1, float(q[2]))
        if by_pose:
            message.pose_ipo, message.redundancy_ipo = self._pose_hold, (Redundancy.E1, float(self.joints.q_hold[2]))
        if self._codec.family == "2.7":
            jacobian = kinematics.jacobian(q)
            damped = jacobian @ jacobian.T + 1e-4 * np.eye(6)
            message.external_force = np.asarray(np.linalg.solve(damped, jacobian @ external), dtype=np.float64)
