"""An Application that is not seen is told with those that are, and with the permission that it takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from argorun.argocd.clock import Clock
from argorun.argocd.http.errors import ALIKE, ApiError, Denied, Unreachable
from argorun.argocd.parameters.record import Record
from argorun.argocd.types import Application
from argorun.config.model import ApplicationRef
from argorun.errors import AccessDenied, ArgorunError
from argorun.run.checks import application, server
from argorun.run.checks.check import Context, Undecided
from argorun.run.plan import draw
from argorun.run.state import RunState
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import FUTURE, NOW, PAST, SPEC, Scenario
from tests.unit.virtual import run

DENIED = Denied("show Application wether", 403, "permission denied", ALIKE)


class Checked(Scenario):
    """One Application, as the checks see it."""

    def __init__(self, spec: Json = SPEC, **config: Any) -> None:
        super().__init__(spec)
        self.set_time(NOW)
        self.configure(dry_run=True, **config)
        state = RunState(operation="mine", claim=None, topics=draw(self.config.topics, NOW))
        self.context = Context(self.config, self.argocd.client, None, self.emitter, lambda *_: None, state)
        kinds = {p.kind for t in self.config.topics for p in t.parameters}
        self.argocd.document["status"]["sourceType"] = "Kustomize" if "kustomize" in kinds else "Helm"
        self.context.seen = self.argocd.seen()

    def shows(self, *others: tuple[str, str, str]) -> None:
        """Applications that the token sees: namespace, name and project."""
        listed = [
            msgspec.convert({"metadata": {"name": n, "namespace": ns}, "spec": {"project": p}}, Application)
            for ns, n, p in others
        ]

        async def applications() -> list[Application]:
            self.argocd.calls.append("applications")
            return listed

        self.argocd.applications = applications  # type: ignore[method-assign]

    def error(self, look: Any) -> ArgorunError:
        with pytest.raises(ArgorunError) as caught:
            run(look(self.context))
        return caught.value

    def fact(self, look: Any) -> str:
        return run(look(self.context))


def not_found(*others: tuple[str, str, str], **named: Any) -> tuple[type, str, list[str]]:
    scenario = Checked(application=ApplicationRef(**{"name": "wether"} | named))
    scenario.shows(*others)
    scenario.argocd.meets("application", DENIED)
    error = scenario.error(application.found)
    return type(error), error.message, error.hint.splitlines()


def test_a_misspelt_name_is_told_with_the_one_that_was_meant_and_the_policy_line() -> None:
    found = not_found(("argocd", "payments", "default"), ("argocd", "weather", "default"))
    assert found == (
        AccessDenied,
        "Argo CD shows no Application wether: there is none, or the token may not see it (permission denied)",
        [
            "did you mean weather? the token sees: weather, payments",
            "or add to Argo CD's policy.csv, with its project in place of default:",
            "p, role:argorun, applications, get, default/wether, allow",
        ],
    )


def test_a_token_that_sees_nothing_gets_the_policy_line_alone() -> None:
    assert not_found(project="team-a", namespace="ns")[2] == [
        "add to Argo CD's policy.csv:",
        "p, role:argorun, applications, get, team-a/ns/wether, allow",
    ]


def test_a_policy_line_names_the_account_that_the_token_is_of() -> None:
    scenario = Checked(application=ApplicationRef(name="wether", project="team-a"))
    scenario.shows()
    scenario.argocd.grantee = "ci"
    scenario.argocd.meets("application", DENIED)
    assert scenario.error(application.found).hint.splitlines()[-1] == (
        "p, ci, applications, get, team-a/wether, allow"
    )


def test_of_many_only_some_are_listed() -> None:
    many = [("argocd", f"app-{i}", "default") for i in range(30)]
    assert not_found(*many)[2][0] == (
        "the token sees: app-0, app-1, app-10, app-11, app-12, app-13, app-14, app-15 and 22 more"
    )


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        (
            {"project": "defualt"},
            "Application weather is in project default, not in defualt",
            "write project: default",
        ),
        ({}, "Application weather is in namespace team-a", "write team-a/weather"),
        (
            {"namespace": "argocd"},
            "Application weather is in namespace team-a, not in argocd",
            "write team-a/weather",
        ),
    ],
)
def test_one_that_is_somewhere_else_is_told_where(named: dict[str, str], message: str, hint: str) -> None:
    found = not_found(("team-a", "weather", "default"), name="weather", **named)
    assert found == (AccessDenied, message, [hint])


def test_a_list_that_fails_changes_nothing() -> None:
    scenario = Checked(application=ApplicationRef(name="wether"))
    scenario.argocd.meets("application", DENIED)
    scenario.argocd.meets("applications", Unreachable("refused"))
    error = scenario.error(application.found)
    assert error.message.startswith("Argo CD shows no Application wether")


def test_an_application_whose_source_is_still_unknown_is_compared_once() -> None:
    scenario = Checked()
    scenario.argocd.document["status"] = {}

    def compared(argocd: Any) -> None:
        argocd.document["status"] = {"sourceType": "Helm"}

    scenario.argocd.meets("refresh", compared)
    assert scenario.fact(application.found) == "weather in project default: Helm"
    assert scenario.argocd.calls == ["application", "refresh"]


def test_what_a_run_may_do_is_told_and_what_it_may_not_with_every_line() -> None:
    scenario = Checked()
    assert scenario.fact(application.permissions) == (
        "applications get, update, sync and logs get on default/weather"
    )
    scenario.argocd.forbidden = {
        ("sync", "applications", "default/weather"),
        ("get", "logs", "default/weather"),
    }
    error = scenario.error(application.permissions)
    assert (error.exit_code, error.message) == (
        6,
        "the token's account misses permissions on default/weather: applications sync, logs get",
    )
    assert error.hint.splitlines() == [
        "add to Argo CD's policy.csv:",
        "p, role:argorun, applications, sync, default/weather, allow",
        "p, role:argorun, logs, get, default/weather, allow",
    ]


@pytest.mark.parametrize(
    ("policy", "fact"),
    [({}, "off"), ({"automated": {}}, "on: a run switches it off, and on again")],
)
def test_auto_sync_is_told(policy: Json, fact: str) -> None:
    assert Checked(SPEC | {"syncPolicy": policy}).fact(application.auto_sync) == fact


@pytest.mark.parametrize(
    ("look", "request_", "fact"),
    [
        (application.sync_windows, "sync_windows", "Argo CD does not tell: it refuses the sync itself"),
        (application.auto_sync, "version", "on: only Argo CD 3.1 or newer can switch it off"),
        (server.clock, "", "Argo CD does not tell its time"),
    ],
)
def test_what_argo_cd_does_not_tell_is_undecided_and_not_good(look: Any, request_: str, fact: str) -> None:
    scenario = Checked(SPEC | {"syncPolicy": {"automated": {}}})
    scenario.argocd.clock = Clock()
    scenario.argocd.meets(request_, Denied("show", 403, "denied", ""))
    seen = scenario.fact(look)
    assert (type(seen), seen.startswith(fact)) == (Undecided, True)


def test_where_the_owner_cannot_be_told_nobody_says_that_there_is_none() -> None:
    scenario = Checked(force_owned=True)
    reference = {"kind": "ApplicationSet", "name": "all", "apiVersion": "argoproj.io/v1alpha1", "uid": "1"}
    scenario.argocd.document["metadata"]["ownerReferences"] = [reference]
    scenario.context.seen = scenario.argocd.seen()
    scenario.argocd.meets("set ('all', '')", ApiError("show", 502, 0, "bad gateway"))
    assert (scenario.fact(application.owner), scenario.warnings) == (
        "",
        [
            "cannot tell whether something else undoes the parameters of weather: "
            "Argo CD could not show: bad gateway (HTTP 502)"
        ],
    )


def test_who_uses_the_application_now_is_told_with_how_long_a_run_waits() -> None:
    scenario = Checked()
    assert (scenario.fact(application.free), scenario.warnings) == ("nobody uses it", [])
    scenario.argocd.runs("")
    scenario.context.seen = scenario.argocd.seen()
    assert scenario.fact(application.free) == ""
    assert scenario.warnings == [
        "an operation of bob, started 2024-01-01T00:00:00Z, Running: a run waits for that, 10m at most"
    ]


@pytest.mark.parametrize(
    ("until", "warning"),
    [
        (FUTURE, "run theirs uses it: a run waits for that, 10m at most"),
        (PAST, "run theirs was killed and left its values: the next run restores them, or argorun sweep"),
    ],
)
def test_a_run_that_left_its_record_is_told(until: int, warning: str) -> None:
    scenario = Checked()
    scenario.annotate(Record(run="theirs", until=until, topics=("weather",)))
    scenario.context.seen = scenario.argocd.seen()
    assert scenario.fact(application.free) == ""
    assert scenario.warnings == [warning]
