"""What the rendering and the chart's values tell before anything is made: misspelt names, unknown commits."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.http.errors import ApiError, Unreachable
from argorun.config.model import ConfigMapKey, Parameter, Topic
from argorun.errors import ArgorunError, NoTestRan, UsageError
from argorun.run.checks import rendering
from argorun.run.checks.check import Undecided
from argorun.run.checks.rendering import is_known
from tests.unit.argocd.gopatch import Json
from tests.unit.run.checks.test_application import Checked

KUSTOMIZE = (
    Topic(prefix="w", parameters=(Parameter(kustomize=ConfigMapKey(configmap="topics", key="main")),)),
)


def hook(name: str, phase: str = "PostSync") -> Json:
    metadata = {"name": name, "annotations": {"argocd.argoproj.io/hook": phase}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {}}}


def with_parameter(name: str, values: list[str] | None, **more: Any) -> Checked:
    scenario = Checked(topics=(Topic(prefix="w", parameters=(Parameter(helm=name),), **more),))
    scenario.argocd.values_answer = None if values is None else dict.fromkeys(values, "")
    return scenario


# -- the chart's values ----------------------------------------------------------------------------------

VALUES = ["kafka.topic", "kafka.bootstrapServers", "image", "hosts[0].name", "step-1.topic"]


def test_a_parameter_that_the_chart_has_is_told() -> None:
    scenario = with_parameter("kafka.topic", VALUES)
    assert (scenario.fact(rendering.values), scenario.warnings) == ("the chart has kafka.topic", [])


@pytest.mark.parametrize("name", ["kafka.topc", "kafka.topics", "kafak.topic", "kafka.Topic"])
def test_a_misspelt_parameter_ends_the_run_before_anything_is_made(name: str) -> None:
    error = with_parameter(name, VALUES).error(rendering.values)
    assert isinstance(error, UsageError)
    assert (error.message, error.hint) == (
        f"the chart of weather has no value {name}; did you mean kafka.topic?",
        f"if a template uses {name} nevertheless, set unverified: true at the topic",
    )


def test_unverified_runs_nevertheless() -> None:
    scenario = with_parameter("kafka.topc", VALUES, unverified=True)
    assert scenario.fact(rendering.values) == ""
    assert scenario.warnings == ["the chart's values have no kafka.topc: does a template use it?"]


@pytest.mark.parametrize("name", ["test.name", "step-2.topic"])
def test_a_parameter_that_is_like_no_value_may_still_be_used_by_a_template(name: str) -> None:
    scenario = with_parameter(name, VALUES)
    assert scenario.fact(rendering.values) == ""
    assert scenario.warnings == [f"the chart's values have no {name}: does a template use it?"]
    scenario.configure(dry_run=False)
    scenario.context.config = scenario.config
    assert scenario.fact(rendering.values) == ""
    assert len(scenario.warnings) == 1, "a run is not told each time"


def test_a_chart_without_values_is_told_as_one_and_no_permission_is_asked_for() -> None:
    scenario = with_parameter("kafka.topic", {})
    assert scenario.fact(rendering.values) == ""
    assert scenario.warnings == ["the chart's values have no kafka.topic: does a template use it?"]


@pytest.mark.parametrize("fault", [None, Unreachable("refused")])
def test_an_argo_cd_that_does_not_tell_the_values_keeps_no_run_from_beginning(
    fault: Exception | None,
) -> None:
    scenario = with_parameter("kafka.topc", None)
    scenario.argocd.meets("chart_values", fault)
    fact = scenario.fact(rendering.values)
    assert fact == "only a run can tell (Argo CD shows the chart's values to a role with: repositories, get)"
    assert isinstance(fact, Undecided)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("kafka.topic", True),
        ("kafka", True),
        ("hosts", True),
        ("hosts[0]", True),
        ("image.tag", True),  # a map by its value
        ("kafka.top", False),
        ("kafka.topic2", False),
    ],
)
def test_a_part_of_a_value_is_one_and_so_is_what_holds_some(name: str, known: bool) -> None:
    assert is_known(name, VALUES) is known


# -- the rendering ---------------------------------------------------------------------------------------


def refuses(text: str, **config: Any) -> ArgorunError:
    scenario = Checked(**config)
    scenario.argocd.meets("manifests", ApiError("render", 500, 2, text))
    return scenario.error(rendering.renders)


@pytest.mark.parametrize(
    ("text", "brief"),
    [
        (
            "unable to resolve 'nope' to a commit SHA: revision not found",
            "unable to resolve 'nope' to a commit SHA: revision not found",
        ),
        (
            "failed to checkout revision nope: `git fetch origin nope` failed exit status 128: fatal: "
            "couldn't find remote ref nope",
            "couldn't find remote ref nope",
        ),
    ],
)
def test_an_unknown_revision_is_called_one(text: str, brief: str) -> None:
    error = refuses(text, revision="nope")
    assert (error.exit_code, error.message, error.hint) == (
        2,
        f"the repository of weather has no commit, branch or tag nope ({brief})",
        "give --revision a commit that is pushed",
    )


def test_why_it_does_not_render_is_told_without_the_layers_around_it() -> None:
    text = (
        "Unable to generate manifests in app: rpc error: code = Unknown desc = app: app path does not exist"
    )
    assert refuses(text, topics=KUSTOMIZE).message == (
        "Argo CD cannot render weather: app: app path does not exist"
    )


def test_a_chart_that_needs_the_topic_to_render_is_good_news() -> None:
    scenario = Checked()
    scenario.argocd.meets("manifests", ApiError("render", 500, 2, "kafka.topic is required"))
    assert scenario.fact(rendering.renders) == (
        "without the topic's name weather does not render: kafka.topic is required"
    )


# -- the tests -------------------------------------------------------------------------------------------


def checked_tests(jobs: tuple[str, ...], *manifests: Json, **config: Any) -> Checked:
    scenario = Checked(jobs=jobs, **config)
    scenario.context.state.former = list(manifests)
    return scenario


def test_tests_that_are_rendered_are_told_by_name() -> None:
    scenario = checked_tests(("checks",), hook("checks"), hook("prepare", "PreSync"))
    assert scenario.fact(rendering.tests) == "checks (PostSync)"


def test_a_dry_run_of_a_chart_that_makes_its_hooks_only_with_a_topic_reads_as_good_news() -> None:
    scenario = checked_tests(("run-automation-tests-job",))
    expected = (
        "run-automation-tests-job: not rendered yet (the chart creates its hooks only when a topic is set)"
    )
    assert (scenario.fact(rendering.tests), scenario.notices) == (expected, [expected])


@pytest.mark.parametrize(
    ("jobs", "config", "told"),
    [
        (("run-test",), {"topics": KUSTOMIZE}, True),  # Kustomize has no conditions
        (("run-automation-test-job",), {}, True),  # nearly the same name
        (("run-test",), {}, False),  # a chart may have it with a topic
        (("run-automation-tests-job-2",), {}, False),
    ],
)
def test_a_misspelt_job_is_told_before_anything_is_made_where_that_is_certain(
    jobs: tuple[str, ...], config: dict[str, Any], told: bool
) -> None:
    scenario = checked_tests(jobs, hook("run-automation-tests-job"), **config)
    if not told:
        assert "not rendered yet (the chart creates them only when a topic is set)" in scenario.fact(
            rendering.tests
        )
        return
    error = scenario.error(rendering.tests)
    assert isinstance(error, NoTestRan)
    assert error.message == f"no test ran: weather has no hook Job or Pod {jobs[0]}"
    assert error.hint.splitlines() == [
        "did you mean run-automation-tests-job?",
        "it has: run-automation-tests-job (PostSync)",
    ]
