"""A JSON patch as Argo CD's Go library applies it (evanphx/json-patch): for the fakes, and to check ours."""

from __future__ import annotations

import copy
from typing import Any

from argorun.argocd.normal_form import go_json

Json = dict[str, Any]


class PatchFailed(Exception):
    """A `test` that does not hold, or a path that is not there."""


def applied(document: Json, operations: list[Json]) -> Json:
    """The document after all operations, or none of them."""
    document = copy.deepcopy(document)
    for operation in operations:
        *parents, key = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        target = document
        for part in parents:
            if not isinstance(target, dict) or part not in target:
                raise PatchFailed(f"{operation['op']}: missing path {operation['path']}")
            target = target[part]
        match operation["op"]:
            case "test":
                # The library's own: null holds where there is nothing; else texts are compared, Go's own.
                if go_json(target.get(key)) != go_json(operation["value"]):
                    raise PatchFailed(f"testing value {operation['path']} failed: test failed")
            case "add":
                target[key] = copy.deepcopy(operation["value"])
            case "replace" if key in target:
                target[key] = copy.deepcopy(operation["value"])
            case "remove" if key in target:
                del target[key]
            case _:
                raise PatchFailed(f"{operation['op']}: missing value {operation['path']}")
    return document
