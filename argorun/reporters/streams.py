"""Writes lines to stdout or stderr, in batches and without blocking."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import errno
import functools
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from argorun.redact.sanitize import github_guard
from argorun.reporters.background_writer import BackgroundWriter, writers_of

BATCH_SECONDS = 0.05


class LineStream:
    """One standard stream. Drops the rest if its reader closed the pipe; raises any other OSError.

    With a `writer`, a reader that has stopped does not delay the run: the text waits in memory. `guard`
    changes each line last, and makes it safe for the program that reads the stream (see github_guard).
    """

    def __init__(
        self,
        stream: TextIO,
        writer: BackgroundWriter | None = None,
        *,
        guard: Callable[[str], str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._guard = guard
        self._now = now
        self._held: list[str] = []
        self._flushed = now()
        self._closed = False

    def line(self, text: str) -> None:
        """Write one line, at the latest with the next line or flush() that comes 50 ms later."""
        self._held.append(text)
        if self._now() - self._flushed >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the lines that are held back."""
        self._flushed = self._now()
        if self._held:
            held, self._held = self._held, []
            self.raw("\n".join(held) + "\n")

    def raw(self, text: str) -> None:
        """Write a text at once and in one piece."""
        if self._closed:
            return
        if self._guard:
            text = "\n".join(map(self._guard, text.split("\n")))
        with self._failing():
            if self._writer is not None:
                self._writer.write(text.encode(self._stream.encoding, self._stream.errors or "strict"))
            else:
                self._stream.write(text)
                self._stream.flush()

    def drain(self, seconds: float | None) -> None:
        """Wait until all of it is written, at most so many seconds (None: as long as the reader takes).

        Raises OSError if lines were dropped: the reader fell too far behind.
        """
        if self._writer is None or self._closed:
            return
        with self._failing():
            self._writer.drain(seconds)
        if lost := self._writer.lost:
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


@dataclasses.dataclass(frozen=True)
class StandardStreams:
    """stdout and stderr, which an opener makes a reporter for."""

    stdout: TextIO
    stderr: TextIO
    environment: Mapping[str, str]

    @property
    def is_dumb(self) -> bool:
        """Whether the terminal understands no control sequences."""
        return self.environment.get("TERM") == "dumb"

    @property
    def no_color(self) -> bool:
        """Whether the user wants no colors (no-color.org)."""
        return bool(self.environment.get("NO_COLOR"))

    def line_streams(self) -> tuple[LineStream, LineStream]:
        """Both as streams of lines, written in the background."""
        guard = github_guard(self.environment)
        out, err = writers_of(self.stdout, self.stderr)
        return LineStream(self.stdout, out, guard=guard), LineStream(self.stderr, err, guard=guard)


def _degraded(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written where an encoding lacks a character: three dots, or the escape that Python writes."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] == "…":
        return "...", error.start + 1
    return codecs.backslashreplace_errors(error)


codecs.register_error("degraded", _degraded)


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is an open terminal."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def mute(stream: TextIO) -> None:
    """Point a broken stream at /dev/null.

    Otherwise Python tries to write the rest at its exit, and ends with code 120 whatever the verdict was.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return  # not a file at all
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, descriptor)
    os.close(devnull)


def usable(stream: TextIO | None) -> TextIO:
    """The stream, which now accepts any character; /dev/null if there is none (`argorun >&-`)."""
    if stream is None:
        return _devnull()
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if isinstance(stream.buffer, io.RawIOBase):
        # PYTHONUNBUFFERED: there, a write that a signal interrupts loses the rest.
        descriptor, encoding = stream.fileno(), stream.encoding
        return open(descriptor, "w", encoding=encoding, errors="degraded", closefd=False)
    stream.reconfigure(errors="degraded")
    return stream


@functools.cache
def _devnull() -> TextIO:
    """Open for as long as the process lives, so that Python need not warn that nobody closes it."""
    return open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)
