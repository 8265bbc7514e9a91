"""Knows which of the printed lines are still on the screen."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterable

from rich.cells import cell_len

LAST_LINES = 30  # of each log whose place on the screen is known
_SGR = re.compile("\x1b\\[[0-9;:]*m")


class OnScreen:
    """Places are numbers of rows since the run's beginning, as the terminal folds its lines."""

    def __init__(self) -> None:
        self._logs: dict[str, collections.deque[int]] = {}  # after how many rows each last line ended
        self._messages: dict[str, int] = {}

    def add_log(self, job: str, text: str, above: int, columns: int) -> int:
        """Lines of a Job's log as they are printed, below so many rows; how many rows they take."""
        places = self._logs.setdefault(job, collections.deque(maxlen=LAST_LINES))
        lines = text.split("\n")
        plain = text.isascii() and "\x1b" not in text and "\t" not in text
        if plain and len(max(lines, key=len)) <= columns:  # nearly always: a flood of lines stays cheap
            height = len(lines)
            places.extend(range(above + max(1, height - LAST_LINES + 1), above + height + 1))
            return height
        ends = list(itertools.accumulate(folded(line, columns) for line in lines))
        places.extend(above + end for end in ends[-LAST_LINES:])
        return ends[-1]

    def add_message(self, lines: Iterable[str], row: int) -> None:
        """What Argo CD said, as a verdict would repeat it; it begins in this row."""
        self._messages.update(dict.fromkeys(lines, row))

    def log_lines(self, jobs: Iterable[str], first: int) -> int:
        """How many of the last lines are not above the `first` row; 0 for several logs at once."""
        logs = [self._logs[name] for name in dict.fromkeys(jobs) if name in self._logs]
        return sum(row > first for row in logs[0]) if len(logs) == 1 else 0

    def messages(self, first: int) -> set[str]:
        """The messages that are not above the `first` row."""
        return {line for line, row in self._messages.items() if row > first}


def folded(line: str, columns: int) -> int:
    """How many rows a terminal makes of a line; a wide character does not fit into one last column."""
    shown = _SGR.sub("", line).expandtabs(8)
    cells = cell_len(shown)
    room = columns if cells == len(shown) else max(1, columns - 1)
    return 1 + max(0, cells - 1) // max(1, room)
