"""Opens the reporters for `--output` and `--events`; a new output is one line in OPENERS."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from argorun.reporters.json_lines import EventsFile, open_json
from argorun.reporters.plain import open_plain
from argorun.reporters.reporter import Reporter
from argorun.reporters.stderr import unmasked
from argorun.reporters.streams import StandardStreams, is_terminal, usable


def open_rich(streams: StandardStreams) -> Reporter:
    """The rich output; imports rich, which takes its time, only now."""
    from argorun.reporters.terminal import open_terminal

    return open_terminal(streams)


OPENERS: Mapping[str, Callable[[StandardStreams], Reporter]] = {
    "json": open_json,
    "plain": open_plain,
    "rich": open_rich,
}
"""The outputs by name; `Output` in argorun/cli/options.py offers the same names."""


def open_reporters(
    output: str,
    events_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> list[Reporter]:
    """The reporters for an output of OPENERS and an events file.

    `auto` is rich if stderr is a person's terminal, else plain. Raises UsageError if the events file cannot
    be opened; nothing has been written by then.
    """
    environ = os.environ if environ is None else environ
    # Closed streams are replaced first: else the events file would get descriptor 1 or 2.
    out = usable(sys.stdout if stdout is None else stdout)
    err = usable(unmasked(sys.stderr) if stderr is None else stderr)
    streams = StandardStreams(out, err, environ)
    files: list[Reporter] = [EventsFile(events_file)] if events_file else []
    # The output comes first: a slow disk must not delay it.
    return [OPENERS[choose(output, streams)](streams), *files]


def choose(output: str, streams: StandardStreams) -> str:
    """The output that `auto` stands for here."""
    if output != "auto":
        return output
    in_ci = streams.environment.get("CI", "").lower() not in ("", "0", "false")
    return "rich" if is_terminal(streams.stderr) and not streams.is_dumb and not in_ci else "plain"
