"""An Argo CD that cannot switch auto-sync off runs no tests of an Application that has it on."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.claim import autosync
from argorun.argocd.http.errors import Denied, InvalidResponse
from argorun.errors import UsageError
from tests.unit.argocd.fakes import DOWN, FakeArgoCD
from tests.unit.virtual import run


def checked(version: str, automated: Any, *faults: Exception) -> FakeArgoCD:
    argocd = FakeArgoCD({"source": {}, "syncPolicy": {"automated": automated}})
    argocd.version_answer = version
    argocd.meets("version", *faults)
    run(autosync.check(argocd.client, argocd.seen()))
    return argocd


@pytest.mark.parametrize("version", ["v3.0.99", "v2.14.21", "2.14", "v2.14.21+abcdef", "3.0.0-rc1"])
@pytest.mark.parametrize("automated", [{}, {"prune": True}, {"enabled": True}])
def test_one_before_3_1_is_refused_with_what_to_do(version: str, automated: Any) -> None:
    with pytest.raises(UsageError) as e:
        checked(version, automated)
    assert e.value.message == (
        f"Application weather has auto-sync on, which Argo CD {version} cannot switch off for a run "
        "(automated.enabled)"
    )
    assert e.value.hint.startswith("upgrade Argo CD to 3.1 or newer, switch auto-sync off for")


@pytest.mark.parametrize(
    "version", ["v3.1.0", "3.1.0-rc1", "v3.6.1+argorun-stand-in", "v99.99.99+unknown", "v10.0.0"]
)
def test_a_newer_one_is_not(version: str) -> None:
    assert checked(version, {}).calls == ["version"]


@pytest.mark.parametrize("version", ["", "latest", "v3", "v.", "v3.x", "v9999999999.1", "é"])
def test_a_version_that_cannot_be_read_refuses_nothing(version: str) -> None:
    checked(version, {})


@pytest.mark.parametrize("fault", [Denied("show", 403, "no", ""), InvalidResponse("a web page"), DOWN])
def test_neither_does_one_that_is_not_known(fault: Exception) -> None:
    checked("v2.14.21", {}, fault)


@pytest.mark.parametrize("automated", [None, {"enabled": False}, {"prune": True, "enabled": False}])
def test_without_auto_sync_nobody_asks(automated: Any) -> None:
    assert checked("v2.14.21", automated).calls == []
