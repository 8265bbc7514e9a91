"""The run: nine steps, readable from top to bottom, each with its undo registered before its act."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence

from argorun import __version__, events
from argorun.argocd.claim import records
from argorun.argocd.claim.acquire import Claim, Lost, Reverted
from argorun.argocd.client import Client
from argorun.argocd.diagnosis import analyze
from argorun.argocd.diagnosis.stuck import Watch
from argorun.argocd.hooks import lint
from argorun.argocd.hooks.live_providers import LiveProviders
from argorun.argocd.hooks.ownership import Rendered
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.http.retry import WaitBudget
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.manifests import changes
from argorun.argocd.manifests import hooks as manifests_hooks
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.record import record_of
from argorun.argocd.parameters.spec import check_taken, holds, original_value
from argorun.argocd.settle.settlement import Settlement, destination
from argorun.argocd.sync import hook_results, operation
from argorun.argocd.sync.nudge import nudge
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application, Json, Node, OperationState, ResourceResult
from argorun.config.model import Config, Topic, describe
from argorun.emit import Emit, Emitter
from argorun.errors import (
    ArgorunError,
    NoTestRan,
    OperationFailed,
    StillBusy,
    TestsFailed,
    TimedOut,
    UsageError,
)
from argorun.events import Step
from argorun.kafka import names
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Topics
from argorun.run import plan, predecessor, topic_reach
from argorun.run.cleanup import RunCleanup, RunState
from argorun.run.preflight import Preflight, check_others
from argorun.run.progress import Progress
from argorun.run.undo import UndoStack
from argorun.run.verdict import cannot_start, is_required, is_terminated, judge, suspects

RIDE_OUT = 60.0  # seconds for which a fault of Argo CD's is ridden out once the run is under way
REVERTS = 3  # times in a row that a known owner undoes our parameters; twice as many, where none is known
LAST_LOGS = 15.0, 60.0  # seconds of silence, and in all, to read the rest of the logs of an ended operation
CUT_SHORT = 1.0, 5.0  # the same where the operation has not ended, or no time is left
WHY = 10.0  # seconds to ask the cluster why a run is red, or what its tests have read


class Run:
    """One run. `steps` goes through it and gives back why it is red, or None; `clean` holds the undos."""

    def __init__(
        self,
        config: Config,
        emit: Emit,
        client: Client,
        topics: Topics,
        *,
        mask: Callable[..., None] = lambda *secrets: None,
    ) -> None:
        self.config = config
        self.mask = mask  # takes values that are secrets, once they are known
        self.app = config.application
        self.emit = emit
        self.emitter = Emitter(emit)
        self.client = client
        self.topics = topics
        self.clean = UndoStack(emit, client.rendering.hurry)
        self.live = LiveTree(client, self.app)
        self.watch = Watch(client, self.app, self.live, self._is_ours)
        self.progress = Progress(emit, config.jobs, config.logs)
        self.manifests: list[Json] = []
        self.providers = LiveProviders({}, {})
        self.run_id = secrets.token_hex(6)
        self.logs_are_read = False
        self.limit: asyncio.Timeout | None = None  # timeouts.run, as the supervisor keeps it
        self.owner = ""  # who else writes the Application's spec
        self.reverts = 0  # how often in a row our parameters were undone
        claim = Claim(client, self.app, self.run_id, (), waiting=self._waits, warn=self.emitter.warn)
        self.traces = RunState(operation=self.run_id, claim=claim)
        self.back = RunCleanup(config, client, topics, self.live, self.clean, self.traces, self.emitter)

    async def steps(self) -> ArgorunError | None:
        """From the plan to the verdict. Raises ArgorunError for whatever keeps the tests from running."""
        self.plan()
        await self.look()
        if self.config.dry_run:
            return None
        await self.create_topics()
        async with self.live.kept():
            await self.take_and_sync()
            state = await self.follow()
        return await self.verdict(state)

    @property
    def url(self) -> str:
        """The Application's page in Argo CD."""
        place = f"{self.app.namespace}/{self.app.name}" if self.app.namespace else self.app.name
        return f"{self.config.argocd.url}/applications/{place}"

    # -- 1. Plan ------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Say what is ahead; it was checked when the Config was made."""
        started = events.RunStarted(
            time=time.time(), run_id=self.run_id, application=str(self.app), url=self.url, version=__version__
        )
        self.emit(started)
        for text in self.config.argocd.warnings:
            self.emitter.warn(text)
        if self.config.dry_run:
            for line in describe(self.config):
                self.emitter.planned(line)

    def settings(self) -> list[Setting]:
        """Every parameter of the run with its value."""
        return plan.settings(self.config, self.traces.drawn)

    # -- 2. Look ------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Draw the topics' names, and see that we may do what we are about to; nothing is touched."""
        async with self.emitter.step(Step.PREFLIGHT, f"{self.app} on {self.config.argocd.server}"):
            look = Preflight(self.config, self.client, self.topics, self.emitter, self.mask)
            seen = await look.at(self.traces)
            self.manifests, self.owner = seen.manifests, seen.owner

    # -- 3. Topics ----------------------------------------------------------------------------------

    async def create_topics(self) -> None:
        """Make every topic and wait until it can be produced to."""
        async with self.emitter.step(Step.TOPICS, ", ".join(name for _, name in self.traces.drawn)):
            for i, (topic, _) in enumerate(self.traces.drawn):
                await self._create_topic(i, topic)

    async def _create_topic(self, i: int, topic: Topic) -> None:
        began = time.monotonic()
        while True:
            name = self.traces.drawn[i][1]
            self.back.from_topic(name, topic)
            try:
                await self.topics.create(name, plan.topic_spec(topic))
                break
            except TopicExists:
                self.emitter.warn(f"topic {name} exists already and is not ours; another name is drawn")
                self.back.forget_topic(name)
                self.traces.drawn[i] = (topic, names.draw(topic.prefix, self.client.clock.now()))
        made = await self.topics.wait_usable(name)
        created = events.TopicCreated(
            time=time.time(),
            topic=name,
            partitions=made.partitions,
            replication_factor=made.replication_factor,
            seconds=time.monotonic() - began,
        )
        self.emit(created)

    # -- 4. Free, then parameters; 5. Sync ------------------------------------------------------------

    async def take_and_sync(self) -> None:
        """Wait until the Application is free, put our values in, and start the operation that uses them."""
        settings = self.settings()
        self.traces.claim = Claim(
            self.client,
            self.app,
            self.run_id,
            settings,
            waiting=self._waits,
            warn=self.emitter.warn,
            topics=[name for _, name in self.traces.drawn],
            pinned=self.config.revision is not None,
        )
        self.back.from_application()
        busy = WaitBudget(self.config.timeouts.busy)
        try:
            while not await self._take_and_sync_once(settings, busy):
                pass
        except TimeoutError:
            reason = self.progress.waiting_for or "others"
            raise StillBusy(
                f"{self.app} was not free within {self.config.timeouts.busy:.0f} s: {reason}",
                "try again later, or raise timeouts.busy",
            ) from None

    async def _take_and_sync_once(self, settings: Sequence[Setting], busy: WaitBudget) -> bool:
        async with self.emitter.step(Step.PARAMETERS, "waiting until nobody else uses the Application"):
            await self._take_back_what_a_dead_run_left(await self.traces.claim.free(busy))
            try:
                await self.traces.claim.take(self.manifests, self._until())
            except Lost as e:
                await self._lost(str(e) or "somebody who was faster", undone=isinstance(e, Reverted))
                async with busy.spent():
                    await asyncio.sleep(0.5 + secrets.randbelow(1000) / 1000)
                return False
            self._tell_parameters(settings)
        async with self.emitter.step(Step.SYNC, str(self.app)):
            return await self._sync(settings)

    async def _take_back_what_a_dead_run_left(self, seen: Application) -> None:
        """Where one did; what the source renders to without our values is something else then."""
        dead = record_of(seen)
        if dead is None or dead.run == self.run_id or not records.values(dead):
            return
        await predecessor.take_back(self.client, self.app, dead, self.config.timeouts.cleanup, self.emitter)
        with contextlib.suppress(ApiError):  # it may not render without our values
            self.manifests = await self.client.manifests(self.app, self.config.revision)

    async def _sync(self, settings: Sequence[Setting]) -> bool:
        """POST the operation and see that it took our values; False where another was in the way."""
        try:
            manifests = await self._expect_tests()
            await self._note_what_stands(manifests)
            seen = await self.client.application(self.app)
            if not self.traces.claim.stands(seen):  # that took a while
                await self._overwritten(seen)
                return False
            options = operation.testing_options(seen.spec)
            request = operation.body(self.traces.operation, self.config.revision, options=options)
            self.traces.posted = True
            seen = await operation.start(self.client, self.app, self.traces.operation, request)
        except operation.Busy as e:
            await self._lost(str(e), undone=False)
            return False
        except UsageError:
            seen = await self.client.application(self.app)
            if self.traces.claim.stands(seen):  # the source does not take our value
                raise
            await self._overwritten(seen)
            return False
        took = await operation.captured(self.client, self.app, self.traces.operation, seen)
        if took.source is not None and not holds(took.source, settings):
            # PATCH is no lock: this operation would test somebody else's topic.
            await operation.end(self.client, self.app, self.traces.operation)
            await self._overwritten(seen)
            self.traces.operation = (
                f"{self.run_id}/{secrets.token_hex(2)}"  # to be told from the one that was ended
            )
            return False
        self.client.retry_for = RIDE_OUT
        revision = self.config.revision or took.revision
        self.traces.revision, self.traces.started = took.revision, self.client.clock.now()
        self.emit(events.SyncStarted(time=time.time(), run_id=self.run_id, revision=revision))
        await self._check_what_is_synced(manifests)
        return True

    async def _check_what_is_synced(self, rendered_before: Sequence[Json]) -> None:
        """Git may have moved between our rendering and the sync: what that has taken is what counts."""
        try:
            manifests = await self.client.manifests(self.app, self.traces.revision or self.config.revision)
        except ApiError:
            return  # the operation will say why
        if manifests == rendered_before or self.traces.logs is None or self.traces.settlement is None:
            return
        if not self.traces.claim.stands(await self.client.application(self.app)):
            return  # by others' parameters: the operation has taken ours
        seen = self.traces.claim.before or Application()
        topics = [name for _, name in self.traces.drawn]
        await self.traces.settlement.renders(manifests)
        self.traces.logs.renders(Rendered(manifests, destination(seen), topics, self.client.instance_label))
        try:
            await self._check_tests(manifests, ())  # the sync may have made what is there by now
        except (UsageError, NoTestRan) as e:
            raise OperationFailed(f"{e.message}, by now: Git has moved", e.hint, reason=e.reason) from None

    def _is_ours(self, node: Node) -> bool:
        """Whether a live object may be our operation's: of Jobs and bare pods, what it was seen to make.

        One that was there before may hold it up.
        """
        logs = self.traces.logs
        if logs is None or node.kind not in manifests_hooks.RUNNING:
            return True
        return node.uid in logs.uids or node.uid in logs.former

    async def _note_what_stands(self, manifests: Sequence[Json]) -> None:
        """What is in the cluster before our operation: what it changes and makes is told by that."""
        seen = self.traces.claim.before or Application()
        topics = [name for _, name in self.traces.drawn]
        manifests_hooks = Rendered(manifests, destination(seen), topics, self.client.instance_label)
        ours, former = [
            await asyncio.to_thread(changes.by_key, m, destination(seen)) for m in (manifests, self.manifests)
        ]
        if ours.keys() - former.keys():
            # Argo CD's tree holds what stands under their names once it has compared with our values in.
            await self.client.application(self.app, refresh="normal")
        tree = await self.live.read()
        secret = any(topic.unverified for topic, _ in self.traces.drawn)
        settlement = Settlement(self.client, self.app, topics, secrets=secret)
        for remains in await settlement.note(seen, tree, manifests, self.manifests):
            self.emitter.warn(
                f"{remains.key} is a hook that a sync without hooks does not put back, and argorun cannot "
                f"({remains.why}): it will stay as the run's sync leaves it"
            )
        self.traces.settlement = settlement
        if self.traces.logs is not None:
            await self.traces.logs.close()
        self.traces.logs = JobLogs(
            self.client,
            self.app,
            self.live,
            {n.uid for n in tree.nodes or ()},
            self.progress.wants_log,
            self.progress,
            manifests_hooks,
            self.traces.operation,
            self.progress.is_parallel,
        )
        hooks, providers, force = manifests_hooks.hooks(), self.providers.objects, self.config.force_owned
        await check_others(self.client, self.app, self.live, self.emitter, hooks, providers, force=force)

    async def _overwritten(self, seen: Application) -> None:
        """Our values no longer stand, as seen: let go, to try again."""
        rival = self.traces.claim.rival(seen)
        to = f"{rival}, which took the Application" if rival else "somebody who changed the parameters"
        await self._lost(f"{to} at the same moment", undone=not rival)

    async def _lost(self, to: str, *, undone: bool) -> None:
        """Let go of the Application, to try again; OperationFailed where its owner undoes all we do."""
        self.reverts = self.reverts + 1 if undone else 0
        self._waits(to)
        await self.traces.claim.let_go()
        if self.reverts == (REVERTS if self.owner else 2 * REVERTS):
            who = f"{self.owner} keeps them as it has them" if self.owner else "it is not known by whom"
            hint = f"Without --force-owned argorun says what {self.owner} must leave alone. "
            raise OperationFailed(
                f"the parameters of {self.app} were undone at once, {self.reverts} times in a row: {who}",
                f"{hint if self.owner else ''}Use an Application of its own for tests",
            )

    async def _expect_tests(self) -> list[Json]:
        """With our values in, the source renders to what the sync will run: the tests, on our topics."""
        manifests = await self._rendered()
        for text in lint.warnings(manifests, self.config.jobs):
            self.emitter.warn(text)
        await self._check_tests(manifests, self.manifests)
        held = {key.name for key in self.providers.objects if key.kind == "ConfigMap"}
        options = (self.traces.claim.before or Application()).sync_options
        again = lint.run_again(manifests, self.manifests, options)
        for text in [*lint.not_restarted(manifests, self.manifests, held), *again]:
            self.emitter.warn(text)
        return manifests

    async def _check_tests(self, manifests: Sequence[Json], former: Sequence[Json]) -> None:
        before = self.traces.claim.before or Application()
        check_taken(str(self.app), self.settings(), manifests, before.spec)
        if gap := lint.gap(manifests, self.config.jobs):
            raise gap.error(self.app)
        lint.check_ends(manifests, self.config.jobs)
        drawn, tell = self.traces.drawn, self.emitter.warn
        providers = await topic_reach.check(self.config, self.client, drawn, before, manifests, former, tell)
        self.providers = LiveProviders.of(providers, destination(before))
        self.progress.expect(manifests_hooks.hooks_of(manifests))

    async def _rendered(self) -> list[Json]:
        """What the source renders to; UsageError where Argo CD says twice that it cannot."""
        with contextlib.suppress(ApiError):
            return await self.client.manifests(self.app, self.config.revision)
        try:
            return await self.client.manifests(self.app, self.config.revision)
        except ApiError as e:
            raise UsageError(f"Argo CD cannot render {self.app} with the run's values: {e.text}") from None

    # -- 6. Follow; 7. Logs -------------------------------------------------------------------------

    async def follow(self) -> OperationState:
        """Follow the hooks and the test Jobs' logs until the operation is over.

        From there on timeouts.run only shortens the reading of the logs, for the verdict is known.
        """
        async with self.emitter.step(Step.FOLLOW, "the hooks"):
            state = await self._until_over()
        silence, most = LAST_LOGS
        if self.limit is not None and not self.limit.expired() and (end := self.limit.when()) is not None:
            self.limit.reschedule(None)
            most = min(most, end - asyncio.get_running_loop().time())
        await self._read_the_rest(silence, max(most, CUT_SHORT[1]))
        return state

    async def _read_the_rest(self, silence: float, most: float) -> None:
        """Read the logs until nothing has come for `silence` seconds, `most` in all; tell how it went."""
        if self.traces.logs is None or self.logs_are_read:
            return
        async with self.emitter.step(Step.LOGS, "the rest of the logs") as result:
            await self.traces.logs.finish(silence, most, self.progress.ran())
            self.logs_are_read = True
            result.append(self.progress.logs_read())

    async def _until_over(self) -> OperationState:
        """Until the operation is over; what would never come up ends the run (timeouts.stuck)."""
        limit = self.config.timeouts.stuck
        following = asyncio.create_task(self._followed())
        stuck = asyncio.create_task(self.watch.stuck(limit))
        displaced = asyncio.create_task(self._displaced())
        naming = asyncio.create_task(self.watch.report_obstacles(self.emitter.info))
        tasks: list[asyncio.Task[object]] = [following, stuck, displaced, naming]
        if self.config.nudge:
            tasks.append(asyncio.create_task(nudge(self.client, self.app, self.live, self._running_jobs)))
        try:
            await asyncio.wait({following, stuck, displaced}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            if displaced.done():
                raise hook_results.Intruder(*displaced.result())
            raise cannot_start(stuck.result(), self.config.jobs, limit)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _displaced(self) -> tuple[Node, str]:
        """What stood in the place of a test, and whose it is; forever, where nothing does."""
        assert self.traces.logs is not None
        return await self.traces.logs.displaced(self.progress.expects_test)

    async def _followed(self) -> OperationState:
        """The operation's end, and that of its tests where it was mistaken about theirs."""
        try:
            state = await operation.follow(self.client, self.app, self.traces.operation, self._told)
        except operation.Deleted:
            self.traces.deleting = True
            raise
        except Denied:
            if await self.back.is_gone():
                raise operation.Deleted(self.app) from None
            raise
        if is_terminated(state) or self.traces.logs is None:
            return state
        tests = [h for h in operation.hooks(state) if is_required(h, self.config.jobs)]
        logs = self.traces.logs
        return await hook_results.verify(self.client, self.app, self.live, state, tests, logs, self._mistaken)

    def _mistaken(self, state: OperationState, hook: ResourceResult) -> None:
        """The operation was over before this test was, or with another's end."""
        self._told(state)
        if hook.hook_phase == "Running":
            text = f"Argo CD took {hook.name} for ended, and it still runs: its own end is waited for"
            self.emitter.warn(text)

    def _told(self, state: OperationState) -> bool:
        """Tell how our operation stands; True where there is more to tell."""
        self.watch.update(state)
        changed = self.progress.state(state)
        if self.traces.logs is None:
            return self.progress.behind
        self.traces.started = state.began_at or self.traces.started
        self.traces.logs.operation_started(state.started_at)
        if state.finished_at and state.done:
            self.traces.logs.operation_ended(state.finished_at)
        for hook in changed:
            if hook.kind in manifests_hooks.RUNNING:
                self.traces.logs.confirm(hook.name)
        if changed:
            self.traces.logs.recheck()
        return self.progress.behind

    def _running_jobs(self) -> list[Node]:
        """Our operation's Jobs and bare pods that it has not seen the end of, as far as the tree has them."""
        made = self.traces.logs.jobs_and_pods() if self.traces.logs is not None else []
        return [n for n in made if self.progress.awaits(n.kind, n.name)]

    # -- 8. Verdict ---------------------------------------------------------------------------------

    async def verdict(self, state: OperationState) -> ArgorunError | None:
        """Green only if the operation succeeded and every required test Job ran in it and succeeded.

        What they read must name the run's topics to the end. Raises OperationFailed where it does not.
        """
        self.emit(events.StepStarted(time=time.time(), step=Step.VERDICT))
        error = judge(state, self.config.jobs)
        if error is None or isinstance(error, TestsFailed):
            try:
                async with asyncio.timeout(WHY):
                    unseen = await self.providers.check(self.client, self.app)
            except TimeoutError:
                unseen = [f"what the tests read names the topic was not seen: no answer within {WHY:.0f} s"]
            for text in unseen:
                self.emitter.warn(f"whether {text}")
        return error

    async def why(self, error: ArgorunError) -> analyze.Finding:
        """What the cluster says about a red run, asked while its pods are there; within WHY seconds."""
        if self.watch.state is None:
            return analyze.Finding()
        # Where the time ran out or something is stuck, the logs have not come to their ends.
        asking = self._asked(
            suspects(error, self.watch.state, self.config.jobs), late=isinstance(error, TimedOut)
        )
        finding, _ = await asyncio.gather(asking, self._read_the_rest(*CUT_SHORT))
        return finding

    async def _asked(self, failed: Sequence[ResourceResult], *, late: bool) -> analyze.Finding:
        try:
            async with asyncio.timeout(WHY):
                return await self.watch.why(failed, late=late)
        except TimeoutError:
            return analyze.Finding(evidence=(f"(the cluster did not say why within {WHY:.0f} s)",))

    # -- 9. Clean up --------------------------------------------------------------------------------

    async def clean_up(self) -> None:
        """Undo everything, in reverse order, within timeouts.cleanup; what is left is announced."""
        if not self.clean.pending:
            return
        # An undo makes several requests within its own limit.
        self.client.retry_for = min(RIDE_OUT, self.config.timeouts.cleanup / 6)
        self.client.rendering.clean_up_until(asyncio.get_running_loop().time() + self.config.timeouts.cleanup)
        async with self.emitter.step(Step.CLEANUP, good=lambda: not self.clean.left):
            await self.clean.unwind(self.config.timeouts.cleanup)

    # -- telling ------------------------------------------------------------------------------------

    def _tell_parameters(self, settings: Sequence[Setting]) -> None:
        for s in settings:
            was = original_value(self.traces.claim.before or Application(), s, self.manifests)
            told = events.ParameterSet(time=time.time(), place=str(s), value=s.value, original=was)
            self.emit(told)

    def _until(self) -> float:
        return self.client.clock.now() + self.config.timeouts.run + self.config.timeouts.cleanup

    def _waits(self, reason: str) -> None:
        self.progress.waits(Step.PARAMETERS, reason)
