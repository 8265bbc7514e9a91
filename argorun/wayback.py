"""Step nine, thing by thing: how what a run has done is undone. The order is the undo stack's."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from argorun import byhand
from argorun.argocd import operation
from argorun.argocd.claim import Claim
from argorun.argocd.client import Client
from argorun.argocd.logs import JobLogs
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node, Tree
from argorun.cleanup import CleanUp
from argorun.config import Config, Topic
from argorun.errors import ArgorunError
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Topics

GROUPS, GROUPS_IN_A_HURRY = 20.0, 2.0  # seconds for the consumer groups of a topic
HELD = 3.0  # seconds for which auto-sync stays off even in a hurry, while settling comes to its end


@dataclass
class Traces:
    """What a run has left in the world so far."""

    operation: str  # the id that our operation carries
    claim: Claim
    drawn: list[tuple[Topic, str]] = field(default_factory=list)  # the topics and their names
    logs: JobLogs | None = None  # which knows the Jobs that our operation has made
    leaving: list[Node] = field(default_factory=list)  # pods of the workloads that were taken off our topic


class WayBack:
    """Registers the undos of a run on its undo stack, before their acts, and carries them out."""

    def __init__(
        self,
        config: Config,
        client: Client,
        topics: Topics,
        live: LiveTree,
        clean: CleanUp,
        traces: Traces,
        notice: Callable[[str, str], None],
    ) -> None:
        self._config, self._app = config, config.application
        self._client, self._topics, self._live = client, topics, live
        self._clean, self._traces, self._notice = clean, traces, notice
        self._gone: list[str] = []  # the topics that were deleted, and seen gone
        self._pods_stay = False  # some were still there when the topics were deleted

    # -- registering, before the act ------------------------------------------------------------------

    def from_topic(self, name: str, topic: Topic) -> None:
        """This topic will be made."""
        if not self._config.keep_topics:
            delete = functools.partial(self._delete, name, topic)
            self._clean.before(
                f"topic {name}", delete, functools.partial(self._delete_by_hand, name), limit=45.0
            )

    def forget_topic(self, name: str) -> None:
        """It turned out to be somebody else's."""
        self._clean.forget(f"topic {name}")

    def from_application(self) -> None:
        """The Application's parameters will be changed, and an operation started."""
        clean = self._clean
        if not self._config.keep_topics:
            again = "topics that a leaving pod brings back"
            clean.before(again, self._stay_gone, self._stay_gone_by_hand, patient=True, last=True)
        clean.before("parameters that came back", self._stay_put, lambda: "", patient=True, last=True)
        late = "what was never answered"
        clean.before(late, self._undo_late, self._undo_late_by_hand, limit=60.0, patient=True)
        clean.before("pods of this run", self._pods_leave, self._wait_by_hand, limit=60.0, patient=True)
        settle = "the workloads' settings"
        # As long as it takes a busy Argo CD, but for what the others keep for themselves of the whole.
        whole = self._config.timeouts.cleanup
        clean.before(settle, self._settle, self._settle_by_hand, limit=whole, patient=True)
        # Two silences of 15 s are ridden out.
        clean.before("the parameters", self._give_back, self._give_back_by_hand, limit=40.0)
        clean.before("our operation", self._end, self._end_by_hand, limit=40.0)

    # -- undoing, the last thing first ----------------------------------------------------------------

    async def _end(self) -> str | None:
        if self._traces.logs is not None:
            await self._traces.logs.close()
        await self._client.landed()
        ended = await operation.end(self._client, self._app, self._traces.operation)
        return "our operation ended" if ended else None

    def _end_by_hand(self) -> str:
        # Where none was started, the one that runs is somebody else's.
        return byhand.end(self._app) if self._traces.logs is not None else ""

    async def _give_back(self) -> str | None:
        await self._client.landed()
        until = self._client.clock.now() + self._config.timeouts.cleanup
        stood = await self._traces.claim.give_back(settling=self._settles(), until=until)
        return "parameters put back" if stood else None

    def _give_back_by_hand(self) -> str:
        return byhand.patch(self._app, self._traces.claim.way_back())

    async def _stay_put(self) -> str | None:
        """The last look: by now a change that was lost to somebody else's shows."""
        return None if await self._traces.claim.stays() else "parameters put back once more"

    def _settles(self) -> bool:
        """Whether the workloads are to be taken off our topic: the Application was Synced before.

        With auto-sync on it is always so: left on our values, it would be synced again, hooks and all.
        """
        claim = self._traces.claim
        if claim.record is None:
            return False
        return (self._config.settle and claim.was_synced) or claim.record.automated is not None

    async def _settle(self) -> str | None:
        claim = self._traces.claim
        if claim.record is None:
            return None
        started, over = None, False
        try:
            if self._settles():
                tree = await self._live.read()
                resources = await claim.out_of_sync()
                owners = {n.uid for r in resources if (n := tree.find(r.kind, r.namespace, r.name))}
                self._traces.leaving = tree.pods_under(owners)
                before = claim.before.status.sync.revision if claim.before is not None else None
                started = await claim.settle(before if self._config.revision else None, resources)
                if started is not None and claim.record.automated is not None:
                    # Switched on beside a sync that still runs, auto-sync starts one more after it (seen).
                    over = await self._clean.unless_hurried(claim.settled(started, compared=True), HELD)
        finally:
            if not self._clean.abandoned:
                await claim.release()
        if started is None:
            return None
        if over or await self._clean.unless_hurried(claim.settled(started)):
            return "workloads settled on what they had before"
        return "a sync that settles the workloads on what they had before started; it goes on by itself"

    async def _undo_late(self) -> str | None:
        """A change whose answer was lost may take effect yet: see whether it does, and undo that."""
        until = self._client.unheard_until()
        if until is None:
            return None
        soon = asyncio.get_running_loop().time() + self._config.timeouts.cleanup / 3
        undone = await self._traces.claim.undo_late(min(until, soon))
        return "what took effect late undone" if undone else None

    def _undo_late_by_hand(self) -> str:
        return f"argocd app get {self._app}" if self._client.unheard_until() is not None else ""

    def _settle_by_hand(self) -> str:
        patch = byhand.patch(self._app, self._traces.claim.way_out())
        return "; ".join(([byhand.settle(self._app)] if self._settles() else []) + ([patch] if patch else []))

    async def _pods_leave(self) -> str | None:
        """Wait until no pod of ours can touch the topics any more; in a hurry they are named first."""
        logs = self._traces.logs
        if logs is None:
            return None
        began, told = time.monotonic(), False
        leaving = {n.uid for n in self._traces.leaving}
        async with self._live.kept():
            while True:
                tree = await self._live.read()
                still = [n for n in tree.nodes or () if n.uid in leaving]
                still += [n for n in tree.pods_under(logs.uids) if not n.ended]
                if not still:
                    return None
                late = time.monotonic() - began > self._config.timeouts.cleanup / 2
                if not told and (late or self._clean.hurried):
                    told = True
                    self._notice(f"still in their grace period: {', '.join(n.name for n in still)}", "info")
                if late:
                    self._pods_stay = True
                    self._leave_running(logs, tree)
                    return None
                await self._live.changed(self._live.version, timeout=1.0)

    def _leave_running(self, logs: JobLogs, tree: Tree) -> None:
        """Nobody has told these to stop: the operation was over before they were (see argocd.outcome)."""
        for job in logs.jobs():
            pods = [n for n in tree.pods_under({job.uid}) if not n.ended and not n.leaving]
            if pods:
                names = ", ".join(n.name for n in pods)
                why = f"the operation is over, and {names} did not end with it"
                self._clean.leave(f"Job {job.name}", why, byhand.delete_job(job))

    async def _delete(self, name: str, topic: Topic) -> str | None:
        if topic.groups:
            await self._delete_groups(topic.groups, name)
        try:
            await self._topics.delete(name)
        except TopicExists:
            return None  # cancelled before we knew it: it stood there before us
        await self._topics.wait_gone(name)
        self._gone.append(name)
        return f"topic {name} deleted"

    async def _delete_groups(self, prefix: str, topic: str) -> None:
        """Before the topic, for their offsets go with it; what keeps a group does not keep the topic."""
        limit = GROUPS_IN_A_HURRY if self._clean.hurried else GROUPS
        try:
            async with asyncio.timeout(limit):
                for group in await self._topics.delete_groups(prefix, [topic]):
                    self._notice(f"consumer group {group} deleted", "info")
        except (ArgorunError, TimeoutError) as e:
            why = f"{e}" if isinstance(e, ArgorunError) else f"not done within {limit:.0f} s"
            self._clean.leave(f"consumer groups {prefix}*", why)

    def _wait_by_hand(self) -> str:
        return f"argocd app get {self._app} --output tree" if self._traces.logs is not None else ""

    def _delete_by_hand(self, name: str) -> str:
        return byhand.delete_topics(self._config.kafka["bootstrap.servers"], [name])

    async def _stay_gone(self) -> str | None:
        """Where the topics went before the pods, a Job may have brought one back."""
        if (self._clean.hurried or self._pods_stay) and self._traces.logs is not None:
            for name in self._gone:
                await self._topics.delete(name)
                await self._topics.wait_gone(name)
        return None

    def _stay_gone_by_hand(self) -> str:
        return "; ".join(map(self._delete_by_hand, self._gone))
