"""`argorun run`: its options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from argorun.cli.help import CLEAN_UP, EXPERT, OUTPUT, WHAT
from argorun.cli.options import BootstrapServers, CaFile, ConfigurationFile, Output, Server

HELP = """Run the tests of an Application on a topic of their own.

argorun.yaml can hold everything; options override it. Credentials come from the environment:
ARGOCD_AUTH_TOKEN, and ${NAME} in argorun.yaml for Kafka's. ARGOCD_SERVER and KAFKA_BOOTSTRAP_SERVERS
override argorun.yaml, too; --server and --bootstrap-servers override both.

\b
Examples:
  argorun run                                  as ./argorun.yaml says
  argorun run --dry-run                        check everything, touch nothing
  argorun run weather --topic weather_updates --parameter kafka.topic
  argorun run --set-string image.tag=$GITHUB_SHA --timeout 10m
"""


class Logs(StrEnum):
    """Whose logs are shown."""

    TESTS = "tests"
    HOOKS = "hooks"
    ALL = "all"


ApplicationName = Annotated[
    str | None,
    typer.Argument(metavar="APPLICATION", help="The Application, or NAMESPACE/NAME.", show_default=False),
]
TopicPrefix = Annotated[
    str | None,
    typer.Option(
        metavar="PREFIX",
        help="The topic is PREFIX_<unix seconds>_<8 hex>.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
HelmParameter = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The Helm parameter that takes the topic's name.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
TestJobs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A test Job or Pod that must run and succeed; can be repeated.",
        show_default="every PostSync Job and Pod",
        rich_help_panel=WHAT,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Time limit for the whole run: 90, 90s, 15m, 1h30m.",
        show_default="15m",
        rich_help_panel=WHAT,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(
        metavar="SHA",
        help="Sync this commit instead of the tracked one.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set another Helm parameter for this run; Helm decides its type: 12 is a number.",
        rich_help_panel=WHAT,
    ),
]
SetStrings = Annotated[
    list[str] | None,
    typer.Option(
        "--set-string",
        metavar="NAME=VALUE",
        help="Like --set, but always a string, e.g. image.tag=$SHA.",
        rich_help_panel=WHAT,
    ),
]
ShownAs = Annotated[
    Output,
    typer.Option(
        help="auto: rich in a terminal, else plain. json: one event per line on stdout.",
        rich_help_panel=OUTPUT,
    ),
]
EventsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write every event to FILE, one JSON object per line.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
LogsShown = Annotated[
    Logs,
    typer.Option(
        help="Whose logs are shown: the tests', every hook's, or those of all Jobs and bare pods "
        "of the sync. A failed hook's always is.",
        rich_help_panel=OUTPUT,
    ),
]
LogDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Also write the logs to DIR/JOB/POD.CONTAINER.log, complete and not masked.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
KeepTopics = Annotated[
    bool,
    typer.Option("--keep-topics", help="Keep the topics, to inspect them.", rich_help_panel=CLEAN_UP),
]
NoSettle = Annotated[
    bool,
    typer.Option(
        "--no-settle",
        help="Leave the workloads on the run's topic after the run.",
        rich_help_panel=CLEAN_UP,
    ),
]
NoNudge = Annotated[
    bool,
    typer.Option(
        "--no-nudge",
        help="Do not refresh the Application when a hook has ended; the run takes longer.",
        rich_help_panel=EXPERT,
    ),
]
ForceOwned = Annotated[
    bool,
    typer.Option(
        "--force-owned",
        help="Run even if an ApplicationSet or another Application may undo the parameters.",
        rich_help_panel=EXPERT,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would be done; touch nothing.")
]


def run(
    application: ApplicationName = None,
    file: ConfigurationFile = None,
    topic: TopicPrefix = None,
    parameter: HelmParameter = None,
    job: TestJobs = None,
    server: Server = None,
    ca: CaFile = None,
    bootstrap_servers: BootstrapServers = None,
    timeout: Timeout = None,
    revision: Revision = None,
    sets: Sets = None,
    set_strings: SetStrings = None,
    output: ShownAs = Output.AUTO,
    events: EventsFile = None,
    logs: LogsShown = Logs.TESTS,
    log_dir: LogDir = None,
    keep_topics: KeepTopics = False,
    no_settle: NoSettle = False,
    no_nudge: NoNudge = False,
    force_owned: ForceOwned = False,
    dry_run: DryRun = False,
) -> None:
    """Hand the options to `app.run`, and exit with its code."""
    from argorun import app
    from argorun.config.model import Flags

    flags = Flags(
        application=application,
        file=file,
        topic=topic,
        parameter=parameter,
        jobs=tuple(job or ()),
        server=server,
        ca=ca,
        bootstrap_servers=bootstrap_servers,
        timeout=timeout,
        revision=revision,
        sets=tuple(sets or ()),
        set_strings=tuple(set_strings or ()),
        keep_topics=keep_topics,
        no_settle=no_settle,
        no_nudge=no_nudge,
        force_owned=force_owned,
        dry_run=dry_run,
        logs=logs.value,
    )
    raise typer.Exit(app.run(flags, app.Outputs(output.value, events, log_dir)))
