"""Sync windows: whether an Application may be synced now, and which window forbids it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.types import SyncWindow, SyncWindows
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed


async def check(client: Client, app: ApplicationName, project: str) -> bool:
    """Whether Argo CD says that no window forbids to sync the Application now.

    Raises OperationFailed (3) if one does. False if Argo CD does not say: it will refuse the sync itself.
    """
    try:
        windows = await client.sync_windows(app)
    except (ArgoCDFailed, AccessDenied):
        return False
    if not windows.can_sync:
        raise await blocked(client, app, project, windows)
    return True


async def blocked(
    client: Client, app: ApplicationName, project: str, windows: SyncWindows | None = None
) -> OperationFailed:
    """The error that says which windows forbid the sync."""
    closed: Sequence[SyncWindow] = ()
    known: Sequence[SyncWindow] = ()
    with contextlib.suppress(ArgoCDFailed, AccessDenied):
        closed = closing(windows or await client.sync_windows(app))
        known = (await client.project(project)).spec.sync_windows or ()  # with their time zones
    return OperationFailed(
        f"{app.name} may not be synced now: it is blocked by a sync window of project {project}",
        "try again later; `argocd proj windows list "
        f"{project}` shows all, `enable-manual-sync` lets argorun sync in one",
        reason="\n".join(describe(w, known) for w in closed),
    )


def closing(windows: SyncWindows) -> list[SyncWindow]:
    """The windows that forbid a sync by hand: active ones that deny, or else the ones that would allow it.

    Source: SyncWindows.CanSync in Argo CD's pkg/apis/application/v1alpha1/types.go
    (docs/argocd-facts.md#sync-windows). Where no denying window
    is active but allowing ones are assigned, a sync must wait for one of these.
    """
    denying = [w for w in windows.active_windows or () if w.kind == "deny"]
    if denying:
        return [w for w in denying if not w.manual_sync]
    return [w for w in windows.assigned_windows or () if w.kind == "allow"]


def describe(window: SyncWindow, known: Sequence[SyncWindow]) -> str:
    """A window in one line; `known` are the project's, with their time zones."""
    same = [
        w
        for w in known
        if (w.kind, w.schedule, w.duration) == (window.kind, window.schedule, window.duration)
    ]
    zones = " or ".join(dict.fromkeys(w.time_zone or "UTC" for w in same)) or "the project's time zone"
    by_hand = "manual syncs allowed" if window.manual_sync else "manual syncs not allowed"
    return f"{window.kind} window: schedule '{window.schedule}' for {window.duration}, {zones}; {by_hand}"
