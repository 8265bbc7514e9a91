"""What the events promise to programs: tests/data/schema-1/events.json, which only grows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from argorun.events import SCHEMA
from argorun.reporters.event_schema import json_schema
from tests.unit.reporters.replay import DATA

FOLDER = DATA / f"schema-{SCHEMA}"
FROZEN = FOLDER / "events.json"
PROMISED = ("type", "const", "anyOf", "items", "additionalProperties", "$ref")  # of a field


def promises() -> dict[str, Any]:
    """What the present code promises: the fields of each event with their types, and the enumerations."""
    events: dict[str, Any] = {}
    enumerations: dict[str, Any] = {}
    for name, part in json_schema()["$defs"].items():
        if "enum" in part:
            enumerations[name] = part["enum"]
        else:
            fields = part["properties"]
            events[fields["event"]["const"]] = {n: _type(field) for n, field in fields.items()}
    return {"schema": SCHEMA, "events": events, "enumerations": enumerations}


def _type(field: Mapping[str, Any]) -> Any:
    """The type of a field without its default and its meaning."""
    if "enum" in field:  # a Literal
        return {"enum": field["enum"]}
    return {key: field[key] for key in PROMISED if key in field}


def frozen() -> dict[str, Any]:
    """What was promised before."""
    return dict(json.loads(FROZEN.read_text(encoding="utf-8")))


def lost(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What `now` no longer keeps of what was promised `before`, a sentence each."""
    for event, fields in before["events"].items():
        if event not in now["events"]:
            yield f"the event {event} is gone"
            continue
        for field, kind in fields.items():
            found = now["events"][event].get(field)
            if found is None:
                yield f"{event}: the field {field} is gone"
            elif found.keys() != kind.keys() or _without_choices(found) != _without_choices(kind):
                yield f"{event}: the field {field} was {json.dumps(kind)}, and is {json.dumps(found)}"
            else:
                gone = set(kind.get("enum", ())) - set(found.get("enum", ()))
                yield from (
                    f"{event}: the field {field} is never {value} any longer" for value in sorted(gone)
                )
    for name, values in before["enumerations"].items():
        gone = set(values) - set(now["enumerations"].get(name, ()))
        yield from (f"{name}: the value {value} is gone" for value in sorted(gone))


def _without_choices(kind: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kind.items() if key != "enum"}


def freeze() -> list[str]:
    """Promise what the present code adds; write nothing, and return it, where it takes something back."""
    now = promises()
    if FROZEN.exists() and (broken := list(lost(frozen(), now))):
        return broken
    FOLDER.mkdir(exist_ok=True)
    FROZEN.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    return []
