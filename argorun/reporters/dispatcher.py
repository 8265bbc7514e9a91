"""Passes each event to every reporter, with secrets masked; no reporter can break the run."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterable

from argorun.events import Event, LeftBehind
from argorun.redact.redactor import MASK, Redactor
from argorun.reporters.reporter import Buffered, Drainable, Reporter, RequestedFile


class Dispatcher:
    """Call it with each event, from one thread: the event loop's.

    It masks secrets first. It closes and drops a reporter that raises, and keeps one sentence about the error
    in `failures`. A closed pipe is not a failure: `argorun run | head` may end early.
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
        self._untouched = list(untouched)  # these get the events as they are, secrets included
        self._reporters = [*reporters, *self._untouched]
        self._redactor = redactor or Redactor()
        self._redactor.mask(*secrets)

    def mask(self, *secrets: str) -> None:
        """Mask these secrets, too, from now on."""
        self._redactor.mask(*secrets)

    def redact(self, text: str) -> str:
        """The text with every secret in it masked."""
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
            why = f"{shown.why} (in the command, replace {MASK} with the secret)"
            return dataclasses.replace(shown, why=why)
        return shown

    def flush(self) -> None:
        """Show what reporters hold back. The run calls it about every 50 ms; it also turns the spinner."""
        for reporter in tuple(self._reporters):
            if isinstance(reporter, Buffered):
                self._try(reporter, reporter.flush)

    def collect_failures(self) -> None:
        """Add to `failures` what has failed so far, for the exit code; takes a few milliseconds at most."""
        for reporter in tuple(self._reporters):
            if isinstance(reporter, RequestedFile):
                self._try(reporter, reporter.raise_errors)

    def _try(self, reporter: Reporter, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._drop(reporter, error)

    def close(self, seconds: float | None = None) -> None:
        """Close every reporter; writing a file's last bytes may still fail here. May be called twice.

        Waits for slow readers, at most so many seconds for all of them (None: a file has its own limit, and a
        reader of stdout or stderr may take as long as it likes).
        """
        end = None if seconds is None else time.monotonic() + seconds
        while self._reporters:
            reporter = self._reporters[-1]
            try:
                reporter.close()
                if isinstance(reporter, Drainable):
                    reporter.drain(None if end is None else max(0.0, end - time.monotonic()))
            except Exception as error:
                self._add_failure(reporter, error)
            self._reporters.pop()

    @property
    def unwritten(self) -> bool:
        """Whether a requested file is not written, or not yet: it is not closed."""
        return bool(self.failures) or any(isinstance(r, RequestedFile) for r in self._reporters)

    def _drop(self, reporter: Reporter, error: Exception) -> None:
        self._reporters.remove(reporter)
        self._add_failure(reporter, error)
        # This restores a terminal and frees a file's descriptor; a second error says nothing new.
        with contextlib.suppress(Exception):
            reporter.close()

    def _add_failure(self, reporter: Reporter, error: Exception) -> None:
        if isinstance(error, BrokenPipeError):
            return
        if isinstance(error, OSError):
            failure = f"{reporter.name}: {error.strerror or error}"
        else:
            failure = f"{reporter.name}: {type(error).__name__}: {error} (a bug in argorun)"
        self.failures.append(self._redactor.text(failure))
