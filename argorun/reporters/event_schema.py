"""Describes the events as they are written in JSON, as a JSON Schema."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from typing import Any

import msgspec

from argorun.events import SCHEMA
from argorun.kinds import HookStatus, NoticeKind, PlannedKind, Result, Step, Subject
from argorun.reporters.json_lines import KINDS

CHOICES = (Step, HookStatus, PlannedKind, NoticeKind, Result, Subject)
"""The enumerations in events."""

COMMON = {
    "time": "when it happened, in seconds since the epoch, by this machine's clock",
    "seconds": "how long it took",
    "run_id": "the run's",
    "exit_code": "argorun's, see docs/reference/exit-codes.md",
    "kind": "what it is about",
    "name": "its name",
    "namespace": "its namespace",
    "step": "which step",
    "job": "the Job, or the bare Pod",
    "pod": "the pod",
    "container": "the container",
    "attempt": "1 for the Job's first pod",
    "restart": "how often the container was started again in this pod",
}
"""What a field means that several events have, where no comment says more."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line: of each event its fields, types, choices and meanings.

    A newer argorun may write further events, fields and choices: readers leave out what they do not know.
    """
    _, parts = msgspec.json.schema_components(KINDS.values(), ref_template="#/$defs/{name}")
    for part in parts.values():
        part["description"] = described(part["description"])
    for name, kind in KINDS.items():
        part, about = parts[kind.__name__], COMMON | meanings(kind)
        fields = {field: part["properties"][field] for field in typing.get_type_hints(kind)}
        for field in fields.keys() & about.keys():
            fields[field] |= {"description": about[field]}
        part["properties"] = {"event": {"const": name}} | fields
        part["required"] = ["event", *part["required"]]
    for choices in CHOICES:
        parts[choices.__name__]["enum"] = [str(choice) for choice in choices]
    return {
        "$schema": DIALECT,
        "title": "A line of argorun's events",
        "description": f"Version {SCHEMA}. The first line of a file names its version in `schema`.",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in KINDS.values()],
        "$defs": dict(parts),
    }


def described(text: str | None) -> str:
    """A docstring for readers of JSON: `step_ended` in place of StepEnded."""
    written = {kind.__name__: name for name, kind in KINDS.items() if "_" in name}
    names = re.compile(rf"\b({'|'.join(written)})\b")
    return names.sub(lambda found: f"`{written[found[0]]}`", inspect.cleandoc(text or ""))


def meanings(kind: type) -> dict[str, str]:
    """What each field of a class, or each value of an enumeration, means: the comment behind it.

    Empty where argorun's source is not there.
    """
    try:
        lines, _ = inspect.getsourcelines(kind)
    except OSError:
        return {}
    (body,) = (n for n in ast.parse("".join(lines)).body if isinstance(n, ast.ClassDef))
    found = {}
    for node in body.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        for target in targets:
            _, sign, comment = lines[(node.end_lineno or 1) - 1].partition("  # ")
            if sign and isinstance(target, ast.Name):
                found[target.id] = comment.strip()
    return found
