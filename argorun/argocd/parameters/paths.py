"""Reads and writes the values of a spec by their path. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from argorun.argocd.types import Json


def get(spec: Json, path: Iterable[str]) -> Any:
    """The value at a path; None where a part of the path is missing."""
    value: Any = spec
    for key in path:
        value = (value or {}).get(key)
    return value


def put_or_drop(parent: Json, key: str, value: Any) -> None:
    """Set a key, or drop it where the value is empty: Argo CD does so when it normalizes a spec."""
    if value:
        parent[key] = value
    else:
        parent.pop(key, None)
