"""For how long a fault of Argo CD's is ridden out, and when the next try is due."""

from __future__ import annotations

import asyncio
import time

from argorun.argocd.answers import Refused, worth_retrying
from argorun.errors import ArgorunError


class Patience:
    """So many seconds from now on. What a server asks for by Retry-After is honoured, but not beyond them."""

    def __init__(self, seconds: float) -> None:
        self._ends = now() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 where it is over."""
        return max(0.0, self._ends - now())

    def retry(self, error: Exception, *, also_500: bool) -> bool | float:
        """Whether an idempotent request may be sent again, or after how many seconds (for stamina)."""
        if also_500 and isinstance(error, Refused) and error.status == 500:
            return True
        worth = worth_retrying(error)
        return worth if isinstance(worth, bool) else min(worth, self.left) or True

    async def wait(self, error: ArgorunError, pause: float = 0.2) -> None:
        """Wait `pause` seconds, or as the server asks for; raises the error where trying again is no use."""
        if not self.left or getattr(error, "final", False):
            raise error
        await asyncio.sleep(self.pause(error, pause))

    def pause(self, error: ArgorunError, otherwise: float = 0.2) -> float:
        """Seconds until the next try is due."""
        asked = error.retry_after if isinstance(error, Refused) else None
        return otherwise if asked is None else min(asked, self.left)


def now() -> float:
    """The event loop's time; the same clock where there is no loop."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
