"""Shows a run to a person at a terminal: what is done scrolls, what goes on stays at the bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

from argorun.events import (
    Event,
    HookChanged,
    HookStatus,
    LeftBehind,
    LogEnded,
    LogLines,
    LogStarted,
    Notice,
    OperationChanged,
    ParameterSet,
    Planned,
    ResourceChanged,
    RunEnded,
    RunStarted,
    StepEnded,
    TopicCreated,
    Undone,
)
from argorun.humanize import duration
from argorun.redact.sanitize import clean
from argorun.reporters import render, wording
from argorun.reporters.log_lines import Labels, log_lines
from argorun.reporters.screen import Screen, size_of
from argorun.reporters.streams import Sink, is_terminal
from argorun.reporters.summary import UNSHOWN, HookKey, Tally

FRAME_SECONDS = 0.08


class Terminal:
    """The rich output. The log goes to `log` where stdout is a pipe, else it scrolls above the live lines."""

    name = "rich output"

    def __init__(
        self,
        screen: Screen,
        *,
        log: Sink | None = None,
        sinks: Sequence[Sink] = (),
        colour: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._screen = screen
        self._log_sink = log
        self._sinks = sinks
        self._colour = colour
        self._now = now
        self._glyphs = render.UNICODE if screen.unicode else render.ASCII
        self._tally = Tally()
        self._labels = Labels()
        self._operation = ""
        self._done_hooks: set[HookKey] = set()
        self._drawn = 0.0

    def report(self, event: Event) -> None:
        if isinstance(event, LogLines):
            self._log(event)
            self.flush()
            return
        self._tally.take(event)
        self._show(event)
        if isinstance(event, RunEnded):
            self._end()
        elif isinstance(event, ResourceChanged):  # thousands may come at once, and none is in the live lines
            self.flush()
        else:
            self._draw()

    def flush(self) -> None:
        """Draws the next frame, if it is time for it."""
        if self._log_sink:
            self._log_sink.flush()
        if not self._tally.summarised and abs(self._now() - self._drawn) >= FRAME_SECONDS:
            self._draw()

    def close(self) -> None:
        if self._tally.verdict and not self._tally.summarised:
            self._end()
        if self._log_sink:
            self._log_sink.flush()
        self._screen.draw()

    def drain(self, seconds: float | None) -> None:
        for sink in self._sinks:
            sink.drain(seconds)

    def _draw(self) -> None:
        self._drawn = self._now()
        size = self._screen.measure()
        self._screen.draw(render.region(self._tally, self._operation, self._glyphs, self._drawn, size))

    def _log(self, event: LogLines) -> None:
        if self._log_sink:
            self._log_sink.line(log_lines(event, self._labels))
        else:
            self._screen.line(log_lines(event, self._labels, colour=self._colour))

    def _show(self, event: Event) -> None:
        """What of the event scrolls by; the rest is seen in the live lines only."""
        narrow = self._screen.measure()[0] < render.NARROW
        match event:
            case RunStarted():
                self._say(f"argorun {event.version}: {event.application}, run {event.run_id}", "bold")
                self._say(event.url, "dim")
            case StepEnded() if event.step not in UNSHOWN:
                self._screen.print(render.step(event, self._glyphs, narrow), wrap=False)
            case HookChanged():
                self._show_hook(event, narrow)
            case OperationChanged():
                self._operation = event.message
            case ResourceChanged(status="SyncFailed"):
                self._say(f"{self._glyphs.bad} {event.kind}/{event.name}: {event.message}", "red")
            case LogStarted():
                self._labels.begin(event)
                self._say(f"  log of {wording.log_source(event)}", "dim")
            case LogEnded():
                self._labels.end(event)
                if not event.complete:
                    self._say(f"! log of {event.job}: {wording.log_end(event)}", "yellow")
            case Planned() if self._log_sink:
                self._log_sink.line(clean(event.what))
            case Planned():
                self._screen.line(clean(event.what))
            case _:
                self._show_deed(event)

    def _show_hook(self, event: HookChanged, narrow: bool) -> None:
        key = (event.hook, event.kind, event.namespace, event.name)
        if event.status not in wording.DONE or key in self._done_hooks:
            return
        self._done_hooks.add(key)
        self._screen.print(render.hook(event, self._glyphs, self._now(), narrow), wrap=False)
        if event.status is HookStatus.FAILED:
            self._say(f"  {event.message}", "red")

    def _show_deed(self, event: Event) -> None:
        match event:
            case TopicCreated():
                self._say(f"  topic {event.topic}: {wording.topic(event)}", "dim")
            case ParameterSet():
                self._say(f"  {wording.parameter(event)}", "dim")
            case Notice(level="warning"):
                self._say(f"! {event.text}", "yellow")
            case Notice():
                self._say(f"  {event.text}")
            case Undone():
                self._say(f"  undone: {event.what} ({duration(event.seconds)})", "dim")
            case LeftBehind():
                self._say(f"! left behind: {event.what}: {event.why}", "yellow")

    def _say(self, text: str, style: str = "") -> None:
        indent = text[: len(text) - len(text.lstrip())]
        if text.strip():
            self._screen.print(Text(indent + render.flat(text), style), wrap=False)

    def _end(self) -> None:
        self._tally.summarised = True
        for part, wrap in render.summary(self._tally, self._glyphs, self._now(), self._screen.measure()):
            self._screen.print(part, wrap=wrap)
        self._screen.draw()


def open_terminal(
    stdout: TextIO,
    stderr: TextIO,
    sinks: tuple[Sink, Sink],
    *,
    no_color: bool,
    dumb: bool,
) -> Terminal:
    """The rich output on these streams; where stderr is no terminal, the same without live lines."""
    live = is_terminal(stderr) and not dumb
    console = Console(
        file=stderr, force_terminal=live, no_color=no_color, highlight=False, markup=False, emoji=False
    )
    out, err = sinks
    screen = Screen(console, err.raw, live=live, size=size_of(stderr.fileno()) if live else None)
    log = None if live and is_terminal(stdout) else out
    return Terminal(screen, log=log, sinks=sinks, colour=not no_color)
