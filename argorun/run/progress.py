"""Turns an operation's states and its Jobs' logs into events, each change once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from argorun import events
from argorun.argocd.diagnosis.stuck import Delay
from argorun.argocd.logs.container import Container, Listener
from argorun.argocd.manifests.hooks import RUNNING, Hook, required
from argorun.argocd.sync import operation
from argorun.argocd.types import Node, OperationState, ResourceResult
from argorun.emit import Emit
from argorun.events import HookStatus, Step
from argorun.kinds import NoticeKind
from argorun.run.last_lines import Tails, joined
from argorun.run.verdict import is_required

AT_ONCE = 200  # changed resources that are emitted in one go, some 50 µs each
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
    """What is known of the run's operation so far. `clock` gives monotonic seconds."""

    def __init__(
        self,
        emit: Emit,
        jobs: Sequence[str],
        logs: str = "tests",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit, self._required, self._logs, self._clock = emit, jobs, logs, clock
        self._expected: list[Hook] = []
        self._appeared: dict[str, float] = {}  # when a Job or Pod was first seen, by name
        self._hooks: dict[Key, ResourceResult] = {}
        self._named: dict[tuple[str, str], dict[Key, ResourceResult]] = {}  # the same, by kind and name
        self._statuses: dict[tuple[str, str, str, str], HookStatus] = {}
        self._began: dict[tuple[str, str, str, str], float] = {}
        self._resources: dict[Key, tuple[str, str]] = {}
        self._operation = ("", "")
        self._tails: dict[str, Tails] = {}  # by the Job's name
        # The logs that were read: how many lines, and whether to the end.
        self._ended: list[tuple[Container, int, bool]] = []
        self.waiting_for = ""
        self.behind = False  # the operation's state has more changes than were emitted

    def waits(self, step: Step, reason: str) -> None:
        """The run waits for somebody; emitted when the reason changes."""
        if reason != self.waiting_for:
            self.waiting_for = reason
            self._emit(events.Waiting(time=time.time(), step=step, reason=reason))

    def doing(self) -> str:
        """What the run is doing, for a person who reads that its time ran out."""
        if running := self.running():
            return f"{', '.join(running)} still running"
        if self._operation[0]:
            return self._operation[1] or f"the operation was {self._operation[0]}"
        return f"waiting for {self.waiting_for}" if self.waiting_for else "nothing was synced yet"

    # -- the operation ------------------------------------------------------------------------------

    def update(
        self, state: OperationState, exit_of: Callable[[ResourceResult], str] = lambda hook: ""
    ) -> list[ResourceResult]:
        """Emit what changed; return the changed hooks. While `behind`, call it again: there is more.

        `exit_of` says how a failed hook's pod ended, which says more than Argo CD's message.
        """
        if (state.phase, state.message) != self._operation:
            self._operation = (state.phase, state.message)
            self._emit(events.OperationChanged(time=time.time(), phase=state.phase, message=state.message))
        self._emit_resources(operation.resources(state))
        changed = [h for h in operation.hooks(state) if self._hooks.get(operation.key(h)) != h]
        for hook in changed:
            self._hooks[operation.key(hook)] = hook
            self._named.setdefault((hook.kind, hook.name), {})[operation.key(hook)] = hook
            status = STATUS.get(hook.hook_phase, HookStatus.RUNNING)
            phase = hook.sync_phase or hook.hook_type
            message = (exit_of(hook) if status is HookStatus.FAILED else "") or hook.message
            self._emit_hook(phase, hook.kind, hook.namespace, hook.name, status, message)
        return changed

    def _emit_resources(self, resources: Sequence[ResourceResult]) -> None:
        """The changed ones, AT_ONCE at most: an operation may apply thousands in one go."""
        states = [(r.status, r.message) for r in resources]
        keys = list(map(operation.key, resources))
        new = [i for i, key in enumerate(keys) if self._resources.get(key) != states[i]]
        self.behind = len(new) > AT_ONCE
        for i in new[:AT_ONCE]:
            r, self._resources[keys[i]] = resources[i], states[i]
            self._emit(
                events.ResourceChanged(
                    time=time.time(),
                    kind=r.kind,
                    name=r.name,
                    namespace=r.namespace,
                    status=r.status,
                    message=r.message,
                )
            )

    def expect(self, hooks: Sequence[Hook]) -> None:
        """The Jobs and bare Pods that the sync will make as hooks."""
        self._expected = list(hooks)

    def appeared(self, job: Node) -> None:
        """A Job or bare pod of the operation is there; the operation itself shows it about 2 s later."""
        expected = [h for h in self._expected if h.became(job.kind, job.name)]
        self._appeared[job.name] = self._clock()
        if len(expected) == 1 and len(expected[0].phases) == 1:
            phase = expected[0].phases[0]
            self._emit_hook(phase, job.kind, job.namespace, job.name, HookStatus.RUNNING, "")

    def stranger(self, job: Node, whose: str) -> None:
        """Warn of a foreign object that has the name of one of this run's."""
        text = f"{job.kind} {job.name} in namespace {job.namespace} is not this run's: it belongs to {whose}"
        self._emit(events.Notice(time=time.time(), level="warning", text=text, kind=NoticeKind.FOREIGN))

    def _emit_hook(
        self, phase: str, kind: str, namespace: str, name: str, status: HookStatus, message: str
    ) -> None:
        key = (phase, kind, namespace, name)
        if status is HookStatus.RUNNING and self._statuses.get(key) is HookStatus.RUNNING:
            return  # its messages while it runs are of no use
        self._statuses[key] = status
        now = self._clock()
        began = self._began.setdefault(key, self._appeared.get(name, now))
        self._emit(
            events.HookChanged(
                time=time.time(),
                hook=phase,
                kind=kind,
                name=name,
                namespace=namespace,
                status=status,
                message="" if status is HookStatus.RUNNING else message,
                required=self._is_test(phase, kind, name),
                seconds=now - began,
            )
        )

    def _is_test(self, phase: str, kind: str, name: str) -> bool:
        return is_required(ResourceResult(kind=kind, name=name, hook_type=phase), self._required)

    def is_parallel(self, job: str) -> bool:
        """Whether a Job runs several pods by its own manifest: these are no attempts."""
        return any(h.parallel and h.became("Job", job) for h in self._expected)

    def expects_test(self, kind: str, name: str) -> bool:
        """Whether a Job or bare Pod of this name is a test that the sync will make."""
        return any(h.became(kind, name) for h in required(self._expected, self._required))

    def wants_log(self, kind: str, name: str) -> bool:
        """Whether the log of a Job or bare pod is to be read, by `--logs`; a failed hook's always is."""
        hooks = self._named.get((kind, name), {}).values()
        if self._logs == "all" or any(STATUS.get(h.hook_phase) is HookStatus.FAILED for h in hooks):
            return True
        every = self._logs == "hooks"
        expected = self._expected if every else required(self._expected, self._required)
        return any(h.became(kind, name) for h in expected) or any(
            every or is_required(h, self._required) for h in hooks
        )

    def ran(self) -> list[str]:
        """The names of the hooks that succeeded and whose logs are to be read."""
        succeeded = [h for h in self._hooks.values() if h.hook_phase == "Succeeded"]
        return [h.name for h in succeeded if h.kind in RUNNING and self.wants_log(h.kind, h.name)]

    def awaits(self, kind: str, name: str) -> bool:
        """Whether the operation has not seen the end of a Job or bare Pod of this name."""
        phases = [h.hook_phase for h in self._named.get((kind, name), {}).values()]
        return not phases or "Running" in phases

    def delayed(self, delay: Delay) -> None:
        """Something that the operation waits for cannot start yet, or can start now."""
        self._emit(
            events.CannotStart(
                time=time.time(),
                kind=delay.result.kind,
                name=delay.result.name,
                namespace=delay.result.namespace,
                pod=delay.pod,
                reason=delay.reason,
                detail=delay.detail,
                certain=delay.certain,
                seconds=delay.seconds,
                limit=delay.limit,
            )
        )

    # -- the logs -----------------------------------------------------------------------------------

    def started(self, container: Container) -> None:
        c = container
        self._emit(
            events.LogStarted(
                time=time.time(),
                job=c.job,
                pod=c.pod,
                container=c.name,
                attempt=c.attempt,
                restart=c.restart,
                init=c.init,
            )
        )

    def lines(self, container: Container, stamps: list[str], texts: list[str]) -> None:
        c = container
        if (tails := self._tails.get(c.job)) is None:
            tails = self._tails[c.job] = Tails()
        tails.add(c, texts)
        self._emit(
            events.LogLines(
                time=time.time(),
                job=c.job,
                pod=c.pod,
                container=c.name,
                attempt=c.attempt,
                restart=c.restart,
                stamps=tuple(stamps),
                texts=tuple(texts),
            )
        )

    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None:
        c = container
        self._ended.append((c, lines, complete))
        self._emit(
            events.LogEnded(
                time=time.time(),
                job=c.job,
                pod=c.pod,
                container=c.name,
                attempt=c.attempt,
                restart=c.restart,
                lines=lines,
                complete=complete,
                reason=reason,
            )
        )

    def logs_read(self) -> str:
        """The verdict on the logs, for a person: all was read, or what was not."""
        if not self._ended:
            return "no log"
        lines, logs = sum(lines for _, lines, _ in self._ended), len(self._ended)
        missing = [c.job for c, _, complete in self._ended if not complete]
        counted = f"{lines:,} line{'' if lines == 1 else 's'}"
        if not missing:
            return f"complete: {counted} of {logs} log{'' if logs == 1 else 's'}"
        jobs = ", ".join(dict.fromkeys(missing))
        verb = "is" if len(missing) == 1 else "are"
        return f"{counted}, but {len(missing)} of {logs} logs {verb} not complete: {jobs}"

    def logs_counted(self) -> dict[str, int]:
        """The same in numbers."""
        lines, complete = sum(lines for _, lines, _ in self._ended), sum(ok for _, _, ok in self._ended)
        return {"logs": len(self._ended), "complete": complete, "lines": lines}

    def running(self) -> tuple[str, ...]:
        """The names of the hooks that run."""
        return tuple(h.name for h in self._hooks.values() if h.hook_phase == "Running")

    def last_lines(self, *, running: bool = False) -> tuple[str, ...]:
        """The last lines of the failed test Jobs, oldest first; with `running`, of those that still run.

        Of a Job's attempts, the newest one's. Lines of several logs bear the name of theirs in front.
        """
        return joined([source for name in self._shown(running) for source in self._tails[name].newest()])

    def log_of(self, *, running: bool = False) -> str:
        """Which of several logs `last_lines` are of; empty where there is but one."""
        jobs = self._shown(running)
        return ", ".join(filter(None, (self._tails[name].label() for name in jobs)))

    def _shown(self, running: bool) -> list[str]:
        wanted = HookStatus.RUNNING if running else HookStatus.FAILED
        jobs = [h.name for h in self._hooks.values() if STATUS.get(h.hook_phase) is wanted]
        return [name for name in dict.fromkeys(jobs) if name in self._tails]
