"""``hil guide``: the space bar as the enabling key for guiding an arm by hand."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rich.text import Text

from hil.cli.console import console
from hil.cli.operate import CellOption, fail, open_client
from hil.operation.client import NoAnswerError
from hil.operation.messages import Reply

FIRST_REPEAT = 0.75
"""A terminal repeats a key that is held only after a pause, of 0.25 s to 0.66 s by the usual settings, s."""
NEXT_REPEAT = 0.2
"""Then 20 to 30 times a second; a gap longer than this is a key that was let go, s."""
RENEW = 0.05
"""How often the cell is told that the key is still held, s."""
_SPACE, _QUIT = b" ", (b"q", b"\x1b", b"\x03", b"\x04")


class HeldKey:
    """Tells from a terminal's key repeat whether the space bar is held: a terminal reports no release."""

    def __init__(self) -> None:
        self._since = self._last = -1.0

    def hear(self, now: float) -> None:
        """The key, or its repetition, was read at ``now`` (s)."""
        if not self.held(now):
            self._since = now
        self._last = now

    def held(self, now: float) -> bool:
        """It is held at ``now`` (s), as far as a terminal lets one know."""
        if self._last < 0.0:
            return False
        repeats = self._last > self._since
        return now - self._last < (NEXT_REPEAT if repeats else FIRST_REPEAT)


class Asks(Protocol):
    """What the loop needs of a client."""

    def call(self, verb: str, **arguments: Any) -> Reply: ...


def guide(cell: CellOption = None) -> None:
    """Move the arm by hand while the space bar is held; letting it go stops and holds."""
    if not (sys.stdin.isatty() and os.isatty(0)):
        fail("hil guide needs a terminal: the space bar is its enabling key", 2)
    out = console()
    with open_client(cell) as client, _keys() as read:
        out.print("Hold the space bar to guide the arm, let it go to stop and hold; q ends.", highlight=False)
        out.print("A space bar is no emergency stop: keep the real one in reach.", style="yellow", highlight=False)
        with out.status(Text("the arm is held")) as line:
            try:
                loop(client, read, time.monotonic, lambda said: line.update(Text(said)))
            except NoAnswerError as error:
                fail(str(error), 2)
    out.print("ended; `hil stop` takes the power away", markup=False, highlight=False)


def loop(
    client: Asks, read: Callable[[float], bytes], now: Callable[[], float], say: Callable[[str], None]
) -> None:
    """Until a key ends it: ``read(timeout)`` gives the bytes of the keys heard within ``timeout`` s, b"" for none."""
    key, guiding, told_at = HeldKey(), False, -1.0
    while True:
        keys = read(RENEW / 2)
        at = now()
        if any(quit_key in keys for quit_key in _QUIT):
            client.call("guide", held=False)
            return
        if _SPACE in keys:
            key.hear(at)
        held = key.held(at)
        if guiding and not held:
            say(client.call("guide", held=False).sentence)
            guiding = False
        elif held and (not guiding or at - told_at >= RENEW):
            reply = client.call("guide")
            say(reply.sentence if reply.ok else f"refused: {reply.sentence}")
            guiding, told_at = True, at


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bytes]]:
    """Keys of the terminal one by one, unechoed; the terminal is as before afterwards."""
    before = termios.tcgetattr(0)
    tty.setcbreak(0)

    def read(timeout: float) -> bytes:
        return os.read(0, 64) if select.select([0], [], [], timeout)[0] else b""

    try:
        yield read
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
