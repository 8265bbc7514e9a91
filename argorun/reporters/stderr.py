"""Wraps sys.stderr: masks secrets and control characters in anything that is not an event."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import TextIO

if typing.TYPE_CHECKING:
    from argorun.redact.redactor import Redactor
    from argorun.reporters.streams import LineStream


class MaskedStderr(io.TextIOBase):
    """Takes the place of `sys.stderr`: masks secrets and shows control characters, line by line.

    Reporters write to `behind`, the stream itself, for the Dispatcher masks events. Imports nothing before
    the first line is written. A closed or broken stderr drops the text: that changes no exit code.
    """

    def __init__(self, behind: TextIO | None, environment: Mapping[str, str]) -> None:
        self.behind = behind
        self._environment = environment
        self._redactor: Redactor | None = None
        self._stream: TextIO | None = None
        self._rest = ""

    @property
    def redactor(self) -> Redactor:
        """The process's redactor; from the beginning, it masks the one secret with a fixed name."""
        if self._redactor is None:
            from argorun.redact.redactor import Redactor

            self._redactor = Redactor([self._environment.get("ARGOCD_AUTH_TOKEN", "")])
        return self._redactor

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._show(line)
        return len(text)

    def flush(self) -> None:
        """Write the rest that has no newline yet."""
        rest, self._rest = self._rest, ""
        if rest:
            self._show(rest)

    def isatty(self) -> bool:
        return self.behind is not None and not self.behind.closed and self.behind.isatty()

    def fileno(self) -> int:
        if self.behind is None:
            raise OSError("there is no stderr")
        return self.behind.fileno()

    def writable(self) -> bool:
        return True

    def _show(self, line: str) -> None:
        from argorun.redact.sanitize import clean

        with contextlib.suppress(Exception):  # stderr is closed, or the interpreter shuts down
            self._line_stream().raw(clean(self.redactor.text(line)) + "\n")

    def _line_stream(self) -> LineStream:
        """stderr, through the writer of the run that is shown there: lines do not mix, and none blocks."""
        from argorun.redact.sanitize import github_guard
        from argorun.reporters.background_writer import writer_in_use
        from argorun.reporters.streams import LineStream, usable

        if self._stream is None:
            self._stream = usable(self.behind)
        return LineStream(self._stream, writer_in_use(self._stream), guard=github_guard(self._environment))


@contextlib.contextmanager
def masked_stderr() -> Iterator[None]:
    """Install a MaskedStderr within the block, if there is none yet."""
    before: TextIO | MaskedStderr = sys.stderr
    if isinstance(before, MaskedStderr):
        yield
        return
    masked = install_stderr()
    try:
        yield
    finally:
        masked.flush()
        sys.stderr = before


def install_stderr() -> MaskedStderr:
    """Install a MaskedStderr for the rest of the process."""
    masked = MaskedStderr(sys.stderr, os.environ)
    sys.stderr = typing.cast("TextIO", masked)
    return masked


def redactor() -> Redactor:
    """The process's redactor, for events and for stderr; a new one if stderr is not masked."""
    from argorun.redact.redactor import Redactor

    stderr: object = sys.stderr
    return stderr.redactor if isinstance(stderr, MaskedStderr) else Redactor()


def unmasked(stream: TextIO) -> TextIO | None:
    """The stream that reporters write to: the Dispatcher has already masked their events."""
    return stream.behind if isinstance(stream, MaskedStderr) else stream
