"""The bytes below httpx: fewer and larger pieces, and nothing else changed."""

from __future__ import annotations

import asyncio
import errno
from types import SimpleNamespace
from typing import Any

import h11
import httpcore
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from argorun.argocd.http.network_backend import Backend, ChunkMerger, opened, use_backend
from tests.unit.argocd.web import Server, answer, stream

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"


def parsed(pieces: list[bytes]) -> tuple[bytes, str, int]:
    """What h11 makes of an answer: its body, how it ended, and in how many pieces the body came."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    body: list[bytes] = []
    try:
        for piece in [*pieces, b""]:
            connection.receive_data(piece)
            while not isinstance(event := connection.next_event(), type(h11.NEED_DATA)):
                if isinstance(event, h11.Data):
                    body.append(event.data)
                elif not isinstance(event, h11.Response | h11.InformationalResponse):
                    return b"".join(body), type(event).__name__, len(body)
    except h11.RemoteProtocolError:
        return b"".join(body), "broken", len(body)
    return b"".join(body), "open", len(body)


def through(pieces: list[bytes]) -> list[bytes]:
    passed = ChunkMerger()
    return [merged for piece in pieces if (merged := passed.merged(piece))]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({c % (len(data) + 1) for c in cuts})
    ends = [*places, len(data)]
    return [p for p in (data[a:b] for a, b in zip([0, *places], ends, strict=True)) if p]


BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=8)
CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(BODIES, CUTS, st.sampled_from([b"", b"X-Trailer: a\r\n"]), st.sampled_from([b"", b";ext=1"]))
@example([b"ab\r\n", b"\r\n"], list(range(300)), b"", b"")
def test_a_chunked_answer_is_the_same_however_it_arrives(
    chunks: list[bytes], cuts: list[int], trailer: bytes, extension: bytes
) -> None:
    framed = b"".join(b"%X%b\r\n%b\r\n" % (len(c), extension, c) for c in chunks)
    whole = CHUNKED + b"\r\n" + framed + b"0\r\n" + trailer + b"\r\n"
    merged = parsed(through(cut(whole, cuts)))
    assert merged[:2] == (b"".join(chunks), "EndOfMessage")
    assert parsed(through([whole]))[2] <= 1


@given(st.binary(max_size=60), CUTS, st.booleans())
def test_an_answer_that_is_not_chunked_is_not_touched(body: bytes, cuts: list[int], hint: bool) -> None:
    head = b"HTTP/1.1 100 Continue\r\n\r\n" if hint else b""
    whole = head + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    assert b"".join(through(cut(whole, cuts))) == whole


def test_what_is_no_http_a_proxys_handshake_say_is_handed_on_as_it_comes() -> None:
    for handshake in (b"\x05\x00", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90", b"\x00\x5a\r\n\r\n\x00"):
        assert through([handshake[:1], handshake[1:]]) == [handshake[:1], handshake[1:]]


@pytest.mark.parametrize("end", [b"", b"5\r\nab", b"5", b"x\r\nab\r\n", b"-5\r\nab\r\n"])
def test_a_chunked_answer_that_breaks_off_or_is_nonsense_is_still_one(end: bytes) -> None:
    whole = CHUNKED + b"\r\n3\r\nabc\r\n" + end
    for pieces in ([whole], [bytes([b]) for b in whole]):
        body, how, _ = parsed(through(pieces))
        assert (body[:3], how) == (b"abc", "broken")


def test_a_connection_is_used_again_and_a_closed_one_is_not() -> None:
    server = Server([answer(), stream(b"a", b"b"), answer(200, b"c", Connection="close"), answer(200, b"d")])

    async def ask() -> list[bytes]:
        async with server.up():
            url = f"http://localhost:{server.port}"
            async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                use_backend(http)
                return [(await http.get("/")).content for _ in range(4)]

    assert asyncio.run(ask()) == [b"{}", b"ab", b"c", b"d"]
    assert server.connections == 2


def test_nobody_there_is_told_in_the_systems_words() -> None:
    server = Server([answer()])

    async def connect() -> None:
        async with server.up():
            port = server.port
        await Backend().connect_tcp("localhost", port)  # it may have two addresses, which both refuse

    with pytest.raises(httpcore.ConnectError) as raised:
        asyncio.run(connect())
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ECONNREFUSED


def test_a_time_limit_is_kept() -> None:
    server = Server([answer()])

    async def read() -> None:
        async with server.up():
            connection = await Backend().connect_tcp("127.0.0.1", server.port)
            try:
                await connection.read(10, timeout=0.01)
            finally:
                await connection.aclose()
                await asyncio.sleep(0)

    with pytest.raises(httpcore.ReadTimeout):
        asyncio.run(read())


def test_a_connection_that_is_no_longer_waited_for_is_dropped_once_it_is_there() -> None:
    async def cancelled() -> list[str]:
        aborted: list[str] = []
        there = asyncio.Event()
        transport = SimpleNamespace(abort=lambda: aborted.append("aborted"))

        async def opening() -> Any:
            await there.wait()
            return None, SimpleNamespace(transport=transport)

        waiting = asyncio.create_task(opened(opening()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert (waiting.cancelled(), aborted) == (True, [])
        there.set()
        for _ in range(5):
            await asyncio.sleep(0)
        return aborted

    assert asyncio.run(cancelled()) == ["aborted"]
