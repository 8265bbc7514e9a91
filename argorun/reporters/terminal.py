"""Rich output for a terminal: past events scroll, live lines stay at the bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import assert_never

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
    StepStarted,
    SweepEnded,
    SweepStarted,
    SyncStarted,
    TopicCreated,
    TopicSwept,
    Undone,
    Verdict,
    Waiting,
)
from argorun.humanize import duration
from argorun.redact.sanitize import clean
from argorun.reporters import render, wording
from argorun.reporters.log_lines import Labels, log_lines
from argorun.reporters.reporter import Buffered, Drainable, Reporter
from argorun.reporters.screen import Screen, size_of
from argorun.reporters.streams import LineStream, StandardStreams, is_terminal
from argorun.reporters.summary import UNSHOWN, HookKey, Summary

FRAME_SECONDS = 0.08


class Terminal(Reporter, Buffered, Drainable):
    """The rich output.

    Logs go to `log` if stdout is a pipe; else they scroll above the live lines.
    """

    name = "rich output"

    def __init__(
        self,
        screen: Screen,
        *,
        log: LineStream | None = None,
        streams: Sequence[LineStream] = (),
        color: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._screen = screen
        self._log_stream = log
        self._streams = streams
        self._color = color
        self._now = now
        self._glyphs = render.UNICODE if screen.unicode else render.ASCII
        self._summary = Summary()
        self._labels = Labels()
        self._operation = ""
        self._done_hooks: set[HookKey] = set()
        self._drawn = 0.0

    def report(self, event: Event) -> None:
        if isinstance(event, LogLines):
            self._show_log_lines(event)
            self.flush()
            return
        self._summary.add(event)
        self._show(event)
        if isinstance(event, RunEnded):
            self._show_summary()
        elif isinstance(event, ResourceChanged):  # thousands may come at once, and no live line shows them
            self.flush()
        else:
            self._draw()

    def flush(self) -> None:
        """Draw the next frame when it is due."""
        if self._log_stream:
            self._log_stream.flush()
        if not self._summary.shown and abs(self._now() - self._drawn) >= FRAME_SECONDS:
            self._draw()

    def close(self) -> None:
        if self._summary.verdict and not self._summary.shown:
            self._show_summary()
        if self._log_stream:
            self._log_stream.flush()
        self._screen.draw()

    def drain(self, seconds: float | None) -> None:
        for stream in self._streams:
            stream.drain(seconds)

    def _draw(self) -> None:
        self._drawn = self._now()
        size = self._screen.measure()
        lines = render.live_lines(self._summary, self._operation, self._glyphs, self._drawn, size)
        self._screen.draw(lines)

    def _show_log_lines(self, event: LogLines) -> None:
        if self._log_stream:
            self._log_stream.line(log_lines(event, self._labels))
        else:
            self._screen.line(log_lines(event, self._labels, color=self._color))

    def _show(self, event: Event) -> None:
        """Let the event scroll by, unless the live lines or the summary show it."""
        match event:
            case RunStarted():
                self._write(f"argorun {event.version}: {event.application}, run {event.run_id}", "bold")
                self._write(event.url, "dim")
            case StepEnded(step=step) if step not in UNSHOWN:
                self._screen.print(render.step(event, self._glyphs, self._narrow), wrap=False)
            case HookChanged():
                self._show_hook(event)
            case OperationChanged():
                self._operation = event.message
            case ResourceChanged(status="SyncFailed"):
                self._write(f"{self._glyphs.bad} {event.kind}/{event.name}: {event.message}", "red")
            case LogStarted() | LogLines() | LogEnded():
                self._show_log(event)
            case Planned() if self._log_stream:
                self._log_stream.line(clean(event.what))
            case Planned():
                self._screen.line(clean(event.what))
            case TopicCreated() | ParameterSet() | Notice() | Undone() | LeftBehind():
                self._show_action(event)
            case (
                StepStarted()
                | StepEnded()
                | Waiting()
                | ResourceChanged()
                | SyncStarted()
                | Verdict()
                | RunEnded()
            ):
                pass
            case SweepStarted() | TopicSwept() | SweepEnded():
                pass  # only plain and json show a sweep
            case _:
                assert_never(event)

    @property
    def _narrow(self) -> bool:
        return self._screen.measure()[0] < render.NARROW

    def _show_hook(self, event: HookChanged) -> None:
        key = (event.hook, event.kind, event.namespace, event.name)
        if event.status not in wording.DONE or key in self._done_hooks:
            return
        self._done_hooks.add(key)
        self._screen.print(render.hook(event, self._glyphs, self._now(), self._narrow), wrap=False)
        if event.status is HookStatus.FAILED:
            self._write(f"  {event.message}", "red")

    def _show_log(self, event: LogStarted | LogLines | LogEnded) -> None:
        match event:
            case LogStarted():
                self._labels.begin(event)
                self._write(f"  log of {wording.log_source(event)}", "dim")
            case LogLines():
                self._show_log_lines(event)
            case LogEnded():
                self._labels.end(event)
                if not event.complete:
                    self._write(f"! log of {event.job}: {wording.log_end(event)}", "yellow")
            case _:
                assert_never(event)

    def _show_action(self, event: TopicCreated | ParameterSet | Notice | Undone | LeftBehind) -> None:
        match event:
            case TopicCreated():
                self._write(f"  topic {event.topic}: {wording.topic(event)}", "dim")
            case ParameterSet():
                self._write(f"  {wording.parameter(event)}", "dim")
            case Notice(level="warning"):
                self._write(f"! {event.text}", "yellow")
            case Notice():
                self._write(f"  {event.text}")
            case Undone():
                self._write(f"  undone: {event.what} ({duration(event.seconds)})", "dim")
            case LeftBehind():
                self._write(f"! left behind: {event.what}: {event.why}", "yellow")
            case _:
                assert_never(event)

    def _write(self, text: str, style: str = "") -> None:
        indent = text[: len(text) - len(text.lstrip())]
        if text.strip():
            self._screen.print(Text(indent + render.flat(text), style), wrap=False)

    def _show_summary(self) -> None:
        self._summary.shown = True
        for part, wrap in render.end(self._summary, self._glyphs, self._now(), self._screen.measure()):
            self._screen.print(part, wrap=wrap)
        self._screen.draw()


def open_terminal(streams: StandardStreams) -> Terminal:
    """The rich output on these streams; with live lines if stderr is a suitable terminal."""
    live = is_terminal(streams.stderr) and not streams.is_dumb
    console = Console(
        file=streams.stderr,
        force_terminal=live,
        no_color=streams.no_color,
        highlight=False,
        markup=False,
        emoji=False,
    )
    out, err = streams.line_streams()
    screen = Screen(console, err.raw, live=live, size=size_of(streams.stderr.fileno()) if live else None)
    log = None if live and is_terminal(streams.stdout) else out
    return Terminal(screen, log=log, streams=(out, err), color=not streams.no_color)
