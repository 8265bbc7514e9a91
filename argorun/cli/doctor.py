"""`argorun doctor`: its options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from argorun.cli.help import OUTPUT
from argorun.cli.options import BootstrapServers, CaFile, ConfigurationFile, Server
from argorun.cli.run import ApplicationName, HelmParameter, Revision, TestJobs, TopicPrefix

HELP = """Check everything that a run needs, and say what is missing.

Makes every check that a run makes before it begins, and some more, and goes on where one fails. It prints the
lines of Argo CD's policy and the Kafka ACL commands that are missing, ready to paste, and changes nothing.
Without an argorun.yaml it checks what there is.

\b
Examples:
  argorun doctor                          for ./argorun.yaml
  argorun doctor weather                  for another Application
  argorun doctor --output json | jq .ok
"""


class DoctorOutput(StrEnum):
    """How the checklist is shown."""

    AUTO = "auto"
    JSON = "json"


ShownAs = Annotated[
    DoctorOutput,
    typer.Option(help="auto: a checklist. json: one JSON document on stdout.", rich_help_panel=OUTPUT),
]


def doctor(
    application: ApplicationName = None,
    file: ConfigurationFile = None,
    topic: TopicPrefix = None,
    parameter: HelmParameter = None,
    job: TestJobs = None,
    server: Server = None,
    ca: CaFile = None,
    bootstrap_servers: BootstrapServers = None,
    revision: Revision = None,
    output: ShownAs = DoctorOutput.AUTO,
) -> None:
    """Hand the options to `app.doctor`, and exit with its code."""
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
        revision=revision,
    )
    raise typer.Exit(app.doctor(flags, as_json=output is DoctorOutput.JSON))
