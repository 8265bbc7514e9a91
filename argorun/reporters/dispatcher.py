"""Hands each event to every reporter; no reporter can break the run."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from argorun.events import Event, LeftBehind
from argorun.redact.redactor import MASK, Redactor


class Reporter(Protocol):
    """Shows a run to somebody, or writes it down.

    None of them blocks: files and pipes are written in the background (see outlet). May also have `flush()`:
    show now what is held back; `settle()`: raise what has gone wrong so far; and `drain(seconds)`: wait for a
    reader that is slow.
    """

    def report(self, event: Event) -> None: ...

    def close(self) -> None: ...


class Dispatcher:
    """The fan-out: `announce(event)`. Use it from one thread, the event loop's.

    Secrets are masked first. A reporter that raises is closed and gets nothing more; what happened is kept in
    `failures`, one sentence each. Only a closed pipe is not a failure: `argorun run | head` is no verdict.
    """

    def __init__(
        self,
        reporters: Iterable[Reporter],
        secrets: Collection[str] = (),
        *,
        redactor: Redactor | None = None,
        untouched: Iterable[Reporter] = (),
    ) -> None:
        self.failures: list[str] = []
        self._untouched = list(untouched)  # who gets the events as they are, secrets included
        self._reporters = [*reporters, *self._untouched]
        self._redactor = redactor or Redactor()
        self._redactor.mask(*secrets)

    def mask(self, *secrets: str) -> None:
        """From now on these are secrets, too."""
        self._redactor.mask(*secrets)

    def redact(self, text: str) -> str:
        """The text, with every secret in it masked."""
        return self._redactor.text(text)

    def __call__(self, event: Event) -> None:
        masked = self._redacted(event)
        for reporter in tuple(self._reporters):
            try:
                reporter.report(event if reporter in self._untouched else masked)
            except Exception as error:
                self._drop(reporter, error)

    def _redacted(self, event: Event) -> Event:
        shown = self._redactor.event(event)
        if isinstance(event, LeftBehind) and isinstance(shown, LeftBehind) and shown.command != event.command:
            why = f"{shown.why} (in the command, put the secret where {MASK} stands)"
            return dataclasses.replace(shown, why=why)
        return shown

    def flush(self) -> None:
        """Shows what reporters hold back. The core calls it about every 50 ms; it also turns the spinner."""
        self._each("flush")

    def settle(self) -> None:
        """Fills `failures` with what is known by now, for the exit code; takes a few milliseconds at most."""
        self._each("settle")

    def _each(self, name: str) -> None:
        for reporter in tuple(self._reporters):
            act: Callable[[], None] | None = getattr(reporter, name, None)
            if act is None:
                continue
            try:
                act()
            except Exception as error:
                self._drop(reporter, error)

    def close(self, patience: float | None = None) -> None:
        """Ends every reporter; a file's last bytes may fail to be written only now. May be called twice.

        Whoever reads slowly is waited for, so many seconds at most for all of them (None: a file has its own
        limit, and the reader of stdout or stderr as long as it takes).
        """
        end = None if patience is None else time.monotonic() + patience
        while self._reporters:
            reporter = self._reporters[-1]
            drain: Callable[[float | None], None] | None = getattr(reporter, "drain", None)
            try:
                reporter.close()
                if drain is not None:
                    drain(None if end is None else max(0.0, end - time.monotonic()))
            except Exception as error:
                self._remember(reporter, error)
            self._reporters.pop()

    @property
    def unwritten(self) -> bool:
        """Whether something that was asked for is not written, or not yet: a file that is not closed."""
        return bool(self.failures) or any(hasattr(reporter, "settle") for reporter in self._reporters)

    def _drop(self, reporter: Reporter, error: Exception) -> None:
        self._reporters.remove(reporter)
        self._remember(reporter, error)
        # A terminal is given back, a file's descriptor freed; that it fails again is no news.
        with contextlib.suppress(Exception):
            reporter.close()

    def _remember(self, reporter: Reporter, error: Exception) -> None:
        if isinstance(error, BrokenPipeError):
            return
        name = getattr(reporter, "name", type(reporter).__name__)
        if isinstance(error, OSError):
            failure = f"{name}: {error.strerror or error}"
        else:
            failure = f"{name}: {type(error).__name__}: {error} (a bug in argorun)"
        self.failures.append(self._redactor.text(failure))
