"""What a kind of parameter must provide, as a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from argorun.argocd.parameters.record import Record
from argorun.argocd.types import Json


class Setting(Protocol):
    """A value and the place that it goes to. Its text is the place, as in `helm: kafka.topic`."""

    @property
    def kind(self) -> str:
        """The name of its ParameterKind."""

    @property
    def name(self) -> str:
        """Of the Helm parameter, or of the ConfigMap."""

    @property
    def key(self) -> str:
        """Of the ConfigMap; empty for Helm."""

    @property
    def value(self) -> str: ...

    @property
    def note(self) -> str:
        """What a dry run adds to the value, " as a string" for example; may be empty."""


S = TypeVar("S", bound=Setting, contravariant=True)


@dataclass(frozen=True)
class Element:
    """An element of a source that may hold a topic's name."""

    what: str  # for people: "helm: kafka.topic"
    pointer: str  # as in a JSON patch, from the source on: "/helm/parameters/0"
    value: Json
    text: str  # the part of the value that would hold the name


@dataclass(frozen=True)
class Candidate:
    """A place that may take a topic's name, for `argorun init` to suggest."""

    place: Any  # as `config.model.Parameter.place` has it
    typed: str  # as a person types it: "kafka.topic", "topic-config/topic_name"
    value: str  # what stands there now; may be empty
    seen: str  # where it was found: "in the chart's values"
    likeness: int  # see topic_like; the higher, the better


class ParameterKind(Protocol[S]):
    """One way to hand values to a source. A kind is a module: see `helm` and `kustomize`.

    A kind's name in argorun.yaml is its key in `kinds.KINDS`, and a field of config.model.Parameter.
    `settings` are all the settings of this kind that a run has. `spec` is an Application's, `manifests` are
    what its source renders to without the run's values. No function sends a request.
    """

    SOURCE_TYPE: str  # the sources that take it, as Argo CD's status.sourceType calls them
    PATH: tuple[str, ...]  # the only part of the spec that it changes
    NEEDS_MANIFESTS: bool  # its values can only be put in where the source renders without them
    ADDS_OBJECTS: bool  # with its values a source may render objects that it does not render without

    def for_topic(self, place: Any, topic: str) -> Setting:
        """The setting that puts a topic's name at a place, as `config.model.Parameter.place` has it."""

    def check_rendered(self, app: str, settings: Sequence[S], manifests: Sequence[Json], spec: Json) -> None:
        """Check before: raise UsageError (2) where the source has no such place."""

    def apply(self, spec: Json, settings: Sequence[S], manifests: Sequence[Json]) -> list[Any]:
        """Put the values into the spec, in place. Returns what the record must remember, as JSON values."""

    def check_taken(self, app: str, settings: Sequence[S], manifests: Sequence[Json], spec: Json) -> None:
        """Check after: raise UsageError (2) where `manifests`, rendered with the values, lack them."""

    def holds(self, spec: Json, settings: Sequence[S]) -> bool:
        """Whether all the values are in the spec, and count there."""

    def stands(self, spec: Json, record: Record) -> bool:
        """Whether a topic of the record is in the spec; if the record names none, any of its values."""

    def restore(self, spec: Json, record: Record) -> None:
        """Take the record's values out of the spec, in place, wherever they still stand."""

    def original_value(self, setting: S, spec: Json, manifests: Sequence[Json]) -> str | None:
        """The value at the setting's place; None if it is not set."""

    def secrets(self, spec: Json, record: Record) -> list[str]:
        """The secrets among this kind's values in the spec, and in what the record remembers."""

    def candidates(
        self, spec: Json, manifests: Sequence[Json], values: Mapping[str, str]
    ) -> Sequence[Candidate]:
        """The places that may take a topic's name; `values` are a chart's, empty where not known."""

    def typed(self, text: str) -> Any:
        """The place that a person has typed. Raises UsageError where it is none of this kind."""

    def elements(self, source: Json) -> Iterator[Element]:
        """Every element of a source in which a run may have left a topic's name."""
