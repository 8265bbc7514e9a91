"""Helm parameters: which element of the list counts, how a value gets there and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from argorun.argocd import normal_form
from argorun.argocd.parameters.kustomize import ROLLED as ROLLED
from argorun.argocd.parameters.kustomize import Kustomize as Kustomize
from argorun.argocd.parameters.patch import get
from argorun.argocd.parameters.record import HelmValue
from argorun.argocd.types import Json


@dataclass(frozen=True)
class Helm:
    """A Helm parameter (`spec.source.helm.parameters`) and the value it gets.

    `string`: Helm is to take it as a string (`forceString`); else an element that is there keeps its own.
    """

    name: str
    value: str
    string: bool = False

    def __str__(self) -> str:
        return f"helm: {self.name}"


def effective(elements: Sequence[Json], name: str) -> int | None:
    """Which of a list's elements of this name Helm goes by; None where there is none.

    It is the last one, and one with `forceString` before those without: Argo CD gives them to Helm as
    `--set-string` and `--set`, each name once (source: helmTemplate in its
    reposerver/repository/repository.go), and Helm takes `--set-string` last.
    """
    named = [i for i, p in enumerate(elements) if p.get("name") == name]
    forced = [i for i in named if elements[i].get("forceString")]
    return max(forced or named, default=None)


def put(elements: list[Json], setting: Helm) -> HelmValue:
    """Put a value into a list of parameters; what is to be remembered of it."""
    at = effective(elements, setting.name)
    original = None if at is None else elements[at]
    ours: Json = (original or {"name": setting.name}) | {"value": setting.value}
    if setting.string:
        ours["forceString"] = True
    if at is None:
        at = len(elements)
    elements[at : at + 1] = [normal_form.parameter(ours)]
    same = [i for i, p in enumerate(elements) if is_value(p, setting.name, setting.value)]
    alike = (same.index(at), len(same) - 1) if len(same) > 1 else ()
    return HelmValue(setting.name, setting.value, original, *alike)


def is_value(element: Json, name: str, value: str) -> bool:
    """Whether an element sets this parameter to this value; Argo CD leaves an empty one out."""
    return (element.get("name") or "", element.get("value") or "") == (name, value)


def without_ours(elements: Sequence[Json], ours: Iterable[HelmValue]) -> list[Json]:
    """The parameters with what was there in place of our values, as far as those are still there."""
    kept: list[Json | None] = list(elements)
    for v in ours:
        found = [i for i, p in enumerate(elements) if is_value(p, v.name, v.value)]
        if len(found) > (v.alike or 0):  # the others were there before us
            kept[found[-1 if v.at is msgspec.UNSET else v.at]] = v.original
    return [p for p in kept if p is not None]


def untyped(elements: Sequence[Json], topics: Iterable[HelmValue]) -> list[Json]:
    """The parameters without our `forceString` where somebody else has put another value to it meanwhile."""
    ours = {v.name for v in topics if v.original is not None and not v.original.get("forceString")}
    return [
        {k: v for k, v in p.items() if k != "forceString"} if p.get("name") in ours else p for p in elements
    ]


def helm_parameters(spec: Json) -> list[Json]:
    return [p or {} for p in get(spec, ("source", "helm", "parameters")) or ()]
