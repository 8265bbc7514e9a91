"""ignoreDifferences: the rules that say what Argo CD leaves alone in an object. Pure.

To compare two objects Argo CD first removes from both what a rule points at (source:
util/argo/normalizers/diff_normalizer.go): a pointer by a JSON patch's `remove`, an expression by jq's `del`.
A rule that does not apply to an object leaves it as it is.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from argorun.argocd.http.errors import typed
from argorun.argocd.manifests.jq_paths import DoesNotApply, NotUnderstood, parsed, places
from argorun.argocd.manifests.json_pointer import removed, steps
from argorun.argocd.types import IgnoreRule, Json

GROUP = "argoproj.io"
KIND = "Application"
RESPECT = "RespectIgnoreDifferences=true"  # the sync option by which a sync does not write it either


def written(spec: Json, doing: str) -> list[IgnoreRule]:
    """The Application's own rules. Raises InvalidResponse, which names `doing`."""
    return typed(spec.get("ignoreDifferences") or [], list[IgnoreRule], doing)


def respected(spec: Json, doing: str) -> list[IgnoreRule]:
    """The rules that its syncs respect, too, not only its comparisons. Raises InvalidResponse."""
    options = (spec.get("syncPolicy") or {}).get("syncOptions") or ()
    return written(spec, doing) if RESPECT in options else []


def matching(
    rules: Iterable[IgnoreRule], name: str, namespace: str, group: str = GROUP, kind: str = KIND
) -> list[IgnoreRule]:
    """The rules about this object; group and kind may be globs, name and namespace may not."""
    return [
        r
        for r in rules
        if fnmatch.fnmatchcase(group, r.group)
        and fnmatch.fnmatchcase(kind, r.kind)
        and r.name in ("", name)
        and r.namespace in ("", namespace)
    ]


def without(thing: Json, rules: Iterable[IgnoreRule]) -> Json:
    """The object without what the rules ignore; an expression that is not understood ignores nothing."""
    for rule in rules:
        for pointer in rule.json_pointers or ():
            thing = removed(thing, [steps(pointer)])
        for expression in rule.jq_path_expressions or ():
            try:
                paths = parsed(expression)
                thing = removed(thing, [c for path in paths for c in places(thing, path)])
            except (NotUnderstood, DoesNotApply):
                continue
    return thing


def not_understood(rules: Iterable[IgnoreRule]) -> list[str]:
    """The rules' expressions that are not understood."""
    found = []
    for expression in (e for rule in rules for e in rule.jq_path_expressions or ()):
        try:
            parsed(expression)
        except NotUnderstood:
            found.append(expression)
    return found
