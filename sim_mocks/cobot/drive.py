"""One torque drive: CiA 402 objects of a :class:`~sim_mocks.cobot.node.Node`, motor torque and brake.

What is ours, where CiA 402 leaves it open:

* Ramps in a torque mode are run by a PI speed controller of the drive, which begins with the torque that acts; with
  ``ramps=False`` the drive has none and coasts instead until its brake has engaged.
* At the end of a ramp the brake closes while the motor still holds; then the power goes. Without a brake it goes at
  once.
* The brake opens 0x2102 ms after operation is enabled and closes 0x2101 ms after the power went; a target torque acts
  on the closed brake in between, so that it can take over the load.
* Reaction to an RPDO deadline, lost heartbeat, SYNC loss or bus-off by 0x6007 as for any loss of communication, while
  the motor has current; without current there is the emergency message alone.
* OPERATIONAL left: by 0x6007 too; with option 0 the torque goes to zero and the state stays.
* A target acts as it is read: after a new enable it is whatever the last RPDO said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim_mocks.cobot.dictionary import RANGE, Dictionary, SdoAbort
from sim_mocks.cobot.node import Nmt, Node
from sim_mocks.cobot.power import Pds, PowerMachine, Stop

PROFILE_TORQUE, CYCLIC_TORQUE = 4, 10
_STANDSTILL = 2.0
"""rad/s at the motor (a degree a second behind a gear of 101) at which a ramp is over."""
_RAMP_TIMEOUT_NS = 3_000_000_000
_HALT, _FOLLOWS, _LIMITED, _TARGET_REACHED, _REMOTE = 0x0100, 0x1000, 0x0800, 0x0400, 0x0200
_VOLTAGE, _NO_QUICK_STOP, _BRAKE_OPEN = 0x0010, 0x0020, 0x4000


@dataclass(frozen=True, slots=True)
class Motor:
    """Figures of one motor and its speed loop, motor side."""

    rated_torque: float
    """N·m."""
    counts_per_rev: int
    gear: float
    speed_gain: float
    """Of the ramp's speed controller, N·m·s/rad."""
    speed_integral: float
    """N·m/rad."""
    polarity: int = 1
    """−1 where a positive torque on the wire turns the motor backwards."""


class TorqueDrive:
    """A drive behind its node. Motor quantities, SI; per tick :meth:`sense`, then the node's traffic, then
    :meth:`control`."""

    def __init__(self, node: Node, motor: Motor, brake: bool = True, ramps: bool = True) -> None:
        self.node, self.motor, self.has_brake, self.ramps = node, motor, brake, ramps
        self._values = node.dictionary.values
        self.power = PowerMachine()
        self.causes: set[int] = set()
        """Faults whose cause is still there: they cannot be reset."""
        self.brake_closed = brake
        self.torque = 0.0
        """Torque that the drive believes to produce, N·m at the motor."""
        self._brake_at = -1
        """When the brake's coil changes what the brake does."""
        self._demand = self._integral = self._speed_ref = 0.0
        self._limited = False
        self._ramp_from = -1
        self._speed = 0.0
        self._slope_target = 0.0
        node.application = self
        node.dictionary.hooks[0x6060] = _check_mode
        self.reset()

    # -- the node's application ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """See :class:`sim_mocks.cobot.node.Application`. The brake closes by its spring when the power is gone."""
        self.power = PowerMachine()
        self._demand = self._integral = self.torque = 0.0

    def applied(self, key: int, value: int) -> None:
        """See :class:`sim_mocks.cobot.node.Application`."""
        if key == 0x604000:
            number = self.node.dictionary.number
            options = {"quick": number(0x605A), "shutdown": number(0x605B), "disable": number(0x605C)}
            if self.power.control(value, options) and not self.causes:
                self.power.acknowledge()
                self.node.emergencies.acknowledge()
            self._publish_state()

    def lost_communication(self, code: int, gone: bool = True) -> None:
        """See :class:`sim_mocks.cobot.node.Application`."""
        if not self.power.powered:
            return
        option = self.node.dictionary.number(0x6007)
        if option == 1:
            self.fault(code or 0x8100)
        elif option == 2:
            self.power.disable()
        elif option == 3:
            self.power.quick_stop(self.node.dictionary.number(0x605A))
        self._publish_state()

    def fault(self, code: int, lasting: bool = False) -> None:
        """Fault ``code`` (u16); ``lasting``: its cause stays until :meth:`mend`."""
        if lasting:
            self.causes.add(code)
        self.node.emergencies.latch(code)
        self.power.fault(code, self.node.dictionary.number(0x605E))
        self._publish_state()

    def mend(self, code: int) -> None:
        """The cause of a lasting fault is gone; the fault still waits for its reset."""
        self.causes.discard(code)

    # -- the tick ----------------------------------------------------------------------------------------------------

    def sense(self, counts: int, speed: float, measured: float) -> None:
        """This tick's sensors: encoder ``counts`` (increments of 0x6064), motor ``speed`` (rad/s) and ``measured``
        torque (N·m)."""
        values, motor = self._values, self.motor
        self._speed = speed
        values[0x606400] = (counts + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        values[0x606C00] = round(speed / math.tau * motor.counts_per_rev)
        permille = _int16(1000.0 * motor.polarity * measured / motor.rated_torque)
        values[0x607700] = permille
        values[0x607800] = permille
        self.power.tick()
        values[0x606100] = values[0x606000]
        self._publish_state()

    def control(self, t_ns: int, dt: float) -> tuple[float, bool]:
        """Motor torque (N·m, as the drive believes) for the coming ``dt`` s, and whether the brake is closed in it."""
        power = self.power
        if not self.node.powered:
            self.power = power = PowerMachine()
        if not self.ramps:
            power.coast()
        if power.stopping is not None:
            tau = self._ramp(t_ns, dt)
        elif power.powered:
            self._ramp_from = -1
            tau = self._target(dt)
            self._integral = tau
            self._move_brake(False, t_ns, "release")
        else:
            self._ramp_from = -1
            tau = self._integral = self._demand = 0.0
            self._limited = False
            self._move_brake(True, t_ns, "engage")
        self.torque = tau
        self._values[0x607400] = _int16(1000.0 * self.motor.polarity * tau / self.motor.rated_torque)
        return tau, self.brake_closed

    # -- torque ------------------------------------------------------------------------------------------------------

    def _target(self, dt: float) -> float:
        """Torque by mode of operation, N·m."""
        values = self._values
        mode = values[0x606100]
        if mode not in (PROFILE_TORQUE, CYCLIC_TORQUE) or self.node.nmt is not Nmt.OPERATIONAL:
            self._demand, self._limited = 0.0, False
            return 0.0
        wanted = float(values[0x607100])
        halted = bool(values[0x604000] & _HALT)
        if halted:
            wanted = 0.0
        elif mode == CYCLIC_TORQUE:
            wanted += values[0x60B200]
        most = min(values[0x607200], values[0x60E000])
        least = -min(values[0x607200], values[0x60E100])
        bounded = min(max(wanted, least), most)
        self._limited = bounded != wanted
        self._slope_target = bounded
        if mode == PROFILE_TORQUE or halted:
            step = values[0x608700] * dt
            bounded = self._demand + min(max(bounded - self._demand, -step), step)
        self._demand = bounded
        return bounded * 1e-3 * self.motor.polarity * self.motor.rated_torque

    def _ramp(self, t_ns: int, dt: float) -> float:
        """The drive's own way to standstill; torque in N·m."""
        power, motor, number = self.power, self.motor, self.node.dictionary.number
        if self._ramp_from < 0:
            self._ramp_from, self._speed_ref = t_ns, self._speed
        rate = number(0x6084) if power.stopping is Stop.SLOW else number(0x6085)
        step = math.inf if power.stopping is Stop.HARD else rate * math.tau / motor.counts_per_rev * dt
        self._speed_ref -= math.copysign(min(abs(self._speed_ref), step), self._speed_ref)
        error = self._speed_ref - self._speed
        self._integral += motor.speed_integral * error * dt
        most = min(number(0x6072), number(0x60E0), number(0x60E1)) * 1e-3 * motor.rated_torque
        self._integral = min(max(self._integral, -most), most)
        tau = min(max(self._integral + motor.speed_gain * error, -most), most)
        over = self._speed_ref == 0.0 and abs(self._speed) < _STANDSTILL
        if not (over or t_ns - self._ramp_from > _RAMP_TIMEOUT_NS):
            return tau
        if power.stays or not self.has_brake:
            power.stopped()
        else:
            self._move_brake(True, t_ns, "engage")
            if self.brake_closed:
                power.stopped()
        return tau if power.powered else 0.0

    def _move_brake(self, closed: bool, t_ns: int, verb: str) -> None:
        """Tell the brake; it follows after its delay."""
        if not self.has_brake or closed == self.brake_closed:
            self._brake_at = -1
            return
        if self._brake_at < 0:
            delay = self.node.dictionary.number(0x2101 if verb == "engage" else 0x2102)
            self._brake_at = t_ns + delay * 1_000_000
        if t_ns >= self._brake_at:
            self.brake_closed, self._brake_at = closed, -1

    # -- what it tells -----------------------------------------------------------------------------------------------

    def _publish_state(self) -> None:
        values, power = self._values, self.power
        word = int(power.state)
        if power.state is Pds.SWITCH_ON_DISABLED or power.state is Pds.FAULT:
            word |= _NO_QUICK_STOP
        if self.node.powered:
            word |= _VOLTAGE
        if self.node.nmt is Nmt.OPERATIONAL:
            word |= _REMOTE
        if self._limited and power.state is Pds.ENABLED:
            word |= _LIMITED
        if not self.brake_closed and self.has_brake:
            word |= _BRAKE_OPEN
        if power.state is Pds.ENABLED:
            mode = values[0x606100]
            if mode == CYCLIC_TORQUE:
                word |= _FOLLOWS
            elif mode == PROFILE_TORQUE and self._demand == self._slope_target:
                word |= _TARGET_REACHED
        elif power.holding:
            word |= _TARGET_REACHED
        values[0x604100] = word
        values[0x603F00] = power.fault_code


def _int16(value: float) -> int:
    return min(max(round(value), -0x8000), 0x7FFF)


def _check_mode(sub: int, value: int) -> None:
    if value not in (0, PROFILE_TORQUE, CYCLIC_TORQUE):
        raise SdoAbort(RANGE)


def drive_dictionary(node: int, motor: Motor, engage_delay: float, release_delay: float) -> Dictionary:
    """The dictionary of one joint's drive; delays in s."""
    rated = round(motor.rated_torque * 1e3)
    return Dictionary(
        node,
        {
            0x607600: rated,
            0x607500: round(3.3 * rated),
            0x608F01: motor.counts_per_rev,
            0x609101: round(motor.gear),
            0x101804: node,
            0x210100: round(engage_delay * 1e3),
            0x210200: round(release_delay * 1e3),
        },
    )
