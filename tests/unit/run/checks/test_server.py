"""Argo CD's version, the clock and the token, each in one line."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.http.errors import NEW_TOKEN, Unauthenticated
from argorun.argocd.types import UserInfo
from argorun.config.model import ArgoCD, Timeouts
from argorun.config.proxies import Proxy
from argorun.run.checks import server
from tests.unit.config.test_jwt import token
from tests.unit.run.checks.test_application import Checked
from tests.unit.scenario import NOW


def test_argo_cd_is_told_with_its_version_its_source_and_the_way_to_it() -> None:
    scenario = Checked(sources={"argocd.server": "ARGOCD_SERVER"})
    assert scenario.fact(server.answers) == "v3.6.1 at https://argocd (ARGOCD_SERVER), no proxy"
    proxy = Proxy("http://proxy:3128", "HTTPS_PROXY")
    scenario = Checked(argocd=ArgoCD(server="argocd.example.com", token="t", plaintext=True, proxy=proxy))
    assert scenario.fact(server.answers) == f"v3.6.1 at http://argocd.example.com, through the proxy {proxy}"
    assert scenario.warnings == [
        f"the token goes to argocd.example.com through the proxy {proxy} without encryption (plaintext)"
    ]


@pytest.mark.parametrize(
    ("ahead", "fact", "warnings"),
    [
        (0, "the same as Argo CD's", []),
        (12, "12s ahead of Argo CD's", []),
        (-12, "12s behind Argo CD's", []),
        (
            3600,
            "Argo CD's time is used",
            ["the clock of this machine is 1h00m ahead of Argo CD's: Argo CD's time is used"],
        ),
    ],
)
def test_the_clock_is_compared(ahead: float, fact: str, warnings: list[str]) -> None:
    scenario = Checked()
    scenario.set_time(NOW, ahead=ahead)
    scenario.fact(server.answers)
    assert (scenario.fact(server.clock), scenario.warnings) == (fact, warnings)


def with_token(seconds: float, **more: Any) -> Checked:
    return Checked(argocd=ArgoCD(server="argocd", token=token({"exp": NOW + seconds})), **more)


@pytest.mark.parametrize(
    ("seconds", "lasts"),
    [
        (90 * 86400, "expires at 2027-04-15T08:00:00Z (in 90 days)"),
        (7200, "expires at 2027-01-15T10:00:00Z (in 2h00m)"),
    ],
)
def test_the_tokens_account_and_end_are_told(seconds: float, lasts: str) -> None:
    assert with_token(seconds).fact(server.account) == f"account ci, {lasts}"


def test_a_token_that_no_one_knows_is_told_with_argo_cds_own_words() -> None:
    scenario = Checked()
    scenario.argocd.user_answer = UserInfo()
    refused = Unauthenticated("Argo CD does not know this token (no session information)", NEW_TOKEN)

    async def can_i(action: str, resource: str, subject: str) -> bool:
        raise refused

    scenario.argocd.can_i = can_i  # type: ignore[method-assign]
    assert scenario.error(server.account) is refused


def test_a_guest_is_told_to_be_one() -> None:
    """Where guests are let in, a token that nobody knows is a guest's."""
    scenario = Checked()
    scenario.argocd.user_answer = UserInfo()
    assert scenario.fact(server.account) == "it does not say when it expires"
    assert scenario.warnings == [f"Argo CD does not know this token, and takes you for a guest; {NEW_TOKEN}"]


def test_the_limits_are_told_as_they_are_written() -> None:
    assert Checked().fact(server.timeouts) == "run 15m, busy 10m, cleanup 90s, stuck 60s"
    scenario = Checked(timeouts=Timeouts(run=5400, busy=45, cleanup=150, stuck=0))
    assert scenario.fact(server.timeouts) == "run 1h30m, busy 45s, cleanup 2m30s, stuck off"
