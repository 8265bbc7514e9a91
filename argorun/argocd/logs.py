"""The logs of an operation's Jobs, live: every container of every pod, each line once and in order.

Argo CD picks the pods of a log request once, from a cached tree, and answers for the previous run's Job
as long as the new one is not there. So pods are taken from the tree by their Job's uid, which must not have
been there before our sync, and each container's log is read for itself.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable, Collection

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.pod_logs import PodLogs
from argorun.argocd.reader import Container, Listener
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node
from argorun.errors import ArgorunError


class JobLogs:
    """Tells of the Jobs that our operation makes, and follows the logs of those that are wanted.

    A bare pod is a source of its own, as a Job is.
    """

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        live: LiveTree,
        former: Collection[str],
        wanted: Callable[[str, str], bool],
        listener: Listener,
    ) -> None:
        self._client, self._app, self._live, self._listener = client, app, live, listener
        self.former = frozenset(former)  # the uids that were there before our sync
        self._wanted = wanted  # whether the log of this kind (Job, Pod) and name is to be read
        self._since = ""
        self._confirmed: set[str] = set()  # what the operation itself says it has made, by name
        self.uids: set[str] = set()  # of all the Jobs and bare pods that our operation has made so far
        self._attempts: collections.Counter[str] = collections.Counter()  # pods seen, by their Job's name
        self._pods: dict[str, PodLogs] = {}  # by the pod's uid
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._task = asyncio.create_task(self._discover())

    def operation_started(self, at: str) -> None:
        """Our operation began at this time (RFC 3339, whole seconds): its Jobs are not older."""
        self._since = at

    def confirm(self, job: str) -> None:
        """The operation says that it has made this Job, which it does about 2 s late."""
        if job not in self._confirmed:
            self._confirmed.add(job)
            self._live.look_again()

    def look(self) -> None:
        """What is wanted may have changed: a hook has failed, and its log is to be read now."""
        self._discovered()

    async def finish(self, timeout: float, ran: Collection[str] = ()) -> None:
        """The operation is over: read what is left, until no line has come for `timeout` seconds.

        Of those that `ran`, whoever has no pod any more is told as a log that is missing.
        """
        with contextlib.suppress(ArgorunError):
            await self._live.read()
        self._discovered()
        for pod in self._pods.values():
            pod.ended.set()
        for job in ran:
            if not self._attempts[job]:
                gone = Container(job, "", "", "", 1)
                self._listener.ended(gone, 0, False, "its pod was gone before it was read")
        waiting, told = set(self._tasks.values()), -1
        while waiting and told != (told := sum(p.told() for p in self._pods.values())):
            _, waiting = await asyncio.wait(waiting, timeout=timeout)
        await self.close()

    async def close(self) -> None:
        """Stop reading."""
        tasks = [self._task, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def jobs(self) -> list[Node]:
        """The Jobs that our operation made, as far as the tree has them."""
        return [n for n in self._live.tree.nodes or () if n.kind == "Job" and self._ours(n)]

    def sources(self) -> list[Node]:
        """The Jobs and bare pods that our operation made, as far as the tree has them."""
        bare = [n for n in self._live.tree.nodes or () if n.kind == "Pod" and not n.parent_refs]
        return self.jobs() + [n for n in bare if self._ours(n)]

    def _ours(self, source: Node) -> bool:
        if not source.uid or source.uid in self.former:
            return False
        return source.name in self._confirmed or bool(self._since and source.created_at >= self._since)

    async def _discover(self) -> None:
        version = -1
        while True:
            self._discovered()
            version = await self._live.changed(version)

    def _discovered(self) -> None:
        for source in self.sources():
            if source.uid not in self.uids:
                self.uids.add(source.uid)
                self._listener.appeared(source)
            for pod in self._live.tree.pods_under({source.uid}):
                if pod.uid in self._pods:
                    if pod.ended:
                        self._pods[pod.uid].ended.set()
                elif self._wanted(source.kind, source.name):
                    self._read(source, pod)

    def _read(self, source: Node, pod: Node) -> None:
        self._attempts[source.name] += 1
        attempt = self._attempts[source.name]
        logs = PodLogs(self._client, self._app, self._live, self._listener, source.name, pod, attempt)
        self._pods[pod.uid] = logs
        self._tasks[pod.uid] = asyncio.create_task(logs.read())
