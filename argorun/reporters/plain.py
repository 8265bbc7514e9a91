"""Plain output for CI logs: the tests' own lines to stdout, all else to stderr.

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
from argorun.humanize import duration
from argorun.kinds import PlannedKind
from argorun.redact.sanitize import clean, clean_lines
from argorun.reporters import wording
from argorun.reporters.log_lines import Labels, last, log_lines
from argorun.reporters.reporter import Buffered, Drainable, Reporter
from argorun.reporters.streams import LineStream, StandardStreams, is_terminal
from argorun.reporters.summary import ROWS, UNSHOWN, HookKey, Summary, hook_key
from argorun.reporters.time_spent import in_words

STEP, OK, ITEM, WRONG, MORE = "==> ", " ok ", "  - ", "  ! ", "  | "


class Plain(Reporter, Buffered, Drainable):
    """Writes no control sequence of its own; `color` keeps the tests' colors in their lines."""

    name = "plain output"

    def __init__(self, out: LineStream, err: LineStream, *, color: bool = False) -> None:
        self._out = out
        self._err = err
        self._color = color
        self._labels = Labels()
        self._summary = Summary()
        self._names = wording.STEPS
        self._stopped: set[HookKey] = set()  # hooks that are said to have stopped

    def report(self, event: Event) -> None:
        if isinstance(event, LogLines):
            self._show_log_lines(event)
            return
        self._out.flush()  # if both streams end up in one place, the lines keep the run's order
        self._summary.add(event)
        self._show(event)
        self.flush()

    def flush(self) -> None:
        self._out.flush()
        self._err.flush()

    def close(self) -> None:
        if self._summary.verdict and not self._summary.shown:
            self._show_summary()  # argorun itself failed after the verdict
        self.flush()

    def drain(self, seconds: float | None) -> None:
        self._err.drain(seconds)
        self._out.drain(seconds)

    def _write(self, mark: str, *parts: str) -> None:
        """Write the nonempty parts, joined by ": "; further lines of a part go below."""
        lines = clean_lines(": ".join(filter(None, (part.strip() for part in parts))))
        for index, line in enumerate(lines):
            self._err.line((MORE if index else mark) + line)

    def _show(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._write(STEP, f"argorun {event.version}", f"{event.application}, run {event.run_id}")
                if event.url:
                    self._write(ITEM, event.url)
            case StepStarted(step=step) | StepEnded(step=step) if step in UNSHOWN:
                pass
            case StepStarted():
                self._write(STEP, self._names[event.step], event.detail)
            case StepEnded():
                self._show_step_ended(event)
            case HookChanged() | ResourceChanged() | OperationChanged() | SyncStarted():
                self._show_operation(event)
            case LogStarted() | LogLines() | LogEnded():
                self._show_log(event)
            case Waiting() | TopicCreated() | ParameterSet() | Undone():
                self._show_action(event)
            case CannotStart() | Retrying() | Canceling():
                self._show_trouble(event)
            case SettlingContinues() | TopicKept():
                pass  # the last block says it
            case Planned(kind=PlannedKind.RESTORE):
                self._write(ITEM, event.what)  # a sweep outputs topics only
            case Planned():
                self._out.line(clean(event.what))  # the data that --dry-run outputs
            case Notice(level="warning"):
                self._write(WRONG, "warning", event.text)
            case Notice():
                self._write(ITEM, event.text)
            case Verdict():
                self._stop_hooks()
            case LeftBehind():
                self._write(WRONG, "left behind", event.what, event.why)
            case RunEnded():
                self._show_summary()
            case SweepStarted() | TopicSwept() | SweepEnded():
                self._show_sweep(event)
            case _:
                assert_never(event)

    def _show_step_ended(self, event: StepEnded) -> None:
        """The end of a step, unless what it followed has said so: the hooks, their logs."""
        name, took = self._names[event.step], duration(event.seconds)
        if event.step not in ROWS:
            return
        if not event.ok:
            self._write(WRONG, f"{name} failed after {took}", event.detail)
            return
        said = event.step is Step.CLEANUP  # by each thing that was undone
        self._write(OK, f"{name} ({took})", "" if said else event.detail)

    def _show_operation(self, event: HookChanged | ResourceChanged | OperationChanged | SyncStarted) -> None:
        match event:
            case HookChanged():
                mark = WRONG if event.status is HookStatus.FAILED else ITEM
                name = f"{event.hook} {wording.hook_name(event)}{' (test)' if event.required else ''}"
                message = "" if event.status is HookStatus.SUCCEEDED else event.message
                self._write(mark, f"hook {name}", wording.hook_status(event), message)
            case ResourceChanged():
                mark = WRONG if event.status == "SyncFailed" else ITEM
                self._write(mark, f"{event.kind}/{event.name}", event.status, event.message)
            case OperationChanged() if " of hook " in event.message:
                pass  # "waiting for completion of hook …": each hook has an event of its own
            case OperationChanged():
                mark = WRONG if event.phase in ("Failed", "Error") else ITEM
                self._write(mark, f"operation {event.phase}", event.message)
            case SyncStarted():
                self._write(ITEM, "sync started", event.revision and f"revision {event.revision}")
            case _:
                assert_never(event)

    def _show_log(self, event: LogStarted | LogLines | LogEnded) -> None:
        match event:
            case LogStarted():
                self._labels.begin(event)
                self._write(ITEM, f"log of {wording.log_source(event)}")
            case LogLines():
                self._show_log_lines(event)
            case LogEnded():
                self._labels.end(event)
                if self._summary.is_stopped(event):
                    return
                mark = ITEM if event.complete else WRONG
                self._write(mark, f"end of the log of {event.job}", wording.log_end(event))
            case _:
                assert_never(event)

    def _show_log_lines(self, event: LogLines) -> None:
        self._out.line(log_lines(event, self._labels, color=self._color))

    def _show_action(self, event: Waiting | TopicCreated | ParameterSet | Undone) -> None:
        match event:
            case Waiting():
                self._write(ITEM, "waiting", event.reason)
            case TopicCreated():
                created = f"{wording.topic(event)} ({duration(event.seconds)})"
                self._write(ITEM, f"topic {event.topic}", created)
            case ParameterSet():
                self._write(ITEM, wording.parameter(event))
            case Undone():
                self._write(ITEM, "undone", f"{event.what} ({duration(event.seconds)})")
            case _:
                assert_never(event)

    def _show_trouble(self, event: CannotStart | Retrying | Canceling) -> None:
        match event:
            case CannotStart(reason=""):
                self._write(ITEM, f"{event.kind}/{event.name}", "can start now")
            case CannotStart():
                self._write(ITEM, f"{event.kind}/{event.name}", wording.delay(event, event.time))
            case Retrying(reason=""):
                pass  # what comes next says whether it was answered or given up
            case Retrying():
                self._write(ITEM, wording.retrying(event))
            case Canceling():
                undoing = wording.canceling(event)
                again = f"(a second signal {wording.AT_ONCE})"
                self._write(WRONG, f"canceling ({event.signal})", f"{undoing} {again}")
            case _:
                assert_never(event)

    def _stop_hooks(self) -> None:
        """A line for each hook that the run does not wait for any longer."""
        for event in self._summary.running:
            key = hook_key(event)
            if key in self._stopped:
                continue
            self._stopped.add(key)
            name = f"{event.hook} {wording.hook_name(event)}{' (test)' if event.required else ''}"
            self._write(WRONG, f"hook {name}", wording.hook_stopped(event, self._summary))

    def _show_sweep(self, event: SweepStarted | TopicSwept | SweepEnded) -> None:
        match event:
            case SweepStarted():
                self._names = wording.STEPS_OF_A_SWEEP
                self._write(STEP, f"argorun {event.version}", wording.sweep(event))
            case TopicSwept():
                self._out.line(clean(event.topic))  # the data that a sweep outputs
            case SweepEnded():
                self._write(STEP, wording.swept(event), event.error)
                self._explain("hint", event.hint)
                self._show_left()
            case _:
                assert_never(event)

    def _show_summary(self) -> None:
        run = self._summary
        run.shown = True
        self._stop_hooks()
        verdict, code = run.verdict, run.exit_code
        if run.followed:
            self._write(ITEM, "time", in_words(run.spent.parts))
        took = f" after {duration(run.ended.seconds)}" if run.ended else ""
        exit_code = f", exit code {code}" if code else ""
        if run.outcome == "OK":
            self._write(STEP, "OK", "ready to run. Nothing was changed.")
        else:
            self._write(STEP, f"{run.outcome}{took}{exit_code}", self._headline())
        if verdict and not verdict.ok and not run.canceled:
            self._explain("why", "\n".join(filter(None, (verdict.reason, *verdict.evidence))))
            of = f" ({verdict.log_of})" if verdict.log_of else ""
            self._explain("log", f"its last lines{of}" if verdict.last_lines else "")
            for line in last(verdict.last_lines):
                self._err.line((MORE + clean(line)).rstrip())  # keeps the indentation
            self._explain("next", verdict.hint)
            self._explain("link", verdict.url if run.touched else "")
        self._show_left()
        for kept in run.kept:
            self._write(ITEM, "kept", f"topic {kept.topic}")
            self._write(ITEM, "delete", kept.command)

    def _headline(self) -> str:
        run = self._summary
        if run.canceled:
            return "; ".join((wording.canceled_by(run, "SIGINT"), *wording.remains(run)))
        if run.verdict is None:
            return ""
        if not run.verdict.ok:
            return run.verdict.title
        return ", ".join((*wording.passed(run), *wording.remains(run)))

    def _show_left(self) -> None:
        for left in self._summary.left:
            self._explain("left", ": ".join(filter(None, (left.what, left.why))))
            self._explain("run", left.command)

    def _explain(self, what: str, text: str) -> None:
        """Write one line of the last block, if there is a text."""
        if text.strip():
            self._write(WRONG, what, text)


def open_plain(streams: StandardStreams) -> Plain:
    """The plain output on these streams."""
    color = is_terminal(streams.stdout) and not streams.no_color and not streams.is_dumb
    return Plain(*streams.line_streams(), color=color)
