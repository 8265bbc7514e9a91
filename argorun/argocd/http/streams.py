"""Reads Argo CD's streams: blocks of whole lines, the frames in them, and their results."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any, TypeVar, cast

import httpx
import msgspec

from argorun.argocd.http.errors import NOT_ARGOCD, InvalidResponse, Unreachable, decode
from argorun.argocd.types import LogEntry, StreamError, Tree, WatchEvent

T = TypeVar("T")
BIG = 1 << 16  # bytes; a frame of this size makes the ones before it obsolete
RATE = 5e6  # bytes of such frames that are passed on in a second


class Frame(msgspec.Struct, frozen=True):
    """One frame of a stream: a result, or why it broke off."""

    error: StreamError | None = None


class WatchFrame(Frame, frozen=True):
    result: WatchEvent | None = None


class TreeFrame(Frame, frozen=True):
    result: Tree | None = None


class LogFrame(Frame, frozen=True, gc=False):
    result: LogEntry | None = None


FRAMES: dict[type, Any] = {WatchEvent: WatchFrame, Tree: TreeFrame, LogEntry: LogFrame}
LOG_FRAMES = msgspec.json.Decoder(LogFrame)


async def blocks(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """A body as it arrives, in blocks of whole lines; only at its end a line may lack its newline."""
    rest: list[bytes] = []  # of a line that has not ended; joined once, however long it is
    async for chunk in answer.aiter_bytes():
        end = chunk.rfind(b"\n") + 1
        if end:
            yield b"".join([*rest, chunk[:end]])
            rest.clear()
        if end < len(chunk):
            rest.append(chunk[end:])
    if rest:
        yield b"".join(rest)


# Lines of server-sent events that hold no data, as text/event-stream has them.
NO_DATA = (b":", b"event:", b"id:", b"retry:")


def payloads(block: bytes) -> Iterator[bytes]:
    """The JSON texts in a block of lines: of server-sent events, or one a line.

    Raises InvalidResponse for a line that is neither, such as half a frame: nothing is left out silently.
    """
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            yield line[5:]
        elif line.startswith(b"{"):
            yield line
        elif line.strip() and not line.startswith(NO_DATA):
            raise InvalidResponse(f"a stream has a line that is not Argo CD's: {line[:40]!r}", NOT_ARGOCD)


async def newest(blocks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The JSON texts of a stream whose frames are complete states: a big one replaces those before it.

    The stream is read as fast as it comes, or Argo CD would drop the newest frames. But each text is decoded
    later, and a tree of 3 MB that changes twice a second would keep the event loop busy: at most RATE then.
    """
    waiting: collections.deque[bytes] = collections.deque()
    news = asyncio.Event()

    async def receive() -> None:
        async with contextlib.aclosing(blocks):
            async for block in blocks:
                for data in payloads(block):
                    if len(data) >= BIG:
                        waiting.clear()
                    waiting.append(data)
                    news.set()

    receiving = asyncio.create_task(receive())
    receiving.add_done_callback(lambda _: news.set())
    try:
        while not receiving.done() or waiting:
            await news.wait()
            news.clear()
            while waiting:
                data = waiting.popleft()
                yield data
                if len(data) >= BIG and not receiving.done():
                    await asyncio.sleep(len(data) / RATE)
        receiving.result()
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def results(block: bytes, kind: type[T]) -> Iterator[T]:
    """The results of the frames in a block of lines; raises Unreachable for an error, or InvalidResponse."""
    for data in payloads(block):
        yield result(data, kind)


def result(data: bytes, kind: type[T]) -> T:
    """The result of one frame; raises Unreachable if it is an error, or InvalidResponse."""
    frame = decode(data, FRAMES[kind], "stream")
    if frame.error is not None:
        raise Unreachable(f"Argo CD broke off a stream: {frame.error.message}")
    if frame.result is None:
        raise InvalidResponse("Argo CD sent a stream frame with neither a result nor an error")
    return cast(T, frame.result)


def log_entries(block: bytes) -> Iterator[list[LogEntry]]:
    """The same for a log, whose lines are many: all entries of a block at once."""
    try:
        frames = LOG_FRAMES.decode_lines(block)
        entries = [frame.result for frame in frames if frame.result is not None]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        frames, entries = [], []
    if entries and len(entries) == len(frames):
        yield entries
    else:  # an error among them, or something else: what comes before it counts
        for entry in results(block, LogEntry):
            yield [entry]
