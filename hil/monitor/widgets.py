"""The parts of a screen: each draws one panel of text for the room that it has."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from hil.monitor.frame import Frame
from hil.monitor.panels import Panel

TALL = "-tall"
"""Class of a screen that has room for borders and for lines that are good to have."""


class PanelWidget(Widget):
    """Draws one of :mod:`hil.monitor.panels`; redrawn only when its text has changed."""

    def __init__(self, panel: Panel, title: str, *, id: str, last: bool = False, fits: bool = False) -> None:
        """``last``: of too many lines show the last; ``fits``: take as many lines as there are."""
        super().__init__(id=id)
        self.border_title = title
        self._panel, self._from_end, self._fits = panel, last, fits
        self._frame: Frame | None = None
        self._drawn: Text = Text()

    def show(self, frame: Frame) -> None:
        """Show ``frame`` from now on."""
        self._frame = frame
        self._update()

    def on_resize(self) -> None:
        self._update()

    def _update(self) -> None:
        if self._frame is None:
            return
        # The width that is going to be, also before the first layout and while nothing is there to draw.
        width = self.content_size.width or (self.screen.size.width - self.gutter.width - 2)
        lines = self._panel(self._frame, width, self.screen.has_class(TALL))
        if self._fits:
            self.display = bool(lines)
            wanted = len(lines) + self.gutter.height
            if self.styles.height is None or self.styles.height.value != wanted:
                self.styles.height = wanted
        elif self._from_end:
            lines = lines[-max(1, self.content_size.height) :]
        for line in lines:
            line.truncate(width)
        text = Text("\n", no_wrap=True).join(lines)
        if text != self._drawn or text.spans != self._drawn.spans:
            self._drawn = text
            self.refresh()

    def render(self) -> Text:
        return self._drawn

    @property
    def text(self) -> str:
        """What is drawn, without its colours."""
        return self._drawn.plain
