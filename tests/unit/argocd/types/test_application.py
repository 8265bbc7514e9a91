"""The commit that is in the cluster."""

from __future__ import annotations

import pytest

from argorun.argocd.types import Json
from tests.unit.argocd.applications import application


def operated(revision: str, phase: str = "Succeeded", run: str = "") -> Json:
    info = [{"name": "argorun-run", "value": run}] if run else []
    return {"operation": {"info": info}, "phase": phase, "syncResult": {"revision": revision}}


@pytest.mark.parametrize(
    ("status", "deployed"),
    [
        ({"history": [{"revision": "aaa"}, {"revision": "bbb"}]}, "bbb"),
        ({"history": [{"revision": "aaa"}], "operationState": operated("zzz", "Failed")}, "aaa"),
        ({"history": [{"revision": "aaa"}], "operationState": operated("zzz", run="r")}, "aaa"),
        ({"history": [{"revision": "bbb"}], "operationState": operated("aaa", run="r/settle")}, "aaa"),
        ({"history": [{"revision": "aaa"}], "operationState": operated("z", "Failed", "r/settle")}, "aaa"),
        ({"operationState": None}, "ccc"),
    ],
    ids=["two syncs", "a failed sync", "a run's sync", "a settled run", "a run that did not settle", "none"],
)
def test_what_is_deployed_is_not_what_git_has_by_now(status: Json, deployed: str) -> None:
    sync = {"status": "OutOfSync", "revision": "ccc"}
    assert application({"metadata": {}, "spec": {}, "status": {"sync": sync} | status}).deployed == deployed
