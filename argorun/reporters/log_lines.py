"""Renders log lines, labeled with their Job while several containers log at once."""

from __future__ import annotations

from collections.abc import Sequence

from argorun.events import LogEnded, LogLines, LogStarted
from argorun.humanize import count
from argorun.redact.sanitize import RESET, clean

LONGEST = 10_000  # characters of a line that are shown
HEAD, END = 300, 150  # characters of a long line in the summary
MOST = 8_000  # characters of all lines in the summary
COLORS = ("36", "33", "35", "32", "34")  # one for each Job, in turn; bright ones vanish on white
ContainerKey = tuple[str, str, str]


def log_lines(event: LogLines, labels: Labels, *, color: bool = False, bar: str = "") -> str:
    """The lines as one text, safe to print; with `color`, labels and lines are colored.

    `bar` stands before each line.
    """
    texts = [clean(t if len(t) <= LONGEST else shortened(t), color=color) for t in event.texts]
    label = labels.of(event)
    if label:
        bar += f"\x1b[{labels.color_of(event.job)}m{label}{RESET} | " if color else f"{label} | "
    return bar + f"\n{bar}".join(texts)


def shortened(text: str) -> str:
    """The beginning of an overlong line, and its length."""
    return f"{text[:LONGEST]} … ({count(len(text), 'character')}; --log-dir and --events keep them all)"


def last(lines: Sequence[str]) -> list[str]:
    """The last lines for the summary: long ones cut in the middle, at most MOST characters in all."""
    shown = [cut(line) for line in lines]
    while len(shown) > 1 and sum(map(len, shown)) > MOST:
        del shown[0]
    above = len(lines) - len(shown)
    return [f"… ({count(above, 'line')} more above)", *shown] if above else shown


def cut(text: str) -> str:
    """`head … (999,550 characters more) … end`."""
    more = len(text) - HEAD - END
    return f"{text[:HEAD]} … ({count(more, 'character')} more) … {text[-END:]}" if more > 0 else text


class Labels:
    """Labels for log lines, from the moment when several containers log at once."""

    def __init__(self) -> None:
        self._open: set[ContainerKey] = set()
        self._init: set[ContainerKey] = set()
        self._labels: dict[ContainerKey, str] = {}
        self._colors: dict[str, str] = {}
        self._several = False

    def begin(self, event: LogStarted) -> None:
        # The end of an init container is reported late, after the first lines of the next container.
        self._open -= {key for key in self._init if key[1] == event.pod}
        key = (event.job, event.pod, event.container)
        self._open.add(key)
        if event.init:
            self._init.add(key)
        # Once lines were mixed, a reader expects the label: it stays even if one log is left.
        self._several = self._several or len(self._open) > 1
        if self._several:
            self._labels.update((key, self._label(key)) for key in self._open)

    def end(self, event: LogEnded) -> None:
        self._open.discard((event.job, event.pod, event.container))

    def of(self, event: LogLines) -> str:
        """The Job's name, with the container's or pod's if it is ambiguous; empty without a label."""
        if not self._several:
            return ""
        return clean(self._labels.get((event.job, event.pod, event.container), event.job))

    def color_of(self, job: str) -> str:
        """The number of the Job's color (SGR), its own while there are enough."""
        return self._colors.setdefault(job, COLORS[len(self._colors) % len(COLORS)])

    def _label(self, key: ContainerKey) -> str:
        job, pod, container = key
        others = [other for other in self._open if other[0] == job and other != key]
        if not others:
            return job
        return f"{job}/{pod}" if any(other[1] != pod for other in others) else f"{job}/{container}"
