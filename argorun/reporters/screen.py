"""A terminal with lines that scroll and, below them, live lines that change in place.

rich.live is not used: it miscounts its rows when the terminal becomes narrower, prints every log line through
its layout, and draws from a thread, where an error of a closed terminal is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

# Synchronized output: the terminal shows what is between the two at once; an old one ignores them.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
TOO_NARROW = 8  # for anything to change in place


class Screen:
    """Draws each frame with one call of `write`. The cursor stays visible, even if the run is killed."""

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
        self.rows = 0  # that were printed in all, as the terminal folds them
        self.drawn: list[int] = []  # the widths of the live lines
        self._last = ""

    @property
    def unicode(self) -> bool:
        """Whether the terminal's encoding is not just ASCII."""
        return not self.console.options.ascii_only

    @property
    def colored(self) -> bool:
        """Whether colors are shown."""
        return self.console.color_system is not None and not self.console.no_color

    @property
    def live(self) -> bool:
        """Whether lines can change in place."""
        return self._live

    def print(self, line: Text) -> None:
        """Add a line that scrolls. The terminal folds one that is too long: it can be copied whole."""
        self._above.append(self._render(line) + "\n")
        self.rows += max(1, -(-line.cell_len // self.console.size.width))

    def line(self, text: str, rows: int = 1) -> None:
        """Add lines that scroll, as they are: 20,000 lines of log stay cheap. They take so many rows."""
        self._above.append(text + "\n")
        self.rows += rows

    def measure(self) -> tuple[int, int]:
        """The current columns and rows."""
        if self._size:
            self.console.size = self._size()
        return self.console.size

    def draw(self, region: Sequence[Text] = ()) -> None:
        """Show the added lines, and below them the live lines, each cut to one row."""
        above = "".join(self._above)
        self._above.clear()
        columns, rows = self.measure()
        lines = self._fit(region, columns, rows) if self._live else []
        below = "\n".join(self._render(line) for line in lines)
        if not above and below == self._last:
            return
        text = self._erase(columns) + above
        if lines:
            # Back to the first column: the cursor stays there when the terminal folds the line.
            text += below + "\r"
        self.drawn, self._last = [line.cell_len for line in lines], below
        if text:
            self._write(_BEGIN + text + _END if self._live else text)

    def forget(self) -> None:
        """Draw the next live lines where the cursor is: others have written there, and it is not erased."""
        self.drawn, self._last = self.drawn and [0], ""

    def _fit(self, region: Sequence[Text], columns: int, rows: int) -> list[Text]:
        if columns < TOO_NARROW:
            return []
        fitting = [line.copy() for line in region[: max(0, rows - 1)]]
        for line in fitting:
            # Leave the last column free: some terminals wrap after it.
            line.truncate(columns - 1, overflow="ellipsis" if self.unicode else "crop")
        return fitting

    def _render(self, line: Text) -> str:
        with self.console.capture() as captured:
            self.console.print(line, end="", soft_wrap=True)
        return captured.get()

    def _erase(self, columns: int) -> str:
        if not self.drawn:
            return ""
        # A terminal that has become narrower has folded the lines.
        up = sum(max(1, -(-width // columns)) for width in self.drawn[:-1])
        return "\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J"


def size_of(descriptor: int) -> Callable[[], tuple[int, int]]:
    """A function that returns a terminal's columns and rows; 80 by 24 for a bare pty, which knows none."""

    def size() -> tuple[int, int]:
        columns, rows = os.get_terminal_size(descriptor)
        return (columns or 80, rows or 24)

    return size
