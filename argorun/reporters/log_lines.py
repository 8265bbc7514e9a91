"""The tests' own lines as they are shown: whose they are, where several containers write at once."""

from __future__ import annotations

from collections.abc import Sequence

from argorun.events import LogEnded, LogLines, LogStarted
from argorun.humanize import count
from argorun.redact.sanitize import RESET, clean

LONGEST = 10_000  # characters of a line that are shown
HEAD, END = 300, 150  # characters of a long line that are shown at the end of a run
MOST = 8_000  # characters of all lines there
COLOURS = ("36", "33", "35", "32", "34", "96", "93", "95", "92", "94")  # one for each Job, in turn
Source = tuple[str, str, str]


def log_lines(event: LogLines, labels: Labels, *, colour: bool = False) -> str:
    """The lines in one text, safe to print; with `colour` a label has its Job's, and the tests' stay."""
    texts = [clean(t if len(t) <= LONGEST else shortened(t), colour=colour) for t in event.texts]
    label = labels.of(event)
    if label:
        before = f"\x1b[{labels.colour_of(event.job)}m{label}{RESET} | " if colour else f"{label} | "
        texts = [before + text for text in texts]
    return "\n".join(texts)


def shortened(text: str) -> str:
    """The beginning of a line that nobody can read, and how long it is."""
    return f"{text[:LONGEST]} … ({count(len(text), 'character')}; --log-dir and --events keep them all)"


def last(lines: Sequence[str]) -> list[str]:
    """The last lines as a verdict shows them: of a long one its head and its end, and not more than MOST."""
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
    """Says whose log a line is, from the moment on that several containers log at once."""

    def __init__(self) -> None:
        self._open: set[Source] = set()
        self._init: set[Source] = set()
        self._labels: dict[Source, str] = {}
        self._colours: dict[str, str] = {}
        self._several = False

    def begin(self, event: LogStarted) -> None:
        # That an init container has ended shows late, after the first lines of the one that follows it.
        self._open -= {source for source in self._init if source[1] == event.pod}
        source = (event.job, event.pod, event.container)
        self._open.add(source)
        if event.init:
            self._init.add(source)
        # Once lines were mixed a reader looks for the name: it stays, also when one log is left.
        self._several = self._several or len(self._open) > 1
        if self._several:
            self._labels.update((source, self._label(source)) for source in self._open)

    def end(self, event: LogEnded) -> None:
        self._open.discard((event.job, event.pod, event.container))

    def of(self, event: LogLines) -> str:
        """The Job's name (with the container's or the pod's where that is not enough), or nothing."""
        if not self._several:
            return ""
        return clean(self._labels.get((event.job, event.pod, event.container), event.job))

    def colour_of(self, job: str) -> str:
        """The number of the Job's colour (SGR): its own, as long as there are enough."""
        return self._colours.setdefault(job, COLOURS[len(self._colours) % len(COLOURS)])

    def _label(self, source: Source) -> str:
        job, pod, container = source
        others = [other for other in self._open if other[0] == job and other != source]
        if not others:
            return job
        return f"{job}/{pod}" if any(other[1] != pod for other in others) else f"{job}/{container}"
