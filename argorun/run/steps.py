"""The run: its nine steps in order, from the plan to the clean-up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Sequence

from argorun import __version__, events
from argorun.argocd.claim.claim import Claim
from argorun.argocd.client import Client
from argorun.argocd.diagnosis.analyze import Finding
from argorun.argocd.diagnosis.stuck import Watch
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import OperationState
from argorun.config.model import Config, describe
from argorun.emit import Emit, Emitter
from argorun.errors import ArgorunError, TestsFailed, TimedOut
from argorun.events import Step
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind
from argorun.run import evidence, plan, sync, topics
from argorun.run.cleanup import RunCleanup
from argorun.run.follow import Follow
from argorun.run.parameters import Parameters
from argorun.run.preflight import Preflight
from argorun.run.progress import Progress
from argorun.run.state import RunState
from argorun.run.sync import Sync
from argorun.run.undo.stack import UndoStack
from argorun.run.verdict import judge, suspects

LAST_LOGS = 15.0, 60.0  # seconds of silence, and in all, to read the rest of the logs of an ended operation
CUT_SHORT = 1.0, 5.0  # the same where the operation has not ended, or no time is left


class Run:
    """One run. `steps` goes as far as the verdict, and `clean_up` undoes it, whatever ended it.

    `mask` takes values that are secrets, once they are known.
    """

    def __init__(
        self,
        config: Config,
        emit: Emit,
        client: Client,
        topics: Topics,
        *,
        mask: Callable[..., None] = lambda *secrets: None,
    ) -> None:
        self.config, self.app, self.mask = config, config.application, mask
        self.emitter = Emitter(emit)
        self.client, self.topics = client, topics
        self.run_id = secrets.token_hex(6)
        self.limit: asyncio.Timeout | None = None  # timeouts.run, as the supervisor keeps it
        self.progress = Progress(emit, config.jobs, config.logs)
        self.live = LiveTree(client, self.app)
        self.state = state = RunState(operation=self.run_id, claim=self._claim(()))
        self.undo = UndoStack(emit, client.rendering.hurry)
        self.cleanup = RunCleanup(config, client, topics, self.live, self.undo, state, self.emitter)
        self._parameters = Parameters(config, client, state, self.progress, self.emitter)
        self._sync = Sync(config, client, self.live, state, self._parameters, self.progress, self.emitter)
        self._watch = Watch(client, self.app, self.live, state.is_ours, self.progress.delayed)
        self._follow = Follow(
            config, client, self.live, self._watch, state, self.progress, self.emitter, self.cleanup.is_gone
        )
        self._logs_are_read = False

    async def steps(self) -> ArgorunError | None:
        """Steps 1 to 8: why the run is red, or None. Step 9 is `clean_up`, which follows in any case.

        Raises ArgorunError for whatever keeps the tests from running. Each attempt of a step emits one start
        and one end; steps never overlap, and none is open at the end. A dry run ends after step 2.
        """
        await self.plan()
        await self.preflight()
        if self.config.dry_run:
            return None
        await self.create_topics()
        async with self.live.kept():
            await self.take_and_sync()
            state = await self.follow()
            await self.read_logs(*self._time_for_logs())
        return await self.verdict(state)

    def announce(self) -> None:
        """Emit the first event, which names the version of all; before `steps`, whatever ends them."""
        self.emitter.emit(
            events.RunStarted(
                time=time.time(),
                run_id=self.run_id,
                application=str(self.app),
                url=self.url,
                version=__version__,
                dry_run=self.config.dry_run,
                limit=self.config.timeouts.run,
            )
        )

    async def plan(self) -> None:
        """1. Emit what the run is about to do; the Config was checked when it was loaded."""
        async with self.emitter.step(Step.PLAN):
            for text in self.config.argocd.warnings:
                self.emitter.warn(text, NoticeKind.CONNECTION)
            if self.config.dry_run:
                for line in describe(self.config, time.time()):
                    self.emitter.emit(line)

    async def preflight(self) -> None:
        """2. Name the topics, and check that the run may do what it plans; nothing is touched."""
        async with self.emitter.step(Step.PREFLIGHT, f"{self.app} on {self.config.argocd.server}") as result:
            checks = Preflight(self.config, self.client, self.topics, self.emitter, self.mask)
            await checks.run(self.state)
            result.append("permissions, hooks, Kafka")

    async def create_topics(self) -> None:
        """3. Make every topic and wait until it can be produced to."""
        async with self.emitter.step(Step.TOPICS, ", ".join(self.state.topic_names)):
            now = self.client.clock.now
            await topics.create(self.topics, self.cleanup, self.state, self.emitter, now)

    async def take_and_sync(self) -> None:
        """Steps 4 and 5, both again where somebody else was faster."""
        self.state.claim = self._claim(plan.settings(self.config, self.state.topics), self.state.topic_names)
        self.cleanup.register_application()
        while not (await self.set_parameters() and await self.start_sync()):
            pass

    async def set_parameters(self) -> bool:
        """4. Wait until the Application is free, and set the run's values; False where others were faster."""
        async with self.emitter.step(Step.PARAMETERS, "waiting until nobody else uses the Application"):
            return await self._parameters.set()

    async def start_sync(self) -> bool:
        """5. Start the operation that uses the values; False where others were faster."""
        async with self.emitter.step(Step.SYNC, str(self.app)):
            return await self._sync.start()

    async def follow(self) -> OperationState:
        """6. Follow the hooks and the test Jobs' logs until the operation is over."""
        async with self.emitter.step(Step.FOLLOW, "the hooks"):
            return await self._follow.until_over()

    async def read_logs(self, silence: float, most: float) -> None:
        """7. Read the rest of the logs until nothing has come for `silence` seconds, `most` in all."""
        if self.state.logs is None or self._logs_are_read:
            return
        async with self.emitter.step(Step.LOGS, "the rest of the logs") as result:
            await self.state.logs.finish(silence, most, self.progress.ran())
            self._logs_are_read = True
            result.append(self.progress.logs_read())
            result.counts |= self.progress.logs_counted()

    def _time_for_logs(self) -> tuple[float, float]:
        """The limits for the rest of the logs; as the verdict is known, timeouts.run only shortens them."""
        silence, most = LAST_LOGS
        if self.limit is not None and not self.limit.expired() and (end := self.limit.when()) is not None:
            self.limit.reschedule(None)
            most = min(most, end - asyncio.get_running_loop().time())
        return silence, max(most, CUT_SHORT[1])

    async def verdict(self, state: OperationState) -> ArgorunError | None:
        """8. Green only if the operation succeeded and every required test ran in it and succeeded.

        What they read must name the run's topics to the end. Raises OperationFailed where it does not.
        """
        error = judge(state, self.config.jobs)
        async with self.emitter.step(Step.VERDICT, good=lambda: error is None):
            if error is None or isinstance(error, TestsFailed):
                for text in await evidence.unseen(self.state.providers, self.client, self.app):
                    self.emitter.warn(f"could not check whether {text}", NoticeKind.UNCHECKED)
        return error

    async def clean_up(self) -> None:
        """9. Undo everything, in reverse order, within timeouts.cleanup; what is left is emitted."""
        self.emitter.end_open_step()
        try:
            await self._undo_all()
        finally:
            self.cleanup.emit_kept_topics()

    async def _undo_all(self) -> None:
        if not self.undo.pending:
            return
        limit = self.config.timeouts.cleanup
        # An undo makes several requests within its own limit.
        self.client.retry_for = min(sync.RIDE_OUT, limit / 6)
        self.client.rendering.clean_up_until(asyncio.get_running_loop().time() + limit)
        async with self.emitter.step(Step.CLEANUP, good=lambda: not self.undo.left) as result:
            await self.undo.unwind(limit)
            result += self.cleanup.done()

    def abandon(self, why: str) -> None:
        """Undo nothing more and wait for no step: emit what is left, and how a person undoes it."""
        self.undo.abandon(why)
        self.emitter.end_open_step()

    def undoing(self) -> Collection[str]:
        """What a clean-up would undo now: of "sync", "parameters" and "topics"."""
        return self.cleanup.ahead() if self.undo.pending else ()

    # -- beside the steps -----------------------------------------------------------------------------

    async def why(self, error: ArgorunError) -> Finding:
        """Evidence from the cluster about a red run, read while its pods exist."""
        if self._watch.state is None:
            return Finding()
        # Where the time ran out or something is stuck, the logs have not come to their ends.
        failed = suspects(error, self._watch.state, self.config.jobs)
        asking = evidence.why(self._watch, failed, late=isinstance(error, TimedOut))
        finding, _ = await asyncio.gather(asking, self.read_logs(*CUT_SHORT))
        return finding

    @property
    def url(self) -> str:
        """The Application's page in Argo CD; empty where there is none that lasts."""
        if not self.config.linked:
            return ""
        place = f"{self.app.namespace}/{self.app.name}" if self.app.namespace else self.app.name
        return f"{self.config.argocd.url}/applications/{place}"

    def _claim(self, settings: Sequence[Setting], topics: Sequence[str] = ()) -> Claim:
        return Claim(
            self.client,
            self.app,
            self.run_id,
            settings,
            warn=self.emitter.warn,
            topics=topics,
            pinned=self.config.revision is not None,
        )
