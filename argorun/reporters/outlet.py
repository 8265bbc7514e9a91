"""Writes to a pipe or a terminal from a thread of its own: a reader that has stopped holds up nothing.

`argorun run | less`, Ctrl-S, a CI agent that hangs: a plain write would stop the whole run there, its
clean-up on a signal included. What such a reader has not taken yet waits in memory.
"""

from __future__ import annotations

import collections
import os
import select
import stat
import threading
from typing import TextIO

PATIENCE = 0.1  # seconds for which a reader that reads at all is waited for: order and errors are as ever


class Outlet:
    """One open file of this process. Raises the OSError of a write, that of an earlier one included."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: collections.deque[bytes] = collections.deque()
        self._news = threading.Condition()
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        mode = os.fstat(descriptor).st_mode
        self._never_stops = stat.S_ISREG(mode)
        self._room = None
        if stat.S_ISFIFO(mode):
            self._room = select.poll()
            self._room.register(descriptor, select.POLLOUT)

    def write(self, data: bytes) -> None:
        """Write it, or let it wait where the reader has stopped."""
        if self._thread is None and self._takes_at_once(data):
            write_all(self._descriptor, data)
            return
        with self._news:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="argorun-outlet", daemon=True)
                self._thread.start()
            stalled = bool(self._waiting)
            self._waiting.append(data)
            self._news.notify_all()
            if not stalled:
                self._wait(PATIENCE)
            self._raise()

    def drain(self, seconds: float | None) -> None:
        """Wait until all is written, for so long at most."""
        with self._news:
            self._wait(seconds)
            self._raise()

    def _takes_at_once(self, data: bytes) -> bool:
        """Whether a write cannot block: a pipe with any room takes PIPE_BUF bytes (POSIX, pipe(7))."""
        if self._room is not None:
            return len(data) <= select.PIPE_BUF and bool(self._room.poll(0))
        return self._never_stops

    def _wait(self, seconds: float | None) -> None:
        self._news.wait_for(lambda: not self._waiting or self._error is not None, seconds)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting)
                data = self._waiting[0]
            try:
                write_all(self._descriptor, data)
            except OSError as error:
                with self._news:
                    self._error = error
                    self._waiting.clear()
                    self._news.notify_all()
                return
            with self._news:
                self._waiting.popleft()
                self._news.notify_all()


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


def outlets_of(*streams: TextIO) -> list[Outlet | None]:
    """The outlet of the file behind each stream; None where there is none, or it is no file at all.

    Where stdout and stderr are one and the same file, so is their outlet: lines come in the run's order.
    """
    made: dict[tuple[int, int], Outlet] = {}
    found: list[Outlet | None] = []
    for stream in streams:
        try:
            stream.flush()
            seen = os.fstat(stream.fileno())
            place = (seen.st_dev, seen.st_ino)
            found.append(made.get(place) or made.setdefault(place, Outlet(stream.fileno())))
        except (OSError, ValueError):
            found.append(None)
    return found
