"""Builds JSON merge patches (RFC 7396) that restore an object. Pure."""

from __future__ import annotations

from typing import Any

from argorun.argocd.types import Json


def merge_patch(now: Json, then: Json) -> Json:
    """The JSON merge patch (RFC 7396) from one object to another."""
    patch: Json = {}
    for name in dict.fromkeys([*now, *then]):
        old, new = now.get(name), then.get(name)
        if old == new:
            continue
        patch[name] = merge_patch(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return patch


def patch_back(now: Json, ours: Json, before: Json) -> Json:
    """The JSON merge patch from `now` to `before`, for what is still as the run's sync applied it (`ours`).

    What differs from `ours` stays: others changed it since, or the API server filled it in. A merge patch
    replaces a list as a whole.
    """
    then: Json = _former(now, ours, before)
    return merge_patch(now, then)


def _former(now: Any, ours: Any, before: Any) -> Any:
    """The value to go back to; None stands for an absent one."""
    if now in (ours, before):
        return before
    if isinstance(now, dict) and isinstance(before, dict):
        applied = ours if isinstance(ours, dict) else {}
        names = dict.fromkeys([*now, *before])
        then = {n: _former(now.get(n), applied.get(n), before.get(n)) for n in names}
        return {n: value for n, value in then.items() if value is not None}
    lists = [v for v in (now, ours, before) if isinstance(v, list)]
    if len(lists) == 3 and len({len(v) for v in lists}) == 1:
        return [_former(*items) for items in zip(*lists, strict=True)]
    return now
