"""The logs of an operation's Jobs, live: every container of every pod, each line once and in order.

Argo CD picks the pods of a log request once, from a cached tree, and answers for the previous run's Job
as long as the new one is not there. So pods are taken from the tree by their Job's uid, which must not have
been there before our sync, and each container's log is read for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from argorun.argocd.answers import Denied, Refused
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Json, LogEntry, Node
from argorun.errors import ArgorunError

WAITING = re.compile(r"is waiting to start|ContainerCreating|PodInitializing|is not (valid|available)")


@dataclass(frozen=True)
class Container:
    """One container of one pod of a Job; `attempt` counts the Job's pods from 1."""

    job: str
    namespace: str
    pod: str
    name: str
    attempt: int


@dataclass
class Position:
    """How far a log was read: the newest stamp, and how many lines were seen from the first that bears it.

    Lines with equal stamps exist, stamps run back a little where a container writes to both its outputs, and
    sinceSeconds is in whole seconds: a resumed stream starts earlier, and what was seen is skipped by stamp
    and number.
    """

    stamp: str = ""
    count: int = 0
    _met: int = field(default=0, repr=False)

    def resume(self) -> None:
        """A new stream begins, which repeats some lines."""
        self._met = 0

    def is_new(self, stamp: str) -> bool:
        """Whether a line with this stamp was not seen yet; moves on where it was not."""
        if stamp > self.stamp:
            self.stamp, self.count, self._met = stamp, 1, 1
            return True
        if stamp < self.stamp and not self._met:
            return False
        self._met += 1
        if self._met <= self.count:
            return False
        self.count += 1
        return True

    @property
    def met(self) -> bool:
        """Whether the stream has shown the last line seen before it: nothing lies between."""
        return self._met > 0

    def overlaps(self, stamp: str) -> bool:
        """Whether a line with this stamp is not after the last one seen."""
        return stamp <= self.stamp


def sortable(stamp: str) -> str:
    """An RFC 3339 stamp in UTC with all nine digits: Go leaves out zeros at the end."""
    head, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{head}.{fraction:0<9}Z"


class Listener:
    """What is told of the logs; the run turns it into events."""

    def appeared(self, job: Node) -> None: ...
    def started(self, container: Container) -> None: ...
    def line(self, container: Container, stamp: str, text: str) -> None: ...
    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None: ...


class JobLogs:
    """Tells of the Jobs that our operation makes, and follows the logs of those that are wanted."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        live: LiveTree,
        before: Collection[str],
        wanted: Callable[[str], bool],
        listener: Listener,
    ) -> None:
        self._client, self._app, self._live, self._listener = client, app, live, listener
        self._before = frozenset(before)  # the uids that were there before our sync
        self._wanted = wanted  # whether the log of a Job of this name is to be read
        self._since = ""
        self._confirmed: set[str] = set()  # the Jobs that the operation itself says it has made
        self.uids: set[str] = set()  # of all the Jobs that our operation has made so far
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by the pod's uid
        self._readers: list[Reader] = []
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._discover())

    def operation_started(self, at: str) -> None:
        """Our operation began at this time (RFC 3339, whole seconds): its Jobs are not older."""
        self._since = at

    def confirm(self, job: str) -> None:
        """The operation says that it has made this Job, which it does about 2 s late."""
        if job not in self._confirmed:
            self._confirmed.add(job)
            self._live.look_again()

    async def finish(self, timeout: float) -> None:
        """The operation is over: read what is left, until no line has come for `timeout` seconds."""
        self._over.set()
        with contextlib.suppress(ArgorunError):
            await self._live.read()
            self._discovered()
        waiting, told = set(self._tasks.values()), -1
        while waiting and told != (told := sum(r.lines for r in self._readers)):
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

    def _ours(self, job: Node) -> bool:
        if not job.uid or job.uid in self._before:
            return False
        return job.name in self._confirmed or bool(self._since and job.created_at >= self._since)

    async def _discover(self) -> None:
        version = -1
        while True:
            self._discovered()
            version = await self._live.changed(version)

    def _discovered(self) -> None:
        for job in self.jobs():
            if job.uid not in self.uids:
                self.uids.add(job.uid)
                self._listener.appeared(job)
            if not self._wanted(job.name):
                continue
            for attempt, pod in enumerate(self._live.tree.pods_under({job.uid}), start=1):
                if pod.uid not in self._tasks:
                    self._tasks[pod.uid] = asyncio.create_task(self._pod(job.name, pod, attempt))

    async def _pod(self, job: str, pod: Node, attempt: int) -> None:
        names = await self._containers(pod)
        readers = [Container(job, pod.namespace, pod.name, name, attempt) for name in names]
        await asyncio.gather(*(self._container(c) for c in readers))

    async def _containers(self, pod: Node) -> list[str]:
        """The pod's containers, init containers first; the unnamed only one where that cannot be told."""
        try:
            spec = (await self._manifest(pod.namespace, pod.name)).get("spec", {})
        except ArgorunError:
            return [""]
        return [c["name"] for c in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]]

    async def _manifest(self, namespace: str, pod: str) -> Json:
        return await self._client.live(self._app, "", "v1", "Pod", namespace, pod)

    async def _container(self, c: Container) -> None:
        """Read one container's log to its end, however often the stream breaks."""
        reader = Reader(self._client, self._app, c, self._listener)
        self._readers.append(reader)
        pause, reason = 0.3, ""
        self._listener.started(c)
        try:
            while True:
                before = reader.lines
                try:
                    ended = await reader.read(follow=True)
                    reason = reader.state or "the stream broke off"
                except ArgorunError as e:
                    ended, reason = False, e.message
                if (ended or self._over.is_set()) and await self._terminated(c):
                    # What the stream missed, where it missed something and the pod is still there.
                    ended = await self._last_read(reader) or ended
                    if reader.missing:
                        ended, reason = False, "the log was rotated, or its container restarted"
                    self._listener.ended(c, reader.lines, ended, "" if ended else reason)
                    return
                pause = 0.3 if reader.lines > before else min(pause * 1.5, 2.0)
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self._listener.ended(c, reader.lines, False, reason or "the run ended before the log did")
            raise

    async def _last_read(self, reader: Reader) -> bool:
        for _ in range(3):
            with contextlib.suppress(ArgorunError):
                if await reader.read(follow=False):
                    return True
        return False

    async def _terminated(self, c: Container) -> bool:
        """Whether the container has ended for good; True too where its pod is gone."""
        try:
            pod = await self._manifest(c.namespace, c.pod)
        except (Refused, Denied):
            return True
        except ArgorunError:
            return False  # Argo CD is away: ask again
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return True
        status = pod.get("status", {})
        listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        mine = [s for s in listed if s.get("name") == c.name or not c.name]
        retried = pod.get("spec", {}).get("restartPolicy") != "Never"
        return bool(mine) and all(
            "terminated" in s.get("state", {}) and not (retried and s["state"]["terminated"].get("exitCode"))
            for s in mine
        )


class Reader:
    """Reads one container's log, possibly in several streams, and tells each line once."""

    def __init__(
        self, client: Client, app: ApplicationName, container: Container, listener: Listener
    ) -> None:
        self._client, self._app, self._container, self._listener = client, app, container, listener
        self._position = Position()
        self._arrived = 0.0  # monotonic time of the newest line
        self._whole = False  # read from the first line again: a gap was seen
        self.lines = 0
        self.missing = False  # lines are gone: the log was rotated, or its container restarted
        self.state = ""  # why it could not be opened: "… is waiting to start: ContainerCreating"

    async def read(self, *, follow: bool) -> bool:
        """Read until the stream ends; True where Argo CD says that it was the log's end."""
        c, self.state = self._container, ""
        extra = {"follow": "true"} if follow else {}
        resumed, whole = self.lines > 0, self._whole
        if resumed and not whole:
            # The line was written before it arrived here; whole seconds, and some for a backlog.
            extra["sinceSeconds"] = str(math.ceil(time.monotonic() - self._arrived) + 5)
        self._position.resume()
        entries = self._client.logs(self._app, c.pod, c.namespace, c.name, **extra)
        async with contextlib.aclosing(entries):
            async for entry in entries:
                if not entry.pod_name:
                    self.state = self.state or entry.content
                    if entry.last:
                        return not self.state and self._proven(resumed)
                    continue
                stamp = sortable(entry.time_stamp_str)
                if not self._position.overlaps(stamp) and not self._proven(resumed):
                    if not whole:
                        return False
                    # Even the first line there is newer than our last: what lies between is gone.
                    self.missing = True
                    resumed = False
                self._tell(entry, stamp)
        return False

    def _proven(self, resumed: bool) -> bool:
        """Whether a resumed stream has shown our last line; else the next one starts at the first."""
        self._whole = resumed and not self._position.met
        return not self._whole

    def _tell(self, entry: LogEntry, stamp: str) -> None:
        if self._position.is_new(stamp):
            self._arrived = time.monotonic()
            self.lines += 1
            self._listener.line(self._container, stamp, entry.content)
