"""Writes lines to stdout or stderr: in batches while a log pours in, quietly once nobody reads them."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from argorun.reporters.background_writer import Outlet

BATCH_SECONDS = 0.05


class Sink:
    """One standard stream. A pipe that its reader closed swallows the rest; any other OSError is raised.

    With an `outlet` a reader that has stopped does not hold up the run: what is written waits for it there.
    `guard` is the last to touch each line, own or foreign, and makes it safe for who reads the stream.
    """

    def __init__(
        self,
        stream: TextIO,
        outlet: Outlet | None = None,
        *,
        guard: Callable[[str], str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._outlet = outlet
        self._guard = guard
        self._now = now
        self._held: list[str] = []
        self._flushed = now()
        self._closed = False

    def line(self, text: str) -> None:
        """Writes one line, at the latest with the next line or flush() that comes 50 ms later."""
        self._held.append(text)
        if self._now() - self._flushed >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._flushed = self._now()
        if self._held:
            held, self._held = self._held, []
            self.raw("\n".join(held) + "\n")

    def raw(self, text: str) -> None:
        """Writes any text at once and in one piece."""
        if self._closed:
            return
        if self._guard:
            text = "\n".join(map(self._guard, text.split("\n")))
        with self._failing():
            if self._outlet is not None:
                self._outlet.write(text.encode(self._stream.encoding, self._stream.errors or "strict"))
            else:
                self._stream.write(text)
                self._stream.flush()

    def drain(self, seconds: float | None) -> None:
        """Waits until all of it is written, for so long at most (None: as long as the reader takes).

        Raises OSError where lines were dropped: their reader fell too far behind.
        """
        if self._outlet is None or self._closed:
            return
        with self._failing():
            self._outlet.drain(seconds)
        if lost := self._outlet.lost:
            raise OSError(errno.ENOBUFS, f"{lost:,} lines are missing there: they were not read in time")

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._closed = True
            mute(self._stream)
            if not isinstance(error, BrokenPipeError):
                raise


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream; a closed one is none."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def mute(stream: TextIO) -> None:
    """Points a stream that can no longer be written at nowhere.

    Otherwise Python tries to write the rest at its exit, and ends with code 120 whatever the verdict was.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return  # not a file at all
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def usable(stream: TextIO | None) -> TextIO:
    """The stream, made to take any character; nowhere, where there is none (`argorun >&-`)."""
    if stream is None:
        return _nowhere()
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if isinstance(stream.buffer, io.RawIOBase):
        # PYTHONUNBUFFERED: there, a write that a signal cuts short loses the rest.
        descriptor, encoding = stream.fileno(), stream.encoding
        return open(descriptor, "w", encoding=encoding, errors="backslashreplace", closefd=False)
    stream.reconfigure(errors="backslashreplace")
    return stream


@functools.cache
def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # for as long as the process lives
