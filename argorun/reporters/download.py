"""Shows how a download or a start goes: live in a terminal, else by lines."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from argorun.humanize import duration
from argorun.reporters.stderr import unmasked
from argorun.reporters.streams import StandardStreams, is_terminal, usable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

EVERY = 3.0  # seconds between two lines, where there is no terminal
MB = 1_000_000


@contextlib.contextmanager
def shown(
    what: str,
    total: int,
    *,
    environ: Mapping[str, str] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[int], None]]:
    """Show a download of `total` bytes; the block calls what it gets with each number of bytes that came."""
    environ = os.environ if environ is None else environ
    stream, alive = _terminal(environ)
    began = now()
    print(f"Fetching {what}: {megabytes(total)}, only this once.", file=sys.stderr, flush=True)
    if alive:
        with _bar(stream, total, environ) as arrived:
            yield arrived
    else:
        yield _lines(total, now)
    print(f"Fetched {megabytes(total)} in {duration(now() - began)}.", file=sys.stderr, flush=True)


@contextlib.contextmanager
def starting(what: str, *, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Show in a terminal that the block is at work, and for how long; nothing of it stays."""
    environ = os.environ if environ is None else environ
    stream, alive = _terminal(environ)
    if not alive:
        yield
        return
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    with _live(
        stream, environ, SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    ) as rows:
        rows.add_task(f"{what} starts", total=None)
        yield


def megabytes(size: int) -> str:
    """`42 MB`, `0.3 MB`."""
    return f"{size / MB:.0f} MB" if size >= MB else f"{size / MB:.1f} MB"


def _terminal(environ: Mapping[str, str]) -> tuple[TextIO, bool]:
    """Where it is shown, and whether a line there can be drawn again."""
    stream = usable(unmasked(sys.stderr))
    return stream, is_terminal(stream) and environ.get("TERM") != "dumb"


def _live(stream: TextIO, environ: Mapping[str, str], *columns: ProgressColumn) -> Progress:
    import rich.console
    from rich.progress import Progress

    class Console(rich.console.Console):
        """Leaves the cursor as it is: who is killed or suspended could not show it again."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    console = Console(file=stream, no_color=StandardStreams(stream, stream, environ).no_color)
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)


@contextlib.contextmanager
def _bar(stream: TextIO, total: int, environ: Mapping[str, str]) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with _live(stream, environ, *columns) as bar:
        task = bar.add_task("", total=total)
        yield lambda size: bar.advance(task, size)


def _lines(total: int, now: Callable[[], float]) -> Callable[[int], None]:
    came, said = 0, now()

    def arrived(size: int) -> None:
        nonlocal came, said
        came += size
        if now() - said >= EVERY:
            said = now()
            print(
                f"  {came / MB:.0f} of {megabytes(total)} ({came / total:.0%})", file=sys.stderr, flush=True
            )

    return arrived
