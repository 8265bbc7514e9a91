"""`argorun sweep`: its options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from argorun.cli.help import OUTPUT, SWEPT
from argorun.cli.options import BootstrapServers, CaFile, ConfigurationFile, Server

HELP = """Delete the topics that killed runs left, and restore the Applications.

Only topics whose name is exactly PREFIX_<unix seconds>_<8 hex> are touched; the time in the name gives their
age. If Argo CD's address and token are known, Applications that such a run left with its topic are put
back first: its operation ended, parameters and auto-sync as they were. The names go to stdout, the rest
to stderr.

\b
Examples:
  argorun sweep --dry-run    list what is left, touch nothing
  argorun sweep --topic weather_updates --older-than 1h
"""


class SweepOutput(StrEnum):
    """How a sweep is shown."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


Topics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PREFIX",
        help="Sweep PREFIX_<unix seconds>_<8 hex> instead of the file's; can be repeated.",
        rich_help_panel=SWEPT,
    ),
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Keep what is younger; 0s keeps nothing.",
        show_default="6h, or as long as a run of this file may take",
        rich_help_panel=SWEPT,
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="Trust this machine's clock for ages under an hour, if no Argo CD is known."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be deleted and put back; touch nothing.")
]
ShownAs = Annotated[
    SweepOutput,
    typer.Option(help="auto: plain. json: one event per line on stdout.", rich_help_panel=OUTPUT),
]


def sweep(
    file: ConfigurationFile = None,
    topic: Topics = None,
    older_than: OlderThan = None,
    server: Server = None,
    ca: CaFile = None,
    bootstrap_servers: BootstrapServers = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    output: ShownAs = SweepOutput.AUTO,
) -> None:
    """Hand the options to `app.sweep`, and exit with its code."""
    from argorun import app
    from argorun.config.sweep import SweepFlags

    flags = SweepFlags(
        file=file,
        topics=tuple(topic or ()),
        older_than=older_than,
        server=server,
        ca=ca,
        bootstrap_servers=bootstrap_servers,
        yes=yes,
        dry_run=dry_run,
    )
    raise typer.Exit(app.sweep(flags, app.Outputs(output.value)))
