"""A topic's name must be where a test gets it: in the test, or in what a test or a workload reads."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.hooks import topic_providers
from argorun.argocd.hooks.topic_providers import applied_too_late, holders, providers, secrets_read
from argorun.argocd.parameters.kustomize import ROLLED
from argorun.argocd.types import Json

T = "weather_1760000000_deadbeef"
HOOK = "argocd.argoproj.io/hook"
HIDDEN = "++++++++"


def unreached(topics: list[str], manifests: list[Json], jobs: list[str]) -> list[str]:
    return topic_providers.unreached(topics, providers(topics, manifests, jobs))


def pod(**fields: Any) -> Json:
    """A pod's spec; `env`, `envFrom` go into its container."""
    inside = {k: fields.pop(k) for k in ("env", "envFrom") if k in fields}
    return {"containers": [{"name": "main", "image": "busybox", **inside}], **fields}


def thing(kind: str, api: str = "v1", hook: str = "", name: str = "thing", **more: Any) -> Json:
    annotations = {HOOK: hook} if hook else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "annotations": annotations}, **more}


def job(spec: Json, hook: str = "PostSync", name: str = "checks", **metadata: Any) -> Json:
    template = {"metadata": metadata, "spec": spec}
    return thing("Job", "batch/v1", hook, name, spec={"template": template})


def workload(kind: str, spec: Json, api: str = "apps/v1", **metadata: Any) -> Json:
    return thing(kind, api, spec={"template": {"metadata": metadata, "spec": spec}})


def settings(hook: str = "", name: str = "settings", **data: str) -> Json:
    return thing("ConfigMap", "v1", hook, name, data=data or {"topic": T, "other": "x"})


def secret(name: str = "settings", **data: str) -> Json:
    return thing("Secret", name=name, data=data or {"topic": HIDDEN, "other": HIDDEN})


def value(text: str = T) -> Json:
    return pod(env=[{"name": "TOPIC", "value": text}])


def key(key: str = "topic", name: str = "settings", kind: str = "configMap") -> Json:
    return pod(env=[{"name": "TOPIC", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}])


def downward(field: str) -> Json:
    return pod(env=[{"name": "TOPIC", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{field}"}}}])


def volume(**source: Any) -> Json:
    return pod(volumes=[{"name": "v", **source}])


TEST = job(pod())  # one that knows nothing of the topic
# Each way in which a pod reads a ConfigMap (kubernetes.io/docs, Pod API).
READS: dict[str, Json] = {
    "that key": key(),
    "all keys": pod(envFrom=[{"prefix": "X_", "configMapRef": {"name": "settings"}}]),
    "a volume": volume(configMap={"name": "settings"}),
    "a volume of that key": volume(configMap={"name": "settings", "items": [{"key": "topic", "path": "t"}]}),
    "a projected volume": volume(projected={"sources": [{"configMap": {"name": "settings"}}]}),
    "an init container": pod(
        initContainers=pod(envFrom=[{"configMapRef": {"name": "settings"}}])["containers"]
    ),
}
READS_NOT: dict[str, Json] = {
    "another key": key("other"),
    "another ConfigMap": key(name="others"),
    "a Secret of that name": pod(envFrom=[{"secretRef": {"name": "settings"}}]),
    "a volume of another key": volume(
        configMap={"name": "settings", "items": [{"key": "other", "path": "t"}]}
    ),
    "a projected Secret": volume(projected={"sources": [{"secret": {"name": "settings"}}]}),
    "only its name": value("settings"),
    "nothing": pod(),
}
READERS: dict[str, Any] = {
    "the test": lambda spec: [job(spec)],
    "a test that is a bare Pod": lambda spec: [thing("Pod", hook="PostSync", name="checks", spec=spec)],
    "a workload": lambda spec: [TEST, workload("Deployment", spec)],
}


@pytest.mark.parametrize("hook", ["", "PreSync"], ids=["kept", "a hook"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("way", [*READS, *READS_NOT])
def test_a_configmap_counts_where_a_test_or_a_workload_reads_what_holds_the_name(
    way: str, reader: str, hook: str
) -> None:
    manifests = [settings(hook), *READERS[reader]((READS | READS_NOT)[way])]
    assert unreached([T], manifests, []) == ([] if way in READS else [T])


HELD: dict[str, list[Json]] = {
    "the test's environment": [job(value())],
    "the test's script": [job(pod(command=["sh", "-c", f"read {T}"]))],
    "the test's annotations, for the downward API": [job(downward("annotations['topic']"), topic=T)],
    "a bare Pod's environment": [thing("Pod", hook="PostSync", spec=value())],
    "a Deployment": [TEST, workload("Deployment", value())],
    "a StatefulSet": [TEST, workload("StatefulSet", value())],
    "a DaemonSet": [TEST, workload("DaemonSet", value())],
    "a ReplicaSet": [TEST, workload("ReplicaSet", value())],
    "a ReplicationController": [TEST, workload("ReplicationController", value(), "v1")],
    "a CronJob": [
        TEST,
        thing("CronJob", "batch/v1", spec={"jobTemplate": {"spec": {"template": {"spec": value()}}}}),
    ],
    "a Job of the Sync phase": [TEST, job(value(), hook="", name="load")],
    "a bare Pod that is no hook": [TEST, thing("Pod", spec=value())],
    "a Rollout": [TEST, workload("Rollout", value(), "argoproj.io/v1alpha1")],
    "a JobSet": [
        TEST,
        thing(
            "JobSet", "jobset.x-k8s.io/v1alpha2", spec={"replicatedJobs": [{"template": {"spec": value()}}]}
        ),
    ],
    "a custom resource that an operator reads": [
        TEST,
        thing("KafkaConnector", "kafka.strimzi.io/v1beta2", spec={"config": {"topics": f"a,{T}"}}),
    ],
    "a custom resource that has a ConfigMap read": [
        TEST,
        settings(),
        thing("KafkaConnect", "kafka.strimzi.io/v1beta2", spec={"template": {"spec": key()}}),
    ],
    "a template's label, for the downward API": [TEST, workload("Deployment", downward("labels"), topic=T)],
}
NOT_HELD: dict[str, list[Json]] = {
    "nowhere": [TEST],
    "argorun's own annotation": [TEST, workload("Deployment", pod(), annotations={ROLLED: T})],
    "argorun's own annotation on the test": [job(pod(), annotations={ROLLED: T})],
    "a hook that only makes the topic": [TEST, job(value(), hook="PreSync", name="create-topic")],
    "a hook of the deletion": [TEST, job(value(), hook="PostDelete", name="delete-topic")],
    "a bare Pod that only makes the topic": [TEST, thing("Pod", hook="PreSync", name="make", spec=value())],
    "Strimzi's topic": [TEST, thing("KafkaTopic", "kafka.strimzi.io/v1beta2", spec={"topicName": T})],
    "Redpanda's topic": [TEST, thing("Topic", "cluster.redpanda.com/v1alpha2", spec={"name": T})],
    "a ConfigMap that nothing reads": [TEST, settings()],
    "a ConfigMap that no sync makes": [job(key()), settings(hook="PostDelete")],
    "a workload that no sync makes": [
        TEST,
        workload("Deployment", value()) | {"metadata": {"name": "w", "annotations": {HOOK: "Skip"}}},
    ],
    "a Helm test": [
        TEST,
        thing("Pod", spec=value()) | {"metadata": {"name": "t", "annotations": {"helm.sh/hook": "test"}}},
    ],
    "a ConfigMap that only a hook reads that is no test": [TEST, settings(), job(key(), "PreSync", "make")],
    "a ConfigMap in another namespace": [
        settings() | {"metadata": {"name": "settings", "namespace": "a"}},
        job(key()) | {"metadata": {"name": "checks", "namespace": "b", "annotations": {HOOK: "PostSync"}}},
    ],
    "a label of the test": [
        job(value("x"))
        | {"metadata": {"name": "checks", "annotations": {HOOK: "PostSync"}, "labels": {"t": T}}}
    ],
    "a label of the test's pods that they do not read": [job(pod(), labels={"topic": T})],
    "an annotation that a monitor reads": [TEST, workload("Deployment", pod(), annotations={"checks": T})],
    "an alert": [
        TEST,
        thing("PrometheusRule", "monitoring.coreos.com/v1", spec={"groups": [{"rules": [{"expr": T}]}]}),
    ],
    "an autoscaler": [
        TEST,
        thing("ScaledObject", "keda.sh/v1alpha1", spec={"triggers": [{"metadata": {"topic": T}}]}),
    ],
    "an Application of an Application": [
        TEST,
        thing(
            "Application", "argoproj.io/v1alpha1", spec={"source": {"helm": {"parameters": [{"value": T}]}}}
        ),
    ],
    "an ApplicationSet": [TEST, thing("ApplicationSet", "argoproj.io/v1alpha1", spec={"template": T})],
    "a right of Aiven's": [TEST, thing("KafkaACL", "aiven.io/v1alpha1", spec={"topic": T})],
    "an alert of Victoria Metrics": [
        TEST,
        thing("VMRule", "operator.victoriametrics.com/v1beta1", spec={"rule": T}),
    ],
    "a right": [TEST, thing("KafkaUser", "kafka.strimzi.io/v1beta2", spec={"acls": [{"name": T}]})],
    "a workload that is scaled to none": [
        TEST,
        thing("Deployment", "apps/v1", spec={"replicas": 0, "template": {"spec": value()}}),
    ],
    "a CronJob that is suspended": [
        TEST,
        thing(
            "CronJob",
            "batch/v1",
            spec={"suspend": True, "jobTemplate": {"spec": {"template": {"spec": value()}}}},
        ),
    ],
    "a workload's own annotations": [
        TEST,
        workload("Deployment", pod()) | {"metadata": {"name": "web", "annotations": {"topic": T}}},
    ],
    "a custom resource's labels": [
        TEST,
        thing("Widget", "example.com/v1") | {"metadata": {"name": "w", "labels": {"topic": T}}},
    ],
    "Kubernetes' own objects": [TEST, thing("Ingress", "networking.k8s.io/v1", spec={"path": T})],
    "a Secret, whose values are hidden": [job(key(kind="secret")), secret()],
    "a derived spelling": [job(value(T.replace("_", "-")))],
}


@pytest.mark.parametrize("place", [*HELD, *NOT_HELD])
def test_a_name_counts_where_a_test_gets_it(place: str) -> None:
    manifests = (HELD | NOT_HELD)[place]
    assert unreached([T], manifests, []) == ([] if place in HELD else [T])


WAVE = "argocd.argoproj.io/sync-wave"


def at(wave: int | str, manifest: Json, annotation: str = WAVE) -> Json:
    """The same in a sync wave."""
    placed = copy.deepcopy(manifest)
    placed["metadata"]["annotations"][annotation] = str(wave)
    return placed


# What is applied too late for its reader, and the same in time.
ORDERS: dict[str, tuple[list[Json], bool]] = {
    "a ConfigMap after a PreSync test": ([job(key(), "PreSync"), settings()], False),
    "a PreSync ConfigMap before a PreSync test": ([job(key(), "PreSync"), settings("PreSync")], True),
    "a PreSync ConfigMap in a later wave": ([job(key(), "PreSync"), at(1, settings("PreSync"))], False),
    "a PreSync test in a later wave": ([at(1, job(key(), "PreSync")), settings("PreSync")], True),
    "a ConfigMap in a later wave than a Sync test": ([job(key(), "Sync"), at(1, settings())], False),
    "a ConfigMap in the wave of a Sync test": ([at(1, job(key(), "Sync")), at(1, settings())], True),
    "a ConfigMap in a wave before": ([job(key(), "Sync"), at(-5, settings())], True),
    "a ConfigMap in any wave before PostSync": ([at(-9, job(key())), at(9, settings())], True),
    "a test that runs twice": ([job(key(), "PreSync,PostSync"), settings()], True),
    "a ConfigMap hook that is applied twice": ([job(key(), "PreSync"), settings("PostSync,PreSync")], True),
    "a ConfigMap when all has failed": ([job(key()), settings("SyncFail")], False),
    "a workload after the test": ([job(pod(), "Sync"), at(1, workload("Deployment", value()))], False),
    "a workload before the test": ([at(1, job(pod(), "Sync")), workload("Deployment", value())], True),
    "a ConfigMap after its workload": ([TEST, workload("Deployment", key()), at(1, settings())], False),
    "a ConfigMap before its workload": (
        [TEST, at(2, workload("Deployment", key())), at(1, settings())],
        True,
    ),
    "a workload's ConfigMap after the test": (
        [job(pod(), "Sync"), at(1, workload("Deployment", key())), at(1, settings())],
        False,
    ),
    "a weight of Helm's": ([job(key(), "PreSync"), at(1, settings("PreSync"), "helm.sh/hook-weight")], False),
    "a wave that is no number": ([job(key(), "Sync"), at("late", settings())], True),
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_name_that_arrives_after_its_reader_is_the_next_runs(order: str) -> None:
    manifests, in_time = ORDERS[order]
    assert unreached([T], manifests, ["checks"]) == ([] if in_time else [T])
    assert bool(applied_too_late(T, providers([T], manifests, ["checks"]))) is not in_time


def test_of_several_topics_each_must_reach_a_test() -> None:
    second = T.replace("weather", "alerts")
    assert unreached([T, second], [job(value()), settings(topic=second)], []) == [second]
    assert unreached([T, second], [job(value()), workload("Deployment", value(f"a,{second}"))], []) == []


def test_only_the_named_tests_count() -> None:
    manifests = [job(value(), name="others"), job(pod())]
    assert unreached([T], manifests, ["checks"]) == [T]
    assert unreached([T], manifests, ["others"]) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (key(kind="secret"), ["settings"]),
        (key("none", kind="secret"), []),
        (pod(envFrom=[{"secretRef": {"name": "settings"}}]), ["settings"]),
        (volume(secret={"secretName": "settings"}), ["settings"]),
        (volume(projected={"sources": [{"secret": {"name": "settings"}}]}), ["settings"]),
        (pod(imagePullSecrets=[{"name": "settings"}]), []),
        (key(), []),
    ],
)
def test_a_secret_may_hold_the_name_where_a_test_reads_it(spec: Json, expected: list[str]) -> None:
    assert secrets_read([job(spec), secret(), secret("others")], []) == expected
    assert secrets_read([job(spec)], []) == [], "it is not the Application's"


def test_it_is_told_what_holds_the_name_where_that_does_not_count() -> None:
    made = [
        settings(),
        job(value(), "PreSync", "make"),
        workload("Deployment", pod(), annotations={ROLLED: T}),
    ]
    assert holders(T, made) == ["ConfigMap settings", "Job make"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(T),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "containers", "configMap", "configMapKeyRef", "name", "items", "key", "data"]
            ),
            below,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(anything)
def test_no_manifest_is_too_strange_to_be_looked_at(spec: Any) -> None:
    """An object may hold what it wants: the look takes it, and changes nothing."""
    made = [thing(k, spec=spec, data=spec) for k in ("Deployment", "ConfigMap", "Secret")]
    made += [thing("Widget", "example.com/v1", spec=spec), thing("Pod", hook="PostSync", spec=spec), {}]
    before = copy.deepcopy(made)
    assert unreached([T], made, []) == ([] if T in str(spec) else [T])
    secrets_read(made, [])
    assert made == before


# -- pods that keep the former topic -----------------------------------------------------------------------

AT_START = workload("Deployment", READS["all keys"])
RELOADED = {"metadata": {"name": "thing", "annotations": {"reloader.stakater.com/auto": "true"}}}


def on_delete(spec: Json) -> Json:
    made = workload("StatefulSet", spec)
    return made | {"spec": made["spec"] | {"updateStrategy": {"type": "OnDelete"}}}


@pytest.mark.parametrize(
    ("manifest", "former", "reaches"),
    [
        (AT_START, AT_START, False),
        (workload("Rollout", READS["all keys"], "argoproj.io/v1alpha1"), None, False),
        (AT_START, workload("Deployment", READS["all keys"], checksum="a"), True),
        (workload("Deployment", READS["a volume"]), None, True),  # files change while it runs
        (workload("CronJob", READS["all keys"], "batch/v1"), None, True),  # each of its pods is a new one
        (AT_START | RELOADED, None, True),
        (on_delete(READS["all keys"]), workload("StatefulSet", pod()), False),
        (on_delete(value()), workload("StatefulSet", pod()), False),
    ],
)
def test_a_workload_that_is_there_counts_where_its_pods_change_to_the_topic(
    manifest: Json, former: Json | None, reaches: bool
) -> None:
    found = providers([T], [TEST, settings(), manifest], [], [former or manifest])
    assert topic_providers.unreached([T], found) == ([] if reaches else [T])
    assert topic_providers.unreached([T], found, lambda m: False) == []  # it is made anew
    assert len(topic_providers.not_restarted(T, found)) == (0 if reaches else 1)


@pytest.mark.parametrize("word", ["scaleTargetRef", "workloadRef"])
def test_a_workload_that_something_else_scales_is_not_taken_for_scaled_to_none(word: str) -> None:
    none = thing("Deployment", "apps/v1", name="web", spec={"replicas": 0, "template": {"spec": value()}})
    scaler = thing("Scaler", "example.com/v1", spec={word: {"kind": "Deployment", "name": "web"}})
    assert unreached([T], [TEST, none], []) == [T]
    assert unreached([T], [TEST, none, scaler], []) == []
