"""Reads one container's log, over several streams if need be, each line once."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
from dataclasses import dataclass
from typing import Any

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.logs.cursor import Cursor, sortable
from argorun.argocd.types import LogEntry, Node
from argorun.errors import ArgorunError

SILENCE = 10.0  # seconds without a line after which the stream is checked for a stall
SILENCE_AFTER = 1.0  # the same once the container should have ended
SLOW = 3.0  # seconds within which what is already written must begin to come
TRIES = 5  # to read what the streams have missed
TAIL = 10  # lines by which a log's end is recognized


@dataclass(frozen=True)
class Container:
    """One instance of one container of a pod. `attempt` counts the Job's pods from 1, `restart` from 0."""

    job: str  # the Job's name, or a bare pod's own
    namespace: str
    pod: str
    name: str
    attempt: int
    restart: int = 0
    init: bool = False  # it ends before the pod's other containers begin


class Listener:
    """What a reader of logs reports; the run turns it into events."""

    def appeared(self, job: Node) -> None: ...
    def stranger(self, job: Node, whose: str) -> None: ...
    def started(self, container: Container) -> None: ...
    def lines(self, container: Container, stamps: list[str], texts: list[str]) -> None: ...
    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None: ...


class ContainerLog:
    """The log of one instance of a container. `cursor` is where the log of the instance before it stopped."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        container: Container,
        listener: Listener,
        cursor: Cursor | None = None,
    ) -> None:
        self._client, self._app, self._listener = client, app, listener
        self.container = container
        self.cursor = cursor or Cursor()
        self._arrived = 0.0  # the loop's time of the newest line
        self._whole = False  # the next stream starts at the first line: there was a gap
        self._resumed = False  # the current stream repeats lines, and has not reached our last one yet
        self._newest: collections.deque[tuple[str, str]] = collections.deque(maxlen=TAIL)
        self._active_at = 0.0  # the loop's time at which anything came, repeated lines too
        self.lines = 0
        self.complete = False  # the log was read to its end, as far as it was there
        self.missing = False  # lines are gone: the log was rotated
        self.state = ""  # why it could not be opened: "… is waiting to start: ContainerCreating"
        self.reason = ""  # why it is not complete
        self._started = self._ended = False

    # -- reading -------------------------------------------------------------------------------------

    async def follow(self, ended: asyncio.Event) -> None:
        """Read until the stream ends, breaks or stalls; `ended` is set when the container should have ended.

        Newline-delimited JSON has no keep-alive (docs/argocd-facts.md#keep-alive): after a silence, a second
        request reads the log's end. It costs a few lines, and shows whether the stream has stalled or the
        container has written nothing.
        """
        reading = asyncio.create_task(self.read(follow="true"))
        over = asyncio.create_task(ended.wait())
        self._active_at = now()
        try:
            while not reading.done():
                late = ended.is_set()
                awaited, limit = ({reading}, SILENCE_AFTER) if late else ({reading, over}, SILENCE)
                if await self._silent(awaited, limit):
                    if late or not await self._has_all():
                        self.reason = "the stream stalled"
                        return
                    self._active_at = now()
            self.complete = await reading
            self.reason = self.state or "the stream broke off"
        except ArgorunError as e:
            self.reason = e.message
        finally:
            reading.cancel()
            over.cancel()
            await asyncio.gather(reading, over, return_exceptions=True)

    async def finish(self) -> None:
        """The container has ended: read what the streams have missed, as long as its pod exists."""
        for _ in range(TRIES):
            try:
                self.complete = await self._has_all() or await self._read_what_is_there()
                if self.complete:
                    return
            except ArgorunError as e:
                self.reason = e.message

    async def read_previous(self) -> bool:
        """Read it as the instance before the one that runs now; False if that is another one."""
        with contextlib.suppress(ArgorunError):
            if await self._read_what_is_there(previous="true") and not self.missing:
                self.complete = True
        return self.complete

    async def _read_what_is_there(self, **how: str) -> bool:
        """Read one stream without following it; give it up if it stalls."""
        reading = asyncio.create_task(self.read(**how))
        self._active_at = now()
        try:
            if not await self._silent({reading}, SLOW):
                return await reading
            self.reason = "the stream stalled"
            return False
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _silent(self, awaited: set[asyncio.Task[Any]], limit: float) -> bool:
        """Whether nothing came for `limit` seconds before one of these tasks was done."""
        while (left := self._active_at + limit - now()) > 0:
            done, _ = await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return False
        return True

    async def read(self, **how: str) -> bool:
        """Read one stream to its end; True if Argo CD says that it was the log's end."""
        c, self.state = self.container, ""
        resumed = self.lines > 0
        self._resumed = resumed
        if resumed and not self._whole and "previous" not in how:
            # The line was written before it arrived here; whole seconds, and some for a backlog. There is no
            # usable sinceTime (docs/argocd-facts.md#the-log-query).
            how["sinceSeconds"] = str(math.ceil(now() - self._arrived) + 5)
        from_first = resumed and "sinceSeconds" not in how
        self.cursor.resume()
        batches = self._client.logs(self._app, c.pod, c.namespace, c.name, **how)
        async with contextlib.aclosing(batches):
            async for batch in batches:
                over = self._take(batch, from_first)
                if over is not None:
                    return over
        return False

    def _take(self, batch: list[LogEntry], from_first: bool) -> bool | None:
        """Report the new lines of a batch; whether the log has ended, or None while the stream goes on."""
        stamps: list[str] = []
        texts: list[str] = []
        cursor = self.cursor
        self._active_at = now()
        try:
            for entry in batch:
                if not entry.pod_name:
                    self.state = self.state or entry.content
                    if entry.last:
                        return not self.state and self._is_continuous()
                    continue
                stamp = sortable(entry.time_stamp_str)
                if self._resumed and stamp > cursor.stamp:
                    if not self._is_continuous() and not from_first:
                        return False
                    # Read from its first line, and even that is newer than our last: the rest is gone.
                    self.missing = self.missing or not cursor.joined
                    self._resumed = False
                if cursor.is_new(stamp):
                    stamps.append(stamp)
                    texts.append(entry.content)
        finally:
            if texts:
                self._report(stamps, texts)
        return None

    def _is_continuous(self) -> bool:
        """Whether a resumed stream has shown our last line; if not, the next one starts at the first."""
        self._whole = self._resumed and not self.cursor.joined
        return not self._whole

    async def _has_all(self) -> bool:
        """Whether the log ends with the lines that were reported last."""
        c, tail, ended = self.container, collections.deque[tuple[str, str]](maxlen=TAIL), False
        batches = self._client.logs(self._app, c.pod, c.namespace, c.name, tailLines=str(TAIL))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SLOW), contextlib.aclosing(batches):
                async for batch in batches:
                    tail.extend((sortable(e.time_stamp_str), e.content) for e in batch if e.pod_name)
                    ended = ended or any(e.last for e in batch)
        newest = list(self._newest)
        return ended and (list(tail) == newest[len(newest) - len(tail) :] if tail else not newest)

    # -- reporting -----------------------------------------------------------------------------------

    def _report(self, stamps: list[str], texts: list[str]) -> None:
        self.start()
        self._arrived = now()
        self.lines += len(texts)
        self._newest.extend(zip(stamps[-TAIL:], texts[-TAIL:], strict=True))
        self._listener.lines(self.container, stamps, texts)

    def start(self) -> None:
        """Report, once, that the log begins."""
        if not self._started:
            self._started = True
            self._listener.started(self.container)

    def end(self, reason: str = "") -> None:
        """Report, once, how much of the log was read."""
        if self._ended:
            return
        self._ended = True
        self.start()
        if self.missing:
            self.complete, reason = False, "the log was rotated before it was read"
        why = "" if self.complete else reason or self.reason
        self._listener.ended(self.container, self.lines, self.complete, why)


def now() -> float:
    """The event loop's time, in seconds."""
    return asyncio.get_running_loop().time()
