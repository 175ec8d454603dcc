"""The parts of a screen: each draws one panel of text for the room that it has."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from hil.monitor.frame import Frame
from hil.monitor.panels import Panel
from hil.monitor.text import Lines

TALL = "-tall"
"""Class of a screen that has room for borders and for lines that are good to have."""


class LinesWidget(Widget):
    """Lines of text, of which only those that change are drawn again: ten times a second that is what counts."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: Lines = []
        self._strips: list[Strip] = []

    def put(self, lines: Lines) -> None:
        """Draw ``lines`` from now on; what is longer than the widget is cut."""
        if not self.is_attached:
            return  # the monitor is just being left
        width, style = self.content_size.width, self.rich_style
        strips, dirty = [], []
        for y, text in enumerate(lines):
            if y < len(self._lines) and _same(text, self._lines[y]) and self._strips[y].cell_length == width:
                strips.append(self._strips[y])
                continue
            # Without a span rich draws a text without its style.
            drawn = text if text.spans else Text.assemble((text.plain, text.style))
            strip = Strip(drawn.render(self.app.console)).adjust_cell_length(width, style)
            strips.append(strip.apply_style(style))
            dirty.append(Region(0, y, width, 1))
        dirty += [Region(0, y, width, 1) for y in range(len(lines), len(self._lines))]
        self._lines, self._strips = lines, strips
        if dirty:
            self.refresh(*dirty)

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.content_size.width, self.rich_style)

    @property
    def text(self) -> str:
        """What is drawn, without its colours."""
        return "\n".join(line.plain for line in self._lines)

    @property
    def colours(self) -> set[str]:
        """The colours that are drawn with, of letters and of their grounds."""
        segments = [segment for strip in self._strips for segment in strip if segment.text.strip()]
        styles = [segment.style for segment in segments if segment.style is not None]
        return {colour.name for style in styles for colour in (style.color, style.bgcolor) if colour is not None}


def _same(one: Text, other: Text) -> bool:
    return one.plain == other.plain and one.spans == other.spans and one.style == other.style


class PanelWidget(LinesWidget):
    """Draws one of :mod:`hil.monitor.panels`."""

    def __init__(self, panel: Panel, title: str, *, id: str, last: bool = False, fits: bool = False) -> None:
        """``last``: of too many lines show the last; ``fits``: take as many lines as there are."""
        super().__init__(id=id)
        self.border_title = title
        self._panel, self._from_end, self._fits = panel, last, fits
        self._frame: Frame | None = None

    def show(self, frame: Frame) -> None:
        """Show ``frame`` from now on."""
        self._frame = frame
        self._update()

    def on_resize(self) -> None:
        self._update()

    def _update(self) -> None:
        if self._frame is None or not self.is_attached:
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
        self.put(lines)
