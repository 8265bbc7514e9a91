"""Kustomize's field paths: `spec.containers.[name=app].env.0.value`, with `\\.` for a dot in a name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_PART = re.compile(r"\[([^\]=]+)=([^\]]*)\]")


def split(path: str) -> list[str]:
    """The parts of a path; a part in brackets may hold dots."""
    parts = re.findall(r"(?:\[[^\]]*\]|\\.|[^.\\\[])+", path)
    return [part.replace("\\.", ".") for part in parts]


def find(node: Any, path: str) -> Any:
    """The value at a path to one place. Raises KeyError if there is none."""
    for part in split(path):
        if match := _PART.fullmatch(part):
            node = next(item for item in _items(node) if str(item.get(match[1])) == match[2])
        elif isinstance(node, list):
            node = node[int(part)]
        else:
            node = node[part]
    return node


def places(node: Any, path: str, *, create: bool = False) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every place that a path means; with `create` missing parents are made."""
    yield from _walk(node, split(path), create)


def _walk(node: Any, parts: list[str], create: bool) -> Iterator[tuple[Any, Any]]:
    part, rest = parts[0], parts[1:]
    for key in _keys(node, part, create):
        if not rest:
            yield node, key
            continue
        if isinstance(node, dict) and node.get(key) is None:
            if not create:
                continue
            node[key] = [] if rest[0] == "-" or _PART.fullmatch(rest[0]) else {}
        yield from _walk(node[key], rest, create)


def _keys(node: Any, part: str, create: bool) -> list[Any]:
    if part == "*" and isinstance(node, list):
        return list(range(len(node)))
    if match := _PART.fullmatch(part):
        found = [i for i, item in enumerate(_items(node)) if str(item.get(match[1])) == match[2]]
        if not found and create and isinstance(node, list):
            node.append({match[1]: match[2]})
            found = [len(node) - 1]
        return found
    if isinstance(node, list):
        return [int(part)] if part.isdigit() and int(part) < len(node) else []
    if isinstance(node, dict):
        return [part] if create or part in node else []
    return []


def _items(node: Any) -> list[dict[str, Any]]:
    return [item if isinstance(item, dict) else {} for item in node] if isinstance(node, list) else []
