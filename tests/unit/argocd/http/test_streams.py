"""Streams: of big frames the newest counts, no small one is lost, and no torn one is left out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from argorun.argocd.http import streams
from argorun.argocd.http.errors import InvalidResponse, Unreachable
from argorun.argocd.http.streams import BIG, RATE
from tests.unit.virtual import run


def frame(number: int, size: int = 0) -> bytes:
    return b'data:{"number": %d}' % number + b" " * size + b"\n\n"


def numbers(frames: list[bytes]) -> list[int]:
    return [int(f.partition(b":")[2].strip(b" }")) for f in frames]


async def every(count: int, size: int, pause: float = 0) -> AsyncGenerator[bytes]:
    for number in range(count):
        yield frame(number, size)
        await asyncio.sleep(pause)


async def handed_on(blocks: AsyncGenerator[bytes]) -> list[int]:
    return numbers([data async for data in streams.newest(blocks)])


def test_of_small_frames_none_is_left_out_however_fast_they_come() -> None:
    assert run(handed_on(every(1000, 100))) == list(range(1000))


def test_of_big_frames_that_come_at_once_the_first_and_the_newest_are_decoded() -> None:
    async def burst() -> AsyncGenerator[bytes]:
        yield frame(0, BIG)
        await asyncio.sleep(0)
        yield b"".join(frame(n, BIG) for n in range(1, 50))
        await asyncio.sleep(60)

    assert run(handed_on(burst())) == [0, 49]


def test_big_frames_cost_no_more_than_so_many_bytes_a_second() -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        began, size, pause = clock(), 3_000_000, 0.1
        frames = await handed_on(every(100, size, pause))
        assert frames[-1] == 99
        assert len(frames) * size <= RATE * (clock() - began) + 2 * size

    run(main())


def test_the_last_frame_comes_before_the_error_that_breaks_the_stream_off() -> None:
    async def breaks() -> AsyncGenerator[bytes]:
        yield frame(1, BIG)
        yield frame(2, BIG)
        raise Unreachable("gone")

    seen: list[bytes] = []

    async def main() -> None:
        async for data in streams.newest(breaks()):
            seen.append(data)

    with pytest.raises(Unreachable, match="gone"):
        run(main())
    assert numbers(seen)[-1] == 2


def test_who_stops_listening_closes_the_stream() -> None:
    closed = []

    async def endless() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield frame(0)
                await asyncio.sleep(1)
        finally:
            closed.append(True)

    async def main() -> None:
        async with contextlib.aclosing(streams.newest(endless())) as frames:
            async for _ in frames:
                break
        assert closed == [True]

    run(main())


ENTRY = b'{"result":{"content":"%s","podName":"p"}}\n'


@pytest.mark.parametrize("torn", [b'tent":"b","podName":"p"}}\n', b"<html>\n", b'\x00{"result":{}}\n'])
def test_a_torn_line_of_a_log_ends_its_stream_and_what_came_before_it_counts(torn: bytes) -> None:
    entries = streams.log_entries(ENTRY % b"a" + torn + ENTRY % b"c")
    assert [e.content for e in next(entries)] == ["a"]
    with pytest.raises(InvalidResponse, match="a stream has a line that is not Argo CD's"):
        next(entries)


def test_what_separates_frames_is_no_torn_line() -> None:
    block = b": keep-alive\n\nevent: x\nid: 1\nretry: 5\r\n" + b"data: {}\r\n\r\n" + b'{"a": 1}\n \n'
    assert [data.strip() for data in streams.payloads(block)] == [b"{}", b'{"a": 1}']
