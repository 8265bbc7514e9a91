"""Sends requests to one Argo CD over httpx, with retries and limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
import stamina
import stamina.instrumentation

from argorun.argocd.clock import Clock, stamp
from argorun.argocd.http import streams
from argorun.argocd.http.errors import (
    ApiError,
    InvalidResponse,
    Slow,
    Unreachable,
    brief,
    check,
    decode,
    slow,
    unreachable,
)
from argorun.argocd.http.network_backend import use_backend
from argorun.argocd.http.retry import RenderLimit, RetryBudget, now
from argorun.argocd.http.tls import Certificates, tls, trusted
from argorun.argocd.types import Json
from argorun.config.proxies import SCHEMES, Proxy
from argorun.errors import UsageError

stamina.instrumentation.set_on_retry_hooks(())  # the run reports its retries itself

LANDING = 3.0  # seconds for the answer to a request that was sent and then canceled
LATE = 15.0  # seconds for which an unanswered change may still take effect
QUICK = httpx.Timeout(15.0, connect=5.0)
SAID_AFTER = 1.0  # seconds of a read that fails after which its retries are reported
WHOLE = 60.0  # seconds for a whole answer, however steadily it comes
RENDERS = httpx.Timeout(15.0, connect=5.0, read=None)  # the answer has a limit of its own
T = TypeVar("T")


class Settings(Certificates, Protocol):
    """How to reach the server; argorun.config.model.ArgoCD has this shape."""

    @property
    def token(self) -> str: ...
    @property
    def token_expires(self) -> float | None: ...
    @property
    def grantee(self) -> str: ...
    @property
    def plaintext(self) -> bool: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def proxy(self) -> Proxy | None: ...
    @property
    def unused_proxy(self) -> str: ...
    @property
    def timeout(self) -> float: ...


class Connection:
    """Sends requests and reads streams. Idempotent requests are retried for `retry_for` seconds.

    A request has 60 s, at most 15 s of them silent; one that makes Argo CD render has `rendering`, and is not
    repeated after that. Only the settings' proxy is used. `retrying` is called with the reason of retries,
    and with an empty one once they are over. `transport` replaces the network. `given` is where the server's
    address was given, for errors.

    Raises AccessDenied (6) or ArgoCDFailed (8), and UsageError (2) if the settings cannot be used; no error
    of httpx gets out.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry_for: float = 5.0,
        retrying: Callable[[str], None] = lambda reason: None,
        transport: httpx.AsyncBaseTransport | None = None,
        given: str = "argocd.server",
    ) -> None:
        self.settings, self.grantee = settings, settings.grantee
        self._given = given
        self.retry_for = retry_for
        self._retrying = retrying
        self.rendering = RenderLimit(settings.timeout)
        self.requests = 0  # how many were sent, retries included
        self.clock = Clock()
        self._answered_at: float | None = None  # loop time of the newest answer that is no gateway's
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._terminate_lost_at: float | None = None  # loop time of the newest unanswered `terminate`
        self._change_lost_at: float | None = None  # loop time of the newest unanswered change
        headers = dict(settings.headers) | {"Authorization": f"Bearer {settings.token}"}
        try:
            self._http = httpx.AsyncClient(
                base_url=settings.url,
                headers=headers,
                verify=tls(settings) if not settings.plaintext else True,
                timeout=QUICK,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
                proxy=through(settings.proxy) if settings.proxy is not None else None,
                trust_env=False,
                transport=transport,
            )
            use_backend(self._http)
        except ImportError as e:
            if "socksio" not in str(e):
                raise
            why = f"the proxy {settings.proxy} cannot be used: support for its scheme is not installed"
            raise UsageError(why, "pip install 'httpx[socks]'") from None
        except (httpx.InvalidURL, ValueError) as e:
            because = "a character that is not ASCII" if isinstance(e, UnicodeEncodeError) else e
            raise UsageError(f"'{settings.url}' or its headers cannot be used: {because}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _get(
        self,
        doing: str,
        url: str,
        kind: type[T],
        params: Mapping[str, str],
        *,
        also_500: bool = True,
        renders: bool = False,
    ) -> T:
        """Read, with retries; `also_500` is False if a 500 is Argo CD's final answer."""
        budget, began, reported = RetryBudget(self.retry_for), now(), False

        def again(error: Exception) -> bool | float:
            nonlocal reported
            worth = budget.retry(error, also_500=also_500)
            if worth and now() - began >= SAID_AFTER:
                reported = True
                self._retrying(brief(error))
            return worth

        try:
            async for attempt in stamina.retry_context(
                on=again,
                attempts=None,
                timeout=self.retry_for,
                wait_initial=0.2,
                wait_max=3.0,
                wait_jitter=0.3,
            ):
                with attempt:
                    return await self._once("GET", doing, url, None, kind, params, renders=renders)
        finally:
            if reported:
                self._retrying("")
        raise AssertionError("unreachable")  # pragma: no cover

    async def _send(
        self,
        method: str,
        doing: str,
        url: str,
        body: Json | str | None,
        kind: type[T],
        params: Mapping[str, str] | None = None,
        *,
        harmless_late: bool = False,
        renders: bool = False,
        ends: bool = False,
    ) -> T:
        """Send once what is not idempotent. Canceled, it still arrives: see `wait_for_in_flight`.

        `ends`: it ends whatever operation runs when it arrives.
        """
        request = self._once(method, doing, url, body, kind, params or {}, renders=renders)
        task = asyncio.ensure_future(self._noting_loss(request, harmless_late, ends))
        self._in_flight.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # else asyncio complains: a canceled caller never takes it

    async def _noting_loss(self, request: Coroutine[None, None, T], harmless_late: bool, ends: bool) -> T:
        """Remember a change that Argo CD itself did not answer: it may still take effect."""
        try:
            return await request
        except (Unreachable, InvalidResponse, ApiError, asyncio.CancelledError) as e:
            answered = isinstance(e, ApiError) and e.status not in (502, 503, 504)
            # A slow one may have been tested long before: the test does not make it harmless.
            if not answered and (not harmless_late or isinstance(e, Slow)):
                self._change_lost_at = now()
            if not answered and ends:
                self._terminate_lost_at = now()
            raise

    def has_answered(self, within: float) -> bool:
        """Whether Argo CD has answered a request in the last `within` seconds."""
        return self._answered_at is not None and now() - self._answered_at < within

    def late_change_until(self) -> float | None:
        """The loop time until which an unanswered change may still take effect; None: all were answered."""
        if self._in_flight:
            return asyncio.get_running_loop().time() + LATE
        return None if self._change_lost_at is None else self._change_lost_at + LATE

    def late_terminate_until(self) -> float | None:
        """The loop time until which an unanswered `terminate` may still end the operation that runs then.

        How long something on the way may delay a request is unknown: `argocd.timeout` is allowed for.
        """
        return None if self._terminate_lost_at is None else self._terminate_lost_at + self.settings.timeout

    async def wait_for_in_flight(self) -> None:
        """Wait for the answers to canceled requests, a few seconds at most.

        What takes longer is given up: Argo CD stops rendering for a client that is gone, and then writes
        nothing (source: its context, server/application/application.go, validateAndNormalizeApp;
        docs/argocd-facts.md#patch-validates).
        """
        if self._in_flight:
            _, overdue = await asyncio.wait(self._in_flight, timeout=LANDING)
            for task in overdue:
                task.cancel()
            await asyncio.gather(*overdue, return_exceptions=True)

    async def _once(
        self,
        method: str,
        doing: str,
        url: str,
        body: Json | str | None,
        kind: type[T],
        params: Mapping[str, str],
        *,
        renders: bool = False,
    ) -> T:
        self.requests += 1
        # Argo CD answers 415 to any request but GET whose content type is not exactly this
        # (docs/argocd-facts.md#errors-and-status-codes).
        headers = {} if method == "GET" else {"Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        timeout, began, sent = RENDERS if renders else QUICK, now(), self.clock.sent()
        try:
            async with self.rendering.kept() if renders else asyncio.timeout(WHOLE):
                answer = await self._http.request(
                    method, url, params=params, headers=headers, content=content, timeout=timeout
                )
        except TimeoutError:
            if renders:
                raise self._slow(doing, now() - began) from None
            cause = httpx.ReadError(f"its answer was not complete after {WHOLE:.0f} s")
            raise self._unreachable(cause) from None
        except httpx.HTTPError as e:
            raise self._unreachable(e) from None
        self._check(answer, doing, sent)
        return decode(answer.content, kind, doing)

    def _check(self, answer: httpx.Response, doing: str, sent: float) -> None:
        """Read Argo CD's time from an answer that is no gateway's; raise what a failure means."""
        if answer.status_code < 500:
            self._answered_at = now()
            self.clock.answered(answer.headers, sent)
        expired = self._expired() if answer.status_code == 401 else ""
        check(answer, doing, self.grantee, self._between, expired)

    def _expired(self) -> str:
        """A phrase that the token has expired; empty if it has not, or if its date is unknown."""
        at = self.settings.token_expires
        expired = at is not None and at < self.clock.now() + 1  # its date is in whole seconds
        return f"the token for Argo CD expired at {stamp(at)}" if at is not None and expired else ""

    async def _stream(
        self,
        doing: str,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] = MappingProxyType({"Accept": "text/event-stream"}),
    ) -> AsyncGenerator[bytes]:
        """A stream in blocks of whole lines.

        Server-sent events have a comment every 15 s (docs/argocd-facts.md#keep-alive).
        """
        self.requests += 1
        timeout = httpx.Timeout(15.0, connect=5.0, read=40.0)
        sent = self.clock.sent()
        try:
            async with self._http.stream(
                "GET", url, params=params, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    self._check(answer, doing, sent)
                async with contextlib.aclosing(streams.blocks(answer)) as received:
                    async for block in received:
                        yield block
        except httpx.HTTPError as e:
            raise self._unreachable(e) from None

    @property
    def _between(self) -> Proxy | None:
        """The proxy that can answer in Argo CD's place; None if it only passes on TLS."""
        return self.settings.proxy if self.settings.plaintext else None

    def _slow(self, doing: str, seconds: float) -> Slow:
        limit = "argocd.timeout" if seconds > self.settings.timeout - 0.1 else "the limit during the clean-up"
        return slow(doing, seconds, limit, self.settings.url, self.settings.proxy)

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        settings = self.settings
        return unreachable(error, settings.url, settings.proxy, settings.unused_proxy, self._given)


def through(proxy: Proxy) -> httpx.Proxy:
    """A proxy as httpx takes it; one that speaks TLS is verified by the system's certificates.

    Raises UsageError if its address cannot be used.
    """
    try:
        if proxy.url.partition("://")[0] in SCHEMES:
            return httpx.Proxy(proxy.url, ssl_context=trusted() if proxy.url.startswith("https") else None)
    except (httpx.InvalidURL, ValueError):
        pass
    hint = f"write it as SCHEME://HOST:PORT with one of {', '.join(SCHEMES)}"
    raise UsageError(f"the proxy {proxy} cannot be used", hint)
