"""A web server on loopback that answers exactly as it is told, broken answers included."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

TLS = Path(__file__).parent / "tls"


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: str | bytes = b"{}", **headers: str) -> Reply:
    """A whole answer; underscores in a header's name become dashes."""
    content = body.encode() if isinstance(body, str) else body
    given = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    given |= {k.replace("_", "-"): v for k, v in headers.items()}
    head = f"HTTP/1.1 {status} Reason\r\n" + "".join(f"{k}: {v}\r\n" for k, v in given.items()) + "\r\n"

    async def reply(out: asyncio.StreamWriter) -> None:
        out.write(head.encode() + content)

    return reply


def stream(*chunks: bytes, whole: bool = True) -> Reply:
    """An event stream in these chunks; not `whole`: the connection ends without the last chunk."""

    async def reply(out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            out.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await out.drain()
        if whole:
            out.write(b"0\r\n\r\n")
        else:
            out.close()

    return reply


def half(*, reset: bool) -> Reply:
    """Half of a body; then the connection is reset, or just closed."""

    async def reply(out: asyncio.StreamWriter) -> None:
        out.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"metadata": ')
        await out.drain()
        if reset:
            out.transport.abort()
        else:
            out.close()

    return reply


def after(event: asyncio.Event, reply: Reply) -> Reply:
    """The answer only once the event is set."""

    async def waits(out: asyncio.StreamWriter) -> None:
        await event.wait()
        await reply(out)

    return waits


def trickle(pause: float = 0.01) -> Reply:
    """An answer that comes byte by byte and has no end."""

    async def reply(out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not out.is_closing():
            out.write(b" ")
            await out.drain()
            await asyncio.sleep(pause)

    return reply


def stall(started: bytes = b"") -> Reply:
    """Some bytes, and then silence until the client goes."""

    async def reply(out: asyncio.StreamWriter) -> None:
        out.write(started)
        await out.drain()
        await asyncio.Event().wait()

    return reply


@dataclass
class Server:
    """The requests that came in, and the answers to give, the last one again and again."""

    replies: list[Reply]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def _connection(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError, ssl.SSLError):
            while not out.is_closing():
                if (first := await reader.read(1)) == b"\x16":  # a TLS handshake
                    await answer(400)(out)
                    break
                if not first:
                    break
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                headers = {k.lower(): v for k, v in headers.items()}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Request(method, target, headers, body))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                await reply(out)
                await out.drain()
        out.close()

    @contextlib.asynccontextmanager
    async def up(self, tls: bool = False, clients: Path | None = None) -> AsyncGenerator[None]:
        """Listen; `clients` are to show a certificate that this file trusts."""
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
            if clients is not None:
                context.load_verify_locations(clients)
                context.verify_mode = ssl.CERT_REQUIRED
        tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        def connected(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            tasks[asyncio.create_task(self._connection(reader, out))] = out

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task, out in tasks.items():
                task.cancel()
                out.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()  # which waits for the connections, too, from Python 3.12 on
            for _ in range(10):  # until the loop has closed the sockets
                await asyncio.sleep(0)
