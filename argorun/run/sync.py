"""Step 5, sync: checks what the sync will run, and starts the run's operation."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence

from argorun import events
from argorun.argocd.client import Client
from argorun.argocd.hooks import lint, topic_providers
from argorun.argocd.hooks.live_providers import LiveProviders
from argorun.argocd.hooks.ownership import Rendered
from argorun.argocd.http.errors import ApiError
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.manifests.hooks import hooks_of
from argorun.argocd.manifests.keys import by_key
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.spec import check_taken, holds
from argorun.argocd.settle.settlement import Settlement, destination
from argorun.argocd.sync import operation
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application, Json, SyncOperation, Tree
from argorun.argocd.types.messages import cause
from argorun.config.model import Config
from argorun.emit import Emitter
from argorun.errors import NoTestRan, OperationFailed, UsageError
from argorun.kinds import NoticeKind
from argorun.run import plan, topic_reach
from argorun.run.parameters import Parameters
from argorun.run.preflight import check_others
from argorun.run.progress import Progress
from argorun.run.state import RunState

RIDE_OUT = 60.0  # seconds of retries while Argo CD fails, once the run is under way


class Sync:
    """Starts the run's operation, in which the tests run on the run's topics."""

    def __init__(
        self,
        config: Config,
        client: Client,
        live: LiveTree,
        state: RunState,
        parameters: Parameters,
        progress: Progress,
        emitter: Emitter,
    ) -> None:
        self._config, self._app, self._client, self._live = config, config.application, client, live
        self._state, self._parameters, self._progress = state, parameters, progress
        self._emitter = emitter

    async def start(self) -> bool:
        """Start the operation and check that it captured the run's values; False if another was in the way.

        Raises UsageError where the sync would run no test on the topics, NoTestRan, OperationFailed,
        ArgoCDFailed, AccessDenied.
        """
        state = self._state
        try:
            rendered = await self._check_rendering()
            await self._note_what_is_there(rendered)
            seen = await self._client.application(self._app)
            if not state.claim.stands(seen):  # that took a while
                await self._parameters.give_up_overwritten(seen)
                return False
            options = operation.testing_options(seen.spec)
            request = operation.body(state.operation, self._config.revision, options=options)
            state.posted = True
            seen = await operation.start(self._client, self._app, state.operation, request)
        except operation.Busy as e:
            await self._parameters.let_go(str(e), undone=False)
            return False
        except UsageError:
            seen = await self._client.application(self._app)
            if state.claim.stands(seen):  # the source does not take the run's value
                raise
            await self._parameters.give_up_overwritten(seen)
            return False
        took = await operation.captured(self._client, self._app, state.operation, seen)
        if took.source is not None and not holds(took.source, self._settings):
            # PATCH is no lock: this operation would test somebody else's topic.
            await operation.end(self._client, self._app, state.operation)
            await self._parameters.give_up_overwritten(seen)
            # Not to be taken for the one that was ended.
            state.operation = f"{state.claim.run_id}/{secrets.token_hex(2)}"
            return False
        await self._started(took, rendered)
        return True

    async def _started(self, took: SyncOperation, rendered: Sequence[Json]) -> None:
        self._client.retry_for = RIDE_OUT
        revision = self._config.revision or took.revision
        self._state.revision, self._state.started = took.revision, self._client.clock.now()
        run_id = self._state.claim.run_id
        self._emitter.emit(events.SyncStarted(time=time.time(), run_id=run_id, revision=revision))
        await self._check_what_is_synced(rendered)

    async def _check_what_is_synced(self, rendered_before: Sequence[Json]) -> None:
        """Check the tests again if Git has moved between the rendering and the sync."""
        state = self._state
        try:
            rendered = await self._client.manifests(self._app, state.revision or self._config.revision)
        except ApiError:
            return  # the operation will say why
        if rendered == rendered_before or state.logs is None or state.settlement is None:
            return
        if not state.claim.stands(await self._client.application(self._app)):
            return  # it is rendered with others' parameters: the operation took this run's
        await state.settlement.renders(rendered)
        state.logs.renders(self._by_name(rendered))
        try:
            await self._check_tests(rendered, ())  # the sync may have made what is there by now
        except (UsageError, NoTestRan) as e:
            raise OperationFailed(
                f"{e.message} (Git has moved since the preflight)", e.hint, reason=e.reason
            ) from None

    # -- before the operation -------------------------------------------------------------------------

    async def _check_rendering(self) -> list[Json]:
        """Render with the run's values, and check that the sync will run the tests on the topics."""
        rendered = await self._render()
        for text in lint.warnings(rendered, self._config.jobs):
            self._emitter.warn(text, NoticeKind.HOOKS)
        former = self._state.former
        await self._check_tests(rendered, former)
        held = {key.name for key in self._state.providers.objects if key.kind == "ConfigMap"}
        again = lint.run_again(rendered, former, self._before.sync_options)
        for text in [*lint.restart_warnings(rendered, former, held), *again]:
            self._emitter.warn(text, NoticeKind.HOOKS)
        return rendered

    async def _check_tests(self, rendered: Sequence[Json], former: Sequence[Json]) -> None:
        before, topics = self._before, self._state.topics
        check_taken(str(self._app), self._settings, rendered, before.spec)
        warn = self._emitter.warner(NoticeKind.UNCHECKED)
        if gap := lint.gap(rendered, self._config.jobs):
            # Without the topic's name a chart may make no hooks: what nothing uses is told first.
            unused = [t for t in topics if not topic_providers.holders(t.name, rendered)]
            if gap.is_whole and unused:
                await topic_reach.check(self._config, self._client, unused, before, rendered, former, warn)
            raise gap.error(self._app)
        lint.check_ends(rendered, self._config.jobs)
        providers = await topic_reach.check(
            self._config, self._client, topics, before, rendered, former, warn
        )
        self._state.providers = LiveProviders.of(providers, destination(before))
        self._progress.expect(hooks_of(rendered))

    async def _render(self) -> list[Json]:
        """What the source renders to; UsageError where Argo CD says twice that it cannot."""
        with contextlib.suppress(ApiError):
            return await self._client.manifests(self._app, self._config.revision)
        try:
            return await self._client.manifests(self._app, self._config.revision)
        except ApiError as e:
            raise UsageError(
                f"Argo CD cannot render {self._app} with the run's values: {cause(e.text)}"
            ) from None

    async def _note_what_is_there(self, rendered: Sequence[Json]) -> None:
        """Take a snapshot of the cluster, to see later what the operation changed and created."""
        state, by_name = self._state, self._by_name(rendered)
        tree = await self._read_tree(rendered)
        secret = any(t.topic.unverified for t in state.topics)
        settlement = Settlement(self._client, self._app, state.topic_names, secrets=secret)
        for remains in await settlement.take_snapshot(self._before, tree, rendered, state.former):
            self._emitter.warn(
                f"{remains.key} is a hook: a sync without hooks does not restore it, and argorun cannot "
                f"({remains.why}); it stays as the run's sync leaves it",
                NoticeKind.HOOKS,
            )
        state.settlement = settlement
        if state.logs is not None:
            await state.logs.close()
        state.logs = JobLogs(
            self._client,
            self._app,
            self._live,
            {n.uid for n in tree.nodes or ()},
            self._progress.wants_log,
            self._progress,
            by_name,
            state.operation,
            self._progress.is_parallel,
        )
        hooks, providers, force = by_name.hooks(), state.providers.objects, self._config.force_owned
        await check_others(self._client, self._app, self._live, self._emitter, hooks, providers, force=force)

    async def _read_tree(self, rendered: Sequence[Json]) -> Tree:
        namespace = destination(self._before)
        with_values, former = [
            await asyncio.to_thread(by_key, m, namespace) for m in (rendered, self._state.former)
        ]
        if with_values.keys() - former.keys():
            # Argo CD's tree holds what stands under their names once it has compared with the run's values.
            await self._client.application(self._app, refresh="normal")
        return await self._live.read()

    @property
    def _settings(self) -> list[Setting]:
        return plan.settings(self._config, self._state.topics)

    @property
    def _before(self) -> Application:
        """The Application as it was before the run."""
        return self._state.claim.before or Application()

    def _by_name(self, rendered: Sequence[Json]) -> Rendered:
        namespace, topics = destination(self._before), self._state.topic_names
        return Rendered(rendered, namespace, topics, self._client.instance_label)
