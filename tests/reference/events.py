"""docs/reference/events.md: each event with its fields and a line that was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from argorun.events import SCHEMA
from argorun.reporters.event_schema import CHOICES, described, json_schema, meanings
from argorun.reporters.json_lines import KINDS
from tests.reference.configuration import type_of
from tests.reference.markdown import block, sentence, table
from tests.reference.markdown import page as whole
from tests.unit.reporters.replay import DATA

LONGEST = 700  # characters of an example
INTRO = f"""\
`--output json` writes a run or a sweep to stdout as events, and `--events FILE` writes them to a file, beside
any other output: one JSON object a line (JSON Lines), each as soon as it happens.

```text
argorun run --output json | jq -r 'select(.event == "log_line") | .text'
jq -r 'select(.event == "left_behind") | .command' events.jsonl
```

- A line begins with `event`, which says what it is, and `time`, in seconds since the epoch. Each line has all
  fields of its event, in the order of this page.
- Times and durations are in seconds, rounded to milliseconds.
- `detail`, `error`, `evidence`, `hint`, `log_of`, `place`, `reason`, `text`, `title`, `what` and `why` are
  words for people, which may change with any version; only the `reason` of `cannot_start` is Kubernetes' own.
  Programs compare `kind`, `names`, `result` and the other fields.
- An event holds no secret: `***` stands in its place.
- A command that ends before it begins, for a mistake in its flags or its settings, writes no line: stderr
  says why. stdout has nothing but events.

## Versions

The first line, `run_started` or `sweep_started`, has the version of all lines in `schema`: {SCHEMA}. Within
one version argorun only adds events, fields and values; none goes, or changes its type or its meaning. So a
program that reads events

- leaves out events, and ignores fields, that it does not know,
- takes a `kind` or a `result` that it does not know for `other`, and leaves out an event with another value
  that it does not know: a `step`, a `status`, a `level`, a `service`,
- stops where `schema` is greater than the one that it was written for.

[`argorun schema --events`](cli.md#argorun-schema) prints the JSON Schema of a line;
[events.schema.json](events.schema.json) is that of this page."""


def page() -> str:
    """The page."""
    parts = json_schema()["$defs"]
    rows = [[f"[`{n}`](#{n})", _summary(parts[k.__name__])] for n, k in KINDS.items()]
    return whole("Events", INTRO, "## All events", table(["event", "meaning"], rows), *_events(), *_choices())


def _events() -> Iterator[str]:
    parts, examples = json_schema()["$defs"], recorded()
    for name, kind in KINDS.items():
        part = parts[kind.__name__]
        fields = {n: f for n, f in part["properties"].items() if n not in ("event", "time")}
        rows = [[f"`{n}`", type_of(f), sentence(f.get("description", ""))] for n, f in fields.items()]
        yield f"## {name}"
        yield part["description"]
        yield table(["field", "type", "meaning"], rows)
        yield block(examples[name], "json")


def _choices() -> Iterator[str]:
    yield "## Enumerations"
    for choices in CHOICES:
        about = meanings(choices)
        yield f"### {choices.__name__}"
        yield described(choices.__doc__)
        rows = [[f"`{choice}`", sentence(about.get(choice.name, ""))] for choice in choices]
        yield table(["value", "meaning"], rows)


def _summary(part: Mapping[str, Any]) -> str:
    return str(part["description"]).split("\n\n")[0]


def recorded() -> dict[str, str]:
    """A recorded line of each event: the longest that still reads well."""
    found: dict[str, str] = {}
    for file in sorted(DATA.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            name = json.loads(line)["event"]
            if len(found.get(name, "")) < len(line) < LONGEST:
                found[name] = line
    return found
