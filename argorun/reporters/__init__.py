"""How a run is shown or written down: reporters take events, and never change a verdict."""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TextIO

from argorun.redact.sanitize import github_guard
from argorun.reporters.background_writer import missing_lines, outlets_of
from argorun.reporters.dispatcher import Announcer, Reporter
from argorun.reporters.json_lines import EventsFile, JsonLines, JsonOutlet, missing
from argorun.reporters.log_files import LogFiles
from argorun.reporters.plain import Plain
from argorun.reporters.stderr import Veil
from argorun.reporters.streams import Sink, is_terminal

__all__ = ["Announcer", "LogFiles", "Output", "Reporter", "open_reporters", "usable"]

Output = Literal["auto", "rich", "plain", "json"]


def open_reporters(
    output: Output,
    events_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> list[Reporter]:
    """The reporters that were asked for. `auto` is rich where a person watches stderr, else plain.

    Raises UsageError where the events file cannot be opened; nothing has been written by then.
    """
    environ = os.environ if environ is None else environ
    # Streams that are closed are replaced first: else the events file would get descriptor 1 or 2.
    out = usable(sys.stdout if stdout is None else stdout)
    err = usable(sys.stderr if stderr is None else stderr)
    files: list[Reporter] = [EventsFile(events_file)] if events_file else []
    # Whatever shows the run comes first: a slow disk does not hold it up.
    return [_main(_choose(output, environ, err), environ, out, err), *files]


def _choose(output: Output, environ: Mapping[str, str], stderr: TextIO) -> Output:
    if output != "auto":
        return output
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    return "rich" if is_terminal(stderr) and environ.get("TERM") != "dumb" and not in_ci else "plain"


def _main(output: Output, environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> Reporter:
    no_color, dumb = bool(environ.get("NO_COLOR")), environ.get("TERM") == "dumb"
    guard = github_guard(environ)
    out, err = outlets_of(stdout, stderr, mark=missing if output == "json" else missing_lines)
    if output == "json":
        return JsonOutlet(out) if out else JsonLines(stdout.buffer)
    if output == "rich":
        from argorun.reporters.terminal import open_terminal  # rich takes its time to import

        sinks = Sink(stdout, out, guard=guard), Sink(stderr, err, guard=guard)
        return open_terminal(stdout, stderr, sinks, no_color=no_color, dumb=dumb)
    colour = is_terminal(stdout) and not no_color and not dumb
    return Plain(Sink(stdout, out, guard=guard), Sink(stderr, err, guard=guard), colour=colour)


def usable(stream: TextIO | Veil | None) -> TextIO:
    """The stream, made to take any character; nowhere, where there is none (`argorun >&-`)."""
    if isinstance(stream, Veil):  # events have been at a border of their own
        stream = stream.behind
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
