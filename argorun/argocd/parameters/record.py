"""The annotation that records a run's values and the originals.

It says which run, until when, which values, and what was there before, so that any later run can restore it.
Records outlive the argorun that wrote them: the JSON of a field never changes.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from argorun.argocd.types import Application, Json

RECORD = "argorun.dev/run"  # the annotation that holds the record


class HelmValue(msgspec.Struct, frozen=True):
    """A Helm parameter that a run set; `original` is the list's former element, None if there was none.

    Where others in the list have the same name and value, `alike` is how many, and `at` its place among them.
    """

    name: str
    value: str
    original: Json | None = None
    at: int | msgspec.UnsetType = msgspec.UNSET  # unset, it is not written: records stay as they were
    alike: int | msgspec.UnsetType = msgspec.UNSET


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run did to an Application's spec, and what it was before. Times are seconds since the epoch."""

    run: str
    until: int
    helm: tuple[HelmValue, ...] = ()
    kustomize: tuple[str, ...] = ()  # the patches' texts: each holds a topic's name, so each is unique
    automated: Json | None = None  # spec.syncPolicy.automated as it was, where it was switched off
    settling: bool = False  # the values are back already; the workloads are on their way
    synced: bool | None = None  # whether the Application was Synced before runs came; None: an older record
    revision: str = ""  # what it was synced to then, where the run synced another commit (`--revision`)
    topics: tuple[str, ...] = ()  # those of the values that are topics' names
    since: int = 0  # when it was put there; its operation follows within seconds
    begins_within: int = 0  # seconds, where rendering may take longer than usual
    others: dict[str, list[Any]] = {}  # what any other kind of parameter remembers, by its name


class NewerRecord(msgspec.Struct, frozen=True):
    """What a record of any argorun says."""

    run: str
    until: int


def record_of(app: Application) -> Record | None:
    """The record that the Application carries.

    One that only a newer argorun can read is believed for as long as it says; what is no record at all counts
    as dead and empty.
    """
    text = (app.metadata.annotations or {}).get(RECORD)
    if text is None:
        return None
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(text, type=Record)
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        newer = msgspec.json.decode(text, type=NewerRecord)
        return Record(newer.run, newer.until, settling=True)
    return Record(run="unreadable", until=0)
