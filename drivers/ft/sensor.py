"""Bota serial force/torque sensor, polled inside the control cycle; no thread, no sleeping."""

from __future__ import annotations

from contextlib import suppress
from math import isfinite, nan

import numpy as np

from drivers.contract import LinkHealth, Ticks, WrenchSample
from drivers.errors import ConnectError, DeviceLostError
from drivers.ft.bota import (
    BAUD,
    FAULT_MASK,
    FRAME_SIZE,
    STOP,
    DeviceClock,
    bota_framer,
    frame_time_us,
    rate_of_sinc,
    sinc_of_rate,
    start_steps,
    status_flags,
    unpack_frame,
)
from drivers.ft.port import RawPort
from drivers.ft.steps import Waits, play_steps

_LOCK_TIMEOUT_NS = 1_000_000_000
_RATE_TOLERANCE = 0.02


class BotaSensor:
    """:class:`drivers.contract.WrenchSensor` for Rokubi and SensONE sensors on a serial line or pseudo-terminal.

    ``rate`` (Hz) is turned into the nearest sinc length (100 → 512, 800 → 64, others as they come within 1 %);
    afterwards :attr:`rate` is what the device really does. ``force_max`` (N) and ``moment_max`` (N·m) bound what is
    believed: the defaults are three times the largest nominal range of a SensONE (1200 N, 15 N·m), its overload.

    A sample is ``valid`` unless it is not finite, out of these bounds, flagged by the device (``app_took_too_long``,
    ``overrange``, ``invalid_measurements``, ``raw_measurements``), stamped earlier than the one before
    (``clock_jump``: the device was reset and may have lost its filter setting: open anew), or the device is gone.

    Health: ``gaps`` come from the device's own time stamps; ``rejected["crc"]`` counts candidates that failed the
    CRC, ``rejected["skipped_bytes"]`` bytes (not frames) that belong to no good frame; ``reordered`` counts time
    stamps that went back. A lost device shows as flag ``unplugged`` and keeps the last wrench, invalid.
    """

    def __init__(
        self,
        port: str,
        rate: float,
        ticks: Ticks,
        name: str = "ft",
        *,
        force_max: float = 3600.0,
        moment_max: float = 45.0,
    ) -> None:
        """Raises ValueError for a rate that the sensor does not have."""
        self.name = name
        self._sinc = sinc_of_rate(rate)
        self.rate: float = rate_of_sinc(self._sinc)
        self._path = port
        self._ticks = ticks
        self._force_max = force_max
        self._moment_max = moment_max
        self._step_us = 1e6 / self.rate
        self._port: RawPort | None = None
        self._opening: Waits | None = None
        self._opening_port: RawPort | None = None
        self.trouble = ""
        """Why the last attempt to open failed; empty if it did not."""
        self._forget()

    def _forget(self) -> None:
        self._framer = bota_framer()
        self._clock = DeviceClock()
        self._health = LinkHealth(rejected={"crc": 0, "skipped_bytes": 0})
        self._skipped_before_lock = self._rejected_before_lock = 0
        self._seq = -1
        self._arrival_ns = -1
        self._t_device_ns = -1
        self._wrench = np.full(6, nan)
        self._temperature = nan
        self._flags: frozenset[str] = frozenset()
        self._link_flags: frozenset[str] = frozenset()
        self._valid = False

    def open(self) -> None:
        """Handshake from any state of the device until its stream runs at the rate asked for.

        Raises ConnectError (port missing, held, no or negative answer, no frames, other rate).
        """
        self.close()
        opening = self._handshake()
        for wait_ns in opening:
            assert self._opening_port is not None
            self._ticks.wait(self._opening_port.fd, wait_ns)

    def reopen(self) -> None:
        """Begin to open anew without waiting: every :meth:`poll` goes on with the handshake by one step.

        Until it is done samples are invalid, with the flag ``reopening``; if it fails :attr:`trouble` says why and
        the flag goes. Never raises; an attempt under way is begun anew.
        """
        self.close()
        self._opening = self._handshake()
        self._flags |= {"reopening"}

    @property
    def reopening(self) -> bool:
        """An attempt to open anew is under way."""
        return self._opening is not None

    def _handshake(self) -> Waits:
        """Each step of opening; raises ConnectError."""
        self._forget()
        self._flags = frozenset({"reopening"})
        try:
            port = self._opening_port = RawPort(self._path, BAUD)
            rest = yield from play_steps(start_steps(self._sinc), port, self._ticks)
            yield from self._lock(port, rest)
        except BaseException as error:
            if isinstance(error, ConnectError):
                self.trouble = str(error)
            self._flags = frozenset({"unplugged"})
            self._valid = False
            if self._opening_port is not None:
                self._opening_port.close()
                self._opening_port = None
            raise
        self.trouble = ""
        self._port, self._opening_port = port, None
        self._skipped_before_lock, self._rejected_before_lock = self._framer.skipped, self._framer.rejected
        latency = port.latency_ms()
        if latency is not None and latency > 1:
            self._link_flags |= {"adapter_latency"}

    def _open_on(self) -> None:
        """One step of an attempt to open anew."""
        assert self._opening is not None
        try:
            next(self._opening)
        except StopIteration:
            self._opening = None
        except ConnectError:
            self._opening = None

    def _lock(self, port: RawPort, data: bytes) -> Waits:
        """Take frames until two in a row are one nominal period apart in the device's own time."""
        deadline = self._ticks.now_ns() + _LOCK_TIMEOUT_NS
        last_us = -1
        step = 0
        while True:
            frames = self._framer.feed(data)
            if frames:
                self._take(frames, self._ticks.now_ns())
            for frame in frames:
                t_us = frame_time_us(frame)
                step = t_us - last_us & 0xFFFFFFFF if last_us >= 0 else 0
                last_us = t_us
                if step and abs(step - self._step_us) <= _RATE_TOLERANCE * self._step_us + 1.0:
                    return
            now = self._ticks.now_ns()
            if now >= deadline:
                break
            if port.lost:
                raise ConnectError(f"{self._path}: {port.lost} after the handshake: check cable and power")
            yield deadline - now
            data = port.read_available()
        seen = f"{self._framer.good} good frames, {self._framer.skipped} bytes that fit no frame"
        if step and self._framer.good * FRAME_SIZE > self._framer.skipped:
            raise ConnectError(
                f"{self._path}: read {seen}, {step} µs apart, expected {self._step_us:.1f} µs ({self.rate:.1f} Hz): "
                f"the sensor did not take sinc length {self._sinc}; power-cycle it, or ask for 100 or 800 Hz"
            )
        raise ConnectError(
            f"{self._path}: acknowledged the handshake, then read {seen} within {_LOCK_TIMEOUT_NS * 1e-9:g} s, "
            f"expected a frame every {self._step_us:.0f} µs; check cable length, shield and baud ({BAUD})"
        )

    def poll(self) -> WrenchSample:
        """Read until nothing is left, take the newest good frame. Never raises, never waits."""
        now = self._ticks.now_ns()
        fresh = False
        if self._opening is not None:
            self._open_on()
            if self._port is None:
                return WrenchSample(now, -1, False, False, -1, np.full(6, nan), flags=self._flags)
        port = self._port
        if port is not None:
            data = port.read_available()
            if data:
                frames = self._framer.feed(data)
                if frames:
                    fresh = True
                    self._take(frames, now)
            if port.lost:
                self._lose(port)
        arrival = self._arrival_ns
        return WrenchSample(
            now,
            self._seq,
            self._valid,
            fresh,
            now - arrival if arrival >= 0 else -1,
            self._wrench,
            self._t_device_ns,
            self._temperature,
            self._flags,
        )

    def _take(self, frames: list[bytes], now: int) -> None:
        health = self._health
        step_us = self._step_us
        jumped = False
        for frame in frames:
            t_ns, step = self._clock.update(frame_time_us(frame))
            if step > 1.5 * step_us:
                health.gaps += round(step / step_us) - 1
            elif step < 0:
                health.reordered += 1
                jumped = True
            elif step == 0 and self._t_device_ns >= 0:
                health.duplicates += 1
            self._t_device_ns = t_ns
        health.frames += len(frames)
        health.late += len(frames) - 1
        self._seq += len(frames)
        self._arrival_ns = now
        newest = unpack_frame(frames[-1])
        self._wrench = newest.wrench
        self._temperature = newest.temperature
        flags = status_flags(newest.status)
        valid = not newest.status & FAULT_MASK and not jumped
        fx, fy, fz, mx, my, mz = newest.wrench.tolist()
        f, m = self._force_max, self._moment_max
        if not isfinite(fx + fy + fz + mx + my + mz):
            flags, valid = flags | {"not_finite"}, False
        elif not (
            -f <= fx <= f
            and -f <= fy <= f
            and -f <= fz <= f
            and -m <= mx <= m
            and -m <= my <= m
            and -m <= mz <= m
        ):
            flags, valid = flags | {"out_of_range"}, False
        self._flags = flags | {"clock_jump"} if jumped else flags
        self._valid = valid

    def _lose(self, port: RawPort) -> None:
        port.close()
        self._port = None
        self._valid = False
        self._flags |= {"unplugged"}
        self._link_flags |= {"unplugged"}

    def health(self) -> LinkHealth:
        """The driver's own record since :meth:`open`, updated in place: copy what must last."""
        health, rejected = self._health, self._health.rejected
        rejected["crc"] = self._framer.rejected - self._rejected_before_lock
        rejected["skipped_bytes"] = self._framer.skipped - self._skipped_before_lock
        health.flags = self._link_flags | self._flags
        return health

    def close(self) -> None:
        """Ask the sensor to stop streaming and let go of the port; legal more than once, never raises."""
        if self._opening is not None:
            self._opening.close()
            self._opening = None
        port, self._port = self._port, None
        if port is None:
            return
        with suppress(DeviceLostError):  # it is gone already, which is what closing wants
            port.write(STOP)
        port.close()
        self._valid = False
