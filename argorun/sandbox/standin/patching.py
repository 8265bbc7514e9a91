"""Patches and normalizes an Application with Argo CD's semantics and messages."""

from __future__ import annotations

import json

from argorun.argocd.normal_form import normalize
from argorun.sandbox.jsonpatch import AsWritten, PatchError, apply_patch
from argorun.sandbox.standin.faults import INVALID, UNKNOWN, ApiError
from argorun.sandbox.standin.objects import Json

# What Go's types do not have is lost when they decode it.
SOURCE_FIELDS = {
    *("repoURL", "path", "targetRevision", "helm", "kustomize", "directory", "plugin", "chart", "ref"),
    *("name", "tagPrefix"),
}
PARAMETER_FIELDS = {"name", "value", "forceString"}


def patched(document: Json, patch: str, kind: str) -> Json:
    """The document after a `json` or `merge` patch (given as text); ApiError where it does not apply."""
    if kind in ("json", ""):
        return _json_patch(document, patch)
    if kind == "merge":
        try:
            change = json.loads(patch)
            if not isinstance(change, dict):
                raise ValueError
        except ValueError:
            raise ApiError(UNKNOWN, "error calculating merge patch: Invalid JSON Patch") from None
        return merge_patch(document, change)
    raise ApiError(INVALID, f"Patch type '{kind}' is not supported")


def _json_patch(document: Json, patch: str) -> Json:
    try:
        operations = json.loads(patch, cls=AsWritten)
        if not isinstance(operations, list):
            raise ValueError("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    except ValueError as error:
        raise ApiError(UNKNOWN, f"error decoding json patch: {error}") from None
    try:
        return apply_patch(document, operations)
    except PatchError as error:
        raise ApiError(UNKNOWN, f"error applying patch: {error}") from None


def merge_patch(document: Json, change: Json) -> Json:
    """RFC 7386: maps are merged, null removes, everything else (lists too) is replaced."""
    result = dict(document)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = merge_patch(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def normalized(spec: Json) -> Json:
    """What Argo CD stores of a spec: its normal form, without the fields that its types do not have."""
    spec = normalize(spec)
    for source in [*(spec.get("sources") or []), *([spec["source"]] if spec.get("source") else [])]:
        keep(source, SOURCE_FIELDS)
        for parameter in source.get("helm", {}).get("parameters", []):
            keep(parameter, PARAMETER_FIELDS)
    return spec


def keep(thing: Json, fields: set[str]) -> None:
    for field in set(thing) - fields:
        del thing[field]
