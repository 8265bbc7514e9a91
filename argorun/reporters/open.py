"""Opens the reporters that were asked for: one line here for each `--output`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TextIO

from argorun.redact.sanitize import github_guard
from argorun.reporters.background_writer import missing_lines, outlets_of
from argorun.reporters.dispatcher import Reporter
from argorun.reporters.json_lines import EventsFile, JsonLines, JsonOutlet, missing
from argorun.reporters.plain import Plain
from argorun.reporters.stderr import unmasked
from argorun.reporters.streams import Sink, is_terminal, usable

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
    err = usable(unmasked(sys.stderr) if stderr is None else stderr)
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
