"""Rich output for a terminal: past events scroll, live lines stay at the bottom."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

from rich.console import Console
from rich.text import Text

from argorun.events import (
    Canceling,
    CannotStart,
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
    Retrying,
    RunEnded,
    RunStarted,
    SettlingContinues,
    Step,
    StepEnded,
    StepStarted,
    SweepEnded,
    SweepStarted,
    SyncStarted,
    TopicCreated,
    TopicKept,
    TopicSwept,
    Undone,
    Verdict,
    Waiting,
)
from argorun.redact.sanitize import clean, clean_lines
from argorun.reporters import render, wording
from argorun.reporters.ending import end as render_end
from argorun.reporters.layout import flat, hanging, row, width_of
from argorun.reporters.log_lines import Labels, log_lines
from argorun.reporters.on_screen import LAST_LINES, OnScreen
from argorun.reporters.reporter import Buffered, Drainable, Reporter
from argorun.reporters.screen import Screen, size_of
from argorun.reporters.streams import LineStream, StandardStreams, is_terminal
from argorun.reporters.summary import DONE, ROWS, HookKey, Summary, hook_key

FRAME_SECONDS = 0.08


class Terminal(Reporter, Buffered, Drainable):
    """The rich output.

    Logs go to `log` if stdout is a pipe; else they scroll above the live lines. A step's line comes when it
    has ended, and what was noticed on the way comes after it: until then the live lines show it.
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
        if screen.colored:  # colors tell the parts of the bar apart
            self._glyphs = self._glyphs._replace(parts=self._glyphs.parts[0])
        self._summary = Summary()
        self._labels = Labels()
        self._held: list[Notice] = []
        self._begun: dict[tuple[str, str], LogStarted] = {}  # logs without a line so far, by pod, container
        self._done_hooks: set[HookKey] = set()
        self._held_hooks: list[HookChanged] = []  # that have ended, and whose logs have not
        self._on_screen = OnScreen()
        self._drawn = 0.0

    def report(self, event: Event) -> None:
        if isinstance(event, LogLines):
            self._show_log_lines(event)
            self.flush()
            return
        self._summary.add(event)
        self._show(event)
        if isinstance(event, RunEnded):
            self._show_end()
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
            self._show_end()
        if self._log_stream:
            self._log_stream.flush()
        self._screen.draw()

    def drain(self, seconds: float | None) -> None:
        for stream in self._streams:
            stream.drain(seconds)

    def _draw(self) -> None:
        self._drawn = self._now()
        size = self._screen.measure()
        held = [notice.text for notice in self._held]
        lines = render.live_lines(self._summary, held, self._glyphs, self._drawn, size)
        self._screen.draw(lines)

    @property
    def _columns(self) -> int:
        return self._screen.measure()[0]

    def _print(self, lines: Iterable[Text]) -> None:
        for line in lines:
            self._screen.print(line)

    def _show(self, event: Event) -> None:
        """Let the event scroll by, unless the live lines or the end show it."""
        match event:
            case RunStarted():
                self._print(render.header(event, self._columns))
            case StepEnded(step=step) if step in ROWS:
                self._print(render.step(event, self._summary, self._glyphs, self._columns))
                self._show_held()
            case HookChanged() if event.status in DONE:
                self._show_hook(event)
            case ResourceChanged(status="SyncFailed"):
                self._show_refused(event)
            case LogStarted() | LogLines() | LogEnded():
                self._show_log(event)
            case Planned() if self._log_stream:
                self._log_stream.line(clean(event.what))
            case Planned():
                self._print(hanging(flat(event.what), width_of(self._columns)))
            case Notice():
                self._show_notice(event)
            case Canceling():
                self._print(render.canceling(event, self._columns))
            case Verdict():
                self._stop_hooks()
            case SweepStarted() | TopicSwept() | SweepEnded():
                pass  # only plain and json show a sweep
            case (
                StepStarted()
                | StepEnded()
                | HookChanged()
                | Waiting()
                | ResourceChanged()
                | OperationChanged()
                | SyncStarted()
                | TopicCreated()
                | ParameterSet()
                | CannotStart()
                | Retrying()
                | Undone()
                | LeftBehind()
                | SettlingContinues()
                | TopicKept()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)

    # -- hooks ---------------------------------------------------------------------------------------

    def _show_hook(self, event: HookChanged) -> None:
        key = hook_key(event)
        if key in self._done_hooks:
            return
        self._done_hooks.add(key)
        if self._summary.is_read(event):
            self._held_hooks.append(event)  # its line comes below its log
        else:
            self._print(render.hook(event, self._glyphs, self._columns))

    def _show_held_hooks(self, *, of_open_logs: bool) -> None:
        held = self._held_hooks
        self._held_hooks = [h for h in held if self._summary.is_read(h) and not of_open_logs]
        for event in held:
            if event not in self._held_hooks:
                self._print(render.hook(event, self._glyphs, self._columns))

    def _show_refused(self, event: ResourceChanged) -> None:
        """An object that could not be applied."""
        above = self._screen.rows
        what = [(clean(f"{event.kind}/{event.name}"), ""), (flat(event.message), "red")]
        self._print(row((self._glyphs.bad, "red"), "sync", what, "", width_of(self._columns)))
        self._on_screen.add_message(clean_lines(f"{event.kind} {event.name}: {event.message}"), above + 1)

    def _stop_hooks(self) -> None:
        """A line for each hook that the run does not wait for any longer."""
        self._show_held_hooks(of_open_logs=True)
        for event in self._summary.running:
            key = hook_key(event)
            if key not in self._done_hooks:
                self._done_hooks.add(key)
                lines = render.stopped_hook(event, self._summary, self._glyphs, self._now(), self._columns)
                self._print(lines)

    # -- logs ----------------------------------------------------------------------------------------

    def _show_log(self, event: LogStarted | LogLines | LogEnded) -> None:
        match event:
            case LogStarted():
                self._labels.begin(event)
                self._begun[event.pod, event.container] = event
            case LogLines():
                self._show_log_lines(event)
            case LogEnded():
                self._labels.end(event)
                self._show_held_hooks(of_open_logs=False)
                if not event.complete and not self._summary.is_stopped(event):
                    text = f"log of {clean(event.job)}: {wording.log_end(event)}"
                    self._print(render.notice(text, self._columns, warning=True))
            case _:
                assert_never(event)

    def _show_log_lines(self, event: LogLines) -> None:
        if begun := self._begun.pop((event.pod, event.container), None):
            self._print(render.log_header(begun, self._summary, self._glyphs, self._columns))
        if self._log_stream:
            self._log_stream.line(log_lines(event, self._labels))
            return
        text = log_lines(event, self._labels, color=self._color, bar=self._glyphs.log_bar)
        height = self._on_screen.add_log(event.job, text, self._screen.rows, self._screen.console.size.width)
        self._screen.line(text, height)

    # -- notices -------------------------------------------------------------------------------------

    def _show_notice(self, event: Notice) -> None:
        if Step.CLEANUP in self._summary.open_steps and event.level == "info":
            return  # the step's line sums it up
        if self._screen.live and any(step in ROWS for step in self._summary.open_steps):
            self._held.append(event)
        else:
            self._print(render.notice(event.text, self._columns, warning=event.level == "warning"))

    def _show_held(self) -> None:
        held, self._held = self._held, []
        for notice in held:
            self._print(render.notice(notice.text, self._columns, warning=notice.level == "warning"))

    # -- the end -------------------------------------------------------------------------------------

    def _show_end(self) -> None:
        self._summary.shown = True
        self._stop_hooks()
        self._show_held()
        self._print(self._end())
        self._screen.draw()

    def _end(self) -> list[Text]:
        """The lines at the end; what they leave on the screen of the lines above, they do not repeat."""
        run, size = self._summary, self._screen.measure()
        all_said = self._on_screen.messages(0)
        height = len(list(render_end(run, self._glyphs, size, LAST_LINES, all_said)))  # if none is repeated
        first = self._screen.rows + height - size[1] + 1  # a row above this one has scrolled away
        failed = [h.name for h in run.hooks.values() if h.status is not HookStatus.SUCCEEDED]
        visible = self._on_screen.log_lines(failed, first)
        return list(render_end(run, self._glyphs, size, visible, self._on_screen.messages(first)))


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
    if live:  # after Ctrl-Z and `fg`, a shell and its commands have written below the live lines
        signal.signal(signal.SIGCONT, lambda *_: screen.forget())
    log = None if live and is_terminal(streams.stdout) else out
    return Terminal(screen, log=log, streams=(out, err), color=not streams.no_color)
