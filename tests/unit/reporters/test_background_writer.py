"""A stopped reader delays nothing; one that goes on reading gets every byte, in order."""

from __future__ import annotations

import dataclasses
import io
import os
import pty
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argorun.errors import UsageError
from argorun.events import LogLines
from argorun.reporters import background_writer as module
from argorun.reporters.background_writer import BackgroundWriter, open_file, within, writers_of
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.json_lines import EventsFile, decode, encode
from argorun.reporters.log_files import LogFiles
from argorun.reporters.open import open_reporters
from argorun.reporters.streams import LineStream

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


def test_what_a_stopped_reader_has_not_read_waits_and_comes_in_order(ends: tuple[int, int]) -> None:
    reading, writing = ends
    writer = BackgroundWriter(writing)
    for data in (b"first,", MUCH, b",last"):
        writer.write(data)  # none of them blocks
    writer.drain(0.01)
    assert read(reading, len(MUCH) + 11) == b"first," + MUCH + b",last"
    writer.drain(None)


def test_a_slow_reader_of_a_non_blocking_file_gets_every_byte_too(ends: tuple[int, int]) -> None:
    reading, writing = ends
    os.set_blocking(writing, False)
    writer = BackgroundWriter(writing)
    for data in (b"first,", MUCH, b",last"):
        writer.write(data)
    writer.drain(0.01)
    assert read(reading, len(MUCH) + 11) == b"first," + MUCH + b",last"
    writer.drain(None)


def test_many_small_lines_fill_a_pipe_and_do_not_block_either(ends: tuple[int, int]) -> None:
    reading, writing = ends
    writer = BackgroundWriter(writing)
    lines = [f"{n:07}," for n in range(20_000)]
    for line in lines:
        writer.write(line.encode())
    assert read(reading, 160_000).decode() == "".join(lines)


def test_a_reader_that_goes_away_ends_the_waiting() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        lines = LineStream(stream, *writers_of(stream))
        lines.raw(MUCH.decode())
        os.close(reading)
        lines.drain(None)
        lines.raw("the pipe is closed")


def test_an_error_of_an_earlier_write_is_raised_later() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        stream = LineStream(full, *writers_of(full))
        with pytest.raises(OSError, match="No space left"):
            stream.raw("x")


def test_a_slow_reader_is_waited_for_in_the_end() -> None:
    reading, writing = os.pipe()
    writer = BackgroundWriter(writing)
    writer.write(MUCH)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read(reading, len(MUCH))))
    reader.start()
    writer.drain(None)
    reader.join()
    os.close(reading)
    os.close(writing)
    assert found == [MUCH]


def test_one_file_has_one_writer() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as out, open(os.dup(writing), "w", encoding="utf-8") as err:
        first, second = writers_of(out, err)
        assert first is second
    os.close(reading)


# -- every file and pipe is written in the background ----------------------------------------------------


class Disk:
    """A disk behind a dead network: `os.write` to one descriptor hangs until it recovers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recovered = threading.Event()
        self.hangs = threading.Event()  # a write hangs now
        write = os.write

        def slow(descriptor: int, data: bytes | memoryview) -> int:
            if threading.current_thread() is not threading.main_thread():
                self.hangs.set()
                assert self.recovered.wait(60)
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", slow)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(monkeypatch)
    yield made
    made.recovered.set()


def lines_of(line: LogLines, *texts: str) -> LogLines:
    return dataclasses.replace(line, stamps=("",) * len(texts), texts=texts)


def test_a_disk_that_hangs_delays_no_reporter_and_gets_everything_once_it_recovers(
    disk: Disk, tmp_path: Path, line: LogLines
) -> None:
    with open(tmp_path / "out", "w", encoding="utf-8") as out:
        dispatcher = Dispatcher(
            open_reporters("plain", tmp_path / "events", environ={}, stdout=out, stderr=out),
            untouched=[LogFiles(tmp_path / "logs")],
        )
        for text in ("first", "second"):
            dispatcher(lines_of(line, text))  # from this thread, which would hang for a minute
            dispatcher.flush()
        assert disk.hangs.wait(60)
        disk.recovered.set()
        dispatcher.close()
    assert dispatcher.failures == []
    assert (tmp_path / "out").read_text() == "first\nsecond\n"
    written = list(decode((tmp_path / "events").read_bytes().splitlines()))
    assert written == [lines_of(line, text) for text in ("first", "second")]
    (kept,) = [p.read_text() for p in (tmp_path / "logs").rglob("*.log")]
    assert kept == "first\nsecond\n"


def test_what_a_hanging_disk_has_not_written_in_the_end_is_a_failure_and_delays_nothing(
    disk: Disk, tmp_path: Path, line: LogLines
) -> None:
    files = open_reporters(
        "plain", tmp_path / "events", environ={}, stdout=io.StringIO(), stderr=io.StringIO()
    )
    dispatcher = Dispatcher(files, untouched=[LogFiles(tmp_path / "logs")])
    dispatcher(lines_of(line, "first"))
    assert disk.hangs.wait(60)
    dispatcher.close(0.0)
    size = len(encode(lines_of(line, "first")))
    assert dispatcher.failures == [
        f"log directory {tmp_path}/logs: its last 6 bytes could not be written in time",
        f"events file {tmp_path}/events: its last {size} bytes could not be written in time",
    ]


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_memory_is_bounded_and_what_was_dropped_is_marked_in_its_place(
    disk: Disk, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 20)
    reading, writing = os.pipe() if kind == "pipe" else (0, os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT))
    writer = BackgroundWriter(writing, mark=lambda lines: b"(%d missing)\n" % lines)
    for data in (b"a\n", b"123456789 1234567\n", b"lost\n", b"and lost\n"):
        writer.write(data)
    assert (writer.waiting, writer.lost) == (20, 2)
    disk.recovered.set()
    writer.drain(None)
    writer.write(b"b\n")
    writer.drain(None)
    os.close(writing)
    found = (tmp_path / "f").read_bytes() if kind == "file" else os.read(reading, 1000)
    assert found == b"a\n123456789 1234567\n(2 missing)\nb\n"
    if kind == "pipe":
        os.close(reading)


def test_a_log_directory_that_falls_behind_is_a_failure_and_never_loses_lines_silently(
    disk: Disk, tmp_path: Path, line: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 20)
    dispatcher = Dispatcher([], untouched=[LogFiles(tmp_path)])
    dispatcher(lines_of(line, "first"))
    assert disk.hangs.wait(60)
    for text in ("x" * 30, "y"):
        dispatcher(lines_of(line, text))
    assert dispatcher.failures == [f"log directory {tmp_path}: it is too slow: the logs there are incomplete"]


def test_a_pipe_as_events_file_whose_reader_has_stopped_delays_nothing_and_is_a_failure(
    tmp_path: Path, line: LogLines
) -> None:
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    dispatcher = Dispatcher([EventsFile(tmp_path / "fifo")])
    for _ in range(3):
        dispatcher(lines_of(line, MUCH.decode()))
    dispatcher.close(0.0)
    (failure,) = dispatcher.failures
    assert re.fullmatch(
        f"events file {tmp_path}/fifo: its last [0-9,]+ bytes could not be written in time", failure
    )
    os.close(reading)


def test_a_pipe_without_a_reader_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READER", 0.0)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError) as caught:
        EventsFile(tmp_path / "fifo")
    why = "it is a pipe that nobody reads; start its reader first"
    assert caught.value.message == f"the events file {tmp_path}/fifo cannot be written: {why}"


def test_a_pipe_whose_reader_is_about_to_start_is_accepted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    descriptor = open_file(tmp_path / "fifo")
    os.write(descriptor, b"x")
    os.close(descriptor)
    reader.join()
    assert found == [b"x"]


def test_a_file_system_that_does_not_answer_is_an_error_and_not_waited_for() -> None:
    recovered = threading.Event()
    with pytest.raises(OSError, match="no answer from the file system within 0 s"):
        within(0.0, lambda: recovered.wait(60))
    recovered.set()
