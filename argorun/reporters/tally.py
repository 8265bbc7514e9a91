"""Keeps what a summary needs: where each step and hook stands, the verdict, what was left behind."""

from __future__ import annotations

import dataclasses

from argorun.events import (
    Event,
    HookChanged,
    LeftBehind,
    LogEnded,
    LogLine,
    LogStarted,
    RunEnded,
    RunStarted,
    Step,
    StepEnded,
    StepStarted,
    Verdict,
    Waiting,
)

HookKey = tuple[str, str, str, str]


@dataclasses.dataclass
class Tally:
    """The run so far, from its events."""

    started: RunStarted | None = None
    open_steps: dict[Step, StepStarted] = dataclasses.field(default_factory=dict)
    ended_steps: dict[Step, StepEnded] = dataclasses.field(default_factory=dict)
    waiting: dict[Step, Waiting] = dataclasses.field(default_factory=dict)
    hooks: dict[HookKey, HookChanged] = dataclasses.field(default_factory=dict)
    verdict: Verdict | None = None
    left: list[LeftBehind] = dataclasses.field(default_factory=list)
    ended: RunEnded | None = None
    summarised: bool = False

    def take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.started = event
            case StepStarted():
                self.open_steps[event.step] = event
                self.waiting.pop(event.step, None)
            case StepEnded():
                self.open_steps.pop(event.step, None)
                self.waiting.pop(event.step, None)
                self.ended_steps[event.step] = event
            case Waiting():
                self.waiting[event.step] = event
            case HookChanged():
                self.hooks[event.hook, event.kind, event.namespace, event.name] = event
            case Verdict():
                self.verdict = event
            case LeftBehind():
                self.left.append(event)
            case RunEnded():
                self.ended = event

    @property
    def exit_code(self) -> int | None:
        """The process's, as far as it is known: None before a verdict."""
        if self.ended:
            return self.ended.exit_code
        return self.verdict.exit_code if self.verdict else None

    @property
    def outcome(self) -> str:
        """The run in a word or two, for the head of the summary."""
        if self.exit_code == 0:
            return "PASSED" if self.verdict else "DONE"  # a dry run has no verdict
        if self.verdict and self.verdict.ok:
            return "PASSED, but not cleaned up" if self.left else "PASSED, but not all was written"
        return "FAILED"


class Labels:
    """Says whose log a line is, from the moment on that several containers log at once."""

    def __init__(self) -> None:
        self._open: set[tuple[str, str, str]] = set()
        self._labels: dict[tuple[str, str, str], str] = {}
        self._several = False

    def begin(self, event: LogStarted) -> None:
        self._open.add((event.job, event.pod, event.container))
        # Once lines were mixed a reader looks for the name: it stays, also when one log is left.
        self._several = self._several or len(self._open) > 1
        if self._several:
            self._labels.update((source, self._label(source)) for source in self._open)

    def end(self, event: LogEnded) -> None:
        self._open.discard((event.job, event.pod, event.container))

    def of(self, line: LogLine) -> str:
        """The Job's name (with the container's or the pod's where that is not enough), or nothing."""
        if not self._several:
            return ""
        return self._labels.get((line.job, line.pod, line.container), line.job)

    def _label(self, source: tuple[str, str, str]) -> str:
        job, pod, container = source
        others = [other for other in self._open if other[0] == job and other != source]
        if not others:
            return job
        return f"{job}/{pod}" if any(other[1] != pod for other in others) else f"{job}/{container}"
