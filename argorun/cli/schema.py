"""`argorun schema`: its option."""

from __future__ import annotations

import json
from typing import Annotated

import typer

HELP = """Print the JSON Schema of argorun.yaml.

Editors check and complete argorun.yaml by it, where its first line names a schema:

\b
  # yaml-language-server: $schema=argorun.schema.json

With --events, it is that of a line of --output json and of --events FILE: one JSON object for each event.

\b
Examples:
  argorun schema > argorun.schema.json
  argorun schema --events
"""

Events = Annotated[bool, typer.Option("--events", help="Print the JSON Schema of the events instead.")]


def schema(events: Events = False) -> None:
    """Print a schema to stdout; no configuration is read."""
    if events:
        from argorun.reporters.event_schema import json_schema
    else:
        from argorun.config.schema import json_schema
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
