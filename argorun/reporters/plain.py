"""Tells a run in lines that read well in a CI log: the tests' own lines to stdout, the rest to stderr.

The first characters of a line say what it is:

    ==>   a step begins, or the run ended
     ok   the step is done
      -   something happened in it
      !   something went wrong
      |   the line before goes on
"""

from __future__ import annotations

from typing import assert_never

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
from argorun.redact.sanitize import clean, clean_lines
from argorun.reporters import wording
from argorun.reporters.log_lines import Labels, last, log_lines
from argorun.reporters.streams import Sink
from argorun.reporters.summary import UNSHOWN, Tally

STEP, OK, ITEM, WRONG, MORE = "==> ", " ok ", "  - ", "  ! ", "  | "


class Plain:
    """Writes no control sequence of its own; `colour` leaves the tests' colours in their lines."""

    name = "plain output"

    def __init__(self, out: Sink, err: Sink, *, colour: bool = False) -> None:
        self._out = out
        self._err = err
        self._colour = colour
        self._labels = Labels()
        self._tally = Tally()

    def report(self, event: Event) -> None:
        if isinstance(event, LogLines):
            self._log(event)
            return
        self._out.flush()  # where both end up in one place, the order is the run's
        self._tally.take(event)
        self._tell(event)
        self.flush()

    def flush(self) -> None:
        self._out.flush()
        self._err.flush()

    def close(self) -> None:
        if self._tally.verdict and not self._tally.summarised:
            self._summary()  # argorun itself fell over after the verdict: say at least that
        self.flush()

    def drain(self, seconds: float | None) -> None:
        self._err.drain(seconds)
        self._out.drain(seconds)

    def _log(self, event: LogLines) -> None:
        self._out.line(log_lines(event, self._labels, colour=self._colour))

    def _say(self, mark: str, *parts: str) -> None:
        """One thing: its parts joined by ": ", the empty ones left out; a part's further lines go below."""
        lines = clean_lines(": ".join(filter(None, (part.strip() for part in parts))))
        for index, line in enumerate(lines):
            self._err.line((MORE if index else mark) + line)

    def _tell(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._say(STEP, f"argorun {event.version}", f"{event.application}, run {event.run_id}")
                self._say(ITEM, event.url)
            case StepStarted(step=step) | StepEnded(step=step) if step in UNSHOWN:
                pass
            case StepStarted():
                self._say(STEP, event.step, event.detail)
            case StepEnded(ok=True):
                self._say(OK, f"{event.step} ({duration(event.seconds)})", event.detail)
            case StepEnded():
                self._say(WRONG, f"{event.step} failed after {duration(event.seconds)}", event.detail)
            case HookChanged() | ResourceChanged() | OperationChanged() | SyncStarted():
                self._tell_operation(event)
            case LogStarted():
                self._labels.begin(event)
                self._say(ITEM, f"log of {wording.log_source(event)}")
            case LogLines():
                self._log(event)
            case LogEnded():
                self._labels.end(event)
                mark = ITEM if event.complete else WRONG
                self._say(mark, f"end of the log of {event.job}", wording.log_end(event))
            case Verdict():
                self._say(ITEM if event.ok else WRONG, "verdict", event.title)
            case LeftBehind():
                self._say(WRONG, "left behind", event.what, event.why)
            case RunEnded():
                self._summary()
            case SweepStarted() | TopicSwept() | SweepEnded():
                self._tell_sweep(event)
            case _:
                self._tell_deed(event)

    def _tell_operation(self, event: HookChanged | ResourceChanged | OperationChanged | SyncStarted) -> None:
        match event:
            case HookChanged():
                mark = WRONG if event.status is HookStatus.FAILED else ITEM
                name = f"{event.hook} {wording.hook_name(event)}{' (test)' if event.required else ''}"
                self._say(mark, f"hook {name}", wording.hook_status(event), event.message)
            case ResourceChanged():
                mark = WRONG if event.status == "SyncFailed" else ITEM
                self._say(mark, f"{event.kind}/{event.name}", event.status, event.message)
            case OperationChanged() if " of hook " in event.message:
                pass  # "waiting for completion of hook …": the hooks are told one by one
            case OperationChanged():
                mark = WRONG if event.phase in ("Failed", "Error") else ITEM
                self._say(mark, f"operation {event.phase}", event.message)
            case SyncStarted():
                self._say(ITEM, "sync taken", event.revision and f"revision {event.revision}")

    def _tell_deed(self, event: Waiting | Planned | TopicCreated | ParameterSet | Notice | Undone) -> None:
        match event:
            case Waiting():
                self._say(ITEM, "waiting", event.reason)
            case Planned():
                self._out.line(clean(event.what))  # what --dry-run was asked for: data
            case TopicCreated():
                self._say(ITEM, f"topic {event.topic}", f"{wording.topic(event)} ({duration(event.seconds)})")
            case ParameterSet():
                self._say(ITEM, wording.parameter(event))
            case Notice(level="warning"):
                self._say(WRONG, "warning", event.text)
            case Notice():
                self._say(ITEM, event.text)
            case Undone():
                self._say(ITEM, "undone", f"{event.what} ({duration(event.seconds)})")
            case _:
                assert_never(event)

    def _tell_sweep(self, event: SweepStarted | TopicSwept | SweepEnded) -> None:
        match event:
            case SweepStarted():
                self._say(STEP, f"argorun {event.version}", wording.sweep(event))
            case TopicSwept():
                self._out.line(clean(event.topic))  # what a sweep is asked for: data
            case SweepEnded():
                self._say(STEP, wording.swept(event), event.error)
                self._explain("hint", event.hint)
                self._tell_left()

    def _summary(self) -> None:
        self._tally.summarised = True
        tally, verdict, code = self._tally, self._tally.verdict, self._tally.exit_code
        took = f" after {duration(tally.ended.seconds)}" if tally.ended else ""
        exit_code = f", exit code {code}" if code else ""
        self._say(STEP, f"{tally.outcome}{took}{exit_code}", verdict.title if verdict else "")
        if verdict and not verdict.ok:
            self._explain("why", verdict.reason)
            self._explain("seen", "\n".join(verdict.evidence))
            of = f" ({verdict.log_of})" if verdict.log_of else ""
            self._explain("log", f"its last lines{of}" if verdict.last_lines else "")
            for line in last(verdict.last_lines):
                self._err.line((MORE + clean(line)).rstrip())  # an indentation counts here
            self._explain("hint", verdict.hint)
            self._explain("look", verdict.url)
        self._tell_left()

    def _tell_left(self) -> None:
        for left in self._tally.left:
            self._explain("left", ": ".join(filter(None, (left.what, left.why))))
            self._explain("run", left.command)

    def _explain(self, what: str, text: str) -> None:
        """One line of the last block; none where there is nothing to say."""
        if text.strip():
            self._say(WRONG, what, text)
