"""A whole mock cell in one process: world, devices, wires and faults, moved on by :meth:`MockCell.tick`.

This module needs PyBullet (through the world). Clients of a cell in another process use
:mod:`sim_mocks.control_plane` instead, which needs neither.
"""

from __future__ import annotations

import functools
import os
import select
import subprocess
import zlib
from collections.abc import Callable

import numpy as np

from drivers.contract import Array
from sim_mocks import processes
from sim_mocks.arm_device import ArmDevice
from sim_mocks.bullet_world import open_world
from sim_mocks.config import MockConfig
from sim_mocks.device_faults import act_ft
from sim_mocks.errors import MockError
from sim_mocks.faults import FaultPlan
from sim_mocks.ft import BotaDevice
from sim_mocks.gripper import MockGripper
from sim_mocks.iiwa import FriController
from sim_mocks.iiwa_device import IiwaDevice
from sim_mocks.iiwa_dynamics import GravityModel
from sim_mocks.profiles import load_profile
from sim_mocks.transports import PtyPort, UdpPort
from sim_mocks.truth import TruthLog
from sim_mocks.world import ArmWorld

_STANDING = 1e-3
"""rad/s below which an arm stands."""
_RUN_OUT_MAX = 60.0


class MockCell:
    """An arm with its wire (an iiwa with FRI on UDP, or a cobot with CiA 402 drives on CAN) and, where configured, an
    F/T sensor on a pseudo-terminal.

    Order within a tick: faults of processes and devices, reception, controller, world, F/T bytes onto their line,
    the arm's packet or frames, truth log.
    Tick k begins at virtual time ``k dt``; what leaves at its end carries ``(k + 1) dt``.

    By the wall clock it leaves before the world moves, so that the client has the whole period for its answer, as
    from a real controller, and not what the simulation leaves of it: what the client sees is one tick older.
    """

    def __init__(self, config: MockConfig, world: ArmWorld | None = None, model: GravityModel | None = None) -> None:
        """``world`` and ``model`` replace what ``config.world`` describes (tests). Raises MockError, OSError."""
        self.config = config
        self.dt_ns = round(config.world.dt * 1e9)
        self.faults = FaultPlan(config.faults, config.seed)
        self.world = open_world(config.world) if world is None else world
        self.ft: BotaDevice | None = None
        self.pty: PtyPort | None = None
        try:
            self.arm = _open_arm(config, self.faults, self.world, model)
            if config.ft is not None:
                sensor = load_profile("ft_sensor", config.ft.profile, config.seed)
                self.ft = BotaDevice(sensor, _rng(config.seed, "ft"), hook=self._ft_values)
                self.pty = PtyPort(config.control_dir)
        except BaseException:
            self.world.close()
            raise
        self.log = TruthLog(config.world.dt, config.truth == "full", self.world.n)
        self.ticks = 0
        """Ticks completed, which is also the number of the next one."""
        self.skipped = 0
        """Periods that the host of a cell in wall-clock time came too late for; the world stood still meanwhile."""
        self.late_max_ns = 0
        """Its largest delay, ns."""
        self.problems: list[str] = []
        """What the host itself could not do (a kill of a process that nobody registered)."""
        self._processes: dict[str, int] = {"mock": os.getpid()}
        self._braked = True

    @property
    def t_ns(self) -> int:
        """Virtual time: end of the last tick, ns."""
        return self.ticks * self.dt_ns

    @property
    def iiwa(self) -> IiwaDevice:
        """The iiwa. Raises MockError in a cell with another arm."""
        if not isinstance(self.arm, IiwaDevice):
            raise MockError(f"this cell's arm is a {self.arm.name}; it has neither FRI nor a robot application")
        return self.arm

    @property
    def controller(self) -> FriController:
        """The FRI controller. Raises MockError in a cell with another arm."""
        return self.iiwa.controller

    @property
    def udp(self) -> UdpPort:
        """The FRI controller's wire. Raises MockError in a cell with another arm."""
        return self.iiwa.udp

    @property
    def gripper(self) -> MockGripper | None:
        """The gripper on the FRI controller's IOs, if there is one. Raises MockError in a cell with another arm."""
        return self.iiwa.gripper

    def fri_peer(self, host: str, port: int) -> None:
        """See :meth:`sim_mocks.iiwa_device.IiwaDevice.fri_peer`. Raises MockError in a cell with another arm."""
        self.iiwa.fri_peer(host, port)

    @property
    def fri_address(self) -> tuple[str, int]:
        """Where the controller's datagrams come from."""
        return self.udp.address

    @property
    def ft_path(self) -> str | None:
        """Path of the F/T sensor's serial port; ``None`` without one."""
        return None if self.pty is None else self.pty.path

    def unplug_ft(self) -> None:
        """Pull the sensor's cable: its serial port disappears. Raises ValueError for a cell without a sensor."""
        self._pty().unplug()

    def plug_ft(self) -> None:
        """Put the cable back: the port appears under the same path, and the sensor, powered by it, boots."""
        port = self._pty()
        if not port.plugged and self.ft is not None:
            port.plug()
            port.write(self.ft.power_up())

    def _pty(self) -> PtyPort:
        if self.pty is None:
            raise ValueError("this cell has no sensor on a serial line")
        return self.pty

    def register(self, name: str, pid: int) -> None:
        """Name a process for kill and suspend faults. Raises ValueError for a pid that is no other process of ours."""
        if pid <= 1 or name == "mock":
            raise ValueError(f"process {name!r} with pid {pid} cannot be registered; give a name of yours and its pid")
        self._processes[name] = pid

    def tick(self) -> None:
        """One tick of virtual time."""
        tick, t_ns = self.ticks, self.ticks * self.dt_ns
        arm, world = self.arm, self.world
        quiet = self.faults.idle(tick)
        if not quiet:
            self._misbehave(tick)
        arm.receive(tick, t_ns, quiet, world)
        tau, braked = arm.control(t_ns, world)
        if self.config.realtime:
            self._emit(tick, t_ns + self.dt_ns, quiet)
            world.step(tau, braked)
        else:
            world.step(tau, braked)
            self._emit(tick, t_ns + self.dt_ns, quiet)
        self._braked = all_braked = braked if isinstance(braked, bool) else all(braked)
        self.log.append(
            tau,
            arm.overlay,
            world.q,
            world.qd,
            world.tau_ext,
            world.wrench_contact,
            all_braked,
            arm.state,
            arm.command_age,
        )
        self.ticks += 1

    def cycle(self) -> None:
        """All ticks of one period of the arm: what the client sees as one tick of the arm."""
        for _ in range(self.arm.ticks_per_cycle):
            self.tick()

    @property
    def cycle_ns(self) -> int:
        """Length of :meth:`cycle`, ns."""
        return self.dt_ns * self.arm.ticks_per_cycle

    def standing(self) -> bool:
        """Brakes closed (an arm without any: motors off) and every joint at rest."""
        return self.arm.secured(self._braked) and float(np.abs(self.world.qd).max()) < _STANDING

    def run_out(self) -> int:
        """Let virtual time run on, alone, until the arm stands (at most 60 s); the number of ticks it took."""
        start = self.ticks
        while not self.standing() and (self.ticks - start) * self.config.world.dt < _RUN_OUT_MAX:
            self.tick()
        return self.ticks - start

    def close(self) -> None:
        """Free world and wires; legal more than once."""
        self.world.close()
        self.arm.close()
        if self.pty is not None:
            self.pty.close()
            self.pty = None

    def _emit(self, tick: int, t_ns: int, quiet: bool) -> None:
        """Send what the sensors see at ``t_ns``, the F/T bytes first."""
        self._tick_ft(tick, t_ns, quiet)
        self.arm.emit(tick, t_ns, quiet, self.world)

    def _tick_ft(self, tick: int, t_ns: int, quiet: bool) -> None:
        if self.ft is None or self.pty is None:
            return
        heard = self.pty.read()
        if not quiet:
            heard = b"".join(self.faults.incoming("ft", tick, [heard] if heard else []))
        out = self.ft.on_bytes(heard) if heard else b""
        out += self.ft.tick(t_ns, self.world.wrench_sensor, self.config.world.dt)
        if not quiet:
            out = b"".join(self.faults.outgoing("ft", tick, out or None))
        if out:
            self.pty.write(out)

    def _misbehave(self, tick: int) -> None:
        """Faults of processes, devices and clocks that belong to this tick."""
        faults, dt = self.faults, self.config.world.dt
        for name in faults.processes(tick):
            self._hit(tick, name, "killed", processes.kill)
        for name, seconds in faults.suspensions(tick):
            self._hit(tick, name, "suspended", functools.partial(processes.suspend, seconds=seconds))
        self.arm.misbehave(tick, self.t_ns, dt)
        if self.ft is None:
            return
        for fault, begins in faults.actions("ft", tick):
            act_ft(self.ft, fault, begins)
        error = faults.rate_error("ft", tick)
        # The sensor's frames follow its clock, so a rate error needs no offset of its stamps on top.
        offset = faults.clock_jump("ft", tick)
        self.ft.disturb_clock(self.t_ns, round(1e9 * error), round(1e6 * offset))

    def _hit(self, tick: int, name: str, verb: str, how: Callable[[int], None]) -> None:
        pid = self._processes.get(name)
        if pid is None:
            self.problems.append(f"tick {tick}: no process is registered as {name!r}, nothing was {verb}")
            return
        try:
            how(pid)
        except (OSError, subprocess.SubprocessError) as error:
            self.problems.append(f"tick {tick}: {name!r} (pid {pid}) could not be {verb}: {error}")

    def _ft_values(self, wrench: Array) -> Array:
        return wrench if self.faults.idle(self.ticks) else self.faults.values("ft", self.ticks, "wrench", wrench)


class CooperativeHost(MockCell):
    """A cell in the client's own process and thread: whenever a driver waits, one send period passes.

    It is the driver's :class:`drivers.contract.Ticks`; time is virtual.
    """

    def now_ns(self) -> int:
        """Virtual time, ns."""
        return self.t_ns

    def wait(self, fd: int, timeout_ns: int) -> bool:
        """One send period, whatever the time-out; True if ``fd`` is readable after it."""
        self.cycle()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))


def _open_arm(config: MockConfig, faults: FaultPlan, world: ArmWorld, model: GravityModel | None) -> ArmDevice:
    if config.cobot is not None:
        from sim_mocks.cobot.device import CobotDevice  # python-can and canopen only where there is a CAN bus

        return CobotDevice(config, config.cobot, faults, _rng(config.seed, "cobot"))
    if config.piper is not None:
        from sim_mocks.piper.device import PiperDevice

        return PiperDevice(config, config.piper, None if model is None else model.gravity)
    assert config.iiwa is not None  # the configuration has exactly one arm
    return IiwaDevice(config, config.iiwa, faults, world, _rng(config.seed, "iiwa"), model)


def _rng(seed: int, device: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(device.encode())])
