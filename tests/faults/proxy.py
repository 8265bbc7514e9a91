"""A reverse proxy over real sockets between argorun and Argo CD that does to a request what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import httpx

from argorun.argocd.http.network_backend import use_backend

HOP = ("host", "connection", "accept-encoding", "content-length")  # headers that are this connection's own
HTML = b"<!doctype html><html><body><h1>Bad gateway</h1></body></html>"


@dataclass
class Request:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def streams(self) -> bool:
        """Whether its answer goes on until somebody ends it."""
        return self.path.startswith("/api/v1/stream/") or self.path.endswith("/logs")

    def is_about(self, name: str) -> bool:
        """Whether it names this Application."""
        return re.search(rf"\b{re.escape(name)}(?![\w-])", unquote(self.target)) is not None


Fault = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Rule:
    """Does `fault` to the requests that match, from the `nth` one on, `times` of them (None: forever)."""

    method: str
    path: str  # a regular expression that the whole path matches, with the query where there is one
    fault: Fault
    nth: int = 1
    times: int | None = 1
    about: str = ""  # the Application's name; empty: anybody's
    armed: bool = True
    met: int = 0  # how often it struck
    struck: Callable[[], object] = lambda: None
    _seen: int = field(default=0, repr=False)

    def strikes(self, request: Request) -> bool:
        """Whether this request is to suffer; counts it."""
        target = unquote(request.target)
        if not self.armed or (self.method not in ("*", request.method)):
            return False
        if self.about and not request.is_about(self.about):
            return False
        if not re.fullmatch(self.path, target) and not re.fullmatch(self.path, request.path):
            return False
        self._seen += 1
        if self._seen < self.nth or (self.times is not None and self._seen >= self.nth + self.times):
            return False
        self.met += 1
        self.struck()
        return True


class Exchange:
    """A request, the connection it came over, and the server behind."""

    def __init__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy
    ) -> None:
        self.request, self.reader, self.writer, self.proxy = request, reader, writer, proxy

    @contextlib.asynccontextmanager
    async def behind(self) -> AsyncIterator[httpx.Response]:
        """Pass the request on; its answer, as far as it has come."""
        r = self.request
        headers = {k: v for k, v in r.headers.items() if k not in HOP} | {"Accept-Encoding": "identity"}
        async with self.proxy.http.stream(r.method, r.target, headers=headers, content=r.body) as answer:
            yield answer

    async def passed_on(self) -> httpx.Response:
        """Pass the request on; its whole answer."""
        async with self.behind() as answer:
            await answer.aread()
        return answer

    async def relay(self) -> None:
        """Pass the request on, and the answer back as it comes."""
        async with self.behind() as answer:
            await self.begin(answer)
            async for chunk in answer.aiter_bytes():
                await self.chunk(chunk)
        await self.send(b"0\r\n\r\n")

    async def begin(self, answer: httpx.Response) -> None:
        """The head of an answer that comes in chunks."""
        kept = {k: v for k, v in answer.headers.items() if k in ("content-type", "retry-after")}
        head = "".join(f"{k}: {v}\r\n" for k, v in kept.items())
        await self.send(
            f"HTTP/1.1 {answer.status_code} X\r\n{head}Transfer-Encoding: chunked\r\n"
            "Connection: close\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        if data:
            await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        promised: int | None = None,
        **more: str,
    ) -> None:
        """A whole answer of our own; `promised` is the length that it claims to have."""
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body) if promised is None else promised),
            "Connection": "close",
            **{k.replace("_", "-"): v for k, v in more.items()},
        }
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        await self.send(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()

    async def client_gone(self) -> None:
        """Say nothing until the client has had enough."""
        await self.reader.read()


# -- what can be done to a request -------------------------------------------------------------------


async def reset(x: Exchange) -> None:
    """The request never arrives."""
    x.abort()


async def lost_reply(x: Exchange) -> None:
    """The request arrives, its answer is lost with the connection."""
    await x.passed_on()
    x.abort()


async def stall(x: Exchange) -> None:
    """Nothing arrives and nothing comes back, and nobody closes; a stream falls silent in its midst."""
    if x.request.streams:
        async with x.behind() as answer:
            await x.begin(answer)
            await x.chunk(await first_bytes(answer))
            await x.client_gone()
        return
    await x.client_gone()


async def silence(x: Exchange) -> None:
    """The request arrives, and its answer never comes."""
    await x.passed_on()
    await x.client_gone()


async def cut(x: Exchange) -> None:
    """The connection ends in the midst of the answer, of a stream's line."""
    if x.request.streams:
        async with x.behind() as answer:
            await x.begin(answer)
            data = await first_bytes(answer)
            await x.chunk(data[: len(data) // 2 + 1])
        x.abort()
        return
    whole = await x.passed_on()
    half = whole.content[: len(whole.content) // 2]
    await x.answer(whole.status_code, half, promised=len(whole.content))
    x.writer.close()


async def half_json(x: Exchange) -> None:
    """An answer that ends in the midst of its JSON, as if that were all."""
    if x.request.streams:
        async with x.behind() as answer:
            await x.begin(answer)
            data = await first_bytes(answer)
            await x.chunk(data[: len(data) // 2] + b"\n\n")
        await x.send(b"0\r\n\r\n")
        return
    whole = await x.passed_on()
    await x.answer(whole.status_code, whole.content[: len(whole.content) // 2])


async def html(x: Exchange) -> None:
    """A web page with status 200, of a proxy that asks for a login, say."""
    await x.answer(200, HTML, "text/html")


def delay(seconds: float) -> Fault:
    """All goes well, but slowly."""

    async def delayed(x: Exchange) -> None:
        await asyncio.sleep(seconds)
        await x.relay()

    return delayed


def late(seconds: float) -> Fault:
    """The connection is reset, and the request still arrives, some time later."""

    async def delivered(x: Exchange) -> None:
        x.abort()
        x.proxy.later(seconds, x)

    return delivered


def status(code: int, **headers: str) -> Fault:
    """An error without the request's having arrived: Argo CD's form, or a proxy's page for 502 and above."""

    async def answered(x: Exchange) -> None:
        if code >= 502:
            await x.answer(code, HTML, "text/html", **headers)
        else:
            grpc = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13}[code]
            text = f"broken proxy says {code}"
            body = f'{{"error": "{text}", "code": {grpc}, "message": "{text}"}}'
            await x.answer(code, body.encode(), **headers)

    return answered


async def first_bytes(answer: httpx.Response) -> bytes:
    """The beginning of a stream; nothing where it ends at once."""
    async for chunk in answer.aiter_bytes():
        if chunk.strip():
            return chunk
    return b""


# -- the proxy ----------------------------------------------------------------------------------------


class Proxy:
    """Passes requests on to Argo CD; each suffers the first of `rules` that strikes it."""

    def __init__(self, upstream: str, verify: ssl.SSLContext | bool = True) -> None:
        self.rules: list[Rule] = []
        self.arrived: list[tuple[float, Request, int]] = []  # what was delivered late, when, and its status
        self.server = ""  # HOST:PORT, as ARGOCD_SERVER has it
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.http = httpx.AsyncClient(
            base_url=upstream, verify=verify, limits=limits, timeout=None, trust_env=False
        )
        use_backend(self.http)  # what is canceled halfway leaves no socket open, as httpx's own way may
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: dict[asyncio.Task[None], Request] = {}

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[Proxy]:
        """Listen while the block lasts."""

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connected(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: writer.close())  # also where it was canceled before it began

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.server = f"localhost:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in [*self._tasks, *self._late]:
                task.cancel()
            await asyncio.gather(*self._tasks, *self._late, return_exceptions=True)
            await self.http.aclose()

    def later(self, seconds: float, x: Exchange) -> None:
        """Deliver a request after so many seconds, whoever still waits for it."""

        async def deliver() -> None:
            await asyncio.sleep(seconds)
            answer = await x.passed_on()
            self.arrived.append((time.monotonic(), x.request, answer.status_code))

        task = asyncio.create_task(deliver())
        self._late[task] = x.request
        task.add_done_callback(self._late.pop)

    async def delivered(self, about: str) -> None:
        """Wait until all that is held up now and is about this Application has arrived."""
        late = [task for task, request in self._late.items() if request.is_about(about)]
        await asyncio.gather(*late, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, httpx.HTTPError, asyncio.CancelledError):
            writer.transport.abort()  # one end is gone, and so the other

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body)
        exchange = Exchange(request, reader, writer, self)
        rule = next((r for r in tuple(self.rules) if r.strikes(request)), None)
        if rule is not None:
            await rule.fault(exchange)
        elif request.streams:
            await self._until_either_ends(exchange)
        else:
            await exchange.relay()

    async def _until_either_ends(self, exchange: Exchange) -> None:
        """A stream's client may go without a word at any time."""
        tasks = [asyncio.create_task(exchange.relay()), asyncio.create_task(exchange.client_gone())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
