"""A project and its sync windows."""

from __future__ import annotations

from argorun.argocd.types.base import Camel


class SyncWindow(Camel, frozen=True):
    """When an Application may be synced (kind allow) or not (deny)."""

    kind: str = ""
    schedule: str = ""
    duration: str = ""
    time_zone: str = ""  # only in the project's windows, not in the Application's
    manual_sync: bool = False


class SyncWindows(Camel, frozen=True):
    """An Application's windows, and whether a manual sync is allowed now."""

    can_sync: bool = True
    active_windows: list[SyncWindow] | None = None
    assigned_windows: list[SyncWindow] | None = None


class ProjectSpec(Camel, frozen=True):
    sync_windows: list[SyncWindow] | None = None


class Project(Camel, frozen=True):
    spec: ProjectSpec = ProjectSpec()
