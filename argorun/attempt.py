"""Awaits what may fail in any way, and returns its error instead of raising it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from argorun.errors import ArgorunError, InternalError, TimedOut

T = TypeVar("T")
AT_ONCE = 8  # things that `for_each` works on at the same time


async def attempt(doing: Awaitable[object], limit: float | None = None) -> ArgorunError | None:
    """None where this was done within `limit` seconds, else its error, whatever was raised.

    For things of which one must not stop the others, neither by an OSError nor by a bug or a cancellation
    from inside. Raises CancelledError only where the caller itself is canceled.
    """
    try:
        async with asyncio.timeout(limit) as time:
            await doing
    except ArgorunError as e:
        return e
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        return InternalError("it was canceled")
    except Exception as e:
        if time.expired() and isinstance(e, TimeoutError):
            return TimedOut(f"not done within {limit:.0f} s")
        return InternalError.of(e)
    return None


async def for_each(
    things: Iterable[T],
    act: Callable[[T], Awaitable[None]],
    failed: Callable[[T, ArgorunError], None],
) -> None:
    """Call `act` for each in its order, for AT_ONCE of them at the same time.

    Calls `failed` with whatever `act` raises for one of them, and goes on with the others.
    """
    queue = iter(things)

    async def worker() -> None:
        for thing in queue:
            if (error := await attempt(act(thing))) is not None:
                failed(thing, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
