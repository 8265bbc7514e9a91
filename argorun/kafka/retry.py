"""Sends requests to a broker: retries transient errors, and detects an unreachable broker early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from argorun.errors import ArgorunError
from argorun.kafka.admin import Admin
from argorun.kafka.errors import (
    REQUEST_TIMED_OUT,
    BrokerError,
    ConnectionTrouble,
    connection_error,
    dropped,
    why_unreachable,
)

T = TypeVar("T")
SAID_AFTER = 1.0  # seconds without an answer after which the retries are reported


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Time limits, in seconds."""

    preflight: float = 10.0  # one request of the preflight
    down: float = 3.0  # without any connection: the preflight gives up, the other steps warn
    request: float = 5.0  # one request of the steps below, which are retried
    create: float = 30.0
    usable: float = 30.0
    delete: float = 30.0
    gone: float = 30.0
    groups: float = 20.0
    absent: float = 0.6  # a topic that is absent for so long is gone
    late: float = 12.0  # a create request without an answer may take effect this late
    pause: float = 0.1  # before the second try; doubled for each further one
    longest_pause: float = 1.0


class RetryingCaller:
    """Sends requests to one broker: `once` for its answer, or `retry` until it succeeds.

    In both, `request` takes a timeout in seconds. `retrying` is called with the reason while there is no
    answer, and with an empty one once that is over. `given` is where the brokers' address was given, for
    errors.
    """

    def __init__(
        self,
        admin: Admin,
        limits: Limits,
        retrying: Callable[[str], None],
        given: str = "kafka.bootstrap.servers",
    ) -> None:
        self._admin = admin
        self._limits = limits
        self._retrying = retrying
        self._given = given

    async def once(self, request: Callable[[float], Awaitable[None]]) -> BrokerError | None:
        """The broker's definite error, or None for success. A request without an answer is not sent again.

        Raises KafkaFailed or AccessDenied if the broker cannot be reached.
        """
        try:
            return await self._once(request)
        finally:
            self._retrying("")

    async def _once(self, request: Callable[[float], Awaitable[None]]) -> BrokerError | None:
        limits, start = self._limits, now()
        pause = limits.pause
        while True:
            error = await self._first(request, start)
            if error is None or not error.transient:
                return error
            if error.code < 0 or error.code == REQUEST_TIMED_OUT or now() + pause > start + limits.preflight:
                raise self._unreachable(start, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.longest_pause)

    async def _first(self, request: Callable[[float], Awaitable[None]], start: float) -> BrokerError | None:
        """Send one request; give up early if the login is refused or all brokers are down.

        librdkafka reports both to error_cb alone, goes on trying and lets the request time out (seen;
        docs/kafka-facts.md#errors-outside-of-answers).
        """
        answer = asyncio.ensure_future(_outcome(request(self._limits.preflight)))
        down: float | None = None
        try:
            while not (await asyncio.wait([answer], timeout=0.1))[0]:
                trouble = self._admin.trouble(start)
                if trouble is not None and trouble.denied:
                    raise self._unreachable(start)
                down = down or self._admin.all_down(start)
                if trouble is not None or down is not None:
                    self._report(start, trouble)
                if down is not None and now() - down >= self._limits.down:
                    raise connection_error(self._admin.where, trouble or dropped(now()), None, self._given)
            return answer.result()
        finally:
            answer.cancel()

    async def retry(
        self,
        limit: float,
        request: Callable[[float], Awaitable[T]],
        refused: Callable[[BrokerError], ArgorunError],
        also: Collection[int] = (),
    ) -> T:
        """Send the request until its answer is no transient error, for `limit` seconds: a broker may restart.

        `refused` makes the exception for a definite answer. The codes in `also` are transient, too.
        """
        try:
            return await self._retry(limit, request, refused, also)
        finally:
            self._retrying("")

    async def _retry(
        self,
        limit: float,
        request: Callable[[float], Awaitable[T]],
        refused: Callable[[BrokerError], ArgorunError],
        also: Collection[int],
    ) -> T:
        limits, start = self._limits, now()
        pause = limits.pause
        while True:
            left = start + limit - now()
            try:
                return await request(max(0.1, min(limits.request, left)))
            except BrokerError as e:
                error = e
            if not (error.transient or error.code in also):
                raise refused(error)
            failure = self._unreachable(start, error) if error.code < 0 else refused(error)
            if now() + pause >= start + limit:
                raise failure
            self._report(start, self._admin.trouble(start), error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.longest_pause)

    def _report(
        self, start: float, trouble: ConnectionTrouble | None, error: BrokerError | None = None
    ) -> None:
        """Report what keeps a request from being answered, once that has lasted a while."""
        if now() >= start + SAID_AFTER:
            self._retrying(why_unreachable(self._admin.where, trouble, error) or "no answer")

    def _unreachable(self, start: float, error: BrokerError | None = None) -> ArgorunError:
        return connection_error(self._admin.where, self._admin.trouble(start), error, self._given)


def now() -> float:
    """The event loop's time, in seconds: the clock of all limits."""
    return asyncio.get_running_loop().time()


async def _outcome(request: Awaitable[None]) -> BrokerError | None:
    try:
        await request
    except BrokerError as e:
        return e
    return None
