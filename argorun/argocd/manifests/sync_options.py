"""An object's sync options, above all whether Argo CD prunes it."""

from __future__ import annotations

from collections.abc import Collection

from argorun.argocd.manifests.objects import annotations_of
from argorun.argocd.types import Json

SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
CONFIRM = "Prune=confirm"
KEPT = ("Prune=false", CONFIRM)  # Argo CD does not prune the object, or only once a person confirms it


def is_kept(manifest: Json, options: Collection[str] = ()) -> bool:
    """Whether Argo CD does not prune the object by itself."""
    return prune_option(manifest, options) in KEPT


def prune_option(manifest: Json, options: Collection[str]) -> str:
    """The object's own `Prune` option, else the Application's; empty if neither has one."""
    return next((o for o in sync_options(manifest, options) if o.startswith("Prune=")), "")


def sync_options(manifest: Json, options: Collection[str]) -> list[str]:
    """The object's own sync options, then the Application's `options`."""
    return [*(o.strip() for o in str(annotations_of(manifest).get(SYNC_OPTIONS, "")).split(",")), *options]
