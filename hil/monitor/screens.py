"""The screens of the monitor. A further one is a class with :meth:`FrameScreen.show`."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from hil.monitor import figures, panels
from hil.monitor.frame import Frame, Mood
from hil.monitor.palette import AT, GROUND, INK, MOODS, NEAR, SOFT
from hil.monitor.source import Answer
from hil.monitor.widgets import LinesWidget, PanelWidget

KEYS = (
    ("space", "stop (software, no emergency stop)"),
    ("a", "ack"),
    ("p", "pause"),
    ("?", "help"),
    ("q", "detach"),
)
_KEYS_PAUSED = tuple((key, "go on" if key == "p" else word) for key, word in KEYS)


@dataclass(frozen=True, slots=True)
class View:
    """What a screen shows."""

    live: Frame
    shown: Frame
    """The frame of the figures: ``live``, or while the display is paused the one of that moment."""
    paused: float | None = None
    """For how long the display has been paused, s."""
    answer: Answer | None = None
    """What became of the last verb."""


class FrameScreen(Screen[None]):
    """A screen that shows frames."""

    def show(self, view: View) -> None:
        raise NotImplementedError


class Overview(FrameScreen):
    """The first screen: everything at a glance."""

    def __init__(self) -> None:
        super().__init__()
        panel = PanelWidget
        self._now = (
            panel(panels.safety, "safety state", id="safety", fits=True),
            panel(panels.faults, "fault", id="faults", fits=True),
        )
        """The safety state is always that of now, also while the figures stand still for reading."""
        self._joints = panel(figures.joints, "joints", id="joints", fits=True)
        self._middle = (
            panel(figures.wrench, "contact wrench at the tip, N and N·m", id="wrench", fits=True),
            panel(figures.cycle, "cycle time", id="cycle", fits=True),
        )
        self._lower = (
            panel(figures.devices, "devices", id="devices", fits=True),
            panel(panels.events, "events", id="events", last=True),
        )
        self._answer, self._keys = LinesWidget(id="answer"), LinesWidget(id="keys")

    def compose(self) -> ComposeResult:
        yield from self._now
        yield self._joints
        yield Container(*self._middle, id="middle")
        yield from self._lower
        yield Container(self._answer, self._keys, id="foot")

    def show(self, view: View) -> None:
        for widget in self._now:
            widget.show(view.live)
        for widget in (self._joints, *self._middle, *self._lower):
            widget.show(view.shown)
        self._answer.put([_answer(view)])
        self._keys.put([keys(view.paused is not None)])


def _answer(view: View) -> Text:
    parts: list[tuple[str, str]] = []
    if view.paused is not None:
        parts += [(f" ‖ figures of {view.paused:.0f} s ago ", f"{GROUND} on {NEAR}"), ("  ", "")]
    if (answer := view.answer) is not None:
        sign, colour = ("✔", MOODS[Mood.GOOD][1]) if answer.ok else ("✖", AT)
        refused = " refused" if answer.heard and not answer.ok else ""
        parts.append((f"{sign} {answer.verb}{refused}: {answer.sentence}", f"bold {colour}"))
    return Text.assemble(*parts, no_wrap=True)


def keys(paused: bool) -> Text:
    """The line of keys."""
    parts: list[tuple[str, str]] = []
    for key, word in _KEYS_PAUSED if paused else KEYS:
        parts += [(key, f"bold {NEAR}"), (f" {word}  ", INK if key == "space" else SOFT)]
    return Text.assemble(*parts, no_wrap=True)


HELP = """\
[b]Keys[/b]
  [b]space[/b]  stop: category 1, brake, then take the power away
  [b]a[/b]      acknowledge the latched fault; nothing moves by that
  [b]p[/b]      pause the display, and go on; the data go on meanwhile
  [b]q[/b]      detach; the cell runs on and does not notice
  [b]?[/b]      this page; [b]escape[/b] closes it. Space stops here too

[b]Space is a software stop.[/b] It asks the program that runs the cell
to stop the arm, and is no emergency stop. In danger use that one.

[b]Bars[/b]    ! from 75 % of a limit, !! from 95 %
[b]Old[/b]     grey figures under "old: 3.2 s" are not those of now
[b]Wrench[/b]  on the robot, at the tip, axes of the base
[b]Cycle[/b]   the work of a cycle; missed: longer than the period
"""


class Help(ModalScreen[None]):
    """What the keys do and how to read the screen."""

    BINDINGS = [  # noqa: RUF012 - as the base class has it
        Binding("escape,question_mark,q", "dismiss", "close", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Static(HELP, id="help")
