"""What manifests tell of Kafka, and which hooks are tests."""

from __future__ import annotations

import pytest

from argorun.argocd.types import (
    Application,
    OperationState,
    ResourceResult,
    Status,
    SyncResult,
)
from argorun.init.hooks import PostSyncHook, find_tests
from argorun.init.rendered import Brokers, brokers, security
from tests.unit.init.manifests import BY_HAND, HOOKS, SPRING, Json


def test_kafka_is_found_in_environment_files_and_arguments() -> None:
    in_cluster = "my-cluster-kafka-bootstrap.kafka.svc:9092"
    outside = "kafka-0.example.com:9093,kafka-1.example.com:9093"
    assert brokers(
        [*BY_HAND, *SPRING], {"kafka.bootstrapServers": "kafka-broker:29092", "kafka.topic": "a:1"}
    ) == [
        Brokers(in_cluster, ("Deployment basic-kafka-consumer, variable BOOTSTRAP_SERVER",)),
        Brokers(outside, ("ConfigMap orders-config, key application.yaml", "Deployment orders, args")),
        Brokers("kafka-broker:29092", ("the chart's value kafka.bootstrapServers",)),
    ]


@pytest.mark.parametrize(
    ("servers", "inside"),
    [
        ("kafka-broker:29092", True),
        ("kafka.default.svc:9092", True),
        ("kafka.default.svc.cluster.local:9092", True),
        ("10.0.0.1:9092", True),
        ("kafka.example.com:9093", False),
        ("8.8.8.8:9092", False),
        ("[2001:4860:4860::8888]:9092", False),
    ],
)
def test_an_address_that_only_the_cluster_knows_is_told_by_its_name(servers: str, inside: bool) -> None:
    assert Brokers(servers, ()).is_in_cluster is inside


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("KAFKA_BROKERS", "a:1,b:2", "a:1,b:2"),
        ("KAFKA_URL", "kafka://a:1", "a:1"),
        ("kafkaBootstrapServers", "PLAINTEXT://a:1, SSL://b:2", "a:1,b:2"),
        ("BROKER_LIST", "a:1", "a:1"),
        ("BOOTSTRAP_SERVERS", "localhost:9092", ""),
        ("BOOTSTRAP_SERVERS", "127.0.0.1:9092", ""),
        ("BOOTSTRAP_SERVERS", "", ""),
        ("BOOTSTRAP_SERVERS", "$(KAFKA)", ""),
        ("REDIS_URL", "redis:6379", ""),
        ("DATABASE", "db:5432", ""),
        ("JAVA_OPTS", "-Dbootstrap.servers=a:1", "a:1"),
        ("JAVA_OPTS", "-Dbootstrap.servers=me:12345@a:1", ""),  # a password
        ("JAVA_OPTS", "-Dbootstrap.servers=me:1a@a:1", ""),
        ("JAVA_OPTS", "-Dbootstrap.servers=a:1234567", ""),
    ],
)
def test_only_kafkas_address_is_taken_for_it(name: str, value: str, found: str) -> None:
    manifest: Json = {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"env": [{"name": name, "value": value}]}]},
    }
    assert [b.servers for b in brokers([manifest], {})] == ([found] if found else [])


def test_places_of_one_address_are_listed_but_not_all() -> None:
    assert Brokers("a:1", ("A", "B", "C", "D", "E")).seen == "A, B, C and 2 more"


def test_how_kafka_is_spoken_to_is_found() -> None:
    where = "ConfigMap orders-config, key application.yaml"
    found = security(SPRING, {})
    assert {name: (hint.value, hint.where) for name, hint in found.items()} == {
        "security.protocol": ("SASL_SSL", where),
        "sasl.mechanism": ("SCRAM-SHA-512", where),
    }
    assert security(BY_HAND, {}) == {}


@pytest.mark.parametrize(
    "manifest",
    [
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"bootstrap.servers": "a:1"}},
        {"kind": "ConfigMap", "metadata": None, "data": ["bootstrap.servers=a:1"]},
        {"kind": "Pod", "spec": {"containers": [{"env": ["x"], "args": "x"}]}},
        {},
    ],
)
def test_a_secret_is_left_alone_and_odd_objects_do_no_harm(manifest: Json) -> None:
    assert (brokers([manifest], {}), security([manifest], {})) == ([], {})


# -- hooks ----------------------------------------------------------------------------------------------


def hook(name: str, *phases: str, seen: str = "among the manifests", is_test: bool = False) -> PostSyncHook:
    return PostSyncHook("Job", name, phases, seen, is_test)


def test_a_hook_that_cleans_up_or_tells_somebody_is_no_test() -> None:
    assert find_tests(HOOKS, [], Application()) == [
        hook("run-automation-tests-job", "PostSync", is_test=True),
        hook("delete-topic-job", "PostSync", "SyncFail"),
        hook("slack-notification", "PostSync"),
    ]


@pytest.mark.parametrize(
    ("name", "is_test"),
    [
        ("weather-delete-test-data", False),
        ("verify", True),
        ("e2e", True),
        ("job", True),
        ("prepare-tests", False),
    ],
)
def test_a_test_is_told_by_its_name(name: str, is_test: bool) -> None:
    manifest: Json = {
        "kind": "Job",
        "metadata": {"name": name, "annotations": {"argocd.argoproj.io/hook": "PostSync"}},
    }
    assert [h.is_test for h in find_tests([manifest], [], Application())] == [is_test]


def test_hooks_that_are_not_rendered_now_are_found_in_the_cluster() -> None:
    found = find_tests([], HOOKS, Application())
    assert found[0] == hook("run-automation-tests-job", "PostSync", seen="in the cluster", is_test=True)


def test_hooks_that_are_gone_are_found_in_the_last_sync_without_what_argocd_appends_to_their_names() -> None:
    ran = [
        ResourceResult(kind="Job", name="checks-c0ffee1-postsync-1700000000", hook_type="PostSync"),
        ResourceResult(kind="Job", name="prepare", hook_type="PreSync"),
        ResourceResult(kind="ConfigMap", name="settings", hook_type="PostSync"),
        ResourceResult(kind="Deployment", name="writer"),
    ]
    app = Application(status=Status(operation_state=OperationState(sync_result=SyncResult(resources=ran))))
    assert find_tests([], [], app) == [hook("checks-", "PostSync", seen="ran in the last sync", is_test=True)]


def test_where_nothing_is_known_there_is_no_hook() -> None:
    assert find_tests([], [], Application()) == []
