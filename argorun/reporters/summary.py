"""Keeps what a summary needs: where each step and hook stands, the verdict, what was left behind."""

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
SIGNALS = 128  # the exit code of a process that was told to end, without the signal's number
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
            if self.left:
                return "PASSED, but not cleaned up"
            signalled = self.exit_code is not None and self.exit_code > SIGNALS
            return "PASSED, and then interrupted" if signalled else "PASSED, but not all was written"
        return "FAILED"
