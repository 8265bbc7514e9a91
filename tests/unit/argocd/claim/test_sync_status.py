"""A comparison that may be behind is made anew."""

from __future__ import annotations

import datetime

import pytest

from argorun.argocd.claim.sync_status import synced_lately
from argorun.argocd.types import RUN_INFO
from tests.unit.argocd.applications import application, of


@pytest.mark.parametrize(
    ("run_id", "phase", "ended", "lately"),
    [
        ("", "Succeeded", 99, True),  # somebody's own sync
        ("r/settle", "Succeeded", 99, True),
        ("r/settle", "Succeeded", 129, True),  # by a clock that is ahead of this machine's
        ("r/settle", "Succeeded", 70, False),  # by now it would show
        ("r", "Succeeded", 99, False),  # with its tests: the workloads are on its topic
        ("r/again", "Succeeded", 99, False),
        ("", "Failed", 99, False),
        ("", "Running", None, False),
    ],
)
def test_a_sync_that_ended_just_now_may_not_show_yet(
    run_id: str, phase: str, ended: float | None, lately: bool
) -> None:
    at = ended and datetime.datetime.fromtimestamp(ended, datetime.UTC).isoformat()
    operation = {"info": [{"name": RUN_INFO, "value": run_id}] if run_id else None}
    document = of({}) | {
        "status": {"operationState": {"operation": operation, "phase": phase, "finishedAt": at}}
    }
    assert synced_lately(application(document), 100) is lately
