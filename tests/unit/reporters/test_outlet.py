"""A reader that has stopped holds nothing up; one that reads on gets every byte, in order."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Callable, Iterator

import pytest

from argorun.reporters.outlet import Outlet, outlets_of
from argorun.reporters.sink import Sink

MUCH = b"x" * 1_000_000  # more than any pipe or terminal takes without a reader


@pytest.fixture(params=[os.pipe, pty.openpty], ids=["pipe", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    make: Callable[[], tuple[int, int]] = request.param
    reading, writing = make()
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def read(descriptor: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += os.read(descriptor, size - len(found))
    return found


def test_what_a_stopped_reader_has_not_taken_waits_and_comes_in_order(ends: tuple[int, int]) -> None:
    reading, writing = ends
    outlet = Outlet(writing)
    for data in (b"first,", MUCH, b",last"):
        outlet.write(data)  # none of them blocks
    outlet.drain(0.01)
    assert read(reading, len(MUCH) + 11) == b"first," + MUCH + b",last"
    outlet.drain(None)


def test_a_slow_reader_of_a_non_blocking_file_gets_every_byte_too(ends: tuple[int, int]) -> None:
    reading, writing = ends
    os.set_blocking(writing, False)
    outlet = Outlet(writing)
    for data in (b"first,", MUCH, b",last"):
        outlet.write(data)
    outlet.drain(0.01)
    assert read(reading, len(MUCH) + 11) == b"first," + MUCH + b",last"
    outlet.drain(None)


def test_many_small_lines_fill_a_pipe_and_do_not_block_either(ends: tuple[int, int]) -> None:
    reading, writing = ends
    outlet = Outlet(writing)
    lines = [f"{n:07}," for n in range(20_000)]
    for line in lines:
        outlet.write(line.encode())
    assert read(reading, 160_000).decode() == "".join(lines)


def test_a_reader_that_goes_away_while_lines_wait_ends_the_waiting() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        sink = Sink(stream, *outlets_of(stream))
        sink.raw(MUCH.decode())
        os.close(reading)
        sink.drain(None)
        sink.raw("nobody is there")


def test_an_error_of_an_earlier_write_is_raised_later() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        sink = Sink(full, *outlets_of(full))
        with pytest.raises(OSError, match="No space left"):
            sink.raw("x")


def test_a_slow_reader_is_waited_for_in_the_end() -> None:
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    outlet.write(MUCH)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read(reading, len(MUCH))))
    reader.start()
    outlet.drain(None)
    reader.join()
    os.close(reading)
    os.close(writing)
    assert found == [MUCH]


def test_one_file_has_one_outlet() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as out, open(os.dup(writing), "w", encoding="utf-8") as err:
        first, second = outlets_of(out, err)
        assert first is second
    os.close(reading)
