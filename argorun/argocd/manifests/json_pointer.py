"""Places in an object, by JSON pointer (RFC 6901). Pure."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from argorun.argocd.types import Json


def steps(pointer: str) -> list[str]:
    """The steps of a JSON pointer, unescaped."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def removed(thing: Json, paths: Sequence[Sequence[str | int]]) -> Json:
    """A copy of the object without these places; the last first, as later elements of a list move up."""
    thing = copy.deepcopy(thing)
    for path in sorted(paths, key=lambda p: [(isinstance(s, int), s) for s in p], reverse=True):
        if not path:
            continue
        parent = at(thing, path[:-1])
        last = path[-1]
        if isinstance(parent, dict) and isinstance(last, str):
            parent.pop(last, None)
        elif isinstance(parent, list) and str(last).isdecimal() and int(last) < len(parent):
            del parent[int(last)]
    return thing


def at(thing: Any, path: Sequence[str | int]) -> Any:
    """The value at a place; None if there is no such place."""
    for step in path:
        if isinstance(thing, dict):
            thing = thing.get(step)
        elif isinstance(thing, list) and str(step).isdecimal() and int(step) < len(thing):
            thing = thing[int(step)]
        else:
            return None
    return thing
