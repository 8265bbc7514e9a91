"""Step 6, follow: watches the operation, its hooks and logs until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from argorun.argocd.client import Client
from argorun.argocd.diagnosis.stuck import Watch
from argorun.argocd.http.errors import Denied
from argorun.argocd.manifests.hooks import RUNNING
from argorun.argocd.sync import hook_results, operation
from argorun.argocd.sync.nudge import nudge
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node, OperationState, ResourceResult
from argorun.config.model import Config
from argorun.emit import Emitter
from argorun.kinds import NoticeKind
from argorun.run.progress import Progress
from argorun.run.state import RunState
from argorun.run.verdict import cannot_start, is_required, is_terminated


class Follow:
    """Follows the run's operation. `is_gone` says whether the Application was deleted."""

    def __init__(
        self,
        config: Config,
        client: Client,
        live: LiveTree,
        watch: Watch,
        state: RunState,
        progress: Progress,
        emitter: Emitter,
        is_gone: Callable[[], Awaitable[bool]],
    ) -> None:
        self._config, self._app, self._client, self._live = config, config.application, client, live
        self._watch, self._state, self._progress = watch, state, progress
        self._emitter, self._is_gone = emitter, is_gone

    async def until_over(self) -> OperationState:
        """Follow until the operation is over; what cannot start ends the run (timeouts.stuck).

        Raises TestsFailed or OperationFailed where something cannot start, was displaced by somebody else's
        object, or the Application was deleted; ArgoCDFailed, AccessDenied.
        """
        limit = self._config.timeouts.stuck
        following = asyncio.create_task(self._until_its_tests_are_over())
        stuck = asyncio.create_task(self._watch.stuck(limit))
        displaced = asyncio.create_task(self._displaced())
        naming = asyncio.create_task(self._watch.report_obstacles(self._emitter.info))
        tasks: list[asyncio.Task[object]] = [following, stuck, displaced, naming]
        if self._config.nudge:
            nudging = nudge(self._client, self._app, self._live, self._running_jobs)
            tasks.append(asyncio.create_task(nudging))
        try:
            await asyncio.wait({following, stuck, displaced}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            if displaced.done():
                raise hook_results.Intruder(*displaced.result())
            raise cannot_start(stuck.result(), self._config.jobs, limit)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _displaced(self) -> tuple[Node, str]:
        """Wait for a foreign object in the place of a test, perhaps forever; return it and its owner."""
        assert self._state.logs is not None
        return await self._state.logs.displaced(self._progress.expects_test)

    async def _until_its_tests_are_over(self) -> OperationState:
        """Wait for the operation's end, and for its tests' own ends if it reported them too early."""
        try:
            state = await operation.follow(self._client, self._app, self._state.operation, self._update)
        except operation.Deleted:
            self._state.deleting = True
            raise
        except Denied:
            if await self._is_gone():
                raise operation.Deleted(self._app) from None
            raise
        logs = self._state.logs
        if is_terminated(state) or logs is None:
            return state
        tests = [h for h in operation.hooks(state) if is_required(h, self._config.jobs)]
        return await hook_results.verify(
            self._client, self._app, self._live, state, tests, logs, self._correct
        )

    def _correct(self, state: OperationState, hook: ResourceResult) -> None:
        """Report a test whose own state differs from what the operation reported."""
        self._update(state)
        if hook.hook_phase == "Running":
            text = f"Argo CD reported {hook.name} as ended, but it still runs: argorun waits for its end"
            self._emitter.warn(text, NoticeKind.HOOKS)

    def _update(self, state: OperationState) -> bool:
        """Emit what changed in the operation; True if there is more to emit: call again."""
        self._watch.update(state)
        changed = self._progress.update(state, self._watch.exit_of)
        logs = self._state.logs
        if logs is None:
            return self._progress.behind
        self._state.started = state.began_at or self._state.started
        logs.operation_started(state.started_at)
        if state.finished_at and state.done:
            logs.operation_ended(state.finished_at)
        for hook in changed:
            if hook.kind in RUNNING:
                logs.confirm(hook.name)
        if changed:
            logs.recheck()
        return self._progress.behind

    def _running_jobs(self) -> list[Node]:
        """The operation's Jobs and bare pods whose end it has not seen, as far as the tree has them."""
        made = self._state.logs.jobs_and_pods() if self._state.logs is not None else []
        return [n for n in made if self._progress.awaits(n.kind, n.name)]
