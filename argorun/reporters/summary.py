"""Collects a run's state from its events: steps, hooks, verdict, what is left behind."""

from __future__ import annotations

import dataclasses

from argorun.events import (
    Event,
    HookChanged,
    LeftBehind,
    RunEnded,
    RunStarted,
    Step,
    StepEnded,
    StepStarted,
    Verdict,
    Waiting,
)

UNSHOWN = (Step.PLAN, Step.VERDICT)  # steps that other lines show: the run's beginning, and its verdict
SIGNALS = 128  # the exit code of a process that a signal ended, minus the signal's number
HookKey = tuple[str, str, str, str]


@dataclasses.dataclass
class Summary:
    """The run so far, from its events."""

    started: RunStarted | None = None
    open_steps: dict[Step, StepStarted] = dataclasses.field(default_factory=dict)
    ended_steps: dict[Step, StepEnded] = dataclasses.field(default_factory=dict)
    waiting: dict[Step, Waiting] = dataclasses.field(default_factory=dict)
    hooks: dict[HookKey, HookChanged] = dataclasses.field(default_factory=dict)
    verdict: Verdict | None = None
    left: list[LeftBehind] = dataclasses.field(default_factory=list)
    ended: RunEnded | None = None
    shown: bool = False  # the reporter has shown it

    def add(self, event: Event) -> None:
        """Take the event into account; most change nothing here."""
        match event:
            case RunStarted():
                self.started = event
            case StepStarted(step=step) | StepEnded(step=step) if step in UNSHOWN:
                pass
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
        """The run's exit code; that of the verdict before the run has ended, and None before the verdict."""
        if self.ended:
            return self.ended.exit_code
        return self.verdict.exit_code if self.verdict else None

    @property
    def outcome(self) -> str:
        """A word or two for the headline."""
        if self.exit_code == 0:
            return "PASSED" if self.verdict else "DONE"  # a dry run has no verdict
        if self.verdict and self.verdict.ok:
            if self.left:
                return "PASSED, but not cleaned up"
            signaled = self.exit_code is not None and self.exit_code > SIGNALS
            return "PASSED, and then interrupted" if signaled else "PASSED, but not all was written"
        return "FAILED"
