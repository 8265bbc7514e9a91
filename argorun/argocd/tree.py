"""Keeps an Application's resource tree up to date, by a stream and slow reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError
from argorun.argocd.types import Tree
from argorun.errors import ArgorunError

# Seconds between reads: the stream sends changes only, and may drop some
# (docs/argocd-facts.md#watch-the-tree).
POLL = 5.0


class LiveTree:
    """The newest known tree; `changed` waits for the next one."""

    def __init__(self, client: Client, app: ApplicationName) -> None:
        self._client, self._app = client, app
        self._condition = asyncio.Condition()
        self._stale = asyncio.Event()
        self.tree = Tree()
        self.version = 0

    def look_again(self) -> None:
        """Read the tree soon: something has happened that it must show."""
        self._stale.set()

    async def read(self) -> Tree:
        """Read the tree now. Raises ArgoCDFailed, AccessDenied."""
        await self.put(await self._client.tree(self._app))
        return self.tree

    async def changed(self, version: int, timeout: float = POLL) -> int:
        """Wait for a tree newer than this version, `timeout` seconds at most; returns the version."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._condition:
                await self._condition.wait_for(lambda: self.version > version)
        return self.version

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the tree up to date inside this block."""
        tasks = [asyncio.create_task(self._stream()), asyncio.create_task(self._poll())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def put(self, tree: Tree) -> None:
        """Make this the newest tree, and wake what waits for a change."""
        async with self._condition:
            self.tree = tree
            self.version += 1
            self._condition.notify_all()

    async def _stream(self) -> None:
        while True:
            with contextlib.suppress(ArgorunError):
                async with contextlib.aclosing(self._client.watch_tree(self._app)) as trees:
                    async for tree in trees:
                        await self.put(tree)
            await asyncio.sleep(1.0)

    async def _poll(self) -> None:
        while True:
            self._stale.clear()
            with contextlib.suppress(ArgorunError, ApiError):
                await self.read()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stale.wait(), POLL)
