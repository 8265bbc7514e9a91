"""stderr for whatever is not an event, an error before the run or a traceback: no secret, safe to show."""

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
    from argorun.reporters.streams import Sink


class MaskedStderr(io.TextIOBase):
    """Takes the place of `sys.stderr`; line by line, secrets are masked and control characters made visible.

    Events do not pass here but their own border, the Dispatcher: reporters write to what is `behind`. Nothing
    is loaded before something is written. A stderr that is closed or broken swallows it: that is no verdict.
    """

    def __init__(self, behind: TextIO | None, environment: Mapping[str, str]) -> None:
        self.behind = behind
        self._environment = environment
        self._redactor: Redactor | None = None
        self._stream: TextIO | None = None
        self._rest = ""

    @property
    def redactor(self) -> Redactor:
        """What knows the secrets, from the beginning the one that has a name of its own."""
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
        """Shows what has no end of line yet."""
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

        with contextlib.suppress(Exception):  # stderr is gone, or the interpreter is about to: tell nobody
            self._sink().raw(clean(self.redactor.text(line)) + "\n")

    def _sink(self) -> Sink:
        """While a run is shown on stderr, what writes that: no line gets into another, and none blocks."""
        from argorun.redact.sanitize import github_guard
        from argorun.reporters.background_writer import in_use
        from argorun.reporters.streams import Sink, usable

        if self._stream is None:
            self._stream = usable(self.behind)
        return Sink(self._stream, in_use(self._stream), guard=github_guard(self._environment))


@contextlib.contextmanager
def masked_stderr() -> Iterator[None]:
    """Puts the veil before the process's stderr for a while, where there is none yet."""
    before: TextIO | MaskedStderr = sys.stderr
    if isinstance(before, MaskedStderr):
        yield
        return
    veil = install_stderr()
    try:
        yield
    finally:
        veil.flush()
        sys.stderr = before


def install_stderr() -> MaskedStderr:
    """Puts it there for good."""
    veil = MaskedStderr(sys.stderr, os.environ)
    sys.stderr = typing.cast("TextIO", veil)
    return veil


def redactor() -> Redactor:
    """The process's one: what it learns is hidden in events and on stderr alike."""
    from argorun.redact.redactor import Redactor

    stderr: object = sys.stderr
    return stderr.redactor if isinstance(stderr, MaskedStderr) else Redactor()


def unmasked(stream: TextIO) -> TextIO | None:
    """The stream that a reporter writes to: its events are masked before, by the Dispatcher."""
    return stream.behind if isinstance(stream, MaskedStderr) else stream
