"""An ApplicationSet, and the fields it leaves alone in its Applications."""

from __future__ import annotations

from argorun.argocd.types.base import Camel, Metadata


class IgnoreRule(Camel, frozen=True):
    """The fields that a comparison ignores.

    An ApplicationSet's rules have no group and kind: they are about its own Applications.
    """

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    json_pointers: list[str] | None = None
    jq_path_expressions: list[str] | None = None


class PreservedFields(Camel, frozen=True):
    annotations: list[str] | None = None


class ApplicationSetPolicy(Camel, frozen=True):
    applications_sync: str = "sync"


class ApplicationSetSpec(Camel, frozen=True):
    ignore_application_differences: list[IgnoreRule] | None = None
    preserved_fields: PreservedFields | None = None
    sync_policy: ApplicationSetPolicy | None = None


class ApplicationSet(Camel, frozen=True):
    metadata: Metadata = Metadata()
    spec: ApplicationSetSpec = ApplicationSetSpec()
