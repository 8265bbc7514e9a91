"""A faster network backend for httpx: reads a flood of small records in large pieces.

Argo CD sends each log line as an HTTP chunk and a TLS record of its own. httpcore's own backend returns the
records one by one, and h11 parses chunk by chunk: some 35 µs a line, the time in which the server writes one.
This one, on asyncio's streams, reads everything that has arrived and merges its chunks before h11 sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

import httpcore
import httpx

HTTP = b"HTTP/"  # how an answer begins
PIECE = 1 << 18  # bytes passed on at once, at most
HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{1,15}")
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)


def use_backend(client: httpx.AsyncClient) -> None:
    """Let a client use this backend, also through a proxy. If it cannot, it is only slower."""
    for transport in (client._transport, *client._mounts.values()):
        pool: Any = getattr(transport, "_pool", None)
        if hasattr(pool, "_network_backend"):
            pool._network_backend = Backend()


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        local = (local_address, 0) if local_address else None
        async with httpcore_errors(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            reader, writer = await opened(
                asyncio.open_connection(host, port, limit=PIECE, local_addr=local, happy_eyeballs_delay=0.25)
            )
        for option in socket_options or ():
            writer.get_extra_info("socket").setsockopt(*option)
        return Stream(reader, writer)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Stream(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._chunks = ChunkMerger()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            async with httpcore_errors(timeout, httpcore.ReadTimeout, httpcore.ReadError):
                data = await self._reader.read(PIECE)
            if merged := self._chunks.merged(data):
                return merged
            if not data:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._chunks = ChunkMerger()
        async with httpcore_errors(timeout, httpcore.WriteTimeout, httpcore.WriteError):
            self._writer.write(buffer)
            await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with httpcore_errors(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException:
            await self.aclose()
            raise
        return Stream(self._reader, self._writer)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of an idle connection: the server has closed it
            return self._reader.at_eof() or self._writer.is_closing() or self._has_bytes()
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._writer.get_extra_info(names.get(info, info))

    def _has_bytes(self) -> bool:
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


class ChunkMerger:
    """Merges the chunks of an answer that have arrived into one, before h11 parses them."""

    def __init__(self) -> None:
        self._held = b""  # the head so far; in a chunked body, half a chunk's head
        self._in_head, self._chunked = True, False  # what is no HTTP, like a proxy's handshake, has no head
        self._left = 0  # bytes of the current chunk that have not arrived, its line end included

    def merged(self, data: bytes) -> bytes:
        """The next bytes of the answer, in fewer chunks; empty if more must be read first."""
        if self._in_head:
            return self._after_head(data)
        return self._one_chunk(data) if self._chunked else data

    def _after_head(self, data: bytes) -> bytes:
        head, end, rest = (self._held + data).partition(b"\r\n\r\n")
        if not head.startswith(HTTP[: len(head)]):
            self._in_head = False
            return head + end + rest
        if not end:
            self._held = head if data else b""
            return b"" if data else head
        self._held = b""
        if head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):  # only an announcement: the answer follows
            return head + end + (self._after_head(rest) if rest else b"")
        self._in_head = False
        self._chunked = CHUNKED.search(head + b"\r\n") is not None
        return head + end + (self.merged(rest) if rest else b"")

    def _one_chunk(self, data: bytes) -> bytes:
        data, self._held = self._held + data, b""
        parts, at, size, left = [], 0, len(data), self._left
        while at < size:
            if left:
                part = data[at : at + left]
                at += len(part)
                # The last two bytes of a chunk are its line end, of which one may have come before.
                parts.append(part[: max(0, left - 2)])
                left -= len(part)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._held = data[at:]
                break
            head = data[at:end].partition(b";")[0]
            length = int(head, 16) if HEXADECIMAL.fullmatch(head) else 0
            if not length:  # the last one; or h11 will say what is wrong with it
                self._chunked, self._left = False, 0
                return self._chunk(parts) + data[at:]
            at, left = end + 2, length + 2
        self._left = left
        return self._chunk(parts)

    def _chunk(self, parts: list[bytes]) -> bytes:
        content = b"".join(parts)
        return b"%x\r\n%b\r\n" % (len(content), content) if content else b""


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def opened(opening: Coroutine[None, None, Streams]) -> Streams:
    """A connection; if the caller is canceled, it is closed once it is open.

    If it is canceled itself, asyncio's race between a host's addresses leaves a socket open (Python 3.11).
    """
    task = asyncio.create_task(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(drop)
        raise


def drop(task: asyncio.Task[Streams]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[1].transport.abort()


@contextlib.asynccontextmanager
async def httpcore_errors(
    timeout: float | None, late: type[Exception], broken: type[Exception]
) -> AsyncIterator[None]:
    """Limit the time, and raise asyncio's errors as httpcore's."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as e:
        raise late(str(e)) from e
    except OSError as e:
        number = re.search(r"\[Errno (\d+)\]", str(e)) if e.strerror is None else None
        # Several addresses were tried: asyncio says it in one text, without the number.
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else e
        raise broken(str(cause)) from cause
