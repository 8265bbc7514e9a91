"""Describes argorun.yaml as a JSON Schema: each key's type, meaning, default and example."""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec

from argorun.config.file import File
from argorun.config.keys import KEYS, SCHEMA_URL
from argorun.config.model import Parameter, Strict

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
"""The types of YAML's single values, as JSON Schema calls them."""
A_VALUE = str | int | float | bool
"""Of a property or a header, whichever type YAML takes it for."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of argorun.yaml, for editors and for programs that write it."""
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_URL,
        "title": "argorun.yaml",
        "description": "The settings of argorun. Options and the environment win over this file.",
    } | _object(File, "")


def _object(kind: type, path: str) -> dict[str, Any]:
    """A part of argorun.yaml: every key of it, and no other."""
    hints = typing.get_type_hints(kind)
    required = [f.name for f in msgspec.structs.fields(kind) if f.required]
    made: dict[str, Any] = {"type": "object"}
    if kind is Parameter:  # one of its kinds, and None stands for the others
        hints = {name: typing.get_args(hint)[0] for name, hint in hints.items()}
        made |= {"minProperties": 1, "maxProperties": 1}
    keys = {name: _key(hint, f"{path}.{name}".lstrip(".")) for name, hint in hints.items()}
    if kind is not Parameter:  # a key without a value is none
        keys |= {name: _or_null(key) for name, key in keys.items() if name not in required}
    made["properties"] = keys
    return made | ({"required": required} if required else {}) | {"additionalProperties": False}


def _key(hint: Any, path: str) -> dict[str, Any]:
    """A key: its type, and what is known about it."""
    key = KEYS[path]
    about: dict[str, Any] = {"description": key.about}
    if key.default is not None:
        about["default"] = key.default
    return _type(hint, path) | about | {"examples": [key.example]} | key.limits


def _type(hint: Any, path: str) -> dict[str, Any]:
    """The JSON Schema of a type that argorun.yaml may have."""
    if hint in NAMES:
        return {"type": NAMES[hint]}
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        usual = {p.removeprefix(f"{path}."): _key(A_VALUE, p) for p in KEYS if p.startswith(f"{path}.")}
        more = {"properties": usual} if usual else {}
        return {"type": "object", **more, "additionalProperties": _type(A_VALUE, path)}
    if origin is list:
        kind = ["string", "array"] if parts[0] is str else "array"  # one text stands for a list of it
        return {"type": kind, "items": _item(parts[0], path) | KEYS[path].limits}
    if origin in (typing.Union, types.UnionType):
        parts = tuple(p for p in parts if p is not types.NoneType)
        names = [NAMES[p] for p in parts if p in NAMES]
        single = [{"type": names if len(names) > 1 else names[0]}] if names else []
        others = [_type(p, path) for p in parts if p not in NAMES]
        return {"anyOf": single + others} if len(single + others) > 1 else (single + others)[0]
    return _object(hint, path)


def _or_null(key: dict[str, Any]) -> dict[str, Any]:
    """The same, or nothing."""
    if "anyOf" in key:
        return key | {"anyOf": [*key["anyOf"], {"type": "null"}]}
    kinds = key["type"] if isinstance(key["type"], list) else [key["type"]]
    return key | {"type": [*kinds, "null"]}


def _item(hint: Any, path: str) -> dict[str, Any]:
    """One entry of a list; the keys of an object in it are those of `path[]`."""
    if isinstance(hint, type) and issubclass(hint, Strict):
        return _object(hint, f"{path}[]")
    return _type(hint, path)
