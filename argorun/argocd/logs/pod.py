"""Reads the logs of one pod: every instance of every container."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError, Denied, typed
from argorun.argocd.logs.container import Container, ContainerLog, Listener
from argorun.argocd.logs.pod_status import GONE, ContainerState, PodManifest
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node
from argorun.errors import AccessDenied, ArgoCDFailed, ArgorunError

SHORTEST, LONGEST = 0.2, 2.0  # seconds between two tries to open a log; a change in the tree ends the pause
INIT = 5.0  # seconds for the rest of an init container's log once the next container has begun
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
        self._logs: list[ContainerLog] = []
        self._first: set[str] = set()  # the init containers that end before the others begin

    async def read(self) -> None:
        """Read everything; returns when every container has ended for good."""
        try:
            manifest: PodManifest | None = await self._manifest()
        except ArgorunError:
            manifest = None  # gone, or not there yet: without a name, Argo CD reads the only container
        names = manifest.containers() if manifest is not None else [""]
        self._first = {name for name in names if manifest is not None and manifest.runs_first(name)}
        tasks: list[asyncio.Task[None]] = []
        first: list[asyncio.Task[None]] = []
        for name in names:
            tasks.append(asyncio.create_task(self._container(name, manifest, tuple(first))))
            if name in self._first:
                first.append(tasks[-1])
        await asyncio.gather(*tasks)

    def lines_read(self) -> int:
        """How many lines were read so far."""
        return sum(r.lines for r in self._logs)

    async def _manifest(self) -> PodManifest:
        live = await self._client.live(self._app, "", "v1", "Pod", self._pod.namespace, self._pod.name)
        return typed(live, PodManifest, f"show Pod {self._pod.name}")

    async def _state_of(self, name: str) -> ContainerState | None:
        """The container's state; None if Argo CD cannot say it now. Raises AccessDenied."""
        try:
            return (await self._manifest()).state_of(name)
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

        Once this one has begun they have INIT seconds: a log that cannot be read delays no other.
        Raises AccessDenied.
        """
        waiting = set(first)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=LONGEST)
            if not waiting:
                return
            state = await self._state_of(name)
            if state is not None and (state.ran or state.over):
                await asyncio.wait(waiting, timeout=INIT)
                return

    async def _container(
        self, name: str, manifest: PodManifest | None, first: Collection[asyncio.Task[None]]
    ) -> None:
        """Read a container's log to its end, however often its stream breaks or it starts again.

        `first` are the tasks that read the init containers before it.
        """
        state = manifest.state_of(name) if manifest is not None else None
        log = self._log(name, state.restart if state is not None else 0)
        pause = SHORTEST
        try:
            await self._init_is_read(name, first)
            if log.container.restart:
                log = await self._started_again(self._log(name, 0), log.container.restart)
            while True:
                before, version = log.lines, self._live.version
                if not (log.complete and state is not None and state.between):
                    await log.follow(self.ended)
                state = await self._state_of(name)
                if state is not None and state.restart > log.container.restart:
                    log = await self._started_again(log, state.restart)
                    continue
                if state is not None and state.over:
                    if state is not GONE:
                        await log.finish()
                    if state.ran:
                        log.end("its pod was gone before all was read" if state is GONE else "")
                    return
                pause = SHORTEST if log.lines > before else min(pause * 1.5, LONGEST)
                await asyncio.sleep(SHORTEST)
                await self._live.changed(version, timeout=pause - SHORTEST)
        except AccessDenied as e:
            log.end(e.message)  # what has become of the pod was not seen
        except asyncio.CancelledError:
            log.end("the run ended before the log did")
            raise

    def _log(self, name: str, restart: int, after: ContainerLog | None = None) -> ContainerLog:
        pod = self._pod
        init = name in self._first
        container = Container(self._job, pod.namespace, pod.name, name, self._attempt, restart, init)
        cursor = after.cursor if after is not None else None
        log = ContainerLog(self._client, self._app, container, self._listener, cursor)
        self._logs.append(log)
        return log

    async def _started_again(self, old: ContainerLog, restart: int) -> ContainerLog:
        """End the log of the former instance, which Argo CD still has as `previous`; begin the new one's."""
        c, jump = old.container, restart - old.container.restart
        if jump == 1:
            if not old.complete:
                await old.read_previous()
            old.end(LOST)
        else:
            old.end(LOST)
            for between in range(c.restart + 1, restart - 1):
                self._listener.ended(dataclasses.replace(c, restart=between), 0, False, LOST)
            former = self._log(c.name, restart - 1, old)
            await former.read_previous()
            former.end(LOST)
            old = former
        return self._log(c.name, restart, old)
