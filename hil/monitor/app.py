"""The monitor on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable

from textual.app import App
from textual.binding import Binding
from textual.theme import Theme
from textual.timer import Timer

from hil.monitor import palette
from hil.monitor.frame import Frame
from hil.monitor.screens import FrameScreen, Help, Overview, View
from hil.monitor.source import Answer, Source
from hil.monitor.widgets import TALL

REFRESH = 0.1
"""Time between two frames, s."""
ANSWER_SHOWN = 15.0
"""How long an answer stays on the screen, s."""
STOP_CATEGORY = 1

_THEME = Theme(
    "lab",
    primary=palette.CALM,
    foreground=palette.INK,
    background=palette.GROUND,
    surface=palette.RAISED,
    panel=palette.RAISED,
    dark=True,
)


class MonitorApp(App[None]):
    """Shows what a source tells and passes a person's verbs on to it."""

    CSS = f"""
    Screen {{ background: {palette.GROUND}; color: {palette.INK}; layout: vertical; overflow: hidden; }}
    PanelWidget {{ height: 1; padding: 0 1; }}
    #middle {{ height: auto; layout: vertical; }}
    #events {{ height: 1fr; }}
    #foot {{ height: 2; dock: bottom; }}
    #answer, #keys {{ height: 1; padding: 0 1; }}
    #keys {{ background: {palette.RAISED}; }}
    .-tall PanelWidget {{ border: round {palette.EDGE}; border-title-color: {palette.SOFT}; }}
    .-tall #faults {{ border: round {palette.AT}; border-title-color: {palette.AT}; }}
    .-tall.-wide #middle {{ layout: horizontal; }}
    .-tall.-wide #wrench {{ width: 3fr; }}
    .-tall.-wide #cycle {{ width: 2fr; }}
    Help {{ align: center middle; }}
    #help {{
        width: 72; height: auto; max-height: 100%; padding: 1 2;
        background: {palette.RAISED}; border: round {palette.CALM};
    }}
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (108, "-wide")]  # noqa: RUF012 - as the base class has it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (38, TALL)]  # noqa: RUF012
    # A palette or any other place for text would take the space key, which must always stop.
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012
        Binding("space", "stop", "stop", priority=True),
        Binding("a", "acknowledge", "acknowledge"),
        Binding("p", "pause", "pause"),
        Binding("question_mark", "help", "help"),
        Binding("q", "quit", "detach"),
        Binding("ctrl+c", "quit", "detach", priority=True),
    ]

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], float] = time.monotonic,
        refresh: float | None = REFRESH,
    ) -> None:
        """``refresh``: time between two frames, s; None: only :meth:`advance` shows another (tests)."""
        super().__init__()
        self._source = source
        self._clock = clock
        self._refresh_every = refresh
        self._paused: tuple[float, Frame] | None = None
        self._answer: tuple[float, Answer] | None = None
        self._frame: Frame | None = None
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self.register_theme(_THEME)
        self.theme = _THEME.name
        self.push_screen(Overview())
        if self._refresh_every is not None:
            self._timer = self.set_interval(self._refresh_every, self.advance)
        if not self.is_headless:
            # Whatever ends the monitor leaves the terminal in order.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.call_after_refresh(self.advance)

    def on_unmount(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._source.close()

    def advance(self) -> None:
        """Take the newest frame and show it."""
        now = self._clock()
        self._frame = frame = self._source.poll()
        for answer in self._source.answers():
            self._answer = (now, answer)
        if self._answer is not None and now - self._answer[0] > ANSWER_SHOWN:
            self._answer = None
        view = View(
            live=frame,
            shown=frame if self._paused is None else self._paused[1],
            paused=None if self._paused is None else now - self._paused[0],
            answer=None if self._answer is None else self._answer[1],
        )
        for screen in self.screen_stack:
            if isinstance(screen, FrameScreen) and screen.is_mounted:
                screen.show(view)

    def action_stop(self) -> None:
        self._source.ask("stop", category=STOP_CATEGORY)

    def action_acknowledge(self) -> None:
        self._source.ask("ack")

    def action_pause(self) -> None:
        if self._paused is not None:
            self._paused = None
        elif self._frame is not None:
            self._paused = (self._clock(), self._frame)
        self.advance()

    def action_help(self) -> None:
        self.push_screen(Help())


def watch(source: Source) -> None:
    """Show ``source`` on this terminal until the person leaves."""
    with contextlib.closing(source):
        MonitorApp(source).run()
