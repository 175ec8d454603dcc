"""Bota serial force/torque sensor as a device model: bytes in, bytes out, clock injected, no I/O.

What the vendor's examples do not settle is *ours*, and nothing may be concluded from it about a real sensor:
acknowledgements end in CR LF; after a reset the sensor is deaf to everything but ``#`` for 0.1 s, then runs with the
saved settings; in run mode it hears ``#`` and ``C`` only; ``I`` restarts with the present settings; unknown letters
are ignored; malformed or unsupported settings are refused with code 1 (CSV output is one of them); the baud setting
is stored and acts on nothing, as on a pseudo-terminal; raw output is 2000 counts per N or N·m; too short a sinc makes
it send every second frame, flagged ``app_took_too_long``; a load beyond its range is clipped and flagged.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivers.contract import Array
from drivers.ft.bota import MAX_SINC, MIN_SINC, BotaFrame, encode_frame, rate_of_sinc
from sim_mocks.ft_physics import SensorPhysics

RANGE = np.array([500.0, 500.0, 1200.0, 15.0, 15.0, 12.0])
"""N and N·m; nominal range of a SensONE, beyond which the model clips."""

_TOO_LONG, _OVERRANGE, _INVALID, _RAW = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_COUNTS_PER_UNIT = 2000.0
_BOOT_NS = 100_000_000
_BOOT_TEXT = b"\r\nApp Init\r\nname: mock Bota serial\r\nS/N: 0\r\nFW version: mock\r\n"

_NUMBER = rb",\s*-?\d{1,4}\.\d{3}"
_SETTINGS = {
    "c": re.compile(rb"c,(\d),(\d),(\d),(\d)"),
    "f": re.compile(rb"f,(\d{1,6}),(\d),(\d),(\d)"),
    "b": re.compile(rb"b" + 6 * (rb"(" + _NUMBER + rb")")),
}
_SETTING_CHARACTERS = b"0123456789,.- "
_SETTING_MAX = 96


class Mode(enum.Enum):
    BOOT = "boot"
    CONFIG = "config"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class BotaConfig:
    """Settings that the device's commands change; ``s`` keeps them over a reset."""

    compensation: int = 0
    calibrated: int = 1
    output: int = 0
    baud: int = 4
    sinc: int = 512
    chop: int = 0
    fast: int = 0
    fir_disable: int = 1
    offset: tuple[float, ...] = (0.0,) * 6

    def text(self) -> bytes:
        """As ``w`` prints it."""
        line = f"c,{self.compensation},{self.calibrated},{self.output},{self.baud}\r\n"
        return f"{line}f,{self.sinc},{self.chop},{self.fast},{self.fir_disable}\r\n".encode()


class BotaDevice:
    """The sensor: feed it commands with :meth:`on_bytes` and time and load with :meth:`tick`.

    It starts as a sensor whose host has died: running, with ``config`` (100 Hz unless told otherwise).
    ``clock_us`` is the device's counter at time 0 (for wrap tests), ``clock_ppb`` the rate error of its clock in
    1e-9. ``hook``, if set, gets each measured wrench (6,) last of all and returns what is sent (for faults).
    """

    def __init__(
        self,
        profile: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        config: BotaConfig | None = None,
        mode: Mode = Mode.RUN,
        clock_us: int = 0,
        clock_ppb: int = 0,
        hook: Callable[[Array], Array] | None = None,
    ) -> None:
        self.physics = SensorPhysics(profile, rng)
        self.config = config if config is not None else BotaConfig()
        self._saved = self.config
        self.mode = mode
        self.hook = hook
        self.frames = 0
        """Frames put out since power-up."""
        self._clock_us = clock_us
        self._rate = 10**9 + clock_ppb
        self._anchor_ns = self._anchor_device_ns = 0
        self._disturbed_ppb = self._jump_us = 0
        self.flagged_invalid = False
        """Every frame says that its measurement is invalid (faults)."""
        self._now_ns = 0
        self._boot_ns = 0
        self._setting = b""
        self._run_device_ns = 0
        self._k = 1

    def power_up(self) -> bytes:
        """The supply came back: boot with the saved settings; the boot text."""
        self.config = self._saved
        self._setting = b""
        return self._restart()

    @property
    def rate(self) -> float:
        """Frames per second of the device's clock, Hz."""
        return rate_of_sinc(self.config.sinc)

    # ---- time and frames -------------------------------------------------------------------------------------

    def tick(self, t_ns: int, wrench_true: Array, dt_env: float) -> bytes:
        """Frames due since the last tick, up to and including ``t_ns``.

        ``wrench_true`` (6,) is the load on the sensor in its nominal frame (tool and environment on sensor, N and
        N·m), averaged over the last ``dt_env`` seconds. Raises ValueError for a load that is not finite or a time
        that does not grow.
        """
        self.physics.load(t_ns, wrench_true, round(dt_env * 1e9))
        self._now_ns = t_ns
        if self.mode is Mode.BOOT and t_ns - self._boot_ns >= _BOOT_NS:
            self._run(self._device_ns(self._boot_ns + _BOOT_NS))
        if self.mode is not Mode.RUN:
            return b""
        out = b""
        now = self._device_ns(t_ns)
        while (due := self._due_ns()) <= now:
            # A sinc that the line cannot carry: every second measurement is skipped.
            if self.config.sinc >= MIN_SINC or self._k % 2 == 0:
                out += self._frame(due)
            self._k += 1
        return out

    def disturb_clock(self, t_ns: int, ppb: int, jump_us: int) -> None:
        """From ``t_ns`` on the clock runs off by ``ppb`` more than by itself, its stamps are off by ``jump_us``."""
        self._jump_us = jump_us
        if ppb != self._disturbed_ppb:
            self._anchor_device_ns, self._anchor_ns = self._device_ns(t_ns), t_ns
            self._rate += ppb - self._disturbed_ppb
            self._disturbed_ppb = ppb

    def _device_ns(self, t_ns: int) -> int:
        return self._anchor_device_ns + (t_ns - self._anchor_ns) * self._rate // 10**9

    def _due_ns(self) -> int:
        """Device time of the next frame: counted in whole frames of 78125/4 ns x sinc, so that nothing adds up."""
        return self._run_device_ns + self._k * self.config.sinc * 78125 // 4

    def _frame(self, device_ns: int) -> bytes:
        config = self.config
        # A frame may fall due in the fraction of a ns by which the two clocks round differently.
        t_ns = self._anchor_ns + (device_ns - self._anchor_device_ns) * 10**9 // self._rate
        t_ns = min(t_ns, self._now_ns)
        wrench, temperature = self.physics.measure(t_ns, compensated=bool(config.compensation))
        status = 0 if config.sinc >= MIN_SINC else _TOO_LONG
        if self.flagged_invalid:
            status |= _INVALID
        clipped = np.clip(wrench, -RANGE, RANGE)
        if not np.array_equal(clipped, wrench):
            status |= _OVERRANGE
            wrench = clipped
        if config.calibrated:
            wrench = wrench + config.offset
        else:
            status |= _RAW
            wrench = np.round(wrench * _COUNTS_PER_UNIT)
        if self.hook is not None:
            wrench = self.hook(wrench)
        self.frames += 1
        t_us = device_ns // 1000 + self._clock_us + self._jump_us & 0xFFFFFFFF
        return encode_frame(BotaFrame(status, wrench, t_us, temperature))

    def _run(self, device_ns: int) -> None:
        self.mode = Mode.RUN
        self._run_device_ns = device_ns
        self._k = 1

    # ---- commands --------------------------------------------------------------------------------------------

    def on_bytes(self, data: bytes) -> bytes:
        """Take what the host wrote (in any chunks), at the time of the last tick; returns the answers."""
        out = b""
        for code in data:
            out += self._character(chr(code))
        return out

    def _character(self, character: str) -> bytes:
        if character == "#":
            self.config = self._saved
            self._setting = b""
            return self._restart()
        if self.mode is Mode.BOOT:
            return b""
        if self._setting:
            if character.encode("latin1") in _SETTING_CHARACTERS and len(self._setting) < _SETTING_MAX:
                self._setting += character.encode()
                return self._try_setting()
            refused = chr(self._setting[0])
            self._setting = b""
            return _ack(refused, 1) + self._character(character)
        if character == "C":
            self.mode = Mode.CONFIG
            return _ack("C")
        if self.mode is Mode.CONFIG:
            return self._configure(character)
        return b""

    def _configure(self, character: str) -> bytes:
        if character in _SETTINGS:
            self._setting = character.encode()
        elif character == "R":
            self._run(self._device_ns(self._now_ns))
            return _ack("R")
        elif character == "I":
            return _ack("I") + self._restart()
        elif character == "s":
            self._saved = self.config
            return _ack("s")
        elif character == "w":
            return self.config.text() + _ack("w")
        return b""

    def _restart(self) -> bytes:
        self.mode = Mode.BOOT
        self._boot_ns = self._now_ns
        # The counter begins at zero with the program.
        self._clock_us = -(self._device_ns(self._now_ns) // 1000)
        return _BOOT_TEXT + self.config.text()

    def _try_setting(self) -> bytes:
        name = chr(self._setting[0])
        match = _SETTINGS[name].fullmatch(self._setting)
        if match is None:
            return b""
        self._setting = b""
        fields = match.groups()
        if name == "b":
            self.config = replace(self.config, offset=tuple(float(field[1:]) for field in fields))
            return _ack(name)
        a, b, c, d = (int(field) for field in fields)
        if name == "c":
            if a > 1 or b > 1 or c != 0 or d > 4:
                return _ack(name, 1)
            self.config = replace(self.config, compensation=a, calibrated=b, output=c, baud=d)
        else:
            if not 0 < a <= MAX_SINC or max(b, c, d) > 1:
                return _ack(name, 1)
            self.config = replace(self.config, sinc=a, chop=b, fast=c, fir_disable=d)
        return _ack(name)


def _ack(command: str, code: int = 0) -> bytes:
    return f"r,0,{command},{code}\r\n".encode()
