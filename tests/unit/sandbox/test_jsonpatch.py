"""JSON patches as the Go library does them, with its words."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.sandbox.jsonpatch import PatchError, apply_patch

DOCUMENT: dict[str, Any] = {"a": {"b": 1, "n": None}, "list": [1, 2], "x/y": {"~": True}}


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        ({"op": "add", "path": "/a/c", "value": 2}, {"a": {"b": 1, "n": None, "c": 2}}),
        ({"op": "add", "path": "/list/-", "value": 3}, {"list": [1, 2, 3]}),
        ({"op": "add", "path": "/list/0", "value": 0}, {"list": [0, 1, 2]}),
        ({"op": "remove", "path": "/list/0"}, {"list": [2]}),
        ({"op": "remove", "path": "/list/-1"}, {"list": [1]}),
        ({"op": "replace", "path": "/x~1y/~0", "value": 1}, {"x/y": {"~": 1}}),
        ({"op": "replace", "path": "/missing", "value": 1}, {"missing": 1}),
        ({"op": "move", "from": "/a/b", "path": "/b"}, {"a": {"n": None}, "b": 1}),
        ({"op": "copy", "from": "/a/b", "path": "/list/1"}, {"list": [1, 1, 2]}),
        ({"op": "test", "path": "/a/b", "value": 1.0}, {}),
        ({"op": "test", "path": "/a/n", "value": None}, {}),
        ({"op": "test", "path": "/a/missing", "value": None}, {}),
    ],
)
def test_what_applies(operation: Any, changed: dict[str, Any]) -> None:
    assert apply_patch(DOCUMENT, [operation]) == DOCUMENT | changed


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"op": "add", "path": "/no/x", "value": 1},
            'add operation does not apply: doc is missing path: "/no/x": missing value',
        ),
        (
            {"op": "add", "path": "/list/9", "value": 1},
            "error in add for path: '/list/9': Unable to access invalid index: 9: invalid index referenced",
        ),
        (
            {"op": "replace", "path": "/list/9", "value": 1},
            "replace operation does not apply: doc is missing key: /list/9: missing value",
        ),
        ({"op": "test", "path": "/x~1y/~0", "value": 1}, "testing value /x~1y/~0 failed: test failed"),
        (
            {"op": "test", "path": "/no/x", "value": None},
            "test operation does not apply: is missing path: /no/x: missing value",
        ),
        ({"op": "add"}, "add operation failed to decode path: missing value"),
        ({}, "Unexpected kind: unknown"),
    ],
)
def test_what_does_not_apply(operation: Any, message: str) -> None:
    with pytest.raises(PatchError) as caught:
        apply_patch(DOCUMENT, [operation])
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["replace", "test"])
def test_kustomizes_version_wants_the_key_to_be_there(kind: str) -> None:
    with pytest.raises(PatchError):
        apply_patch(DOCUMENT, [{"op": kind, "path": "/missing", "value": None}], strict=True)
