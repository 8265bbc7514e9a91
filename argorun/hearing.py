"""How a sweep hears signals: a first ends what it does, a further one its last look, none what it tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine

from argorun.event_loop import finished
from argorun.signals import SAME_PRESS

STOPPING = 0.2  # seconds for what was told to stop at once
AWAKE = 0.2  # seconds in which a signal that came just before the loop fell asleep is heard


class Interrupts:
    """The listener of one sweep, and what it listens for: one thing at a time that a signal ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._at = 0.0  # when the first signal came
        self._at_once = asyncio.Event()  # a further one came: nothing is waited for any longer
        self.signal: int | None = None  # the first one

    def heard(self, signum: int) -> None:
        """To be given to `signals.heard_by`."""
        self._loop.call_soon_threadsafe(self._signalled, signum)

    def _signalled(self, signum: int) -> None:
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._at = signum, now
        elif signum == self.signal and now - self._at < SAME_PRESS:
            return
        else:
            self._at_once.set()
        if self._task is not None:
            self._task.cancel()

    async def steps(self, doing: Coroutine[None, None, None]) -> None:
        """Do this, unless a signal came or comes: raises CancelledError then."""
        await self._through(doing, ended=self.signal is not None)

    async def last(self, doing: Coroutine[None, None, None]) -> bool:
        """Whether this was done: no further signal ended it."""
        try:
            await self._through(doing, ended=self._at_once.is_set())
        except asyncio.CancelledError:
            return False
        return True

    @property
    def at_once(self) -> bool:
        """Whether the sweep was told to stop at once."""
        return self._at_once.is_set()

    async def _through(self, doing: Coroutine[None, None, None], *, ended: bool) -> None:
        self._task = asyncio.create_task(doing)
        if ended:
            self._task.cancel()
        while not self.at_once and not (await asyncio.wait({self._task}, timeout=AWAKE))[0]:
            pass
        if not await finished({self._task}, STOPPING if self.at_once else 0.0):
            raise asyncio.CancelledError  # it does not even stop
        self._task.result()
