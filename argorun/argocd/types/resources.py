"""The objects of an Application: rendered from Git, and live."""

from __future__ import annotations

from argorun.argocd.types.base import Camel


class ManagedResource(Camel, frozen=True):
    """An object that an Application manages; each state is JSON in a string, "null" if there is none."""

    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    target_state: str = ""  # as rendered from Git
    live_state: str = ""


class ManagedResources(Camel, frozen=True):
    items: list[ManagedResource] | None = None


class ChartValue(Camel, frozen=True, gc=False):
    """One of a chart's values; its name as in `--set`."""

    name: str = ""
    value: str = ""


class Chart(Camel, frozen=True):
    parameters: list[ChartValue] | None = None


class SourceDetails(Camel, frozen=True):
    """What Argo CD finds in a source: of a chart, its values."""

    helm: Chart | None = None


class Manifests(Camel, frozen=True):
    """The objects that a source renders to, each as JSON in a string."""

    manifests: list[str] | None = None
