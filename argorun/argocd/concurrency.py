"""Runs many requests, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

AT_ONCE = 16  # each takes a connection of its own, and is work for Argo CD
T = TypeVar("T")


async def gather(requests: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in the order of the requests. Raises the first error and cancels the rest."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(request: Coroutine[Any, Any, T]) -> T:
        async with free:
            return await request

    tasks = [asyncio.ensure_future(one(request)) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for request in requests:
            request.close()  # those that never began
