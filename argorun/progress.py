"""Turns an operation's states and its Jobs' logs into events: what is new is told, and told once."""

from __future__ import annotations

import collections
import time
from collections.abc import Sequence

from argorun import events
from argorun.argocd import operation
from argorun.argocd.logs import Container, Listener
from argorun.argocd.types import OperationState, ResourceResult
from argorun.cleanup import Announce
from argorun.events import HookStatus, Step
from argorun.verdict import is_required

LAST_LINES = 20
STATUS = {
    "": HookStatus.WAITING,
    "Running": HookStatus.RUNNING,
    "Terminating": HookStatus.RUNNING,
    "Succeeded": HookStatus.SUCCEEDED,
    "Failed": HookStatus.FAILED,
    "Error": HookStatus.FAILED,
}
Key = tuple[str, str, str, str, str]


class Progress(Listener):
    """What is known of the run's operation so far."""

    def __init__(self, announce: Announce, jobs: Sequence[str]) -> None:
        self._announce, self._required = announce, jobs
        self._hooks: dict[Key, ResourceResult] = {}
        self._began: dict[Key, float] = {}
        self._resources: dict[Key, tuple[str, str]] = {}
        self._operation = ("", "")
        self._lines: dict[str, collections.deque[str]] = {}
        self.waiting_for = ""

    def waits(self, step: Step, reason: str) -> None:
        """Tell for whom the run waits, once."""
        if reason != self.waiting_for:
            self.waiting_for = reason
            self._announce(events.Waiting(time=time.time(), step=step, reason=reason))

    def doing(self) -> str:
        """What the run was at, for a person who reads that its time ran out."""
        running = [h.name for h in self._hooks.values() if h.hook_phase == "Running"]
        if running:
            return f"{', '.join(running)} still running"
        if self._operation[0]:
            return self._operation[1] or f"the operation was {self._operation[0]}"
        return f"waiting for {self.waiting_for}" if self.waiting_for else "nothing was synced yet"

    # -- the operation ------------------------------------------------------------------------------

    def state(self, state: OperationState) -> list[ResourceResult]:
        """Tell what changed; gives back the hooks that did."""
        if (state.phase, state.message) != self._operation:
            self._operation = (state.phase, state.message)
            self._announce(
                events.OperationChanged(time=time.time(), phase=state.phase, message=state.message)
            )
        for r in operation.resources(state):
            key = operation.key(r)
            if self._resources.get(key) != (r.status, r.message):
                self._resources[key] = (r.status, r.message)
                self._announce(
                    events.ResourceChanged(
                        time=time.time(),
                        kind=r.kind,
                        name=r.name,
                        namespace=r.namespace,
                        status=r.status,
                        message=r.message,
                    )
                )
        changed = [h for h in operation.hooks(state) if self._hooks.get(operation.key(h)) != h]
        for hook in changed:
            self._tell_hook(hook)
        return changed

    def _tell_hook(self, hook: ResourceResult) -> None:
        key = operation.key(hook)
        self._hooks[key] = hook
        began = self._began.setdefault(key, time.monotonic())
        self._announce(
            events.HookChanged(
                time=time.time(),
                hook=hook.sync_phase or hook.hook_type,
                kind=hook.kind,
                name=hook.name,
                namespace=hook.namespace,
                status=STATUS.get(hook.hook_phase, HookStatus.RUNNING),
                message=hook.message,
                required=is_required(hook, self._required),
                seconds=time.monotonic() - began,
            )
        )

    def wants_log(self, hook: ResourceResult) -> bool:
        """Whether a hook's log is to be read."""
        return is_required(hook, self._required)

    def running_jobs(self) -> list[tuple[str, str]]:
        """Namespace and name of the Jobs whose end the operation has not seen."""
        return [(h.namespace, h.name) for h in self._hooks.values() if h.kind == "Job" and h.hook_phase == "Running"]

    def jobs(self) -> list[tuple[str, str]]:
        """Namespace and name of all hook Jobs of the operation."""
        return [(h.namespace, h.name) for h in self._hooks.values() if h.kind == "Job"]

    # -- the logs -----------------------------------------------------------------------------------

    def started(self, container: Container) -> None:
        c = container
        self._announce(
            events.LogStarted(time=time.time(), job=c.job, pod=c.pod, container=c.name, attempt=c.attempt)
        )

    def line(self, container: Container, stamp: str, text: str) -> None:
        c = container
        lines = self._lines.get(c.job) or self._lines.setdefault(c.job, collections.deque(maxlen=LAST_LINES))
        lines.append(text)
        self._announce(
            events.LogLine(
                time=time.time(), job=c.job, pod=c.pod, container=c.name, attempt=c.attempt, stamp=stamp, text=text
            )
        )

    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None:
        c = container
        self._announce(
            events.LogEnded(
                time=time.time(),
                job=c.job,
                pod=c.pod,
                container=c.name,
                attempt=c.attempt,
                lines=lines,
                complete=complete,
                reason=reason,
            )
        )

    def last_lines(self) -> tuple[str, ...]:
        """The last lines of the failed test Jobs, oldest first."""
        failed = [h.name for h in self._hooks.values() if STATUS.get(h.hook_phase) is HookStatus.FAILED]
        return tuple(line for name in failed for line in self._lines.get(name, ()))
