"""The values of a spec that may hold a topic's name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.types import Json


@dataclass(frozen=True)
class SpecValue:
    """A Helm parameter, a Kustomize patch or the like in an Application's spec."""

    what: str  # in words: "helm: kafka.topic"
    pointer: str  # as in a JSON patch
    element: Json  # of the list in the spec
    text: str  # the parameter's value, the patch's text


def spec_values(spec: Json) -> list[SpecValue]:
    """Every value of every kind of parameter in a spec, of all its sources."""
    found = list(_source_values(spec.get("source") or {}, "/spec/source"))
    for i, source in enumerate(spec.get("sources") or ()):
        found += _source_values(source, f"/spec/sources/{i}")
    return found


def _source_values(source: Json, at: str) -> Iterator[SpecValue]:
    for kind in KINDS.values():
        for e in kind.elements(source):
            yield SpecValue(e.what, at + e.pointer, e.value, e.text)


def removal(values: Iterable[SpecValue]) -> list[Json]:
    """The JSON patch that removes these values; the last first, as each removal moves those behind it."""
    return [
        operation
        for value in reversed(list(values))
        for operation in (
            {"op": "test", "path": value.pointer, "value": value.element},
            {"op": "remove", "path": value.pointer},
        )
    ]
