"""The Helm kind: the parameters of `spec.source.helm`. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from argorun.argocd import normal_form
from argorun.argocd.parameters import topic_like
from argorun.argocd.parameters.kind import Candidate, Element
from argorun.argocd.parameters.paths import get, put_or_drop
from argorun.argocd.parameters.record import HelmValue, Record
from argorun.argocd.types import Json
from argorun.redact.secrets import in_address, is_parameter

SOURCE_TYPE = "Helm"
PATH: tuple[str, ...] = ("source", "helm", "parameters")
NEEDS_MANIFESTS = False
ADDS_OBJECTS = True  # a chart's templates have conditions


@dataclass(frozen=True)
class Helm:
    """A Helm parameter (`spec.source.helm.parameters`) and the value it gets.

    `string`: Helm must take it as a string (`forceString`; docs/argocd-facts.md#short-shas-become-numbers);
    else an element that is there keeps its own.
    """

    kind: ClassVar[str] = "helm"
    key: ClassVar[str] = ""
    name: str
    value: str
    string: bool = False

    def __str__(self) -> str:
        return f"helm: {self.name}"

    @property
    def note(self) -> str:
        return " as a string" if self.string else ""


def for_topic(place: str, topic: str) -> Helm:
    return Helm(place, topic, string=True)


def check_rendered(app: str, settings: Sequence[Helm], manifests: Sequence[Json], spec: Json) -> None:
    """A chart takes any parameter."""


def apply(spec: Json, settings: Sequence[Helm], manifests: Sequence[Json]) -> list[HelmValue]:
    elements = helm_parameters(spec)
    values = [put(elements, s) for s in settings]
    spec["source"]["helm"] = (spec["source"].get("helm") or {}) | {"parameters": elements}
    return values


def check_taken(app: str, settings: Sequence[Helm], manifests: Sequence[Json], spec: Json) -> None:
    """Not checked here: the manifests do not show whether a chart used a value, see run.topic_reach."""


def holds(spec: Json, settings: Sequence[Helm]) -> bool:
    elements = helm_parameters(spec)

    def held(s: Helm) -> bool:
        at = effective(elements, s.name)
        forced = at is not None and (not s.string or bool(elements[at].get("forceString")))
        return at is not None and forced and is_value(elements[at], s.name, s.value)

    return all(held(s) for s in settings)


def stands(spec: Json, record: Record) -> bool:
    elements = helm_parameters(spec)
    if record.topics:
        values = [str(p.get("value")) for p in elements]
        return any(t in values for t in record.topics)
    return any(sum(is_value(p, v.name, v.value) for p in elements) > (v.alike or 0) for v in record.helm)


def restore(spec: Json, record: Record) -> None:
    helm = get(spec, PATH[:-1])
    if helm is not None and record.helm:
        kept = without_ours(helm_parameters(spec), record.helm)
        put_or_drop(helm, "parameters", untyped(kept, [v for v in record.helm if v.value in record.topics]))
        put_or_drop(spec["source"], "helm", helm)


def original_value(setting: Helm, spec: Json, manifests: Sequence[Json]) -> str | None:
    elements = helm_parameters(spec)
    at = effective(elements, setting.name)
    return None if at is None else str(elements[at].get("value", ""))


def secrets(spec: Json, record: Record) -> list[str]:
    """The values that are secret by their parameter's name, and the passwords in addresses."""
    away = [h.original for h in record.helm if h.original]
    values = [(str(p.get("name", "")), str(p.get("value", ""))) for p in [*helm_parameters(spec), *away]]
    named = [value for name, value in values if is_parameter(name)]
    return named + [secret for _, v in values if "://" in v for secret in in_address(v)]


def candidates(spec: Json, manifests: Sequence[Json], values: Mapping[str, str]) -> list[Candidate]:
    """By the names in the Application, and among the chart's values; the Application's win."""
    helm = get(spec, PATH[:-1]) or {}
    places = (
        ("in the Application's parameters", dict(_named(helm_parameters(spec)))),
        ("in the Application's values", topic_like.flattened(helm.get("valuesObject") or {})),
        ("in the Application's values", topic_like.flattened(_yaml(str(helm.get("values") or "")))),
        ("in the chart's values", values),
    )
    found: dict[str, Candidate] = {}
    for seen, pairs in places:
        for name, value in pairs.items():
            if name not in found and (like := topic_like.likeness(name, value)):
                found[name] = Candidate(name, name, value, seen, like)
    return list(found.values())


def typed(text: str) -> str:
    return text


def _named(parameters: Iterable[Json]) -> Iterator[tuple[str, str]]:
    return ((str(p.get("name", "")), str(p.get("value", ""))) for p in parameters)


def _yaml(text: str) -> object:
    """What YAML in a spec says; nothing where it is not valid."""
    import yaml

    with contextlib.suppress(Exception):  # PyYAML's constructors raise more than YAMLError
        return yaml.safe_load(text) or {}
    return {}


def elements(source: Json) -> Iterator[Element]:
    for i, p in enumerate((source.get("helm") or {}).get("parameters") or ()):
        yield Element(f"helm: {p.get('name')}", f"/helm/parameters/{i}", p, str(p.get("value", "")))


# -- the list of parameters -----------------------------------------------------------------------------


def effective(elements: Sequence[Json], name: str) -> int | None:
    """The index of the element of this name that Helm uses; None if there is none.

    It is the last one, and one with `forceString` before those without: Argo CD gives them to Helm as
    `--set-string` and `--set`, each name once (source: helmTemplate in its
    reposerver/repository/repository.go), and Helm takes `--set-string` last
    (docs/argocd-facts.md#helm-parameters).
    """
    named = [i for i, p in enumerate(elements) if p.get("name") == name]
    forced = [i for i in named if elements[i].get("forceString")]
    return max(forced or named, default=None)


def put(elements: list[Json], setting: Helm) -> HelmValue:
    """Put a value into a list of parameters. Returns what the record must remember of it."""
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
    """The parameters with the originals in place of our values, wherever those still stand."""
    kept: list[Json | None] = list(elements)
    for v in ours:
        found = [i for i, p in enumerate(elements) if is_value(p, v.name, v.value)]
        if len(found) > (v.alike or 0):  # the others were there before us
            kept[found[-1 if v.at is msgspec.UNSET else v.at]] = v.original
    return [p for p in kept if p is not None]


def untyped(elements: Sequence[Json], topics: Iterable[HelmValue]) -> list[Json]:
    """The parameters without our `forceString` where somebody has set another value in the meantime."""
    ours = {v.name for v in topics if v.original is not None and not v.original.get("forceString")}
    return [
        {k: v for k, v in p.items() if k != "forceString"} if p.get("name") in ours else p for p in elements
    ]


def helm_parameters(spec: Json) -> list[Json]:
    """The list of parameters; empty if there is none."""
    return [p or {} for p in get(spec, PATH) or ()]
