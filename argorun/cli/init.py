"""`argorun init`: its options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from argorun.cli.help import OUTPUT, WHAT, WHERE
from argorun.cli.options import BootstrapServers, CaFile, Server
from argorun.cli.run import ApplicationName

HELP = """Write an argorun.yaml for an Application of yours.

Asks Argo CD for your Applications, finds the parameter that takes the topic's name, the tests and Kafka, and
writes a commented argorun.yaml. Changes nothing in Argo CD or Kafka, and writes no secret. Without a terminal
it asks nothing: it takes what is unambiguous, and says what to give for the rest.

\b
Examples:
  argorun init                                 answer its questions
  argorun init weather --yes                   take what is unambiguous
  argorun init weather --bootstrap-servers kafka.example.com:9092
"""

TopicPrefixes = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        metavar="PREFIX",
        help="The topic's prefix; one for each parameter.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME",
        help="What takes a topic's name: a Helm parameter, or CONFIGMAP/KEY.",
        show_default=False,
        rich_help_panel=WHAT,
    ),
]
Jobs = Annotated[
    list[str] | None,
    typer.Option(
        "--job", metavar="NAME", help="A test Job or Pod.", show_default=False, rich_help_panel=WHAT
    ),
]
Properties = Annotated[
    list[str] | None,
    typer.Option(
        "--kafka",
        metavar="PROPERTY=VALUE",
        help="A property of librdkafka; a secret as '${NAME}'.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
Target = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="The file to write.",
        show_default="argorun.yaml",
        rich_help_panel=OUTPUT,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Overwrite the file if it exists.", rich_help_panel=OUTPUT)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, even in a terminal.")]


def init(
    application: ApplicationName = None,
    topic: TopicPrefixes = None,
    parameter: Parameters = None,
    job: Jobs = None,
    server: Server = None,
    ca: CaFile = None,
    bootstrap_servers: BootstrapServers = None,
    kafka: Properties = None,
    file: Target = None,
    force: Force = False,
    yes: Yes = False,
) -> None:
    """Hand the options to `app.init`, and exit with its code."""
    from argorun import app
    from argorun.cli.prompts import prompts
    from argorun.init.wishes import InitFlags

    flags = InitFlags(
        application=application,
        file=file,
        topics=tuple(topic or ()),
        parameters=tuple(parameter or ()),
        jobs=tuple(job or ()),
        server=server,
        ca=ca,
        bootstrap_servers=bootstrap_servers,
        kafka=tuple(kafka or ()),
        force=force,
    )
    raise typer.Exit(app.init(flags, prompts(os.environ, yes=yes)))
