"""A sync window that is closed is reported before anything is created, with all that is known of it."""

from __future__ import annotations

import pytest

from argorun.argocd.http.errors import ApiError, Denied, InvalidResponse
from argorun.argocd.sync import windows
from argorun.argocd.types import Project, ProjectSpec, SyncWindow, SyncWindows
from argorun.errors import OperationFailed
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.virtual import run

NIGHT = SyncWindow(kind="deny", schedule="0 22 * * *", duration="8h")
LOOSE = SyncWindow(kind="deny", schedule="0 12 * * *", duration="1h", manual_sync=True)
DAY = SyncWindow(kind="allow", schedule="0 8 * * *", duration="10h")
MESSAGE = "weather may not be synced now: it is blocked by a sync window of project team"


def refused(answer: SyncWindows, project: Project | Exception | None = None) -> OperationFailed:
    argocd = FakeArgoCD()
    argocd.sync_windows_answer = answer
    if isinstance(project, Exception):
        argocd.meets("project", project)
    else:
        argocd.project_answer = project or Project()
    with pytest.raises(OperationFailed) as e:
        run(windows.check(argocd.client, APP, "team"))
    return e.value


def closed(*active: SyncWindow, assigned: tuple[SyncWindow, ...] = ()) -> SyncWindows:
    return SyncWindows(can_sync=False, active_windows=list(active), assigned_windows=[*active, *assigned])


def test_the_window_that_denies_is_named_and_what_to_do() -> None:
    error = refused(closed(NIGHT, LOOSE, assigned=(DAY,)), Denied("show project", 403, "no", "hint"))
    assert (error.message, error.reason, error.exit_code) == (
        MESSAGE,
        "deny window: schedule '0 22 * * *' for 8h, the project's time zone; manual syncs not allowed",
        3,
    )
    assert "argocd proj windows list team" in error.hint


def test_outside_of_every_allowing_window_these_are_named() -> None:
    assert refused(closed(assigned=(DAY,))).reason == (
        "allow window: schedule '0 8 * * *' for 10h, the project's time zone; manual syncs not allowed"
    )


def test_the_project_knows_the_time_zone() -> None:
    zoned = [
        SyncWindow(kind="deny", schedule="0 22 * * *", duration="8h", time_zone="Europe/Berlin"),
        SyncWindow(kind="allow", schedule="0 22 * * *", duration="8h", time_zone="Asia/Tokyo"),
    ]
    project = Project(spec=ProjectSpec(sync_windows=zoned))
    assert "for 8h, Europe/Berlin;" in refused(closed(NIGHT), project).reason
    unnamed = Project(spec=ProjectSpec(sync_windows=[NIGHT]))
    assert "for 8h, UTC;" in refused(closed(NIGHT), unnamed).reason


@pytest.mark.parametrize(
    "fault",
    [
        Denied("x", 403, "denied", ""),
        Denied("x", 404, "Not Found", ""),
        InvalidResponse("html"),
        DOWN,
        ApiError("x", 500, 2, ""),
    ],
)
def test_an_argo_cd_that_does_not_tell_is_no_reason_to_stop(fault: Exception) -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync_windows", fault)
    assert run(windows.check(argocd.client, APP, "team")) is False
    assert argocd.calls == ["sync_windows"]


def test_an_open_window_costs_one_request() -> None:
    argocd = FakeArgoCD()
    argocd.sync_windows_answer = SyncWindows(active_windows=[LOOSE], assigned_windows=[LOOSE])
    assert run(windows.check(argocd.client, APP, "team")) is True
    assert argocd.calls == ["sync_windows"]


def test_what_a_refused_sync_says_names_the_windows_too() -> None:
    argocd = FakeArgoCD()
    argocd.sync_windows_answer = closed(NIGHT)
    error = run(windows.blocked(argocd.client, APP, "team"))
    assert (error.message, error.reason.partition(",")[0]) == (
        MESSAGE,
        "deny window: schedule '0 22 * * *' for 8h",
    )
    argocd.meets("sync_windows", DOWN)
    assert run(windows.blocked(argocd.client, APP, "team")).reason == ""
