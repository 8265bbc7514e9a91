"""How long a broker is asked, and when its silence is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from argorun.errors import ArgorunError
from argorun.kafka.admin import Admin
from argorun.kafka.errors import REQUEST_TIMED_OUT, BrokerError, dropped, unreachable

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long each step may take, in seconds."""

    look: float = 10.0  # one request of `look`
    down: float = 3.0  # `look` gives up when no broker could be connected for so long; the others say so
    request: float = 5.0  # one request of the steps below, which are tried again
    create: float = 30.0
    usable: float = 30.0
    delete: float = 30.0
    gone: float = 30.0
    groups: float = 20.0
    absent: float = 0.6  # a topic not seen for so long is gone
    late: float = 12.0  # a create without an answer may take effect for so long
    pause: float = 0.1  # before the second try; doubled each time
    longest_pause: float = 1.0


class Asking:
    """Sends requests to one broker: once, to hear what it says, or again until it does what was asked."""

    def __init__(self, admin: Admin, limits: Limits, warn: Callable[[str], None]) -> None:
        self._admin = admin
        self._limits = limits
        self._warn = warn

    async def once(self, ask: Callable[[float], Awaitable[None]]) -> BrokerError | None:
        """The broker's definite answer, None for yes; KafkaFailed or AccessDenied when it cannot be reached.

        A request without an answer is not sent again. `ask` takes a timeout in seconds.
        """
        limits, start = self._limits, now()
        pause = limits.pause
        while True:
            error = await self._first(ask, start)
            if error is None or not error.passing:
                return error
            if error.code < 0 or error.code == REQUEST_TIMED_OUT or now() + pause > start + limits.look:
                raise self._unreachable(start, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.longest_pause)

    async def _first(self, ask: Callable[[float], Awaitable[None]], start: float) -> BrokerError | None:
        """One request, given up early for a refused login and for brokers that are all down.

        librdkafka tells both through error_cb alone, goes on trying and lets the request time out (seen).
        """
        request = asyncio.ensure_future(_outcome(ask(self._limits.look)))
        down: float | None = None
        try:
            while not (await asyncio.wait([request], timeout=0.1))[0]:
                trouble = self._admin.trouble(start)
                if trouble is not None and trouble.denied:
                    raise self._unreachable(start)
                down = down or self._admin.all_down(start)
                if down is not None and now() - down >= self._limits.down:
                    raise unreachable(self._admin.where, trouble or dropped(now()))
            return request.result()
        finally:
            request.cancel()

    async def again(
        self,
        limit: float,
        ask: Callable[[float], Awaitable[T]],
        refused: Callable[[BrokerError], ArgorunError],
        also: Collection[int] = (),
    ) -> T:
        """Ask until the answer is no passing trouble, for `limit` seconds; rides out a broker's restart.

        `refused` makes the error for a definite answer. The codes in `also` are passing troubles, too.
        """
        limits, start = self._limits, now()
        pause = limits.pause
        told = False
        while True:
            left = start + limit - now()
            try:
                return await ask(max(0.1, min(limits.request, left)))
            except BrokerError as e:
                error = e
            if not (error.passing or error.code in also):
                raise refused(error)
            failure = self._unreachable(start, error) if error.code < 0 else refused(error)
            if now() + pause >= start + limit:
                raise failure
            if not told and now() >= start + limits.down:
                told = True
                self._warn(f"{failure.message}; trying again for {start + limit - now():.0f} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.longest_pause)

    def _unreachable(self, start: float, error: BrokerError | None = None) -> ArgorunError:
        return unreachable(self._admin.where, self._admin.trouble(start), error)


def now() -> float:
    """The event loop's time, in seconds: the clock of all limits."""
    return asyncio.get_running_loop().time()


async def _outcome(request: Awaitable[None]) -> BrokerError | None:
    try:
        await request
    except BrokerError as e:
        return e
    return None
