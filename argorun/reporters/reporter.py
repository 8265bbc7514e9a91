"""The protocols that a reporter implements; the Dispatcher is their only caller."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from argorun.events import Event


class Reporter(Protocol):
    """Shows a run to a person, or writes it down.

    No method may block: files and pipes are written in the background (see BackgroundWriter). An exception
    drops the reporter and never changes the run; the message names it by `name`. A reporter that needs more
    than these two methods also derives from the protocols below.
    """

    name: str

    def report(self, event: Event) -> None:
        """Show this event. Match on its class and end with `assert_never`: mypy then finds a missing one."""
        ...

    def close(self) -> None:
        """Show what is still held back, and free what was opened."""
        ...


@runtime_checkable
class Buffered(Protocol):
    """A reporter that holds lines back for a moment, or draws frames."""

    def flush(self) -> None:
        """Show what is held back; called about every 50 ms."""
        ...


@runtime_checkable
class Drainable(Protocol):
    """A reporter whose reader may be slow."""

    def drain(self, seconds: float | None) -> None:
        """After close(): wait until all is written, at most so many seconds (None: the reporter's own limit).

        Raises OSError if something is lost.
        """
        ...


@runtime_checkable
class RequestedFile(Protocol):
    """A reporter that writes a file for the user; if that fails, the run has not passed."""

    def raise_errors(self) -> None:
        """Raise the error of what was written so far; waits a few milliseconds for what is being written."""
        ...
