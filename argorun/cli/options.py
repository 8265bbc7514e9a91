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


ConfigurationFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="Configuration file; by default ./argorun.yaml, if it exists.",
        show_default=False,
    ),
]
