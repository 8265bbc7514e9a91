"""A terminal with lines that scroll and, below them, a few lines that change in place.

rich.live is not used: it miscounts the rows of what it drew once the terminal was made narrower, prints
every log line through its layout, and would draw from a thread, where nobody hears that the terminal is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from rich.console import Console, RenderableType
from rich.text import Text

# The terminal shows what is between the two at once; one that does not know them ignores them.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
TOO_NARROW = 8  # for anything to change in place


class Screen:
    """Draws through `write`, a frame in one piece. The cursor stays visible: a killed run leaves no trace."""

    def __init__(
        self,
        console: Console,
        write: Callable[[str], None],
        *,
        live: bool,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self.console = console
        self._write = write
        self._live = live
        self._size = size
        self._above: list[str] = []
        self.drawn: list[int] = []  # the widths of the lines that will be replaced
        self._last = ""

    @property
    def unicode(self) -> bool:
        return not self.console.options.ascii_only

    def print(self, renderable: RenderableType, *, wrap: bool = True) -> None:
        """Adds something that scrolls. Without `wrap` the terminal breaks it: it can be copied whole."""
        with self.console.capture() as captured:
            self.console.print(renderable, soft_wrap=not wrap)
        self._above.append(captured.get())

    def line(self, text: str) -> None:
        """Adds a line that scrolls, as it is: this is how 20,000 lines of log stay cheap."""
        self._above.append(text + "\n")

    def measure(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        if self._size:
            self.console.size = self._size()
        return self.console.size

    def draw(self, region: Sequence[Text] = ()) -> None:
        """Shows what was added, and the lines that change below it; none of them takes more than one row."""
        above = "".join(self._above)
        self._above.clear()
        columns, rows = self.measure()
        lines = self._fit(region, columns, rows) if self._live else []
        below = "\n".join(self._render(line) for line in lines)
        if not above and below == self._last:
            return
        text = self._erase(columns) + above
        if lines:
            # Back to the first column: there the cursor stays when the terminal folds the line.
            text += below + "\r"
        self.drawn, self._last = [line.cell_len for line in lines], below
        if text:
            self._write(_BEGIN + text + _END if self._live else text)

    def _fit(self, region: Sequence[Text], columns: int, rows: int) -> list[Text]:
        if columns < TOO_NARROW:
            return []
        fitting = [line.copy() for line in region[: max(0, rows - 1)]]
        for line in fitting:
            # The last column stays free: writing to it wraps on some terminals.
            line.truncate(columns - 1, overflow="ellipsis" if self.unicode else "crop")
        return fitting

    def _render(self, line: Text) -> str:
        with self.console.capture() as captured:
            self.console.print(line, end="", soft_wrap=True)
        return captured.get()

    def _erase(self, columns: int) -> str:
        if not self.drawn:
            return ""
        # A terminal that was made narrower has folded the lines in the meantime.
        up = sum(max(1, -(-width // columns)) for width in self.drawn[:-1])
        return "\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J"


def size_of(descriptor: int) -> Callable[[], tuple[int, int]]:
    """Asks a terminal for its size; one that does not know it (a bare pty) is taken for 80 by 24."""

    def size() -> tuple[int, int]:
        columns, rows = os.get_terminal_size(descriptor)
        return (columns or 80, rows or 24)

    return size
