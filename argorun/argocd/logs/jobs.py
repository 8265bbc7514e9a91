"""Follows the logs of an operation's Jobs: each line once and in order.

Argo CD picks the pods of a log request once, from a cached tree (docs/argocd-facts.md#pods-of-a-log-request),
and answers for the previous run's Job while the new one is not there
(docs/argocd-facts.md#the-log-of-the-previous-run). So pods are taken from the tree by their Job's uid, and
each container's log is read by itself. A Job counts once it is known to be our operation's: it was not there
before our sync, it is the Application's, and our operation still ran, or had not ended when the Job was made.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Collection

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.hooks.lint import delete_policies
from argorun.argocd.hooks.ownership import GONE, Rendered
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.logs.container import Container, Listener, now
from argorun.argocd.logs.pod import PodLogs
from argorun.argocd.sync.hook_results import has_ended
from argorun.argocd.tree import POLL, LiveTree
from argorun.argocd.types import Json, Node, ResourceResult
from argorun.errors import ArgorunError

REPLACED = "an object that replaced it, or is gone"
DISPLACED = 10.0  # seconds for our operation to end by itself once another's object has ended


class JobLogs:
    """Reports the Jobs and bare pods that our operation makes, and follows the logs of those wanted."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        live: LiveTree,
        former: Collection[str],
        wanted: Callable[[str, str], bool],
        listener: Listener,
        rendered: Rendered,
        run_id: str,
        parallel: Callable[[str], bool] = lambda job: False,
    ) -> None:
        self._client, self._app, self._live, self._listener = client, app, live, listener
        self._parallel = parallel  # whether the manifest of a Job of this name asks for several pods
        self.former = frozenset(former)  # the uids that were there before our sync
        self._wanted = wanted  # whether the log of this kind (Job, Pod) and name is to be read
        self._rendered = rendered
        self._run_id = run_id  # our operation's
        self._since = self._until = ""
        self._confirmed: set[str] = set()  # the names of the Jobs that the operation says it has made
        self.uids: set[str] = set()  # of all the Jobs and bare pods that our operation has made so far
        self.strangers: dict[str, tuple[Node, str]] = {}  # foreign objects in the place of this run's, by uid
        self._made: set[tuple[str, str, str]] = set()  # kind, namespace and name of this run's
        self._asked: dict[str, asyncio.Task[None]] = {}  # by uid: finds out the owner
        self._attempts: collections.Counter[str] = collections.Counter()  # by their Job's name
        self._pods: dict[str, PodLogs] = {}  # by the pod's uid
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._task = asyncio.create_task(self._discover())

    def renders(self, rendered: Rendered) -> None:
        """Use this rendering instead: Git has moved, and the operation took the newer one."""
        self._rendered = rendered

    def operation_started(self, at: str) -> None:
        """Our operation began at this time (RFC 3339, whole seconds): its Jobs are not older."""
        self._since = at

    def operation_ended(self, at: str) -> None:
        """Our operation ended at this time (RFC 3339, whole seconds): its Jobs are not younger."""
        self._until = at

    def confirm(self, job: str) -> None:
        """The operation says that it has made this Job, which it does about 2 s late."""
        if job not in self._confirmed:
            self._confirmed.add(job)
            self._live.look_again()

    def recheck(self) -> None:
        """Check again which logs are wanted: after a hook has failed, its log is."""
        self._discovered()

    async def finish(self, silence: float, limit: float, ran: Collection[str] = ()) -> None:
        """The operation is over: read what is left, until no line has come for `silence` seconds.

        It takes `limit` seconds at most, whatever is logged in the meantime. A bare pod that goes on running
        is not waited for. Of the Jobs that `ran`, one whose pod is gone is reported as a missing log; what is
        not read to its end is reported as incomplete.
        """
        end = now() + limit
        try:
            async with asyncio.timeout(limit):
                await self._read_rest(silence, end, ran)
        except TimeoutError:
            pass
        finally:
            await self.close()

    async def _read_rest(self, silence: float, end: float, ran: Collection[str]) -> None:
        why = "its pod was gone before it was read"
        try:
            async with asyncio.timeout((end - now()) / 2):
                await self._live.read()
        except (ArgorunError, TimeoutError) as e:
            why = e.message if isinstance(e, ArgorunError) else "Argo CD did not show its pod in time"
        self._discovered()
        if asked := [t for t in self._asked.values() if not t.done()]:
            await asyncio.wait(asked, timeout=silence)
        # A bare pod that runs may do so forever (source: controller/cache/info.go, populatePodInfo).
        nodes = self._live.tree.nodes or ()
        living = {n.uid for n in nodes if not n.parent_refs and n.reason == "Running"}
        for uid, pod in self._pods.items():
            if uid not in living:
                pod.ended.set()
        for job in ran:
            if not self._attempts[job]:
                gone = Container(job, "", "", "", 1)
                self._listener.ended(gone, 0, False, why)
        waiting, lines = {t for uid, t in self._tasks.items() if uid not in living}, -1
        while waiting and lines != (lines := sum(p.lines_read() for p in self._pods.values())):
            _, waiting = await asyncio.wait(waiting, timeout=silence)

    async def close(self) -> None:
        """Stop reading."""
        tasks = [self._task, *self._asked.values(), *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def jobs(self) -> list[Node]:
        """The Jobs that our operation made, as far as the tree has them."""
        return [n for n in self._live.tree.of_kind("Job") if n.uid in self.uids]

    def made(self, kind: str, namespace: str, name: str) -> bool:
        """Whether our operation is known to have made an object of this name."""
        return (kind, namespace, name) in self._made

    def jobs_and_pods(self) -> list[Node]:
        """The Jobs and bare pods that our operation made, as far as the tree has them."""
        return [n for uid in self.uids if (n := self._live.tree.find_uid(uid)) is not None]

    def may_vanish(self, hook: ResourceResult) -> bool:
        """Whether the policy of a hook deletes its object once that has ended."""
        rendered = self._rendered.rendered(self._node(hook))
        if rendered is None:
            return True
        ttl = (rendered.get("spec") or {}).get("ttlSecondsAfterFinished")
        return ttl is not None or bool(delete_policies(rendered) & {"HookSucceeded", "HookFailed"})

    @staticmethod
    def _node(hook: ResourceResult, uid: str = "") -> Node:
        named = {f: getattr(hook, f) for f in ("group", "version", "kind", "namespace", "name")}
        return Node(**named, uid=uid)

    def in_place_of(self, hook: ResourceResult) -> str:
        """The owner of the newest foreign object in the place of a hook; empty if there was none."""
        name = (hook.kind, hook.namespace, hook.name)
        whose = [w for n, w in self.strangers.values() if (n.kind, n.namespace, n.name) == name]
        return whose[-1] if whose else ""

    async def whose_is(self, hook: ResourceResult, uid: str) -> str:
        """The owner of the live object of a hook's name; empty if it is our operation.

        Raises ArgoCDFailed, AccessDenied.
        """
        if uid in self.uids:
            return ""
        if uid in self.strangers:
            return self.strangers[uid][1]
        whose = await self.whose(self._node(hook, uid))
        if not whose:
            self.uids.add(uid)
            self._made.add((hook.kind, hook.namespace, hook.name))
        return whose

    def others(self, hook: ResourceResult, live: Json) -> str:
        """The other Application that a live object of a hook's name names as its own; empty if none."""
        return self._rendered.other_application(self._node(hook), live)

    async def displaced(self, is_test: Callable[[str, str], bool]) -> tuple[Node, str]:
        """Wait until a foreign object in the place of a test has ended; returns it, and its owner.

        Our operation may wait for it forever. Before it has ended nothing is done: ending our operation would
        delete it.
        """
        clock = asyncio.get_running_loop().time
        since: dict[str, float] = {}
        version = -1
        while True:
            tests = {u: n for u, (n, _) in self.strangers.items() if is_test(n.kind, n.name)}
            for uid, node in tests.items():
                if uid not in since and await self._has_ended(node):
                    since[uid] = clock()
                if uid in since and clock() - since[uid] >= DISPLACED:
                    return node, self.strangers[uid][1]
            version = await self._live.changed(version, timeout=1.0 if tests else POLL)

    async def _has_ended(self, stranger: Node) -> bool:
        """Whether another's Job or bare pod has ended or is gone, as far as Argo CD shows it.

        The tree alone is not enough: no change of another Application's object makes Argo CD renew this one's
        (seen on 3.1: 110 s behind; docs/argocd-facts.md#the-resource-tree).
        """
        s = stranger
        there = self._live.tree.find_uid(s.uid)
        if there is None or there.ended:
            return True
        try:
            live: Json = await self._client.live(self._app, s.group, s.version, s.kind, s.namespace, s.name)
        except (ApiError, Denied) as e:
            return e.status in GONE
        except ArgorunError:
            return False
        return (live.get("metadata") or {}).get("uid") != s.uid or has_ended(s.kind, live)

    def _candidates(self) -> list[Node]:
        tree = self._live.tree
        bare = [n for n in tree.of_kind("Pod") if not n.parent_refs]
        return [n for n in [*tree.of_kind("Job"), *bare] if self._may_be_made(n)]

    def _may_be_made(self, source: Node) -> bool:
        """Whether its time of creation, in whole seconds, fits our operation; `_claim` checks the rest."""
        if not source.uid or source.uid in self.former or source.parent_refs:
            return False
        if self._until and source.created_at > self._until:
            return False
        return source.name in self._confirmed or bool(self._since and source.created_at >= self._since)

    async def _claim(self, source: Node) -> None:
        """Find out its owner, and follow it if that is our operation."""
        while True:
            try:
                whose = await self.whose(source)
            except ArgorunError:
                await self._live.changed(self._live.version)
            else:
                break
        if whose == REPLACED:
            return  # what has its name now is claimed by itself
        if whose:
            self.strangers[source.uid] = (source, whose)
            self._listener.stranger(source, whose)
            return
        self.uids.add(source.uid)
        self._made.add((source.kind, source.namespace, source.name))
        self._listener.appeared(source)
        self._discovered()

    async def whose(self, source: Node) -> str:
        """The owner of a live object; empty if it is our operation.

        The object is read before the operation: if ours still runs then, only ours can have made it.
        Raises ArgoCDFailed, AccessDenied.
        """
        s = source
        try:
            live: Json = await self._client.live(self._app, s.group, s.version, s.kind, s.namespace, s.name)
        except (ApiError, Denied) as e:
            if e.status not in GONE:
                raise
            return REPLACED
        metadata = live.get("metadata") or {}
        if metadata.get("uid") != s.uid:
            return REPLACED
        if stranger := self._rendered.foreign_owner(s, live):
            return stranger
        seen = await self._client.application(self._app)
        state = seen.state_of(self._run_id)
        if seen.running is not None and seen.running.run_id == self._run_id:
            return ""
        created = str(metadata.get("creationTimestamp", ""))
        if state is None or (state.finished_at and created > state.finished_at):
            return "another operation, which came after this run's"
        return ""

    async def _discover(self) -> None:
        version = -1
        while True:
            self._discovered()
            version = await self._live.changed(version)

    def _discovered(self) -> None:
        for source in self._candidates():
            if source.uid not in self._asked:
                self._asked[source.uid] = asyncio.create_task(self._claim(source))
        for uid in tuple(self.uids):
            made = self._live.tree.find_uid(uid)
            for pod in self._live.tree.pods_under({uid}) if made is not None else ():
                if pod.uid in self._pods:
                    if pod.ended:
                        self._pods[pod.uid].ended.set()
                elif made is not None and self._wanted(made.kind, made.name):
                    self._read(made, pod)

    def _read(self, source: Node, pod: Node) -> None:
        attempt = self._attempt(source)
        logs = PodLogs(self._client, self._app, self._live, self._listener, source.name, pod, attempt)
        self._pods[pod.uid] = logs
        self._tasks[pod.uid] = asyncio.create_task(logs.read())

    def _attempt(self, source: Node) -> int:
        """The number of a new pod's attempt: the next one only if no other pod of the Job runs."""
        known = [n for n in self._live.tree.pods_under({source.uid}) if n.uid in self._pods]
        beside = self._parallel(source.name) or any(not n.ended and not n.leaving for n in known)
        if not beside or not self._attempts[source.name]:
            self._attempts[source.name] += 1
        return self._attempts[source.name]
