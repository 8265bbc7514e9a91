"""The JSON patch from an Application as read to a wanted spec and record. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from argorun.argocd import normal_form
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.paths import get
from argorun.argocd.parameters.record import RECORD, Record
from argorun.argocd.types import Application, Json


def changes(app: Application, spec: Json, record: Record | None) -> list[Json]:
    """The JSON patch from the Application as read to this spec and record, with a `test` on all it touches.

    A `test` against null holds where the path is missing; `add` needs its parent (both seen;
    docs/argocd-facts.md#tests-in-a-json-patch).
    """
    operations: list[Json] = []
    touched: tuple[tuple[str, ...], ...] = (
        *dict.fromkeys(kind.PATH for kind in KINDS.values()),
        ("syncPolicy", "automated"),
    )
    before, goal = normal_form.normalize(app.spec), normal_form.normalize(spec)
    for path in touched:
        if get(before, path) == get(goal, path):
            continue
        if not (get(before, path[:-1]) and get(goal, path[:-1])):
            path = path[:-1]
        operations += change("/spec/" + "/".join(path), get(app.spec, path), get(goal, path))
    annotations = app.metadata.annotations
    old_text = (annotations or {}).get(RECORD)
    new_text = None if record is None else msgspec.json.encode(record).decode()
    pointer = "/metadata/annotations/" + RECORD.replace("/", "~1")
    if old_text != new_text:
        if not annotations:
            operations = change("/metadata/annotations", annotations, {RECORD: new_text}) + operations
        else:
            operations = change(pointer, old_text, new_text) + operations
    return operations


def change(pointer: str, old: Any, new: Any) -> list[Json]:
    """The operations that change one value; None means that it is missing."""
    test: Json = {"op": "test", "path": pointer, "value": old}
    if new is None:
        return [test, {"op": "remove", "path": pointer}]
    return [test, {"op": "add" if old is None else "replace", "path": pointer, "value": new}]
