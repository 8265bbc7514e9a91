"""The base of all types, and the parts that several types share."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]


class Camel(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A JSON object of Argo CD; unknown fields are ignored.

    Types that come by the thousand set gc=False: decoded from JSON, they are part of no reference cycle, and
    the garbage collector need not visit them.
    """


class Info(Camel, frozen=True, gc=False):
    name: str = ""
    value: str = ""


class OwnerReference(Camel, frozen=True):
    kind: str = ""
    name: str = ""


class Metadata(Camel, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class Health(Camel, frozen=True, gc=False):
    status: str = ""
    message: str = ""
