"""The logs of one pod: every container, and of each every instance, however often it was started again."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError, Denied, typed
from argorun.argocd.logs.container import Container, Listener, Reader
from argorun.argocd.logs.pod_status import GONE, PodManifest, Standing
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node
from argorun.errors import AccessDenied, ArgoCDFailed, ArgorunError

SHORTEST, LONGEST = 0.2, 2.0  # seconds between two tries to open a log; a change in the tree ends the pause
INIT = 5.0  # seconds for the rest of an init container's log once the container after it has begun
LOST = "it was started again before this was read"


class PodLogs:
    """Reads the logs of one pod of a Job, or of a bare pod; `ended` is set when nothing more will come."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        live: LiveTree,
        listener: Listener,
        job: str,
        pod: Node,
        attempt: int,
    ) -> None:
        self._client, self._app, self._live, self._listener = client, app, live, listener
        self._job, self._pod, self._attempt = job, pod, attempt
        self.ended = asyncio.Event()
        self._readers: list[Reader] = []
        self._first: set[str] = set()  # the init containers, which end before the others begin

    async def read(self) -> None:
        """Read everything; returns when every container has ended for good."""
        try:
            manifest: PodManifest | None = await self._manifest()
        except ArgorunError:
            manifest = None  # it may be gone, or not be there yet: Argo CD takes the only container
        names = manifest.containers() if manifest is not None else [""]
        self._first = {name for name in names if manifest is not None and manifest.runs_first(name)}
        tasks: list[asyncio.Task[None]] = []
        first: list[asyncio.Task[None]] = []
        for name in names:
            tasks.append(asyncio.create_task(self._container(name, manifest, tuple(first))))
            if name in self._first:
                first.append(tasks[-1])
        await asyncio.gather(*tasks)

    def told(self) -> int:
        """How many lines were told so far."""
        return sum(r.lines for r in self._readers)

    async def _manifest(self) -> PodManifest:
        live = await self._client.live(self._app, "", "v1", "Pod", self._pod.namespace, self._pod.name)
        return typed(live, PodManifest, f"show Pod {self._pod.name}")

    async def _standing(self, name: str) -> Standing | None:
        """How the container stands; None where Argo CD cannot say it now. Raises AccessDenied."""
        try:
            return (await self._manifest()).standing(name)
        except Denied as e:
            if e.status != 404:
                raise
            return GONE
        except ApiError as e:
            return GONE if e.status == 400 else None  # "not found as part of application"
        except ArgoCDFailed:
            return None

    async def _init_is_read(self, name: str, first: Collection[asyncio.Task[None]]) -> None:
        """Wait until the init containers before this one are read, for their lines come first.

        Once this one has begun they have INIT seconds: a log that cannot be read holds up no other.
        Raises AccessDenied.
        """
        waiting = set(first)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=LONGEST)
            if not waiting:
                return
            standing = await self._standing(name)
            if standing is not None and (standing.ran or standing.over):
                await asyncio.wait(waiting, timeout=INIT)
                return

    async def _container(
        self, name: str, manifest: PodManifest | None, first: Collection[asyncio.Task[None]]
    ) -> None:
        """Read a container's log to its end, however often its stream breaks or it starts again.

        `first` read the init containers that ended before it began.
        """
        standing = manifest.standing(name) if manifest is not None else None
        reader = self._reader(name, standing.restart if standing is not None else 0)
        pause = SHORTEST
        try:
            await self._init_is_read(name, first)
            if reader.container.restart:
                reader = await self._started_again(self._reader(name, 0), reader.container.restart)
            while True:
                before, version = reader.lines, self._live.version
                if not (reader.complete and standing is not None and standing.between):
                    await reader.follow(self.ended)
                standing = await self._standing(name)
                if standing is not None and standing.restart > reader.container.restart:
                    reader = await self._started_again(reader, standing.restart)
                    continue
                if standing is not None and standing.over:
                    if standing is not GONE:
                        await reader.finish()
                    if standing.ran:
                        reader.end("its pod was gone before all was read" if standing is GONE else "")
                    return
                pause = SHORTEST if reader.lines > before else min(pause * 1.5, LONGEST)
                await asyncio.sleep(SHORTEST)
                await self._live.changed(version, timeout=pause - SHORTEST)
        except AccessDenied as e:
            reader.end(e.message)  # what has become of the pod was not seen
        except asyncio.CancelledError:
            reader.end("the run ended before the log did")
            raise

    def _reader(self, name: str, restart: int, after: Reader | None = None) -> Reader:
        pod = self._pod
        init = name in self._first
        container = Container(self._job, pod.namespace, pod.name, name, self._attempt, restart, init)
        position = after.position if after is not None else None
        reader = Reader(self._client, self._app, container, self._listener, position)
        self._readers.append(reader)
        return reader

    async def _started_again(self, old: Reader, restart: int) -> Reader:
        """What the former instance wrote last is still there as `previous`; what came before it is not."""
        c, jump = old.container, restart - old.container.restart
        if jump == 1:
            if not old.complete:
                await old.former()
            old.end(LOST)
        else:
            old.end(LOST)
            for between in range(c.restart + 1, restart - 1):
                self._listener.ended(dataclasses.replace(c, restart=between), 0, False, LOST)
            former = self._reader(c.name, restart - 1, old)
            await former.former()
            former.end(LOST)
            old = former
        return self._reader(c.name, restart, old)
