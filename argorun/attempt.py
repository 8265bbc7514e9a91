"""Awaits what may fail in any way, and returns its error instead of raising it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from argorun.errors import ArgorunError, InternalError, TimedOut


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
