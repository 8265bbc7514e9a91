"""Step nine, thing by thing: how what a run has done is undone. The order is the undo stack's."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from argorun import recovery
from argorun.argocd import normal_form
from argorun.argocd.claim import late_changes, restore, settling_sync
from argorun.argocd.claim.claim import Claim, HeldByAnother
from argorun.argocd.client import Client
from argorun.argocd.http.errors import Denied
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters.spec import stands, without_automated
from argorun.argocd.settle.pod_users import Exposure, PodUser, PodUsers
from argorun.argocd.settle.remains import LIVES_ON, Remains
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.sync import operation
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application
from argorun.config.model import Config, Topic
from argorun.emit import Emitter
from argorun.errors import AccessDenied, ArgoCDFailed, ArgorunError, KafkaFailed, OperationFailed
from argorun.kafka import old_topics
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Topics
from argorun.run.undo import UndoStack

GROUPS = 20.0  # seconds for the consumer groups of a topic
LEAVES = 20.0  # seconds for which an object that is being deleted is waited for
ENOUGH = 3.0  # seconds that must be left to wait on for pods: a pause, and two looks
RELEASE = 2.0  # seconds to let go of an Application whose settling took too long
AWAY = 10.0  # seconds without an answer after which Argo CD counts as away: nobody can be asked about pods
HELD = 4.0  # seconds for which auto-sync stays off even in a hurry, while settling comes to its end


def nothing() -> str:
    """There is no command: others' undos say it."""
    return ""


@dataclass
class RunState:
    """What a run has left in the world so far."""

    operation: str  # the id that our operation carries
    claim: Claim
    drawn: list[tuple[Topic, str]] = field(default_factory=list)  # the topics and their names
    logs: JobLogs | None = None  # which knows the Jobs that our operation has made
    settlement: Settlement | None = None  # which knows what our operation may have changed
    started: float = 0.0  # when our operation was started, in seconds since the epoch
    revision: str = ""  # the commit that it syncs
    posted: bool = False  # our operation may have been started: it was asked for
    deleting: bool = False  # the Application is being deleted, with all that it has made


class RunCleanup:
    """Registers the undos of a run on its undo stack, before their acts, and carries them out."""

    def __init__(
        self,
        config: Config,
        client: Client,
        topics: Topics,
        live: LiveTree,
        clean: UndoStack,
        traces: RunState,
        emitter: Emitter,
    ) -> None:
        self._config, self._app = config, config.application
        self._client, self._topics, self._live = client, topics, live
        self._clean, self._traces, self._emitter = clean, traces, emitter
        self._gone: list[str] = []  # the topics that were deleted, and seen gone
        self._gone_app = False  # the Application was deleted
        self._told_what_lives_on = False
        self._others: list[str] = []  # of the spec, what somebody changed during the run
        self._users: list[PodUser] = []  # pods that may still use the topics
        self._unseen = False  # whether pods use the topics was asked, and the time was over before the answer
        self._put_back_at: float | None = None  # when what the pods read was put back
        self._left: set[Key] = set()  # objects that were announced as left behind
        self._told: set[str] = set()  # topics that stay, and warnings: told once

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
        before, unless_gone = self._clean.before, self._unless_gone
        if not self._config.keep_topics:
            again = "topics that a leaving pod brings back"
            before(again, self._stay_gone, self._stay_gone_by_hand, patient=True, last=True)
        look = unless_gone(self._look)  # which waits on its own for what leaves
        changed = "what our operation changed"
        before(changed, look, self._look_by_hand, limit=LEAVES + 10, patient=True, last=True)
        before("parameters that came back", unless_gone(self._stay_put), nothing, patient=True, last=True)
        late = "what was never answered"
        before(late, unless_gone(self._undo_late), self._undo_late_by_hand, limit=60.0, patient=True)
        # As long as it takes a busy Argo CD, but for what the others keep for themselves of the whole.
        whole = self._config.timeouts.cleanup
        before(
            "pods of this run", unless_gone(self._pods_leave), self._wait_by_hand, limit=whole, patient=True
        )
        settle = "the workloads' settings"
        before(settle, unless_gone(self._settle), self._settle_by_hand, limit=whole, patient=True)
        # A rendering that takes too long has a third of the whole, and then comes the way without it.
        limit = max(40.0, whole * 2 / 3)
        before("the parameters", unless_gone(self._give_back), self._give_back_by_hand, limit=limit)
        before("our operation", unless_gone(self._end), self._end_by_hand, limit=40.0)

    # -- an Application that is deleted --------------------------------------------------------------

    async def is_gone(self) -> bool:
        """Whether the Application, which was there, is not any longer. Raises ArgoCDFailed, AccessDenied."""
        before = self._traces.claim.before
        if not self._gone_app and before is not None:
            self._gone_app = await self._client.is_gone(self._app, before.project)
        return self._gone_app

    def _unless_gone(self, act: Callable[[], Awaitable[str | None]]) -> Callable[[], Awaitable[str | None]]:
        """An undo in the Application: where that is deleted there is nothing left to undo in it.

        Nor is there where another run took it before our sync, and took our values out.
        """

        async def unless_gone() -> str | None:
            if self._traces.deleting and act not in (self._end, self._pods_leave):
                return None
            try:
                if not self._gone_app:
                    return await act()
            except Denied:
                if not await self.is_gone():
                    raise
            except HeldByAnother as e:
                if e.stands or self._traces.posted:
                    raise
                return None
            self._leave_what_lives_on()
            return None

        return unless_gone

    def _leave_what_lives_on(self) -> None:
        """Deleted without what it had made: nobody but a person takes that off the topics now."""
        if self._traces.deleting or self._told_what_lives_on:
            return
        self._told_what_lives_on = True
        logs, changed = self._traces.logs, self._changed
        for remains in changed.left_by_deletion() if changed is not None else ():
            self._leave_object(remains)
        for job in logs.jobs() if logs is not None else ():
            self._clean.leave(f"Job {job.name}", LIVES_ON, recovery.delete_job(job))

    # -- undoing, the last thing first ----------------------------------------------------------------

    async def _end(self) -> str | None:
        if self._traces.logs is not None:
            await self._traces.logs.close()
        await self._client.wait_for_in_flight()
        ended = await operation.end(self._client, self._app, self._traces.operation, self._emitter.info)
        return "our operation ended" if ended else None

    def _end_by_hand(self) -> str:
        # Where none was started, the one that runs is somebody else's.
        return recovery.end(self._app) if self._traces.logs is not None else ""

    async def _give_back(self) -> str | None:
        await self._client.wait_for_in_flight()
        until = self._client.clock.now() + self._config.timeouts.cleanup
        stood = await restore.give_back(self._traces.claim, settling=self._settles(), until=until)
        return "parameters put back" if stood else None

    def _give_back_by_hand(self) -> str:
        return recovery.patch(self._app, self._traces.claim.restoring_patch())

    async def _stay_put(self) -> str | None:
        """The last look: by now a change that was lost to somebody else's shows."""
        return None if await restore.verify(self._traces.claim) else "parameters put back once more"

    @property
    def _changed(self) -> Settlement | None:
        """What our operation may have changed; None where none was started."""
        return self._traces.settlement if self._traces.posted else None

    def _settles(self) -> bool:
        """Whether what our operation changed is to go back.

        With auto-sync on it is always so: left on our values, it would be synced again, hooks and all.
        """
        record = self._traces.claim.record
        if record is None or self._changed is None:
            return False
        return self._config.settle or record.automated is not None

    async def _settle(self) -> str | None:
        claim, changed = self._traces.claim, self._changed
        if claim.record is None:
            return None
        if changed is None or not self._settles():
            await self._release(claim)
            return None
        over, limit = False, None
        try:
            over = await self._taken_back(claim, changed)
        except asyncio.CancelledError:
            limit = RELEASE  # the time for this is over
            raise
        finally:
            # Switched on before the settling is over, auto-sync would run the hooks on the former topic.
            if not self._clean.abandoned and (over or not claim.automated):
                async with asyncio.timeout(limit):
                    await self._release(claim)
        if not over and claim.automated:
            raise OperationFailed("the settling sync is not over, and auto-sync stays off until it is")
        if not over:
            return "a sync that settles the workloads started; it goes on by itself"
        if not await self._is_back(changed):
            return None
        on = f"what {self._app} says now" if self._others else "what they had before"
        return f"workloads settled on {on}"

    async def _release(self, claim: Claim) -> None:
        """Let go of the Application, once no end of an operation that we asked for can still arrive.

        A DELETE of an operation names none: late, it would end another run's.
        """
        late = claim.end_may_arrive_for()
        if late and late <= self._clean.time_left() and not self._clean.hurried:
            await self._clean.unless_hurried(asyncio.sleep(late))
        left = await restore.release(claim)
        if not left:
            return
        why = f"a request to end its operation was never answered; no run may begin for {left:.0f} s"
        self._clean.leave("the run's record", why, recovery.patch(self._app, claim.releasing_patch()))

    async def _taken_back(self, claim: Claim, changed: Settlement) -> bool:
        """Take back what our operation changed; False where a hurry left no time to see it done."""
        seen = await claim.check_held()
        if claim.record is not None and stands(seen.spec, claim.record):
            # Compared with these, nothing has changed.
            raise OperationFailed("the run's parameters stand in the Application still")
        self._tell_others_changes(claim, seen)
        pinned = self._config.revision is not None
        revision = claim.before.deployed if pinned and claim.before else self._traces.revision
        plan = await changed.plan(revision or None)
        if plan.patch:
            await claim.check_held()
            for remains in await changed.apply_patches(plan):
                self._leave_object(remains)
        resources = changed.resources_to_sync(plan)
        if not resources and claim.automated:
            resources = await settling_sync.unchanged_resource(claim)
        started = await settling_sync.start(claim, revision or None, resources, prune=bool(plan.prune))
        if started is None:
            return True
        return await self._clean.unless_hurried(self._settled(claim, started), HELD if claim.automated else 0)

    def _tell_others_changes(self, claim: Claim, seen: Application) -> None:
        """The parameters are back by now: what of the spec still differs is somebody else's, and stays."""
        if claim.before is None or claim.record is None:
            return
        former = without_automated(claim.before.spec, claim.record)
        self._others = normal_form.differing(former, seen.spec)
        if self._others:
            what = ", ".join(self._others)
            self._tell_once(f"somebody changed {what} of {self._app} during the run: it stays as it is now")

    async def _settled(self, claim: Claim, started: str) -> None:
        state = await settling_sync.finish(claim, started, compared=claim.automated)
        self._put_back_at = state.began_at

    async def _is_back(self, changed: Settlement) -> bool:
        """Look whether what our operation changed still names a topic; each object that does is announced."""
        # What was left is told already: that it goes meanwhile is not waited for again.
        patience = 0.0 if self._left else max(0.0, min(LEAVES, self._clean.time_left()))
        left = await changed.find_remains(patience)
        for remains in left:
            self._leave_object(remains)
        return bool(changed.changed) and not left

    async def _look(self) -> str | None:
        """Once more, when all is done: something may have come late, or not have been waited for."""
        if self._changed is not None and self._settles():
            await self._is_back(self._changed)
        return None

    def _look_by_hand(self) -> str:
        """Where the look could not be taken. Who stops at once is told by others' commands."""
        unseen = self._changed is not None and not self._clean.abandoned
        return f"argocd app get {self._app} --output tree" if unseen else ""

    def _leave_object(self, remains: Remains) -> None:
        if remains.key not in self._left:
            self._left.add(remains.key)
            # A sync, or a patch, would be one in the middle of the other run.
            later = "; another run holds the Application by now: look again when it is over"
            taken = self._traces.claim.held_by_another
            command = "" if taken else recovery.object_back(self._app, remains)
            self._clean.leave(str(remains.key), f"{remains.why}{later if taken else ''}", command)

    async def _undo_late(self) -> str | None:
        """A change whose answer was lost may take effect yet: see whether it does, and undo that."""
        until = self._client.late_change_until()
        if until is None:
            return None
        soon = asyncio.get_running_loop().time() + self._config.timeouts.cleanup / 3
        undone = await late_changes.undo(self._traces.claim, min(until, soon))
        if undone and self._changed is not None and self._settles():
            await self._taken_back(self._traces.claim, self._changed)
        return "what took effect late undone" if undone else None

    def _undo_late_by_hand(self) -> str:
        return f"argocd app get {self._app}" if self._client.late_change_until() is not None else ""

    def _settle_by_hand(self) -> str:
        patch = recovery.patch(self._app, self._traces.claim.releasing_patch())
        changed = self._changed if self._settles() and not self._traces.claim.held_by_another else None
        settle = recovery.take_back(self._app, changed.recovery_plan) if changed is not None else ""
        return "; ".join(filter(None, (settle, patch)))

    async def _pods_leave(self) -> str | None:
        """Wait until no pod can touch the topics; in a hurry they are named first."""
        logs = self._traces.logs
        if logs is None:
            return None
        users, self._unseen = self._pod_users(logs), True
        try:
            await self._wait_for(users)
        except (AccessDenied, ArgoCDFailed):
            self._unseen = False  # nobody can be asked
            raise
        self._unseen = False
        return None

    async def _wait_for(self, users: PodUsers) -> None:
        told = False
        if not (still := await self._using(users)):
            return
        async with self._live.kept():
            while still:
                self._users = still  # also where the time is over before the next look
                late = self._clean.time_left() < ENOUGH
                if not told and self._clean.hurried:
                    told = True
                    self._tell_who_is_there(still)
                if late:
                    self._leave_running(still)
                    return
                await self._live.changed(self._live.version, timeout=1.0)
                still = await self._using(users)
        self._users = []

    def _pod_users(self, logs: JobLogs) -> PodUsers:
        changed = self._changed if self._settles() else None
        held = Exposure(
            topics=[name for _, name in self._traces.drawn],
            sources=changed.topic_sources() if changed is not None else (),
            since=self._traces.started,
            until=self._put_back_at or self._client.clock.now(),
            uncertain=changed.uncertain_sources() if changed is not None else (),
        )
        if changed is None:
            return PodUsers(self._client, self._app, held, logs.uids, ())
        where, grace, orphans = changed.pod_owners(), changed.grace_period(), changed.orphans_pods
        users = PodUsers(self._client, self._app, held, logs.uids, where, grace=grace, orphans=orphans)
        users.remember(self._live.tree)
        return users

    async def _using(self, users: PodUsers) -> list[PodUser]:
        """The pods that may use the topics, by the tree as it is now; that there are none is asked anew."""
        if still := await users.find(await self._live.read()):
            return still
        await self._client.application(self._app, refresh="normal")
        return await users.find(await self._live.read())

    def _tell_who_is_there(self, still: Sequence[PodUser]) -> None:
        if leaving := [u.pod.name for u in still if u.pod.leaving]:
            self._emitter.info(f"still in their grace period: {', '.join(leaving)}")
        if running := [u.pod.name for u in still if not u.pod.leaving]:
            self._emitter.info(f"still running: {', '.join(running)}")

    def _leave_running(self, still: Sequence[PodUser]) -> None:
        """Time is over: whoever uses the topics is named."""
        for user in still:
            self._clean.leave(f"pod {user.pod.name}", f"it still runs: {user.why}", self._end_user(user))

    def _end_user(self, user: PodUser) -> str:
        """The command that ends it: its Job, where nobody told that to stop (argocd.outcome), or the pod.

        Whatever made the pod makes another, which reads what stands there by then.
        """
        if user.pod.leaving:
            return ""
        jobs = {n.uid: n for n in self._traces.logs.jobs()} if self._traces.logs is not None else {}
        job = next((jobs[r.uid] for r in user.pod.parent_refs or () if r.uid in jobs), None)
        return recovery.delete_job(job) if job is not None else recovery.delete_pod(user.pod)

    async def _delete(self, name: str) -> str | None:
        if not self._clean.hurried:
            self._check_unused()
        try:
            await self._topics.delete(name)
        except TopicExists:
            return None  # cancelled before we knew it: it stood there before us
        await self._topics.wait_gone(name)
        self._gone.append(name)
        return f"topic {name} deleted"

    def _check_unused(self) -> None:
        """Raise OperationFailed where pods may still use the topics."""
        if self._users:
            who = ", ".join(u.pod.name for u in self._users)
            raise OperationFailed(f"it is kept, for {who} may still use it")
        if self._unseen and self._client.has_answered(within=AWAY):
            raise OperationFailed("it is kept, for there was no time to see whether pods still use it")

    async def _delete_derived(self, name: str) -> str | None:
        """Each is told: what is gone, what stays, and other topics that hold the name, which stay, too."""
        try:
            found = await self._topics.related(name)
        except TopicExists:
            return None
        for other in found.others:
            self._tell_once(f"topic {other} holds the name of {name} and is left alone: is it needed?")
        if name not in self._gone and not self._clean.hurried:
            self._derived_stay(found.derived, KafkaFailed(f"it is left for as long as topic {name} is"))
            return None
        await old_topics.delete(self._topics, found.derived, self._derived_is_gone, self._derived_stay)
        return None

    def _derived_is_gone(self, topic: str) -> None:
        self._emitter.info(f"topic {topic} deleted: its name is derived from that of the run's topic")

    def _derived_stay(self, topics: Sequence[str], error: ArgorunError) -> None:
        for topic in (t for t in topics if t not in self._told):
            self._told.add(topic)
            self._clean.leave(f"topic {topic}", error.message, self._delete_by_hand(topic))

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._emitter.warn(text)

    async def _delete_groups(self, prefix: str, topic: str) -> str | None:
        for group in await self._topics.delete_groups(prefix, [topic]):
            self._emitter.info(f"consumer group {group} deleted")
        return None

    def _wait_by_hand(self) -> str:
        if self._traces.logs is None:
            return ""
        ends = dict.fromkeys(filter(None, map(self._end_user, self._users)))
        return "; ".join(ends) or f"argocd app get {self._app} --output tree"

    def _delete_by_hand(self, name: str) -> str:
        return recovery.delete_topics(self._config.kafka, [name])

    async def _stay_gone(self) -> str | None:
        """The last look: by now what a pod has brought back, or has made from a topic's name, shows."""
        if self._traces.logs is None:
            return None
        for name in self._gone:
            if self._clean.hurried:  # the topics went before the pods
                await self._topics.delete(name)
                await self._topics.wait_gone(name)
            await self._delete_derived(name)
        return None

    def _stay_gone_by_hand(self) -> str:
        return recovery.delete_topics(self._config.kafka, self._gone)
