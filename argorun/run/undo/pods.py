"""Waits for the pods that may still use a run's topics, before these are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from argorun import recovery
from argorun.argocd.client import Client
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.settle.pod_users import Exposure, PodUser, PodUsers
from argorun.argocd.tree import LiveTree
from argorun.config.model import ApplicationRef
from argorun.emit import Emitter
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed
from argorun.kinds import Subject
from argorun.run.state import RunState
from argorun.run.undo.application import ApplicationUndos
from argorun.run.undo.stack import UndoStack

ENOUGH = 3.0  # seconds that must be left to keep waiting for pods: a pause and two checks
AWAY = 10.0  # seconds without an answer after which Argo CD counts as unreachable: pods cannot be checked


class PodWait:
    """Waits until no pod can use the topics, and remembers those that still may."""

    def __init__(
        self,
        app: ApplicationRef,
        client: Client,
        live: LiveTree,
        undo: UndoStack,
        state: RunState,
        emitter: Emitter,
        application: ApplicationUndos,
    ) -> None:
        self._app, self._client, self._live, self._undo = app, client, live, undo
        self._state, self._emitter, self._application = state, emitter, application
        self._users: list[PodUser] = []  # pods that may still use the topics
        self._unseen = False  # time was over before it was known whether pods use the topics

    async def wait(self) -> str | None:
        """Wait until no pod can use the topics; in a hurry, name those that may."""
        logs = self._state.logs
        if logs is None:
            return None
        self._unseen = True
        try:
            await self._wait_for(self._pod_users(logs))
        except (AccessDenied, ArgoCDFailed):
            self._unseen = False  # nobody can be asked
            raise
        self._unseen = False
        return None

    def command(self) -> str:
        if self._state.logs is None:
            return ""
        ends = dict.fromkeys(filter(None, map(self._end_command, self._users)))
        return "; ".join(ends) or f"argocd app get {self._app} --output tree"

    def leave(self, why: str) -> bool:
        """Emit each pod that may still use the topics as left behind; False where none is known."""
        for user, command in [(u, self._end_command(u)) for u in self._users]:
            self._leave_pod(user, why, command)
        return bool(self._users)

    def check_unused(self) -> None:
        """Raise OperationFailed where pods may still use the topics."""
        if self._users:
            who = ", ".join(u.pod.name for u in self._users)
            raise OperationFailed(f"it is kept because {who} may still use it")
        if self._unseen and self._client.has_answered(within=AWAY):
            raise OperationFailed("it is kept because there was no time to check whether pods still use it")

    async def _wait_for(self, users: PodUsers) -> None:
        named = False
        if not (still := await self._using(users)):
            return
        async with self._live.kept():
            while still:
                self._users = still  # also where the time is over before the next look
                late = self._undo.time_left() < ENOUGH
                if not named and self._undo.hurried:
                    named = True
                    self._name(still)
                if late:
                    self._leave(still)
                    return
                await self._live.changed(self._live.version, timeout=1.0)
                still = await self._using(users)
        self._users = []

    def _pod_users(self, logs: JobLogs) -> PodUsers:
        changed = self._application.to_settle
        held = Exposure(
            topics=self._state.topic_names,
            sources=changed.topic_sources() if changed is not None else (),
            since=self._state.started,
            until=self._client.clock.now(),
            uncertain=changed.uncertain_sources() if changed is not None else (),
        )
        if changed is None:
            return PodUsers(self._client, self._app, held, logs.uids, ())
        where, grace, orphans = changed.pod_owners(), changed.grace_period(), changed.orphans_pods
        users = PodUsers(self._client, self._app, held, logs.uids, where, grace=grace, orphans=orphans)
        users.remember(self._live.tree)
        return users

    async def _using(self, users: PodUsers) -> list[PodUser]:
        """The pods that may use the topics; that there are none is confirmed after a refresh."""
        users.exposed_until(await self._application.pods_read_topics_until())
        if still := await users.find(await self._live.read()):
            return still
        await self._client.application(self._app, refresh="normal")
        return await users.find(await self._live.read())

    def _name(self, still: Sequence[PodUser]) -> None:
        if leaving := [u.pod.name for u in still if u.pod.leaving]:
            self._emitter.info(f"still in their grace period: {', '.join(leaving)}")
        if running := [u.pod.name for u in still if not u.pod.leaving]:
            self._emitter.info(f"still running: {', '.join(running)}")

    def _leave(self, still: Sequence[PodUser]) -> None:
        """Time is over: each pod that uses the topics is emitted as left behind."""
        for user in still:
            self._leave_pod(user, f"it still runs: {user.why}", self._end_command(user))

    def _leave_pod(self, user: PodUser, why: str, command: str) -> None:
        name, where = user.pod.name, user.pod.namespace
        self._undo.leave(f"pod {name}", why, command, Subject.POD, name, namespace=where, resource="Pod")

    def _end_command(self, user: PodUser) -> str:
        """The command that ends a pod; for a hook's pod that is not terminating, it deletes its Job.

        Any other pod is replaced by its controller with one that reads the restored values.
        """
        if user.pod.leaving:
            return ""
        jobs = {n.uid: n for n in self._state.logs.jobs()} if self._state.logs is not None else {}
        job = next((jobs[r.uid] for r in user.pod.parent_refs or () if r.uid in jobs), None)
        return recovery.delete_job(job) if job is not None else recovery.delete_pod(user.pod)
