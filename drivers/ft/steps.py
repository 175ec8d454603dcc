"""Handshakes as data: a protocol yields steps, :func:`play_steps` plays them on a port with injected time.

Whoever plays does the waiting: :func:`run_steps` waits on the spot, a control cycle goes on with one piece a cycle.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from drivers.contract import Ticks
from drivers.errors import ConnectError, DeviceLostError
from drivers.ft.port import RawPort


@dataclass(frozen=True, slots=True)
class Send:
    """Write ``data``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Expect:
    """Read until ``good`` matches anywhere; ``bad`` ends the handshake; silence repeats the last :class:`Send`."""

    good: re.Pattern[bytes]
    bad: re.Pattern[bytes] | None
    what: str
    """The expected answer in words, for the error."""
    timeout_ns: int
    """Per try."""
    tries: int
    then: str
    """What a person can do when it does not come."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Read and drop until the line was quiet for ``quiet_ns``; give up after ``limit_ns``."""

    quiet_ns: int
    limit_ns: int


Step = Send | Expect | Drain

Waits = Generator[int, None, None]
"""Something that goes on whenever bytes may have arrived, and yields how long it would wait for them, ns."""


def run_steps(steps: Iterable[Step], port: RawPort, ticks: Ticks) -> bytes:
    """:func:`play_steps`, waiting for every answer."""
    play = play_steps(steps, port, ticks)
    try:
        while True:
            ticks.wait(port.fd, next(play))
    except StopIteration as end:
        rest: bytes = end.value
        return rest


def play_steps(steps: Iterable[Step], port: RawPort, ticks: Ticks) -> Generator[int, None, bytes]:
    """Play the steps; returns what was read after the last match (the stream may already have begun).

    Each yield is a wait for bytes, of so many ns at most. Raises ConnectError saying what was read, what was
    expected and what to do.
    """
    rest = b""
    sent = b""
    for step in steps:
        try:
            if isinstance(step, Send):
                sent, rest = step.data, b""
                port.write(sent)
            elif isinstance(step, Expect):
                rest = yield from _expect(step, sent, rest, port, ticks)
            else:
                yield from _drain(step, port, ticks)
                rest = b""
        except DeviceLostError as error:
            raise ConnectError(f"{error} (during the handshake, after sending {sent!r})") from error
    return rest


def _read(port: RawPort) -> bytes:
    data = port.read_available()
    if port.lost and not data:
        raise DeviceLostError(f"{port.path}: {port.lost}: check the cable and connect again")
    return data


def _expect(
    step: Expect, sent: bytes, seen: bytes, port: RawPort, ticks: Ticks
) -> Generator[int, None, bytes]:
    for attempt in range(step.tries):
        if attempt:
            port.write(sent)
        deadline = ticks.now_ns() + step.timeout_ns
        while True:
            match = step.good.search(seen)
            if match:
                return seen[match.end() :]
            refused = step.bad.search(seen) if step.bad else None
            if refused:
                raise ConnectError(
                    f"{port.path}: sent {sent!r}, read {refused.group()!r}, expected {step.what}: the device refused; "
                    f"{step.then}"
                )
            left = deadline - ticks.now_ns()
            if left <= 0:
                break
            yield left
            # An acknowledgement is short: keep enough for one that is cut by two reads, and some for the error text.
            seen = seen[-64:] + _read(port)
    seconds = step.timeout_ns * 1e-9
    raise ConnectError(
        f"{port.path}: sent {sent!r} {step.tries} times, expected {step.what} within {seconds:g} s each, read "
        f"{_excerpt(seen)}; {step.then}"
    )


def _drain(step: Drain, port: RawPort, ticks: Ticks) -> Waits:
    limit = ticks.now_ns() + step.limit_ns
    quiet_at = ticks.now_ns() + step.quiet_ns
    while True:
        now = ticks.now_ns()
        if now >= quiet_at:
            return
        if now >= limit:
            raise ConnectError(
                f"{port.path}: still sending {step.limit_ns * 1e-9:g} s after it was told to stop, expected silence "
                f"for {step.quiet_ns * 1e-6:g} ms; power-cycle the device, check that no other program commands it"
            )
        yield quiet_at - now
        if _read(port):
            quiet_at = ticks.now_ns() + step.quiet_ns


def _excerpt(seen: bytes) -> str:
    return f"... {seen[-32:]!r} (wrong baud, or another kind of device?)" if seen else "nothing"
