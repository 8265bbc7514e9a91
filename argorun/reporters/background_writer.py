"""Writes files, pipes and terminals in threads, never on the event loop.

`argorun run | less`, Ctrl-S, a CI agent that hangs, a disk behind a dead network: a plain write would stop
the whole run, including its clean-up on a signal. What is not written yet waits in memory, up to LIMIT.
"""

from __future__ import annotations

import collections
import errno
import functools
import os
import select
import threading
from collections.abc import Callable
from typing import TextIO, TypeVar

SHORT_WAIT = 0.02  # seconds: a reader that reads is waited for, so order and errors are as with plain writes
LIMIT = 32 * 2**20  # bytes that may wait for a reader or a disk
OPENING = 10.0  # seconds to open a file or a directory
READER = 2.0  # seconds in which a FIFO must have a reader
T = TypeVar("T")


class WriteQueue:
    """Runs writes in order in a daemon thread; the next call raises an error."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: collections.deque[tuple[Callable[[], object], int]] = collections.deque()
        self._size = 0  # bytes that wait
        self._changed = threading.Condition()
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, act: Callable[[], object], size: int = 0, *, wait: float = 0.0) -> bool:
        """Run this after all that waits. Returns False, and drops it, if more than LIMIT bytes would wait.

        `wait`: seconds to wait for it if nothing else waits. Raises the OSError of an earlier write.
        """
        with self._changed:
            self._raise()
            if size and self._waiting and self._size + size > LIMIT:
                return False
            stalled = bool(self._waiting)
            self._waiting.append((act, size))
            self._size += size
            self._closed = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if not stalled and wait:
                self._wait(wait)
            self._raise()
        return True

    def wait_idle(self, seconds: float | None) -> bool:
        """Wait until all is written, at most so many seconds (None: no limit); returns whether it is."""
        with self._changed:
            self._wait(seconds)
            self._raise()
            return not self._waiting

    def close(self) -> None:
        """End the thread when nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """The number of bytes that are not written yet."""
        return self._size

    def _wait(self, seconds: float | None) -> None:
        self._changed.wait_for(lambda: not self._waiting or self._error is not None, seconds)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    self._thread = None
                    return
                act, size = self._waiting[0]
            try:
                act()
            except OSError as error:
                with self._changed:
                    self._error, self._size, self._thread = error, 0, None
                    self._waiting.clear()
                    self._changed.notify_all()
                return
            with self._changed:
                self._waiting.popleft()
                self._size -= size
                self._changed.notify_all()


def missing_lines(lines: int) -> bytes:
    """The line that takes the place of dropped ones."""
    return f"… ({lines:,} lines are missing here: they were not read in time)\n".encode()


class BackgroundWriter:
    """Writes to an open file in the background. Raises the OSError of an earlier write, too.

    Drops lines while LIMIT bytes wait; `mark` makes the line that says how many are missing.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        mark: Callable[[int], bytes] = missing_lines,
        wait: float = SHORT_WAIT,
    ) -> None:
        self._descriptor = descriptor
        self._queue = WriteQueue("argorun-writer")
        self._mark = mark
        self._wait = wait
        self._gap = 0  # lines dropped since the last write
        self.lost = 0  # lines dropped in all

    def write(self, data: bytes) -> None:
        """Write it, or keep it in memory if the reader has stopped."""
        whole = self._mark(self._gap) + data if self._gap else data
        write = functools.partial(write_all, self._descriptor, whole)
        if self._queue.put(write, len(whole), wait=self._wait):
            self._gap = 0
            return
        lines = data.count(b"\n") or 1
        self._gap += lines
        self.lost += lines

    def raise_errors(self) -> None:
        """Raise the error of what was written so far, after a moment for what is being written."""
        self._queue.wait_idle(SHORT_WAIT)

    def drain(self, seconds: float | None) -> bool:
        """Wait until all is written, at most so many seconds (None: no limit); returns whether it is."""
        done = self._queue.wait_idle(seconds)
        if done and self._gap:
            self.write(b"")
            done = self._queue.wait_idle(seconds)
        if done:
            self._queue.close()
            _open.pop(file_id(self._descriptor), None)
        return done

    @property
    def waiting(self) -> int:
        """The number of bytes that are not written yet."""
        return self._queue.waiting


def write_all(descriptor: int, data: bytes) -> None:
    """Write it whole, even if another process made the file non-blocking, as Node does with its stdio."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            room.poll()


# -- the writers of the standard streams -----------------------------------------------------------------

FileId = tuple[int, int]
_open: dict[FileId | None, BackgroundWriter] = {}  # while a run is shown on them


def file_id(descriptor: int) -> FileId | None:
    """The identity of the open file; None if it is closed."""
    try:
        seen = os.fstat(descriptor)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def writers_of(
    *streams: TextIO, mark: Callable[[int], bytes] = missing_lines
) -> list[BackgroundWriter | None]:
    """A writer for the file behind each stream; None if the stream is closed or has no file.

    If stdout and stderr are the same file, they share a writer: lines come in the run's order.
    """
    made: dict[FileId | None, BackgroundWriter] = {}
    found: list[BackgroundWriter | None] = []
    for stream in streams:
        try:
            stream.flush()
            file = file_id(stream.fileno())
            writer = made.get(file) or made.setdefault(file, BackgroundWriter(stream.fileno(), mark=mark))
            found.append(writer)
        except (OSError, ValueError):
            found.append(None)
    _open.update(made)
    return found


def writer_in_use(stream: TextIO) -> BackgroundWriter | None:
    """The writer that shows a run on this stream; None if there is none."""
    try:
        return _open.get(file_id(stream.fileno())) if _open else None
    except (OSError, ValueError):
        return None


# -- opening ---------------------------------------------------------------------------------------------


def within(seconds: float, act: Callable[[], T]) -> T:
    """The result of `act`. Raises its error, or OSError if it takes longer: a mount may hang."""
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(act())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="argorun-open", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise OSError(errno.ETIMEDOUT, f"no answer from the file system within {seconds:.0f} s")
    return done[0]


def open_file(path: str | os.PathLike[str]) -> int:
    """Open a file to overwrite it; a FIFO must get a reader within READER seconds.

    Follows links: `/dev/stdout` and `>(command)` are links. Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
    pause = threading.Event()
    tries = round(READER / 0.05)
    for last in [False] * tries + [True]:
        try:
            return within(OPENING, lambda: os.open(path, flags, 0o666))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if last:
                raise OSError(errno.ENXIO, "it is a pipe that nobody reads; start its reader first") from None
        pause.wait(0.05)  # its reader may be about to start: `cat fifo & argorun run --events fifo`
    raise AssertionError("unreachable")  # pragma: no cover
