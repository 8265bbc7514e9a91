"""Retry policy: how long to keep trying, and how long to wait for an answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from argorun.argocd.http.errors import ApiError, worth_retrying
from argorun.errors import ArgorunError

HURRIED = 2.0  # seconds for a request that renders, once a person waits for the end


class RetryBudget:
    """A number of seconds from now on for retries. It limits a server's Retry-After, too."""

    def __init__(self, seconds: float) -> None:
        self._ends = now() + seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 if it is over."""
        return max(0.0, self._ends - now())

    def retry(self, error: Exception, *, also_500: bool) -> bool | float:
        """Whether an idempotent request may be sent again, or after how many seconds (for stamina)."""
        if also_500 and isinstance(error, ApiError) and error.status == 500:
            return True
        worth = worth_retrying(error)
        return worth if isinstance(worth, bool) else min(worth, self.left) or True

    async def wait(self, error: ArgorunError, pause: float = 0.2) -> None:
        """Wait `pause` seconds, or Retry-After; raises the error if trying again is no use."""
        if not self.left or getattr(error, "final", False):
            raise error
        await asyncio.sleep(self.pause(error, pause))

    def pause(self, error: ArgorunError, otherwise: float = 0.2) -> float:
        """Seconds until the next try is due."""
        asked = error.retry_after if isinstance(error, ApiError) else None
        return otherwise if asked is None else min(asked, self.left)


class RenderLimit:
    """How long a request that makes Argo CD render may take: argocd.timeout, in seconds.

    While cleaning up, it is at most a third of the time left, so that a way without rendering can still be
    tried. In a hurry it is 2 s, also for requests under way.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end: float | None = None  # the clean-up's, in the event loop's time
        self._under_way: set[asyncio.Timeout] = set()

    def at_most(self, seconds: float) -> None:
        """Never longer than this from now on."""
        self._seconds = min(self._seconds, seconds)

    def clean_up_until(self, end: float) -> None:
        """From now on these are the clean-up's requests, until `end` in the event loop's time."""
        self._end = end

    def hurry(self) -> None:
        """A person waits for the end: 2 s from now on, also for requests under way."""
        self.at_most(HURRIED)
        for limit in self._under_way:
            if not limit.expired():  # from there on it cannot be changed
                limit.reschedule(min(limit.when() or 0.0, now() + HURRIED))

    @property
    def seconds(self) -> float:
        """For a request that is sent now."""
        return self._seconds if self._end is None else min(self._seconds, max(0.0, self._end - now()) / 3)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Within the limit; raises TimeoutError."""
        async with asyncio.timeout(self.seconds) as limit:
            self._under_way.add(limit)
            try:
                yield
            finally:
                self._under_way.discard(limit)


class WaitBudget:
    """A number of seconds for all waits taken together."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    @contextlib.asynccontextmanager
    async def spent(self) -> AsyncIterator[None]:
        """One wait; raises TimeoutError once the budget is spent."""
        began = now()
        try:
            async with asyncio.timeout(self._left):
                yield
        finally:
            self._left -= now() - began


def now() -> float:
    """The event loop's time; the same clock if there is no loop."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
