"""Who else writes an Application's spec is found, and asked whether it would undo a run's changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd import owners
from argorun.argocd.http.errors import ApiError, Denied, InvalidResponse, Unauthenticated, Unreachable
from argorun.argocd.manifests import ignore_differences
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.types import Application, ApplicationSet, ManagedResource
from argorun.config.model import ApplicationRef
from argorun.errors import ArgoCDFailed, UsageError
from tests.unit.argocd.fakes import Json
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

HELM: list[Setting] = [Helm("kafka.topic", "weather_1_0", string=True)]
KUSTOMIZE: list[Setting] = [Kustomize("topics", "main", "weather_1_0")]
PLACE = "/spec/source/helm/parameters"
PATCHES = "/spec/source/kustomize/patches"
RECORD = "/metadata/annotations/argorun.dev~1run"
ENABLED = "/spec/syncPolicy/automated/enabled"
BY_SET = {"ownerReferences": [{"kind": "ApplicationSet", "name": "all"}]}
TRACKED = {"annotations": {owners.TRACKING: "apps:argoproj.io/Application:argocd/weather"}}
AUTO: Json = {"syncPolicy": {"automated": {}}}


class OwnedApplication(Scenario):
    """An Application, and what stands above it."""

    def __init__(self, metadata: Json, spec: Json | None = None, settings: list[Setting] = HELM) -> None:
        super().__init__()
        whole = {"metadata": {"name": "weather", "namespace": "argocd"} | metadata, "spec": spec or {}}
        self.seen = msgspec.convert(whole, Application)
        self.seen, self.changed = owners.changed(self.seen, settings, [])

    def set_is(self, **spec: Any) -> None:
        key = ("all", "argocd")
        self.argocd.application_sets[key] = msgspec.convert({"spec": spec}, ApplicationSet)

    def parent_is(self, spec: Json, target: Json | None) -> None:
        self.argocd.document["metadata"]["name"] = "apps"
        self.argocd.document["spec"] = spec
        if target is not None:
            self.argocd.kept = [
                ManagedResource(
                    group="argoproj.io",
                    kind="Application",
                    namespace="argocd",
                    name="weather",
                    target_state=json.dumps(target),
                )
            ]

    def check(self, force: bool = False) -> str:
        warn = self.emitter.warn
        return run(owners.check(self.argocd.client, self.seen, self.changed, warn, force=force))

    def refused(self) -> UsageError:
        with pytest.raises(UsageError) as e:
            self.check()
        assert e.value.exit_code == 2
        return e.value


def test_an_application_of_nobody_elses_costs_no_request() -> None:
    scenario = OwnedApplication({})
    assert (scenario.check(), scenario.argocd.calls, scenario.notices) == ("", [], [])


# -- ApplicationSets -----------------------------------------------------------------------------------


def test_an_application_set_that_leaves_nothing_alone_is_shown_with_what_to_put_into_it() -> None:
    scenario = OwnedApplication(BY_SET, AUTO)
    scenario.set_is()
    error = scenario.refused()
    assert (error.message, error.reason) == (
        "Application weather belongs to ApplicationSet all, which would undo what argorun changes in it",
        f"it does not leave alone: {PLACE}, {RECORD}, {ENABLED}",
    )
    assert error.hint.splitlines()[1:] == [
        "spec:",
        "  ignoreApplicationDifferences:",
        "    - name: weather",
        "      jsonPointers:",
        f"        - {PLACE}",
        f"        - {RECORD}",
        f"        - {ENABLED}",
    ]
    assert scenario.argocd.calls == ["set ('all', 'argocd')"]


@pytest.mark.parametrize(
    ("spec", "settings", "pointers"),
    [
        ({}, HELM, [PLACE, RECORD]),
        ({}, KUSTOMIZE, [PATCHES, RECORD]),
        (AUTO, KUSTOMIZE, [PATCHES, RECORD, ENABLED]),
        ({"syncPolicy": {"automated": {"enabled": False}}}, HELM, [PLACE, RECORD]),
        ({"syncPolicy": {"syncOptions": ["a"]}}, HELM, [PLACE, RECORD]),
    ],
)
def test_only_what_a_run_changes_must_be_left_alone(
    spec: Json, settings: list[Setting], pointers: list[str]
) -> None:
    scenario = OwnedApplication(BY_SET, spec, settings)
    scenario.set_is()
    assert scenario.refused().reason == f"it does not leave alone: {', '.join(pointers)}"
    scenario.set_is(ignoreApplicationDifferences=[{"jsonPointers": pointers}])
    assert scenario.check() == "ApplicationSet all"


@pytest.mark.parametrize(
    "spec",
    [
        {"ignoreApplicationDifferences": [{"jsonPointers": [PLACE, RECORD, "/spec/syncPolicy"]}]},
        {"ignoreApplicationDifferences": [{"jsonPointers": ["/spec", "/metadata/annotations"]}]},
        {
            "ignoreApplicationDifferences": [
                {"name": "weather", "jsonPointers": [PLACE]},
                {"jqPathExpressions": [".spec.syncPolicy.automated.enabled"]},
            ],
            "preservedFields": {"annotations": ["other", "argorun.dev/run"]},
        },
        {
            "ignoreApplicationDifferences": [
                {
                    "jqPathExpressions": [
                        '.spec.source.helm.parameters[] | select(.name == "kafka.topic")',
                        '.metadata.annotations["argorun.dev/run"], .spec.syncPolicy',
                    ]
                }
            ]
        },
        {"syncPolicy": {"applicationsSync": "create-only"}},
        {"syncPolicy": {"applicationsSync": "create-delete"}},
    ],
)
def test_an_application_set_that_leaves_our_changes_alone_is_fine(spec: Json) -> None:
    scenario = OwnedApplication(BY_SET, AUTO)
    scenario.set_is(**spec)
    assert (scenario.check(), scenario.notices) == ("ApplicationSet all", [])


@pytest.mark.parametrize(
    ("spec", "lost"),
    [
        (
            {"ignoreApplicationDifferences": [{"name": "other", "jsonPointers": [PLACE, RECORD]}]},
            [PLACE, RECORD],
        ),
        ({"ignoreApplicationDifferences": [{"jsonPointers": [PLACE]}]}, [RECORD]),
        ({"ignoreApplicationDifferences": [{"jsonPointers": [RECORD, f"{PLACE}/3"]}]}, [PLACE]),
        ({"preservedFields": {"annotations": ["argorun.dev/run"]}}, [PLACE]),
        ({"syncPolicy": {"applicationsSync": "create-update"}}, [PLACE, RECORD]),
        ({"syncPolicy": {"preserveResourcesOnDeletion": True}}, [PLACE, RECORD]),
    ],
)
def test_what_is_left_uncovered_is_named(spec: Json, lost: list[str]) -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.set_is(**spec)
    assert scenario.refused().reason == f"it does not leave alone: {', '.join(lost)}"


LISTED: Json = {"source": {"helm": {"parameters": [{"name": "kafka.topic", "value": "git"}]}}}
VALUE = '.spec.source.helm.parameters[] | select(.name == "kafka.topic") | .value'
ONLY_VALUE = (
    "its rule covers only the parameter's .value, not its .forceString: argorun sets both, so that Helm "
    "takes a topic's name as a string"
)


def test_a_rule_for_the_parameters_value_alone_is_said_not_to_cover_force_string() -> None:
    scenario = OwnedApplication(BY_SET, LISTED)
    scenario.set_is(ignoreApplicationDifferences=[{"jsonPointers": [RECORD], "jqPathExpressions": [VALUE]}])
    error = scenario.refused()
    assert error.reason.splitlines() == [f"it does not leave alone: {PLACE}", ONLY_VALUE]
    assert f"        - {PLACE}" in error.hint.splitlines()


@pytest.mark.parametrize("expressions", [[f"{VALUE}, .forceString"], [VALUE.removesuffix(" | .value")]])
def test_a_rule_for_value_and_force_string_is_enough(expressions: list[str]) -> None:
    scenario = OwnedApplication(BY_SET, LISTED)
    rule = {"jsonPointers": [RECORD], "jqPathExpressions": expressions}
    scenario.set_is(ignoreApplicationDifferences=[rule])
    assert scenario.check() == "ApplicationSet all"


def test_a_parameter_that_is_a_string_already_needs_no_more_than_its_value_left_alone() -> None:
    forced: Json = {"name": "kafka.topic", "value": "git", "forceString": True}
    scenario = OwnedApplication(BY_SET, {"source": {"helm": {"parameters": [forced]}}})
    scenario.set_is(ignoreApplicationDifferences=[{"jsonPointers": [RECORD], "jqPathExpressions": [VALUE]}])
    assert scenario.check() == "ApplicationSet all"


@pytest.mark.parametrize(("in_git", "refused"), [({}, False), ({"forceString": False}, True)])
def test_a_parent_whose_rule_is_for_the_value_alone_undoes_force_string_in_a_sync_or_where_git_names_it(
    in_git: Json, refused: bool
) -> None:
    scenario = OwnedApplication(TRACKED, LISTED)
    policy = HEALS | {"syncOptions": [ignore_differences.RESPECT]}
    rule = {"group": "argoproj.io", "kind": "Application", "jqPathExpressions": [VALUE]}
    element: Json = {"name": "kafka.topic", "value": "git"} | in_git
    target = {"spec": {"source": {"helm": {"parameters": [element]}}}}
    scenario.parent_is({"syncPolicy": policy, "ignoreDifferences": [rule]}, target)
    if refused:
        assert scenario.refused().reason.splitlines() == [f"it does not leave alone: {PLACE}", ONLY_VALUE]
    else:
        assert scenario.check() == "Application apps"
        undoes = f"weather is part of Application apps: a sync of that one during the run would undo {PLACE}"
        assert scenario.notices == [f"{undoes}; {ONLY_VALUE}"]


def test_an_expression_that_is_not_understood_is_named() -> None:
    scenario = OwnedApplication(BY_SET)
    odd = '.spec.source.helm.parameters[] | select(.name | test("kafka"))'
    scenario.set_is(ignoreApplicationDifferences=[{"jsonPointers": [RECORD], "jqPathExpressions": [odd]}])
    assert scenario.refused().reason.splitlines() == [
        f"it does not leave alone: {PLACE}",
        f"not understood by argorun: {odd}",
    ]


@pytest.mark.parametrize(
    ("error", "subject"),
    [
        (
            Denied("x", 403, "permission denied: applicationsets, get, team/all, sub: ci, iat: 1", ""),
            "team/all",
        ),
        (Denied("x", 403, "permission denied", ""), "default/all"),
        (Denied("x", 404, 'applicationset.argoproj.io "all" not found', ""), "default/all"),
        (ApiError("x", 500, 2, "namespace 'argocd' is not permitted"), "default/all"),
    ],
)
def test_an_application_set_that_cannot_be_read_is_refused_with_the_policy_line(
    error: Exception, subject: str
) -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.argocd.meets("set ('all', 'argocd')", error, error)
    refused = scenario.refused()
    assert "ApplicationSet all, which argorun cannot read" in refused.message
    assert f"p, role:argorun, applicationsets, get, {subject}, allow" in refused.hint
    assert scenario.check(force=True) == "ApplicationSet all"


def test_in_another_namespace_the_policy_line_names_it() -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.argocd.namespace_answer = "argo"
    scenario.argocd.meets("set ('all', 'argocd')", Denied("x", 403, "permission denied", ""))
    assert "p, role:argorun, applicationsets, get, default/argocd/all, allow" in scenario.refused().hint


def test_a_token_that_has_expired_is_no_matter_of_the_policy() -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.argocd.meets("set ('all', 'argocd')", Unauthenticated("the token expired"))
    with pytest.raises(Unauthenticated):
        scenario.check()


def test_an_argo_cd_that_fails_is_no_refusal() -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.argocd.meets("set ('all', 'argocd')", ApiError("x", 503, 14, "down"))
    with pytest.raises(ApiError):
        scenario.check()


@pytest.mark.parametrize(
    "error", [ApiError("x", 503, 14, "down"), Unreachable("gone"), InvalidResponse("a web page")]
)
def test_force_goes_on_where_argo_cd_cannot_say_what_would_be_undone(error: ArgoCDFailed) -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.argocd.meets("set ('all', 'argocd')", error)
    assert scenario.check(force=True) == ""
    assert scenario.notices == [
        f"cannot tell whether something else undoes the parameters of weather: {error.message}"
    ]


def test_force_goes_on_and_says_what_may_happen() -> None:
    scenario = OwnedApplication(BY_SET)
    scenario.set_is()
    assert scenario.check(force=True) == "ApplicationSet all"
    (notice,) = scenario.notices
    assert notice == (
        "Application weather belongs to ApplicationSet all, which would undo what argorun changes in it:"
        " it may undo the parameters at any moment, and the run with them"
    )


def test_what_a_dead_run_left_does_not_hide_what_the_next_one_changes() -> None:
    scenario = OwnedApplication(
        {}, AUTO | {"source": {"helm": {"parameters": [{"name": "x", "value": "y"}]}}}
    )
    before, after = owners.changed(scenario.changed, HELM, [])
    assert (before.spec, after.spec) == (scenario.seen.spec, scenario.changed.spec)


# -- Applications of Applications ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "parent"),
    [
        ({}, None),
        (TRACKED, ApplicationRef(name="apps")),
        (
            {"annotations": {owners.TRACKING: "ns_apps:argoproj.io/Application:argocd/weather"}},
            ("ns", "apps"),
        ),
        ({"annotations": {owners.TRACKING: "apps:argoproj.io/Application:argocd/other"}}, None),
        ({"annotations": {owners.TRACKING: "apps:argoproj.io/Application:other/weather"}}, None),
        ({"annotations": {owners.TRACKING: "apps:/ConfigMap:argocd/weather"}}, None),
        ({"annotations": {owners.TRACKING: "weather:argoproj.io/Application:argocd/weather"}}, None),
        ({"labels": {owners.INSTANCE: "apps"}}, ApplicationRef(name="apps")),
        ({"labels": {owners.INSTANCE: "weather"}}, None),
        ({"labels": {owners.INSTANCE: "other"}} | TRACKED, ApplicationRef(name="apps")),
    ],
)
def test_a_parent_is_known_by_tracking_id_or_label(metadata: Json, parent: Any) -> None:
    expected = ApplicationRef(name=parent[1], namespace=parent[0]) if isinstance(parent, tuple) else parent
    assert owners.parent_of(OwnedApplication(metadata).seen.metadata) == expected


@given(st.text(max_size=60))
def test_any_tracking_id_is_read_without_a_fault(text: str) -> None:
    found = owners.parent_of(OwnedApplication({"annotations": {owners.TRACKING: text}}).seen.metadata)
    assert found is None or text.endswith(":argoproj.io/Application:argocd/weather")


HEALS = {"automated": {"selfHeal": True}}
IN_GIT = {"spec": {"source": {"helm": {"parameters": [{"name": "kafka.topic", "value": "git"}]}}}}
RULE = {"group": "argoproj.io", "kind": "Application", "jsonPointers": [PLACE]}


def test_a_parent_that_heals_itself_is_shown_with_what_to_put_into_it() -> None:
    scenario = OwnedApplication(TRACKED, AUTO)
    scenario.parent_is({"syncPolicy": HEALS}, IN_GIT)
    error = scenario.refused()
    assert (error.message, error.reason) == (
        "Application weather is part of Application apps, which heals itself and would undo what argorun"
        " changes",
        f"it does not leave alone: {PLACE}",
    )
    assert error.hint.splitlines()[1:] == [
        "spec:",
        "  ignoreDifferences:",
        "    - group: argoproj.io",
        "      kind: Application",
        "      name: weather",
        "      jsonPointers:",
        f"        - {PLACE}",
        "  syncPolicy:",
        "    syncOptions:",
        "      - RespectIgnoreDifferences=true",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"syncPolicy": HEALS, "ignoreDifferences": [RULE]},  # does not respect it when it syncs
        {"syncPolicy": HEALS | {"syncOptions": [ignore_differences.RESPECT]}},
        {
            "syncPolicy": HEALS | {"syncOptions": [ignore_differences.RESPECT]},
            "ignoreDifferences": [RULE | {"name": "x"}],
        },
        {
            "syncPolicy": HEALS | {"syncOptions": [ignore_differences.RESPECT]},
            "ignoreDifferences": [RULE | {"group": ""}],
        },
        {"syncPolicy": {"automated": {"selfHeal": True, "enabled": True}}},
    ],
)
def test_a_parent_that_would_undo_it_anyway_is_refused(spec: Json) -> None:
    scenario = OwnedApplication(TRACKED)
    scenario.parent_is(spec, IN_GIT)
    scenario.refused()


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        (
            {
                "syncPolicy": HEALS | {"syncOptions": [ignore_differences.RESPECT]},
                "ignoreDifferences": [RULE],
            },
            IN_GIT,
        ),
        ({"syncPolicy": HEALS}, {"spec": {"source": {"path": "chart"}}}),  # Git does not name them
        ({"syncPolicy": HEALS}, {"spec": {"source": {}, "syncPolicy": {"automated": {"prune": True}}}}),
        ({}, {"spec": {}}),
    ],
)
def test_a_parent_that_leaves_it_alone_is_fine(spec: Json, target: Json) -> None:
    scenario = OwnedApplication(TRACKED, AUTO)
    scenario.parent_is(spec, target)
    assert (scenario.check(), scenario.notices) == ("Application apps", [])


def test_a_switch_in_git_is_undone_too() -> None:
    scenario = OwnedApplication(TRACKED, AUTO)
    scenario.parent_is({"syncPolicy": HEALS}, {"spec": {"syncPolicy": {"automated": {"enabled": True}}}})
    assert scenario.refused().reason == f"it does not leave alone: {ENABLED}"


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"automated": {}},
        {"automated": {"selfHeal": False}},
        {"automated": {"selfHeal": True, "enabled": False}},
    ],
)
def test_a_parent_that_does_not_heal_itself_is_a_notice(policy: Json) -> None:
    scenario = OwnedApplication(TRACKED)
    scenario.parent_is({"syncPolicy": policy}, IN_GIT)
    assert scenario.check() == "Application apps"
    assert scenario.notices == [
        f"weather is part of Application apps: a sync of that one during the run would undo {PLACE}"
    ]


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("application", Denied("show", 403, "permission denied", "")),
        ("managed", ApiError("show", 400, 9, "permission denied")),
    ],
)
def test_a_parent_that_cannot_be_read_is_a_notice(method: str, error: Exception) -> None:
    scenario = OwnedApplication(TRACKED)
    scenario.argocd.meets(method, error)
    assert scenario.check() == "Application apps"
    (notice,) = scenario.notices
    assert notice.startswith("weather is part of Application apps, which cannot be read (permission denied)")


def test_a_parent_that_no_longer_keeps_it_is_none() -> None:
    scenario = OwnedApplication(TRACKED)
    scenario.parent_is({"syncPolicy": HEALS}, None)
    assert (scenario.check(), scenario.notices) == ("", [])


def test_a_label_that_is_a_charts_own_is_nobodys() -> None:
    scenario = OwnedApplication({"labels": {owners.INSTANCE: "release"}})
    scenario.argocd.meets("application", Denied("show", 403, "permission denied", ""))
    assert (scenario.check(), scenario.notices) == ("", [])
