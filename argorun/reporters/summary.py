"""Collects a run's state from its events: steps, hooks, logs, verdict, what is left behind."""

from __future__ import annotations

import dataclasses

from argorun.events import (
    Canceling,
    CannotStart,
    Event,
    HookChanged,
    HookStatus,
    LeftBehind,
    LogEnded,
    LogStarted,
    OperationChanged,
    ParameterSet,
    ResourceChanged,
    Retrying,
    RunEnded,
    RunStarted,
    SettlingContinues,
    Step,
    StepEnded,
    StepStarted,
    SyncStarted,
    TopicCreated,
    TopicKept,
    Undone,
    Verdict,
    Waiting,
)
from argorun.reporters.log_lines import ContainerKey
from argorun.reporters.time_spent import TimeSpent

UNSHOWN = (Step.PLAN, Step.VERDICT)  # steps that other lines show: the run's beginning, and its verdict
ROWS = (
    Step.PREFLIGHT,
    Step.TOPICS,
    Step.PARAMETERS,
    Step.SYNC,
    Step.CLEANUP,
)  # that end in a line of their own
DONE = (HookStatus.SUCCEEDED, HookStatus.FAILED)
SIGNALS = 128  # the exit code of a process that a signal ended, minus the signal's number
HookKey = tuple[str, str, str, str]


def hook_key(event: HookChanged) -> HookKey:
    """What tells one hook of a run from all others."""
    return event.hook, event.kind, event.namespace, event.name


@dataclasses.dataclass
class Summary:
    """The run so far, from its events."""

    started: RunStarted | None = None
    open_steps: dict[Step, StepStarted] = dataclasses.field(default_factory=dict)
    ended_steps: dict[Step, StepEnded] = dataclasses.field(default_factory=dict)
    waiting: dict[Step, Waiting] = dataclasses.field(default_factory=dict)
    hooks: dict[HookKey, HookChanged] = dataclasses.field(default_factory=dict)
    delays: dict[tuple[str, str], CannotStart] = dataclasses.field(default_factory=dict)  # by kind and name
    retrying: dict[str, Retrying] = dataclasses.field(default_factory=dict)  # by service
    topics: list[TopicCreated] = dataclasses.field(default_factory=list)
    parameters: list[ParameterSet] = dataclasses.field(default_factory=list)  # of the newest attempt
    synced: SyncStarted | None = None
    operation: OperationChanged | None = None
    reading: set[ContainerKey] = dataclasses.field(default_factory=set)  # whose logs are open
    logs: list[LogEnded] = dataclasses.field(default_factory=list)
    canceling: Canceling | None = None
    during: str = ""  # what it was that the signal ended, in words
    verdict: Verdict | None = None
    undone: Undone | None = None  # the newest
    left: list[LeftBehind] = dataclasses.field(default_factory=list)
    kept: list[TopicKept] = dataclasses.field(default_factory=list)
    settling_continues: bool = False
    ended: RunEnded | None = None
    spent: TimeSpent = dataclasses.field(default_factory=TimeSpent)
    shown: bool = False  # the reporter has shown it

    def add(self, event: Event) -> None:
        """Take the event into account; most change nothing here."""
        if isinstance(event, ResourceChanged):  # thousands may come at once
            return
        self.spent.add(event)
        match event:
            case RunStarted():
                self.started = event
            case StepStarted(step=step) | StepEnded(step=step) if step in UNSHOWN:
                pass
            case StepStarted() | StepEnded() | Waiting():
                self._add_step(event)
            case HookChanged():
                self.hooks[hook_key(event)] = event
            case CannotStart(reason=""):
                self.delays.pop((event.kind, event.name), None)
            case CannotStart():
                self.delays[event.kind, event.name] = event
            case Retrying(reason=""):
                self.retrying.pop(event.service, None)
            case Retrying():
                self.retrying[event.service] = event
            case TopicCreated():
                self.topics.append(event)
            case ParameterSet():
                self.parameters.append(event)
            case SyncStarted():
                self.synced = event
            case OperationChanged():
                self.operation = event
            case LogStarted():
                self.reading.add((event.job, event.pod, event.container))
            case LogEnded():
                self.reading.discard((event.job, event.pod, event.container))
                self.logs.append(event)
            case _:
                self._add_end(event)

    def _add_step(self, event: StepStarted | StepEnded | Waiting) -> None:
        if isinstance(event, Waiting):
            self.waiting[event.step] = event
            return
        self.waiting.pop(event.step, None)
        if isinstance(event, StepEnded):
            self.open_steps.pop(event.step, None)
            self.ended_steps[event.step] = event
            return
        self.open_steps[event.step] = event
        if event.step is Step.PARAMETERS:
            self.parameters.clear()

    def _add_end(self, event: Event) -> None:
        match event:
            case Canceling():
                self.canceling, self.during = event, self._doing()
            case Verdict():
                self.verdict = event
            case Undone():
                self.undone = event
            case LeftBehind():
                self.left.append(event)
            case TopicKept():
                self.kept.append(event)
            case SettlingContinues():
                self.settling_continues = True
            case RunEnded():
                self.ended = event
            case _:
                pass

    # -- the hooks -----------------------------------------------------------------------------------

    @property
    def running(self) -> list[HookChanged]:
        """The hooks that have begun and not ended, in the order of their beginnings."""
        return [h for h in self.hooks.values() if h.status is HookStatus.RUNNING]

    def is_read(self, hook: HookChanged) -> bool:
        """Whether more lines of a hook's log may come."""
        return any(job == hook.name for job, _, _ in self.reading)

    def delay(self, hook: HookChanged) -> CannotStart | None:
        """Why a hook that has not ended cannot start yet, if so."""
        return self.delays.get((hook.kind, hook.name))

    @property
    def tests(self) -> list[str]:
        """The names of the required tests that ran."""
        return list(dict.fromkeys(h.name for h in self.hooks.values() if h.required))

    def is_stopped(self, log: LogEnded) -> bool:
        """Whether a log is not complete because its hook has not ended: nobody misses a line."""
        return not log.complete and any(h.name == log.job for h in self.running)

    def phase_of(self, job: str) -> str:
        """The phase of the hook of this name; empty for a log of something else."""
        return next((h.hook for h in reversed(self.hooks.values()) if h.name == job), "")

    # -- how it ended --------------------------------------------------------------------------------

    @property
    def exit_code(self) -> int | None:
        """The run's exit code; that of the verdict before the run has ended, and None before the verdict."""
        if self.ended:
            return self.ended.exit_code
        return self.verdict.exit_code if self.verdict else None

    @property
    def canceled(self) -> bool:
        """Whether a signal ended the run."""
        return self.exit_code is not None and self.exit_code > SIGNALS

    @property
    def outcome(self) -> str:
        """A word or two for the headline."""
        if self.exit_code == 0:
            return "PASSED" if self.verdict else "OK"  # a dry run has no verdict
        if self.canceled:
            return "CANCELED"
        if self.verdict and self.verdict.ok:
            return "PASSED, but not cleaned up" if self.left else "PASSED, but not all was written"
        return "FAILED"

    @property
    def touched(self) -> bool:
        """Whether the run began to change anything."""
        return self._began(Step.TOPICS)

    @property
    def followed(self) -> bool:
        """Whether the run came as far as its hooks."""
        return self._began(Step.FOLLOW)

    @property
    def cleaned_up(self) -> bool:
        """Whether the clean-up saw that nothing is left, except what was to stay or settles by itself."""
        ended = self.ended_steps.get(Step.CLEANUP)
        return ended is not None and ended.ok and not self.left

    def _began(self, step: Step) -> bool:
        return step in self.open_steps or step in self.ended_steps

    def _doing(self) -> str:
        """`while run-tests ran`, `during the clean-up`."""
        if Step.CLEANUP in self.open_steps or self.verdict is not None:
            return "during the clean-up"
        if running := sorted(self.running, key=lambda h: not h.required):
            return f"while {running[0].name} ran"
        if waiting := next(iter(self.waiting.values()), None):
            return f"while it waited: {waiting.reason}"
        return {
            Step.PREFLIGHT: "during preflight",
            Step.TOPICS: "while the topic was created",
            Step.PARAMETERS: "while the parameters were set",
            Step.SYNC: "while the sync began",
            Step.FOLLOW: "while the sync ran",
            Step.LOGS: "while the logs were read",
        }.get(next(iter(self.open_steps), Step.PLAN), "")
