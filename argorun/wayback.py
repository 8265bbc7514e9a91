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
from argorun.errors import ArgorunError, KafkaFailed
from argorun.kafka import sweep
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Topics

GROUPS = 20.0  # seconds for the consumer groups of a topic
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
        self._told: set[str] = set()  # topics that stay, and warnings: told once
        self._pods_stay = False  # some were still there when the topics were deleted

    # -- registering, before the act ------------------------------------------------------------------

    def from_topic(self, name: str, topic: Topic) -> None:
        """This topic will be made. What goes with it has undos of its own, which cannot keep it."""
        if self._config.keep_topics:
            return
        clean, by_hand = self._clean, functools.partial(self._delete_by_hand, name)
        if topic.groups:
            # In a hurry, after the pods: while they are there, a group has members.
            groups = functools.partial(self._delete_groups, topic.groups, name)
            clean.before(f"consumer groups of {name}", groups, lambda: "", limit=GROUPS, patient=True)
        derived = functools.partial(self._delete_derived, name)
        clean.before(f"topics derived from {name}", derived, by_hand, limit=45.0)
        clean.before(f"topic {name}", functools.partial(self._delete, name), by_hand, limit=45.0)

    def forget_topic(self, name: str) -> None:
        """It turned out to be somebody else's."""
        for what in ("consumer groups of", "topics derived from", "topic"):
            self._clean.forget(f"{what} {name}")

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
        until = time.time() + self._config.timeouts.cleanup
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

    async def _delete(self, name: str) -> str | None:
        try:
            await self._topics.delete(name)
        except TopicExists:
            return None  # cancelled before we knew it: it stood there before us
        await self._topics.wait_gone(name)
        self._gone.append(name)
        return f"topic {name} deleted"

    async def _delete_derived(self, name: str) -> str | None:
        """Each is told: what is gone, what stays, and other topics that hold the name, which stay, too."""
        try:
            found = await self._topics.related(name)
        except TopicExists:
            return None
        for other in found.others:
            self._tell_once(f"topic {other} holds the name of {name} and is left alone: is it needed?")
        if name not in self._gone and not self._clean.hurried:
            for topic in found.derived:
                self._derived_stays(topic, KafkaFailed(f"it is left for as long as topic {name} is"))
            return None
        await sweep.delete(self._topics, found.derived, self._derived_is_gone, self._derived_stays)
        return None

    def _derived_is_gone(self, topic: str) -> None:
        self._notice(f"topic {topic} deleted: its name is derived from that of the run's topic", "info")

    def _derived_stays(self, topic: str, error: ArgorunError) -> None:
        if topic not in self._told:
            self._told.add(topic)
            self._clean.leave(f"topic {topic}", error.message, self._delete_by_hand(topic))

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notice(text, "warning")

    async def _delete_groups(self, prefix: str, topic: str) -> str | None:
        for group in await self._topics.delete_groups(prefix, [topic]):
            self._notice(f"consumer group {group} deleted", "info")
        return None

    def _wait_by_hand(self) -> str:
        return f"argocd app get {self._app} --output tree" if self._traces.logs is not None else ""

    def _delete_by_hand(self, name: str) -> str:
        return byhand.delete_topics(self._config.kafka, [name])

    async def _stay_gone(self) -> str | None:
        """The last look: by now what a pod has brought back, or has made from a topic's name, shows."""
        if self._traces.logs is None:
            return None
        for name in self._gone:
            if self._clean.hurried or self._pods_stay:  # the topics went before the pods
                await self._topics.delete(name)
                await self._topics.wait_gone(name)
            await self._delete_derived(name)
        return None

    def _stay_gone_by_hand(self) -> str:
        return byhand.delete_topics(self._config.kafka, self._gone)
