"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    """How the run is shown."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


Server = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="Argo CD's address, HOST or HOST:PORT.", show_default=False),
]
CaFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="The CA that signed the certificate of Argo CD, as PEM.", show_default=False
    ),
]
BootstrapServers = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="Kafka's brokers: HOST:PORT, with commas.", show_default=False),
]
ConfigurationFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Configuration file; by default ./argorun.yaml, if it exists.",
        show_default=False,
    ),
]
