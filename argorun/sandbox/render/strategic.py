"""Applies strategic merge patches: merges maps, and keyed lists by their key."""

from __future__ import annotations

import copy
from typing import Any

# The list fields of the built-in types that have a merge key; every other list is replaced.
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "port"),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
}


def strategic_merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any] | None:
    """The target after the patch; None where the patch says `$patch: delete`."""
    directive = patch.get("$patch")
    if directive == "delete":
        return None
    if directive == "replace":
        return {name: copy.deepcopy(value) for name, value in patch.items() if name != "$patch"}
    result = dict(target)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            merged = strategic_merge(old if isinstance(old, dict) else {}, value)
            if merged is None:
                result.pop(name, None)
            else:
                result[name] = merged
        elif isinstance(value, list):
            result[name] = _merge_lists(name, result.get(name), value)
        else:
            result[name] = value
    return result


def _merge_lists(name: str, old: Any, new: list[Any]) -> list[Any]:
    keys = [k for k in MERGE_KEYS.get(name, ()) if all(isinstance(i, dict) and k in i for i in new)]
    if not keys or not isinstance(old, list):
        return [copy.deepcopy(item) for item in new if not (isinstance(item, dict) and "$patch" in item)]
    key, rest = keys[0], list(old)
    patched = []  # kustomize puts what a patch names first
    for item in new:
        at = next((i for i, o in enumerate(rest) if isinstance(o, dict) and o.get(key) == item[key]), None)
        if at is not None:
            merged = strategic_merge(rest.pop(at), item)
            patched += [merged] if merged is not None else []
        elif "$patch" not in item:
            patched.append(copy.deepcopy(item))
    return patched + rest
