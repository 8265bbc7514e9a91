"""The objects that settling did not restore, with the fix for each."""

from __future__ import annotations

from dataclasses import dataclass

from argorun.argocd.diagnosis import waiting
from argorun.argocd.manifests.keys import Key
from argorun.argocd.types import Json

LIVES_ON = "the Application was deleted; unless its objects were deleted, too, it lives on"


@dataclass(frozen=True)
class Remains:
    """One object that is not restored, why, and what a person can do about it."""

    key: Key
    why: str
    patch: Json | None = None  # send this JSON merge patch
    delete: bool = False  # delete it; if neither is given, sync it
    hook: bool = False  # only a sync of the whole Application, hooks included, creates it anew
    command: str | None = None  # in place of all these


def still_being_deleted(key: Key, live: Json) -> Remains:
    """An object that is being deleted and not gone: to delete it again does nothing."""
    held = waiting.obstacle(live, ())
    why = "it is being deleted, but is not gone yet"
    return Remains(key, f"{why}: {held.phrase}; {held.hint}" if held is not None else why, command="")
