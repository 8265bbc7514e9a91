"""Tries what may fail in any way, so that it stands in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from argorun.errors import ArgorunError, InternalError, TimedOut


async def attempt(doing: Awaitable[object], limit: float | None = None) -> ArgorunError | None:
    """How this ended within `limit` seconds: None when it was done, else the error, whatever was raised.

    Each helper of a sweep and each of several things done side by side goes through here: an OSError, a bug
    or a cancellation that comes from inside must not keep the others from being done. CancelledError is
    raised only when the caller itself is canceled.
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
