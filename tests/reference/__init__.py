"""The pages of docs/reference, which follow from the code: `make reference` writes them.

They are made among the tests, like the recordings of tests/record_events.py: what makes them reads every
layer, and is no part of what is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

from argorun.config.schema import json_schema as configuration_schema
from argorun.reporters.event_schema import json_schema as events_schema
from tests.reference import command_line, configuration, events, exit_codes

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def files() -> dict[str, str]:
    """The text of each file in docs/reference, by its name."""
    return {
        "cli.md": command_line.page(),
        "configuration.md": configuration.page(),
        "exit-codes.md": exit_codes.page(),
        "events.md": events.page(),
        "argorun.schema.json": _json(configuration_schema()),
        "events.schema.json": _json(events_schema()),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
