"""Servers in a thread with a loop of its own: they go on while a test waits or blocks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def in_a_thread(
    servers: AbstractAsyncContextManager[T], name: str, limit: float
) -> Iterator[tuple[T, asyncio.AbstractEventLoop]]:
    """The servers and their loop, until the block ends; `limit` seconds at most to start, and to stop."""
    started: list[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()

    async def serve() -> None:
        async with servers as up:
            stop = asyncio.Event()
            started.append((up, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name=name)
    thread.start()
    ready.wait(limit)
    up, loop, stop = started[0]
    try:
        yield up, loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(limit)
