"""Adds up where a run's time went, and draws it as a bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from argorun.events import Event, HookChanged, HookStatus, Step, StepEnded, StepStarted, Verdict, Waiting
from argorun.humanize import duration

PREPARING = (Step.PLAN, Step.PREFLIGHT, Step.TOPICS, Step.PARAMETERS, Step.SYNC)
WAITING, PREPARE, ARGOCD, TESTS, CLEAN_UP = "waiting", "prepare", "Argo CD", "tests", "clean up"
SMALLEST = 0.05  # seconds of a part that is shown
COLORS = ("cyan", "magenta", "yellow", "green", "blue", "")  # the last one is the terminal's own


class TimeSpent:
    """Where the time went so far, in seconds by part, in the order of their beginnings.

    At any time it is spent on one part: the tests that run, else another hook by its phase, else Argo CD.
    """

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._hooks: dict[tuple[str, str, str, str], HookChanged] = {}  # those that run
        self._step = Step.PLAN
        self._waits = False
        self._since: float | None = None

    def add(self, event: Event) -> None:
        """Take the event into account."""
        if self._since is not None and event.time > self._since:
            part = self._part()
            self.parts[part] = self.parts.get(part, 0.0) + event.time - self._since
        self._since = max(event.time, self._since or 0.0)
        match event:
            case StepStarted():
                self._step, self._waits = event.step, False
            case StepEnded():
                self._waits = False
            case Waiting(step=Step.PARAMETERS):
                self._waits = True
            case HookChanged():
                key = (event.hook, event.kind, event.namespace, event.name)
                self._hooks.pop(key, None)
                if event.status is HookStatus.RUNNING:
                    self._hooks[key] = event
            case Verdict():
                self._hooks.clear()
            case _:
                pass

    def _part(self) -> str:
        if self._step is Step.CLEANUP:
            return CLEAN_UP
        if self._step in PREPARING:
            return WAITING if self._waits else PREPARE
        hooks = self._hooks.values()
        if any(h.required for h in hooks):
            return TESTS
        return next((h.hook for h in hooks), ARGOCD)


class Segment(NamedTuple):
    """One part of the bar, and its entry in the legend."""

    cells: int
    glyph: str
    color: str
    legend: str


def segments(parts: Mapping[str, float], width: int, glyphs: str) -> list[Segment]:
    """A bar of `width` cells in all, each part in proportion to its seconds and at least one cell wide.

    One part alone is no bar.
    """
    shown = {part: seconds for part, seconds in parts.items() if seconds >= SMALLEST}
    whole = sum(shown.values())
    if len(shown) < 2 or width < len(shown):
        return []
    exact = {part: seconds / whole * width for part, seconds in shown.items()}
    cells = {part: max(1, int(share)) for part, share in exact.items()}
    while sum(cells.values()) < width:
        part = max(cells, key=lambda part: exact[part] - cells[part])
        cells[part] += 1
    while sum(cells.values()) > width:
        part = max((p for p in cells if cells[p] > 1), key=lambda part: cells[part] - exact[part])
        cells[part] -= 1
    return [
        Segment(
            cells[part],
            glyphs[i % len(glyphs)],
            COLORS[i % len(COLORS)],
            f"{part} {duration(seconds)}",
        )
        for i, (part, seconds) in enumerate(shown.items())
    ]


def in_words(parts: Mapping[str, float]) -> str:
    """`prepare 1.1s, PreSync 4.4s, tests 4.2s`."""
    return ", ".join(f"{part} {duration(s)}" for part, s in parts.items() if s >= SMALLEST)
