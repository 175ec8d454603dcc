"""What a mock cell is made of: plain frozen values with a JSON round trip, so that another process can build it.

SI units unless a name says otherwise.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sim_mocks.cobot.config import CobotMockConfig
from sim_mocks.errors import MockError
from sim_mocks.faults import Fault, FaultError
from sim_mocks.piper.config import PiperMockConfig
from sim_mocks.world import WorldConfig

Vector = tuple[float, ...]


class MockConfigError(MockError):
    """A mock configuration that cannot be built; the message names the key, what was read and what is allowed."""


@dataclass(frozen=True, slots=True)
class IoConfig:
    """One input or output that the robot application has registered with FRI."""

    name: str
    type: str = "boolean"
    """``boolean``, ``digital`` or ``analog``."""
    direction: str = "input"
    """``input`` or ``output``, seen from the controller."""
    value: float = 0.0
    """At start."""

    def __post_init__(self) -> None:
        if self.type not in ("boolean", "digital", "analog") or self.direction not in ("input", "output"):
            raise MockConfigError(
                f"IO {self.name!r}: read type {self.type!r} and direction {self.direction!r}, allowed are boolean, "
                "digital, analog and input, output"
            )


@dataclass(frozen=True, slots=True)
class IiwaConfig:
    """The FRI controller. Whatever fri.md marks as unknown is chosen here: see ``sim_mocks.iiwa``, "What is ours"."""

    wire_version: str = "1.15"
    send_period_ms: int = 1
    receive_multiplier: int = 1
    bind: tuple[str, int] = ("127.0.0.1", 0)
    peer: tuple[str, int] | None = None
    """Where the monitoring stream goes; ``None`` until the control plane says it."""
    open_at_start: bool = True
    """The FRI session is open from the first tick on."""
    window: int = 100
    """Answers over which link quality is judged."""
    max_misses: int = 10
    """Consecutive missing answers after which a commanding motion is aborted."""
    sync_cycles: int = 20
    """Consecutive consistent answers in COMMANDING_WAIT before COMMANDING_ACTIVE."""
    sync_timeout: float = 5.0
    mirror_tolerance: float = 1.0e-4
    reopen_delay: float = 5.0
    """From the end of a session to the earliest next one, s."""
    reopens: bool = False
    """The robot application opens the next session by itself as soon as it may after a planned ``session_close``."""
    axis_delta: float = math.radians(10.0)
    """Largest distance between commanded and measured position."""
    overlay_max: Vector | None = None
    """Largest overlay, N·m, shape (7,); ``None``: the torque limits of the URDF."""
    tau_rate_max: float = 1500.0
    """Largest rate of a joint's torque, N·m/s."""
    release_delay: float = 0.05
    """From the start of a motion to open brakes."""
    bridging: float | None = None
    """Overrides the profile's."""
    mode: int = 2
    """Operating mode at start: 0 T1, 1 T2, 2 AUT."""
    ios: tuple[IoConfig, ...] = ()
    """Registered inputs and outputs, 10 at most."""
    moment_order: str | None = None
    """Order of the moments in a wrench command, ``xyz`` or ``zyx``; None, as nobody has published it: moments abort."""


@dataclass(frozen=True, slots=True)
class GripperConfig:
    """A two-position gripper on IOs of the controller; the three names are registered in :attr:`IiwaConfig.ios`."""

    close: str
    """Boolean output; true closes."""
    opened: str
    """Boolean input: the jaws are open."""
    holding: str
    """Boolean input: an object is between the jaws."""
    travel_time: float = 0.2
    object_mass: float = 0.0
    """kg of what the jaws close on in the form ``mass``; 0: nothing is there."""
    object_com: tuple[float, float, float] = (0.0, 0.0, 0.1)
    """In the flange frame, m; in the form ``mass``."""
    grasp: str = "mass"
    """``constraint``: the loose object of the world is held where it is; ``mass``: the exact-test form, in which a mass
    hangs on the flange."""


@dataclass(frozen=True, slots=True)
class FtConfig:
    """The F/T sensor on its pseudo-terminal."""

    profile: str = "standard"


@dataclass(frozen=True, slots=True)
class MockConfig:
    """A whole mock cell: one world, its devices, its faults."""

    world: WorldConfig
    """Arm, tool, plate and their physics; its ``device`` and ``profile`` are the arm's."""
    seed: int = 0
    """Seed of noise, controller model and faults (the world has its own)."""
    iiwa: IiwaConfig | None = field(default_factory=IiwaConfig)
    """``None`` in a cell with a cobot."""
    ft: FtConfig | None = field(default_factory=FtConfig)
    faults: tuple[Fault, ...] = ()
    paced: bool = False
    """Tie virtual time to the wall clock: never faster, and after a stall later rather than in a burst."""
    realtime: bool = False
    """The wall clock moves the world on, whether or not anybody answers: there is no time token, and ticks for which
    the host comes too late are skipped."""
    truth: str = "full"
    """``"full"`` keeps each tick's truth, ``"summary"`` only the extremes (long campaigns)."""
    control_dir: str = ""
    """Directory of the control plane's sockets; empty: none."""
    gripper: GripperConfig | None = None
    """On inputs and outputs of the controller; none of its own wire."""
    cobot: CobotMockConfig | None = None
    """CiA 402 drives in place of the iiwa; the world's ``device`` is then ``cobot``."""

    piper: PiperMockConfig | None = None
    """A PiPER-type arm in place of the iiwa."""

    def __post_init__(self) -> None:
        if self.truth not in ("full", "summary"):
            raise MockConfigError(f"truth: read {self.truth!r}, allowed are 'full' and 'summary'")
        if sum(arm is not None for arm in (self.iiwa, self.cobot, self.piper)) != 1:
            raise MockConfigError("iiwa, cobot, piper: expected one of them, and null for the others")
        dt = self.world.dt
        if not 1e-5 <= dt <= 0.1:
            raise MockConfigError(f"world.dt: read {dt} s, allowed are 1e-5 … 0.1 s")
        if self.iiwa is not None:
            self._check_iiwa(self.iiwa)
        if self.cobot is not None:
            self._check_cobot(self.cobot)
        if self.piper is not None:
            self._check_period("piper.period_ms", self.piper.period_ms)
            if len(self.world.q0) != 6 or self.gripper is not None:
                raise MockConfigError("piper: expected six joint positions in world.q0, and no gripper of an iiwa")

    def _check_cobot(self, cobot: CobotMockConfig) -> None:
        self._check_period("cobot.period_ms", cobot.period_ms)
        if len(self.world.q0) != len(cobot.joints):
            raise MockConfigError(
                f"world.q0: read {len(self.world.q0)} joint positions, the cobot has {len(cobot.joints)} joints"
            )
        if self.world.device != "cobot":
            raise MockConfigError(f"world.device: read {self.world.device!r}, a cobot needs 'cobot'")
        if self.gripper is not None:
            raise MockConfigError("gripper: this one hangs on IOs of an iiwa's controller; a cobot has none")

    def _check_period(self, key: str, period_ms: int) -> None:
        ticks = period_ms * 1e-3 / self.world.dt
        if ticks < 0.999 or abs(ticks - round(ticks)) > 1e-6:
            raise MockConfigError(f"world.dt: {self.world.dt} s does not divide {key} of {period_ms} ms")

    def _check_iiwa(self, iiwa: IiwaConfig) -> None:
        if not (1 <= iiwa.send_period_ms <= 100):
            raise MockConfigError(f"iiwa.send_period_ms: read {iiwa.send_period_ms}, FRI allows 1 … 100 ms")
        if not (1 <= iiwa.send_period_ms * iiwa.receive_multiplier <= 100):
            raise MockConfigError("iiwa.receive_multiplier: send period times multiplier must lie in 1 … 100 ms")
        if len(iiwa.ios) > 10:
            raise MockConfigError(f"iiwa.ios: read {len(iiwa.ios)} IOs, FRI allows 10")
        if iiwa.moment_order not in (None, "xyz", "zyx"):
            raise MockConfigError(f"iiwa.moment_order: read {iiwa.moment_order!r}, allowed are xyz, zyx and null")
        if self.gripper is not None:
            grip, there = self.gripper, {(io.name, io.type, io.direction) for io in iiwa.ios}
            wanted = ((grip.close, "output"), (grip.opened, "input"), (grip.holding, "input"))
            for name, direction in wanted:
                if (name, "boolean", direction) not in there:
                    raise MockConfigError(f"gripper: {name!r} is no boolean {direction} of iiwa.ios")
            if grip.grasp not in ("constraint", "mass"):
                raise MockConfigError(f"gripper.grasp: read {grip.grasp!r}, allowed are constraint and mass")
        self._check_period("iiwa.send_period_ms", iiwa.send_period_ms)
        if len(self.world.q0) != 7:
            raise MockConfigError(f"world.q0: read {len(self.world.q0)} joint positions, an iiwa has 7")
        if iiwa.overlay_max is not None and len(iiwa.overlay_max) != 7:
            raise MockConfigError(f"iiwa.overlay_max: read {len(iiwa.overlay_max)} values, expected 7")

    def to_json(self) -> str:
        """The configuration as JSON text; :meth:`from_json` gives the equal object back."""
        data = dataclasses.asdict(self)
        data["faults"] = [fault.to_mapping() for fault in self.faults]
        return json.dumps(data, indent=1)

    @classmethod
    def from_json(cls, text: str) -> MockConfig:
        """Read JSON text. Raises :class:`MockConfigError`."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise MockConfigError(f"mock configuration is not JSON: {error}") from error
        config: MockConfig = _build(cls, data, "")
        return config


def _build(cls: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise MockConfigError(f"{where or 'mock configuration'}: read {type(data).__name__}, expected an object")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise MockConfigError(f"{where or 'mock configuration'}: unknown keys {unknown}; known are {sorted(hints)}")
    values = {key: _convert(hints[key], value, f"{where}.{key}".lstrip(".")) for key, value in data.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise MockConfigError(f"{where or 'mock configuration'}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if hint is Fault:
        try:
            return Fault.from_mapping(value)
        except FaultError as error:
            raise MockConfigError(f"{where}: {error}") from error
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value, where)
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, list | tuple):
            raise MockConfigError(f"{where}: read {value!r}, expected a list")
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) != len(value):
            raise MockConfigError(f"{where}: read {len(value)} values, expected {len(kinds)}")
        return tuple(
            _convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise MockConfigError(f"{where}: read {value!r}, expected {hint.__name__}")
    return value
