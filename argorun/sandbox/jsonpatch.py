"""Applies JSON patches (RFC 6902) like the Go library of Argo CD and kustomize.

Argo CD's version (evanphx/json-patch 5.9) lets `replace` and `test` of null pass on a missing key of an
object; kustomize's (4.13) does not: `strict`.
"""

from __future__ import annotations

import copy
import json
import json.scanner
from collections.abc import Iterable
from typing import Any

from argorun.argocd.normal_form import go_json

MISSING = "missing value"
_NOTHING: Any = object()


class PatchError(Exception):
    """The patch does not apply."""


class Written(str):
    """A scalar as it was written: a `test` compares the texts, so "&" is not "\\u0026", and 1.0 is not 1."""


class AsWritten(json.JSONDecoder):
    """Decodes a patch; the values of its `test` operations stay as they were written."""

    def decode(self, s: str, _w: Any = None) -> Any:
        operations, written = json.loads(s), _Texts().decode(s)
        for operation, texts in zip(operations, written, strict=True) if isinstance(operations, list) else ():
            if isinstance(operation, dict) and operation.get("op") == "test":
                operation["value"] = texts.get("value")
        return operations


class _Texts(json.JSONDecoder):
    """Decodes to structures whose strings and numbers are `Written`."""

    def __init__(self) -> None:
        super().__init__(parse_float=Written, parse_int=Written)
        self.parse_string = self._text
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    @staticmethod
    def _text(s: str, end: int, strict: bool = True) -> tuple[str, int]:
        _, stop = json.decoder.scanstring(s, end, strict)  # type: ignore[attr-defined]
        return Written(s[end - 1 : stop]), stop


def apply_patch(
    document: dict[str, Any], operations: Iterable[Any], *, strict: bool = False
) -> dict[str, Any]:
    """The document after the operations; PatchError at the first that does not apply."""
    document = copy.deepcopy(document)
    for operation in operations:
        kind = operation.get("op") if isinstance(operation, dict) else None
        act = _ACTS.get(str(kind))
        if act is None:
            raise PatchError(f"Unexpected kind: {kind or 'unknown'}")
        if not isinstance(operation.get("path"), str):
            raise PatchError(f"{kind} operation failed to decode path: {MISSING}")
        act(document, operation, strict)
    return document


def _find(document: Any, path: str) -> tuple[Any, str]:
    """The container of a path's last part, and that part; (None, "") where there is no such container."""
    first, *parts = path.split("/")
    parts = [part.replace("~1", "/").replace("~0", "~") for part in parts]
    if first or not parts:
        return None, ""
    node = document
    for part in parts[:-1]:
        try:
            node = _get(node, part, strict=True)
        except PatchError:
            return None, ""
    return (node, parts[-1]) if isinstance(node, dict | list) else (None, "")


def _index(items: list[Any], key: str, limit: int) -> int:
    try:
        index = int(key)
    except ValueError:
        raise PatchError(f'strconv.Atoi: parsing "{key}": invalid syntax') from None
    if index >= limit or index < -limit:
        raise PatchError(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + limit if index < 0 else index


def _get(container: Any, key: str, *, strict: bool) -> Any:
    if isinstance(container, list):
        return container[_index(container, key, len(container))]
    if not isinstance(container, dict):
        raise PatchError(MISSING)
    if key not in container and strict:
        raise PatchError(f"unable to get nonexistent key: {key}: {MISSING}")
    return container.get(key, _NOTHING)


def _put(container: Any, key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        container.insert(_index(container, key, len(container) + 1), value)


def _take(container: Any, key: str) -> Any:
    if isinstance(container, list):
        return container.pop(_index(container, key, len(container)))
    if key not in container:
        raise PatchError(f"Unable to remove nonexistent key: {key}: {MISSING}")
    return container.pop(key)


def _add(document: Any, operation: Any, strict: bool) -> None:
    path = operation["path"]
    container, key = _find(document, path)
    if container is None:
        raise PatchError(f'add operation does not apply: doc is missing path: "{path}": {MISSING}')
    try:
        _put(container, key, copy.deepcopy(operation.get("value")))
    except PatchError as error:
        raise PatchError(f"error in add for path: '{path}': {error}") from None


def _remove(document: Any, operation: Any, strict: bool) -> None:
    path = operation["path"]
    container, key = _find(document, path)
    if container is None:
        raise PatchError(f'remove operation does not apply: doc is missing path: "{path}": {MISSING}')
    try:
        _take(container, key)
    except PatchError as error:
        raise PatchError(f"error in remove for path: '{path}': {error}") from None


def _replace(document: Any, operation: Any, strict: bool) -> None:
    path, value = operation["path"], copy.deepcopy(operation.get("value"))
    if path == "":
        if not isinstance(value, dict):
            raise PatchError("replace operation value must be object or array")
        document.clear()
        document.update(value)
        return
    container, key = _find(document, path)
    if container is None:
        raise PatchError(f"replace operation does not apply: doc is missing path: {path}: {MISSING}")
    try:
        _get(container, key, strict=strict)
    except PatchError:
        raise PatchError(f"replace operation does not apply: doc is missing key: {path}: {MISSING}") from None
    if isinstance(container, list):
        container[int(key)] = value
    else:
        container[key] = value


def _test(document: Any, operation: Any, strict: bool) -> None:
    path, wanted = operation["path"], operation.get("value")
    if path == "":
        found: Any = document
    else:
        container, key = _find(document, path)
        if container is None:
            raise PatchError(f"test operation does not apply: is missing path: {path}: {MISSING}")
        try:
            found = _get(container, key, strict=strict)
        except PatchError as error:
            raise PatchError(f"error in test for path: '{path}': {error}") from None
    if not _same(None if found is _NOTHING else found, wanted):
        raise PatchError(f"testing value {path} failed: test failed")


def _same(one: Any, other: Any) -> bool:
    """JSON equality: Python's, but true is not 1, and what is `Written` is compared as a text."""
    if isinstance(other, Written):
        return not isinstance(one, dict | list | bool | None) and go_json(one) == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _move(document: Any, operation: Any, strict: bool) -> None:
    _transfer(document, operation, "move")


def _copy(document: Any, operation: Any, strict: bool) -> None:
    _transfer(document, operation, "copy")


def _transfer(document: Any, operation: Any, kind: str) -> None:
    origin, path = str(operation.get("from", "")), operation["path"]
    container, key = _find(document, origin)
    if container is None:
        raise PatchError(f"{kind} operation does not apply: doc is missing from path: {origin}: {MISSING}")
    try:
        value = _get(container, key, strict=True)
        if kind == "move":
            _take(container, key)
    except PatchError as error:
        raise PatchError(f"error in {kind} for path: '{origin}': {error}") from None
    container, key = _find(document, path)
    if container is None:
        raise PatchError(
            f"{kind} operation does not apply: doc is missing destination path: {path}: {MISSING}"
        )
    _put(container, key, copy.deepcopy(value))


_ACTS = {"add": _add, "remove": _remove, "replace": _replace, "test": _test, "move": _move, "copy": _copy}
