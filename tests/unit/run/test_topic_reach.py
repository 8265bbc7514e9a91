"""A topic that reaches no test ends the run before the sync, with the cause where it can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from argorun.argocd.client import Client
from argorun.argocd.parameters.kustomize import ROLLED
from argorun.argocd.types import Application, Json, Node, Tree
from argorun.config.model import ApplicationRef, ArgoCD, Config, ConfigMapKey, Parameter, Topic
from argorun.errors import UsageError
from argorun.run.state import RunTopic
from argorun.run.topic_reach import UNCHECKED, check
from argorun.sandbox.standin.helm import command

NAME = "weather_1760000000_deadbeef"
HELM = Topic(prefix="weather", parameters=(Parameter(helm="kafka.topic"),))
KUSTOMIZE = Topic(
    prefix="weather", parameters=(Parameter(kustomize=ConfigMapKey(configmap="topics", key="main")),)
)
UNVERIFIED = Topic(prefix="weather", parameters=HELM.parameters, unverified=True)
FILES = (
    "a file in Git, .argocd-source.yaml or .argocd-source-weather.yaml beside the chart, replaces the "
    "parameters of weather with {}: remove helm.parameters from it"
)
SECRET: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"topic": "+++"}}


def job(name: str, hook: str, env: Mapping[str, object]) -> Json:
    container = {"name": "main", "env": [{"name": "TOPIC", **env}]}
    metadata = {"name": name, "annotations": {"argocd.argoproj.io/hook": hook}}
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def checks(value: str = "none") -> Json:
    return job("checks", "PostSync", {"value": value})


READS_SECRET = job("checks", "PostSync", {"valueFrom": {"secretKeyRef": {"name": "s", "key": "topic"}}})


class ArgoCDAsks:
    """What Argo CD answers when it is asked why: how it calls Helm, and the manifests once more."""

    def __init__(
        self,
        parameters: Mapping[str, str] | None,
        again: Sequence[Json],
        there: Sequence[Node],
        values: list[str] | None,
    ) -> None:
        listed = [{"name": n, "value": v} for n, v in (parameters or {}).items()]
        failed = f"`{command('x', 'n', listed)}` failed exit status 1: Error"
        self.said = "spec is invalid" if parameters is None else failed
        self.values = values  # of the chart; None: it may not say
        self.again, self.there = list(again), list(there)
        self.asked: list[str] = []

    async def helm_command(self, app: object, revision: str | None) -> str:
        self.asked.append(f"helm at {revision}")
        return self.said

    async def manifests(self, app: object, revision: str | None) -> list[Json]:
        self.asked.append(f"manifests at {revision}")
        return self.again

    async def application(self, app: object) -> Application:
        return Application()

    async def chart_values(self, app: object, seen: object) -> dict[str, str] | None:
        return None if self.values is None else dict.fromkeys(self.values, "")

    async def tree(self, app: object) -> Tree:
        self.asked.append("tree")
        return Tree(nodes=self.there)


def arrives(
    topic: Topic,
    manifests: Sequence[Json],
    parameters: Mapping[str, str] | None = None,
    again: Sequence[Json] | None = None,
    namespace: str | None = None,
    spec: Json | None = None,
    there: Sequence[Node] = (),
    jobs: tuple[str, ...] = (),
    former: Sequence[Json] = (),
    values: list[str] | None = None,
) -> tuple[tuple[str, str] | None, list[str], list[str]]:
    """The error's message and hint, the notices, and what Argo CD was asked."""
    config = Config(
        application=ApplicationRef(name="weather", namespace=namespace),
        argocd=ArgoCD(server="h", token="t"),
        kafka={},
        topics=(topic,),
        revision="abc",
        jobs=jobs,
    )
    argocd = ArgoCDAsks(parameters, manifests if again is None else again, there, values)
    seen = Application(spec=spec or {})
    notices: list[str] = []
    try:
        asyncio.run(
            check(
                config, cast(Client, argocd), [RunTopic(NAME, topic)], seen, manifests, former, notices.append
            )
        )
    except UsageError as e:
        return (e.message, e.hint), notices, argocd.asked
    return None, notices, argocd.asked


def test_a_name_that_a_test_gets_costs_no_request() -> None:
    assert arrives(HELM, [checks(NAME)]) == (None, [], [])


@pytest.mark.parametrize(
    ("parameters", "gets", "pins"),
    [
        ({"image.tag": "3.12"}, "it gets none", "image.tag=3.12"),
        ({"kafka.topic": "other_feed"}, "it gets 'other_feed'", "kafka.topic=other_feed"),
        ({"kafka.topic": "a,b", "z": ""}, "it gets 'a,b'", "kafka.topic=a,b, z="),
        ({"db.password": "hidden", "tag": "1"}, "it gets none", "db.password=***, tag=1"),
        ({}, "it gets none", "an empty list"),
    ],
)
@pytest.mark.parametrize("topic", [HELM, UNVERIFIED], ids=["verified", "unverified"])
@pytest.mark.parametrize("manifests", [[checks()], [READS_SECRET, SECRET]], ids=["plain", "with a Secret"])
def test_a_file_in_git_that_pins_the_parameter_is_named_with_what_it_pins(
    topic: Topic, manifests: list[Json], parameters: dict[str, str], gets: str, pins: str
) -> None:
    error, notices, asked = arrives(topic, manifests, parameters)
    assert error == (f"Helm does not get the Application's kafka.topic: {gets}", FILES.format(pins))
    assert (notices, asked) == ([], ["helm at abc", "manifests at abc"])


def test_a_parameter_that_helm_gets_and_nothing_uses_is_misspelled() -> None:
    for topic in (HELM, UNVERIFIED):
        error, notices, _ = arrives(topic, [checks()], {"kafka.topic": NAME})
        assert error == (
            "no template in weather uses kafka.topic",
            "Helm gets it, and nothing uses it: is the parameter spelled as in the chart?",
        )
        assert notices == []


def test_a_parameter_that_is_spelled_much_like_another_of_the_applications_is_asked_about() -> None:
    error, _, _ = arrives(HELM, [checks()], {"kafka.topic": NAME, "kafka.topics": "shared", "tag": "1"})
    assert error == (
        "no template in weather uses kafka.topic; did you mean kafka.topics?",
        "Helm gets it, and nothing uses it: is the parameter spelled as in the chart?",
    )


def test_a_parameter_that_is_spelled_much_like_a_value_of_the_chart_is_asked_about() -> None:
    error, _, _ = arrives(HELM, [checks()], {"kafka.topic": NAME}, values=["image.tag", "kafka.topicName"])
    assert error == (
        "no template in weather uses kafka.topic; did you mean kafka.topicName?",
        "Helm gets it, and nothing uses it: is the parameter spelled as in the chart?",
    )


def test_where_argo_cd_does_not_tell_how_it_calls_helm_both_causes_are_named() -> None:
    error, _, _ = arrives(HELM, [checks()])
    assert error == (
        "no manifest of weather uses helm: kafka.topic",
        "the parameter may be misspelled, or pinned by .argocd-source.yaml or .argocd-source-weather.yaml "
        "in Git",
    )


def test_outside_argo_cds_namespace_a_sync_may_read_a_file_that_a_validation_does_not() -> None:
    error, _, _ = arrives(HELM, [checks()], {"kafka.topic": NAME}, namespace="ci")
    assert error == (
        "no manifest of ci/weather uses helm: kafka.topic",
        "the parameter may be misspelled, or pinned by .argocd-source.yaml or .argocd-source-ci_weather.yaml "
        "in Git",
    )


def test_a_name_that_gets_to_no_test_is_told_with_what_holds_it() -> None:
    manifests = [checks(), job("create-topic", "PreSync", {"value": NAME})]
    error, _, _ = arrives(HELM, manifests, {"kafka.topic": NAME})
    assert error == (
        "no test or workload of weather reads the topic's name from helm: kafka.topic",
        f"{NAME} is only in Job create-topic, which passes it to no test\n{UNCHECKED}",
    )
    error, notices, _ = arrives(UNVERIFIED, manifests, {"kafka.topic": NAME})
    assert error is None
    assert notices == [
        f"cannot check whether a test gets {NAME}: it is only in Job create-topic (unverified: true)"
    ]


READS_AT_START = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "template": {
            "spec": {"containers": [{"name": "main", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}
        }
    },
}
NAMED = {"metadata": {"name": "settings"}, "data": {"topic": NAME}}
READ = {"apiVersion": "v1", "kind": "ConfigMap"} | NAMED
WEB = Node(group="apps", kind="Deployment", namespace="", name="web", uid="uid of web")


@pytest.mark.parametrize(("there", "error"), [([WEB], True), ([], False)], ids=["there", "made anew"])
def test_a_workload_that_is_there_and_goes_on_with_the_former_topic_gets_none(
    there: list[Node], error: bool
) -> None:
    """Its test talks to it alone: it would pass on the topic that everybody shares."""
    manifests = [checks(), READ, READS_AT_START]
    said, _, _ = arrives(HELM, manifests, {"kafka.topic": NAME}, there=there, former=[READS_AT_START])
    assert (said is not None) is error
    if said is not None:
        assert said[1].startswith(
            "Deployment web reads ConfigMap settings at its start only, and the sync does not restart it"
        )


def test_a_workload_that_goes_on_with_the_former_topic_is_let_be_by_a_word_of_the_user() -> None:
    manifests = [checks(), READ, READS_AT_START]
    error, notices, _ = arrives(
        UNVERIFIED, manifests, {"kafka.topic": NAME}, there=[WEB], former=[READS_AT_START]
    )
    assert error is None
    assert notices == [
        f"cannot check whether a test gets {NAME}: it is only in ConfigMap settings (unverified: true)"
    ]


def test_of_kustomize_argo_cd_is_not_asked_how_it_calls_helm() -> None:
    topics = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "topics"}, "data": {"main": NAME}}
    error, _, asked = arrives(KUSTOMIZE, [checks(), topics])
    assert error == (
        "no test or workload of weather reads the topic's name from kustomize: ConfigMap topics, key main",
        f"{NAME} is only in ConfigMap topics, which passes it to no test\n{UNCHECKED}",
    )
    assert asked == ["manifests at abc"]


def test_a_name_that_may_be_in_a_secret_needs_a_word_of_the_user() -> None:
    manifests = [READS_SECRET, SECRET]
    error, notices, _ = arrives(HELM, manifests, {"kafka.topic": NAME})
    hides = (
        "if a test gets it from Secret s, whose values Argo CD hides, set unverified: true at the topic to "
        "run the tests unchecked"
    )
    spelled = "Helm gets it, and nothing uses it: is the parameter spelled as in the chart?"
    assert error == ("no manifest of weather uses helm: kafka.topic", f"{spelled}\n{hides}")
    assert notices == []
    makes = job("create-topic", "PreSync", {"value": NAME})
    error, _, _ = arrives(HELM, [*manifests, makes], {"kafka.topic": NAME})
    assert error is not None
    assert error[1] == f"{NAME} is only in Job create-topic, which passes it to no test\n{hides}"
    error, notices, _ = arrives(UNVERIFIED, manifests, {"kafka.topic": NAME})
    assert error is None
    assert notices == [
        f"cannot check whether a test gets {NAME}: no manifest of weather holds it, and Argo CD hides "
        "the values of Secret s (unverified: true)"
    ]


def test_a_server_that_had_not_seen_the_change_yet_is_asked_once_more() -> None:
    """Behind one address there may be several of argocd-server, each with a view of its own."""
    assert arrives(HELM, [checks()], {"kafka.topic": NAME}, again=[checks(NAME)])[0] is None


# -- what the sync leaves as it is -----------------------------------------------------------------------

SETTINGS: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings"},
    "data": {"topic": NAME, "other": "x"},
}
READS = job("checks", "PostSync", {"valueFrom": {"configMapKeyRef": {"name": "settings", "key": "topic"}}})
THERE = Node(kind="ConfigMap", version="v1", namespace="n", name="settings", uid="1")
RESPECTS: Json = {
    "destination": {"namespace": "n"},
    "syncPolicy": {"syncOptions": ["CreateNamespace=true", "RespectIgnoreDifferences=true"]},
}


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "ConfigMap", "jsonPointers": ["/data"]},
        {"group": "*", "kind": "Config*", "name": "settings", "jsonPointers": ["/metadata/x", "/data/topic"]},
        {"kind": "ConfigMap", "namespace": "n", "jqPathExpressions": [".data.topic"]},
    ],
)
def test_what_the_sync_leaves_as_it_is_carries_nothing_and_its_rule_is_named(rule: Json) -> None:
    spec = RESPECTS | {"ignoreDifferences": [rule]}
    error, _, asked = arrives(HELM, [READS, SETTINGS], {"kafka.topic": NAME}, spec=spec, there=[THERE])
    paths = ", ".join([*rule.get("jsonPointers", ()), *rule.get("jqPathExpressions", ())])
    assert error == (
        "no test or workload of weather gets the topic's name from helm: kafka.topic",
        "ConfigMap settings keeps what it has: ignoreDifferences with RespectIgnoreDifferences=true leaves "
        f"{paths} alone; remove the rule or the option",
    )
    assert asked[0] == "tree"


@pytest.mark.parametrize(
    ("rule", "policy", "there"),
    [
        ({"kind": "ConfigMap", "jsonPointers": ["/data/other"]}, RESPECTS["syncPolicy"], [THERE]),
        (
            {"kind": "ConfigMap", "name": "another", "jsonPointers": ["/data"]},
            RESPECTS["syncPolicy"],
            [THERE],
        ),
        ({"kind": "ConfigMap", "namespace": "m", "jsonPointers": ["/data"]}, RESPECTS["syncPolicy"], [THERE]),
        ({"kind": "ConfigMap", "jsonPointers": ["/data"]}, RESPECTS["syncPolicy"], []),
        ({"kind": "ConfigMap", "jsonPointers": ["/data"]}, {"syncOptions": ["Validate=false"]}, [THERE]),
        ({"kind": "ConfigMap", "jsonPointers": ["/data"]}, None, [THERE]),
    ],
    ids=["another field", "another name", "another namespace", "it is made anew", "no option", "no policy"],
)
def test_what_the_sync_writes_carries_the_name(rule: Json, policy: Json | None, there: list[Node]) -> None:
    spec = RESPECTS | {"ignoreDifferences": [rule], "syncPolicy": policy}
    error, _, _ = arrives(HELM, [READS, SETTINGS], {"kafka.topic": NAME}, spec=spec, there=there)
    assert error is None


def test_a_hook_is_applied_as_it_is_rendered_whatever_a_rule_says() -> None:
    """Argo CD puts no live values into hooks (source: controller/sync.go, normalizeTargetResources)."""
    hook = SETTINGS | {
        "metadata": {"name": "settings", "annotations": {"argocd.argoproj.io/hook": "PreSync"}}
    }
    spec = RESPECTS | {"ignoreDifferences": [{"kind": "ConfigMap", "jsonPointers": ["/data"]}]}
    assert arrives(HELM, [READS, hook], spec=spec, there=[THERE])[0] is None


def test_what_comes_after_its_reader_is_told_with_both_places() -> None:
    early = job("checks", "PreSync", {"valueFrom": {"configMapKeyRef": {"name": "settings", "key": "topic"}}})
    topic = Topic(prefix="weather", parameters=HELM.parameters)
    error, _, _ = arrives(topic, [early, SETTINGS], {"kafka.topic": NAME}, jobs=("checks",))
    assert error == (
        "no test or workload of weather gets the topic's name from helm: kafka.topic",
        "ConfigMap settings (Sync, wave 0) is applied after Job checks (PreSync, wave 0)",
    )


def test_of_a_workload_whose_template_is_left_alone_argoruns_own_annotation_carries_nothing() -> None:
    labels = {"annotations": {ROLLED: NAME}}
    spec = {"template": {"metadata": labels, "spec": checks(NAME)["spec"]["template"]["spec"]}}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    rule = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/template/spec"]}
    there = Node(group="apps", kind="Deployment", version="v1", namespace="n", name="web", uid="2")
    error, _, _ = arrives(
        HELM,
        [checks(), web],
        {"kafka.topic": NAME},
        spec=RESPECTS | {"ignoreDifferences": [rule]},
        there=[there],
    )
    assert error is not None
    assert "Deployment web keeps what it has" in error[1]
