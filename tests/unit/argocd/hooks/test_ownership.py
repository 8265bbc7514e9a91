"""A live hook object is this Application's only where it says so: a name is no owner."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.client import INSTANCE
from argorun.argocd.hooks import ownership
from argorun.argocd.hooks.ownership import (
    NOBODY,
    NameConflict,
    Rendered,
    application_of,
    conflict_error,
    display_name,
    foreign_owner,
    name_conflicts,
)
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key
from argorun.argocd.types import Node
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

TOPIC = "weather_1700000000_0a1b2c3d"
HOOK = "argocd.argoproj.io/hook"


def job(
    name: str = "checks",
    owner: str = "weather",
    spec: Json | None = None,
    hook: str = "PostSync",
    **named: Any,
) -> Json:
    """A Job that says that it is this Application's."""
    tracking = {ownership.TRACKING: f"{owner}:batch/Job:n/{name}"} if owner else {}
    annotations = tracking | ({HOOK: hook} if hook else {})
    metadata = (named or {"name": name}) | {"annotations": annotations}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec or {}}


@pytest.mark.parametrize(
    ("metadata", "application"),
    [
        ({"annotations": {ownership.TRACKING: "weather:batch/Job:n/checks"}}, "weather"),
        ({"annotations": {ownership.TRACKING: "team_weather:batch/Job:n/checks"}}, "team_weather"),
        ({"labels": {INSTANCE: "weather"}}, "weather"),
        (
            {
                "annotations": {ownership.TRACKING: "weather:batch/Job:n/checks"},
                "labels": {INSTANCE: "the chart's own"},
            },
            "weather",
        ),
        ({"annotations": None, "labels": None}, ""),
        ({}, ""),
    ],
    ids=["tracking id", "in a namespace", "label", "both", "nulls", "neither"],
)
def test_whose_an_object_is_says_its_tracking_id_or_else_its_label(metadata: Json, application: str) -> None:
    assert application_of({"metadata": metadata}) == application


def test_the_instance_label_is_called_as_argo_cds_settings_call_it() -> None:
    label = "argocd.argoproj.io/instance"

    def labeled(owner: str) -> Json:
        return {"metadata": {"name": "checks", "labels": {label: owner, INSTANCE: "the chart's own"}}}

    assert application_of(labeled("weather"), label) == "weather"
    assert foreign_owner(labeled("other"), labeled("weather"), label=label) == "Application other"
    rendered = Rendered([job() | labeled("weather")], "n", [], label)
    found = live_node("checks")
    assert rendered.foreign_owner(found, job() | labeled("other")) == "Application other"
    assert rendered.other_application(found, job() | labeled("other")) == "Application other"
    assert rendered.foreign_owner(found, job() | labeled("weather")) == ""


def test_of_generated_names_the_longest_beginning_is_the_one() -> None:
    first, second = job(generateName="tests-"), job(generateName="tests-e2e-")
    rendered = Rendered([first, second], "n", [])
    assert rendered.rendered(live_node("tests-e2e-abc1234-postsync-17")) is second
    assert rendered.rendered(live_node("tests-abc1234-postsync-17")) is first


def test_an_application_is_written_as_people_write_it() -> None:
    assert display_name("team_weather_report") == "team/weather_report"
    assert display_name("weather") == "weather"


@pytest.mark.parametrize(
    ("live", "rendered", "whose"),
    [
        (job(), job(), ""),
        (job(owner="other"), job(), "Application other"),
        (job(owner="team_weather"), job(), "Application team/weather"),
        (job(owner=""), job(), NOBODY),
        (job(owner="other"), job(owner=""), ""),  # nothing is tracked: nothing can be told by it
    ],
)
def test_a_live_object_is_held_against_what_the_application_renders(
    live: Json, rendered: Json, whose: str
) -> None:
    assert foreign_owner(live, rendered) == whose


@pytest.mark.parametrize(
    ("rendered", "live", "whose"),
    [
        ({"env": TOPIC}, {"env": TOPIC}, ""),
        ({"env": TOPIC}, {"env": "another run's"}, f"another run: it does not name {TOPIC}"),
        ({"env": "settings"}, {"env": "settings"}, ""),  # it reads the name: nothing can be told by it
    ],
)
def test_a_job_that_does_not_name_the_topic_that_was_rendered_is_another_runs(
    rendered: Json, live: Json, whose: str
) -> None:
    assert foreign_owner(job(spec=live), job(spec=rendered), [TOPIC]) == whose


def test_only_jobs_and_pods_are_known_and_only_hooks_with_a_name_are_hooks() -> None:
    rendered = Rendered(
        [
            job("a"),
            job("b", hook=""),
            job(generateName="c-"),
            {"kind": "ConfigMap", "metadata": {"name": "d"}},
        ],
        "n",
        [],
    )
    assert list(rendered.hooks()) == [Key("batch", "Job", "n", "a")]


def live_node(name: str, group: str = "batch", kind: str = "Job", namespace: str = "n") -> Node:
    return Node(group=group, kind=kind, namespace=namespace, name=name, uid="u")


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (live_node("checks"), True),
        (live_node("made-abc123"), True),
        (live_node("other"), False),
        (live_node("checks", namespace="m"), False),
        (live_node("checks", kind="Pod"), False),
        (live_node("checks", group="batch.volcano.sh"), False),
        (live_node("made-abc123", namespace="m"), False),
    ],
)
def test_a_live_job_is_known_by_its_name_or_by_the_beginning_that_argo_cd_adds_to(
    found: Node, known: bool
) -> None:
    rendered = Rendered([job("checks"), job(generateName="made-")], "n", [])
    assert (rendered.rendered(found) is not None) is known
    assert rendered.foreign_owner(found, job(owner="other")) == ("Application other" if known else "")


# -- under the name of one of this run's ------------------------------------------------------------------


def taken_in(argocd: FakeArgoCD, *manifests: Json) -> list[NameConflict]:
    async def look() -> list[NameConflict]:
        return await name_conflicts(
            argocd.client, APP, await argocd.tree(APP), Rendered(manifests, "n", [TOPIC]).hooks()
        )

    return run(look())


CHECKS = Key("batch", "Job", "n", "checks")


@pytest.mark.parametrize(
    ("owner", "found"),
    [("other", [NameConflict(CHECKS, "Application other")]), ("weather", []), ("", [])],
)
def test_a_hooks_name_is_taken_where_another_applications_object_stands_under_it(
    owner: str, found: list[NameConflict]
) -> None:
    argocd = FakeArgoCD()
    argocd.made(job(owner=owner))
    assert taken_in(argocd, job()) == found


def test_the_last_runs_own_job_takes_no_name_though_it_names_another_topic() -> None:
    argocd = FakeArgoCD()
    argocd.made(job(spec={"topic": "weather_1600000000_ffffffff"}))
    assert taken_in(argocd, job(spec={"topic": TOPIC})) == []


def test_a_name_that_is_free_or_no_hooks_is_not_asked_for() -> None:
    argocd = FakeArgoCD()
    argocd.made(job("plain", owner="other", hook=""))
    assert taken_in(argocd, job(), job("plain", hook="")) == []
    assert argocd.calls == ["tree"]


@pytest.mark.parametrize(
    "error",
    [
        ApiError("show", 400, 3, "not found"),
        Denied("show", 404, "not found", ""),
        Denied("show", 403, "permission denied", ""),
        DOWN,
    ],
)
def test_what_is_gone_or_cannot_be_read_takes_no_name_yet(error: Exception) -> None:
    """Whose it is is looked at again while the operation runs, before it counts."""
    argocd = FakeArgoCD()
    argocd.made(job(owner="other"))
    argocd.meets("live checks", error)
    assert taken_in(argocd, job()) == []


def test_a_refusal_names_both_applications_the_namespace_and_the_way_out() -> None:
    error = conflict_error(APP, [NameConflict(CHECKS, "Application team/other")])
    assert error.exit_code == 2
    assert error.message == "Application weather has objects whose names other Applications use: checks"
    assert error.reason == "Job checks in namespace n belongs to Application team/other"
    assert error.hint is not None
    for way_out in ("{{ .Release.Name }}-tests", "its own namespace", "--force-owned"):
        assert way_out in error.hint
