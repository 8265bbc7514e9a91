"""Writes files, pipes and terminals from threads of their own, never on the event loop.

`argorun run | less`, Ctrl-S, a CI agent that hangs, a disk behind a dead network: a plain write would stop
the whole run there, its clean-up on a signal included. What is not written yet waits in memory, to a limit.
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

PATIENCE = 0.02  # seconds for which a reader that reads at all is waited for: order and errors are as ever
LIMIT = 32 * 2**20  # bytes that wait for a reader or a disk, at most
OPENING = 10.0  # seconds to open a file or a directory
READER = 2.0  # seconds in which a FIFO must have a reader
T = TypeVar("T")


class Background:
    """Does writes one after the other in a daemon thread; an error ends it and is raised at the next call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: collections.deque[tuple[Callable[[], object], int]] = collections.deque()
        self._size = 0  # bytes that wait
        self._news = threading.Condition()
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def do(self, act: Callable[[], object], size: int = 0, *, patience: float = 0.0) -> bool:
        """Do this after all that waits; False where more than LIMIT bytes would wait: it is not done then.

        `patience`: seconds to wait for it where nothing else waits. Raises the OSError of what came before.
        """
        with self._news:
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
            self._news.notify_all()
            if not stalled and patience:
                self._wait(patience)
            self._raise()
        return True

    def idle(self, seconds: float | None) -> bool:
        """Wait until all is written, so long at most (None: as long as it takes); whether it is."""
        with self._news:
            self._wait(seconds)
            self._raise()
            return not self._waiting

    def close(self) -> None:
        """End the thread once nothing waits."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._size

    def _wait(self, seconds: float | None) -> None:
        self._news.wait_for(lambda: not self._waiting or self._error is not None, seconds)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    self._thread = None
                    return
                act, size = self._waiting[0]
            try:
                act()
            except OSError as error:
                with self._news:
                    self._error, self._size, self._thread = error, 0, None
                    self._waiting.clear()
                    self._news.notify_all()
                return
            with self._news:
                self._waiting.popleft()
                self._size -= size
                self._news.notify_all()


def missing_lines(lines: int) -> bytes:
    """The line that says how many were dropped in its place."""
    return f"… ({lines:,} lines are missing here: they were not read in time)\n".encode()


class Outlet:
    """One open file of this process. Raises the OSError of a write, that of an earlier one included.

    Past LIMIT bytes what comes is dropped, and `mark` makes the line that says how many lines are missing.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        mark: Callable[[int], bytes] = missing_lines,
        patience: float = PATIENCE,
    ) -> None:
        self._descriptor = descriptor
        self._background = Background("argorun-outlet")
        self._mark = mark
        self._patience = patience
        self._gap = 0  # lines that were dropped since something was written last
        self.lost = 0  # lines that were dropped in all

    def write(self, data: bytes) -> None:
        """Write it, or let it wait where the reader has stopped."""
        whole = self._mark(self._gap) + data if self._gap else data
        write = functools.partial(write_all, self._descriptor, whole)
        if self._background.do(write, len(whole), patience=self._patience):
            self._gap = 0
            return
        lines = data.count(b"\n") or 1
        self._gap += lines
        self.lost += lines

    def settle(self) -> None:
        """Raise what has gone wrong so far, after a moment for what is under way."""
        self._background.idle(PATIENCE)

    def drain(self, seconds: float | None) -> bool:
        """Wait until all is written, for so long at most; whether it is."""
        done = self._background.idle(seconds)
        if done and self._gap:
            self.write(b"")
            done = self._background.idle(seconds)
        if done:
            self._background.close()
            _open.pop(place_of(self._descriptor), None)
        return done

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._background.waiting


def write_all(descriptor: int, data: bytes) -> None:
    """Also where a process that shares the file has made it non-blocking, as Node does with its stdio."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            room.poll()


# -- the outlets of the standard streams -----------------------------------------------------------------

Place = tuple[int, int]
_open: dict[Place | None, Outlet] = {}  # while a run is shown on them


def place_of(descriptor: int) -> Place | None:
    """What tells one file from another; None where it is closed."""
    try:
        seen = os.fstat(descriptor)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def outlets_of(*streams: TextIO, mark: Callable[[int], bytes] = missing_lines) -> list[Outlet | None]:
    """The outlet of the file behind each stream; None where there is none, or it is no file at all.

    Where stdout and stderr are one and the same file, so is their outlet: lines come in the run's order.
    """
    made: dict[Place | None, Outlet] = {}
    found: list[Outlet | None] = []
    for stream in streams:
        try:
            stream.flush()
            place = place_of(stream.fileno())
            found.append(made.get(place) or made.setdefault(place, Outlet(stream.fileno(), mark=mark)))
        except (OSError, ValueError):
            found.append(None)
    _open.update(made)
    return found


def in_use(stream: TextIO) -> Outlet | None:
    """The outlet through which a run is shown on this stream; None where there is none."""
    try:
        return _open.get(place_of(stream.fileno())) if _open else None
    except (OSError, ValueError):
        return None


# -- opening ---------------------------------------------------------------------------------------------


def within(seconds: float, act: Callable[[], T]) -> T:
    """What `act` gives back. Raises its error, or OSError where it takes longer: a mount that hangs."""
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
    """A descriptor to write a file from its beginning; a FIFO is not waited for longer than READER.

    Links are followed: `/dev/stdout` and `>(command)` are such. Raises OSError.
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
        pause.wait(0.05)  # who reads it may be about to begin: `cat fifo & argorun run --events fifo`
    raise AssertionError("unreachable")  # pragma: no cover
