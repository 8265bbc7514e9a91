"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from argorun.cli.help import WHERE


class Output(StrEnum):
    """How the run is shown."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


Server = Annotated[
    str | None,
    typer.Option(
        metavar="HOST",
        help="Argo CD's address, HOST or HOST:PORT. [env: ARGOCD_SERVER]",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
CaFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The CA that signed the certificate of Argo CD, as PEM.",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
BootstrapServers = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Kafka's brokers: HOST:PORT, with commas. [env: KAFKA_BOOTSTRAP_SERVERS]",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
ConfigurationFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Configuration file.",
        show_default="./argorun.yaml, if it exists",
        rich_help_panel=WHERE,
    ),
]
