"""Runs one sync like gitops-engine's pkg/sync/sync_context.go, without its dry run."""

from __future__ import annotations

import asyncio

from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.health import health_of
from argorun.sandbox.standin.objects import Json
from argorun.sandbox.standin.tasks import ENDED, Task, options_of, policies_of

UNSUCCESSFUL = "one or more synchronization tasks completed unsuccessfully"
NOT_APPLIED = "one or more objects failed to apply"


class Sync:
    """The tasks and their states; `phase` and `message` are the operation's."""

    def __init__(
        self, cluster: Cluster, tasks: list[Task], namespace: str, *, prune: bool, dry_run: bool
    ) -> None:
        self.cluster, self.tasks, self.namespace = cluster, tasks, namespace
        self.prune, self.dry_run = prune, dry_run
        self.phase, self.message = "Running", ""
        self._results: list[Task] = []

    def results(self) -> list[Json]:
        """syncResult.resources, in the order in which the tasks were begun."""
        known = set(map(id, self._results))
        self._results += [t for t in self.tasks if t.state and id(t) not in known]
        return [task.result() for task in self._results]

    def _live(self, task: Task) -> Json | None:
        return self.cluster.objects.get(task.key)

    def _end(self, phase: str, message: str) -> None:
        self.phase, self.message = phase, message

    async def step(self) -> None:
        """Update the tasks' states and begin the next ones."""
        if self.dry_run:
            self._pretend()
            return
        for task in self.tasks:
            if task.running:
                self._look(task)
        multi_step = len({(t.phase, t.wave) for t in self.tasks}) > 1
        running = [t for t in self.tasks if t.running and (multi_step or t.hook)]
        if running:
            for task in running:
                self._miss(task)
            self._wait_for(running)
            return
        going = [t for t in self.tasks if t.status == "Pruned" and self._live(t) is not None]
        if going:
            self._wait_for(going, deletion=True)
            return
        done_well = [
            t for t in self.tasks if t.hook and t.state in ENDED and "HookSucceeded" in policies_of(t.obj)
        ]
        done_badly = [
            t for t in self.tasks if t.hook and t.state in ENDED and "HookFailed" in policies_of(t.obj)
        ]
        on_failure = [t for t in self.tasks if t.phase == "SyncFail"]
        tasks = [t for t in self.tasks if t.phase != "SyncFail"]
        if any(t.failed for t in tasks):
            self._delete(done_badly)
            self._fail(on_failure, [t for t in tasks if t.status == "SyncFailed"], UNSUCCESSFUL)
            return
        pending = [t for t in tasks if t.pending]
        if not pending:
            self._delete(done_well)
            self._end("Succeeded", "successfully synced (no more tasks)")
            return
        await self._begin(pending, on_failure, done_well, done_badly)

    def _pretend(self) -> None:
        """A dry run takes every task at once, the SyncFail hooks too."""
        if self._run(self.tasks) == "failed":
            self._fail([], [t for t in self.tasks if t.failed], NOT_APPLIED)
        else:
            self._end("Succeeded", "successfully synced (no more tasks)")

    async def _begin(
        self, pending: list[Task], on_failure: list[Task], done_well: list[Task], done_badly: list[Task]
    ) -> None:
        """Begin the next wave."""
        first, last = pending[0], pending[-1]
        wave = [t for t in pending if (t.phase, t.wave) == (first.phase, first.wave)]
        former = [t for t in wave if self._must_go_first(t)]
        outcome = self._run(wave)
        if outcome != "failed" and (first.phase, first.wave) != (last.phase, last.wave):
            await asyncio.sleep(self.cluster.timings.wave_delay)
        if outcome == "failed":
            running = [t for t in wave if t.running]
            self._fail(on_failure, [t for t in wave if t.status == "SyncFailed"], NOT_APPLIED)
            if running:
                self._wait_for(running)
            elif self.phase != "Running":
                self._delete(done_badly)
        elif outcome == "pending":
            self._wait_for(former, deletion=True)
        elif len(wave) == len(pending) and not any(t.hook for t in wave):
            self._delete(done_well)
            self._end("Succeeded", "successfully synced (all tasks run)")
        else:
            self._wait_for(wave)

    def _must_go_first(self, task: Task) -> bool:
        return (
            task.hook
            and task.pending
            and self._live(task) is not None
            and "BeforeHookCreation" in policies_of(task.obj)
        )

    def _run(self, tasks: list[Task]) -> str:
        """Prune, delete former hooks, apply; "successful", "pending" or "failed"."""
        for task in tasks:
            if task.prune:
                self._prune(task)
        former = [t for t in tasks if self._must_go_first(t)]
        if former and not self.dry_run:
            self._delete(former)
            return "pending"
        failed = False
        for task in tasks:
            if task.prune:
                continue
            if (refusal := self.cluster.refusal(task.obj)) is not None:
                task.set("SyncFailed", "Failed", refusal)
                failed = True
            elif self.dry_run:
                what = self.cluster.apply(task.obj, self.namespace, dry_run=True)
                task.set("Synced", "Succeeded", f"{what} (dry run)")
            else:
                task.set("Synced", "Running", self.cluster.apply(task.obj, self.namespace))
        return "failed" if failed else "successful"

    def _prune(self, task: Task) -> None:
        if not self.prune:
            task.set("PruneSkipped", "Succeeded", "ignored (requires pruning)")
        elif "Prune=false" in options_of(task.obj):
            task.set("PruneSkipped", "Succeeded", "ignored (no prune)")
        elif self.dry_run:
            task.set("Pruned", "Succeeded", "pruned (dry run)")
        else:
            self.cluster.delete(task.key)
            task.set("Pruned", "Succeeded", "pruned")

    def _look(self, task: Task) -> None:
        """Take a running task's state from its live object."""
        live = self._live(task)
        if live is None:
            return
        health = health_of(live)
        if health is None:
            task.set(task.status, "Succeeded", "")
            return
        state = {"Healthy": "Succeeded", "Degraded": "Failed"}.get(health["status"], "Running")
        if task.hook or state != "Running":
            task.set(task.status, state, health.get("message", ""))

    def _miss(self, task: Task) -> None:
        if self._live(task) is None:
            key = task.key
            gone = f"Resource {key.group}/{key.kind}/{key.name} is missing, it might have been deleted"
            task.set("SyncFailed", "Error", gone)

    def _wait_for(self, tasks: list[Task], *, deletion: bool = False) -> None:
        hooks = [t for t in tasks if t.hook]
        what = "completion of hook" if hooks else "healthy state of"
        if deletion:
            what = "deletion of hook" if hooks else "deletion of"
        first = (hooks or tasks)[0]
        message = f"waiting for {what} {first.key}"
        if len(tasks) > 1:
            kind = "hooks" if len(hooks) == len(tasks) else "resources"
            message += f" and {len(tasks) - 1} more {kind}"
        self._end("Running", message)

    def _fail(self, on_failure: list[Task], failed: list[Task], message: str) -> None:
        """Run the SyncFail hooks, then fail."""
        if reasons := [t.message for t in failed]:
            message += f", reason: {','.join(reasons)}"
        if all(t.state in ENDED for t in on_failure):
            broken = [t.message for t in on_failure if t.status == "SyncFailed"]
            if broken:
                message += f"\none or more SyncFail hooks failed, reason: {','.join(broken)}"
            self._end("Failed", message)
            return
        to_run = [t for t in on_failure if t.pending]
        self._run(to_run)
        self._wait_for(to_run or on_failure)

    def _delete(self, tasks: list[Task]) -> None:
        for task in tasks:
            self.cluster.delete(task.key)

    def terminate(self) -> None:
        """Delete the running hooks and fail, without waiting for their pods."""
        for task in self.tasks:
            if not (task.hook and task.running):
                continue
            self._look(task)
            ended = task.state in ENDED
            if not ended or "HookFailed" in policies_of(task.obj):
                self._delete([task])
            if not ended:
                task.set(task.status, "Failed", "Terminated")
        self._end("Failed", "Operation terminated")
