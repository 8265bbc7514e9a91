"""What looks like the place of a topic's name, and what does not."""

from __future__ import annotations

import pytest

from argorun.argocd.parameters import helm, kustomize
from argorun.argocd.parameters.topic_like import CERTAIN, LIKELY, NO, POSSIBLE, flattened, likeness
from argorun.argocd.types import Json
from argorun.config.model import ConfigMapKey
from argorun.errors import UsageError
from tests.unit.init.manifests import GENERATED


@pytest.mark.parametrize(
    ("name", "value", "like"),
    [
        ("kafka.topic", "", CERTAIN),
        ("kafka.topic", "shared_feed", CERTAIN),
        ("topic", "", CERTAIN),
        ("topicName", "weather", CERTAIN),
        ("env.KAFKA_TOPIC", "", CERTAIN),
        ("topic-config/topic_name", "", CERTAIN),
        ("kafka.topic.name", "", CERTAIN),
        ("kafkatopic", "", CERTAIN),
        ("inputTopic", "orders", LIKELY),
        ("consumer.ordersTopic", "", LIKELY),
        ("kafka.topics.orders", "orders", POSSIBLE),
        ("topics[0].name", "orders", CERTAIN),
        ("kafka.topic.dlq", "", POSSIBLE),
        ("topicDlq", "", POSSIBLE),
        ("kafka.topicPartitions", "", NO),
        ("kafka.topic.partitions", "3", NO),
        ("topic.retention.ms", "", NO),
        ("deleteTopicJob", "true", NO),
        ("createTopic", "", NO),
        ("topicPrefix", "weather_", NO),
        ("kafka.topic", "a, b", NO),
        ("kafka.topic", "{{ .Release.Name }}", NO),
        ("kafka.topic", "true", NO),
        ("kafka.topic", "12", NO),
        ("kafka.bootstrapServers", "", NO),
        ("topicToken", "", NO),
        ("name", "topic", NO),
        ("", "", NO),
    ],
)
def test_a_place_is_known_by_its_name_and_by_what_stands_there(name: str, value: str, like: int) -> None:
    assert likeness(name, value) == like


def test_nested_values_are_named_as_helm_takes_them() -> None:
    values = {"kafka": {"topic": None, "on": True}, "list": [{"a": 1}], "with.dot": "x", "none": {}}
    assert flattened(values) == {"kafka.topic": "", "kafka.on": "true", "list[0].a": "1", "with\\.dot": "x"}


def test_a_helm_parameter_is_found_wherever_it_stands_and_the_application_wins() -> None:
    spec: Json = {
        "source": {
            "helm": {
                "parameters": [
                    {"name": "kafka.topic", "value": "shared_feed"},
                    {"name": "tag", "value": "1"},
                ],
                "valuesObject": {"kafka": {"topic": "no", "inputTopic": "orders"}},
                "values": "{topics: {audit: log}}",
            }
        }
    }
    chart = {"kafka.topic": "", "kafka.outputTopic": "", "image": "x", "deleteTopicJob": "true"}
    assert [(c.place, c.value, c.seen) for c in helm.candidates(spec, [], chart)] == [
        ("kafka.topic", "shared_feed", "in the Application's parameters"),
        ("kafka.inputTopic", "orders", "in the Application's values"),
        ("topics.audit", "log", "in the Application's values"),
        ("kafka.outputTopic", "", "in the chart's values"),
    ]


@pytest.mark.parametrize("values", ["a: [", "- a", "text", "!!python/object:os.system x", ""])
def test_values_that_are_no_mapping_have_no_parameter(values: str) -> None:
    assert helm.candidates({"source": {"helm": {"values": values}}}, [], {}) == []


def test_a_source_without_helm_has_no_parameter() -> None:
    assert helm.candidates({}, [], {}) == []


def test_a_configmaps_key_is_found_without_a_generators_hash_and_with_its_readers() -> None:
    assert [(c.place, c.typed, c.value, c.seen) for c in kustomize.candidates({}, GENERATED, {})] == [
        (
            ConfigMapKey(configmap="app-env", key="ORDERS_TOPIC"),
            "app-env/ORDERS_TOPIC",
            "orders",
            "read by Deployment app",
        ),
        (
            ConfigMapKey(configmap="app-env", key="ORDERS_TOPIC_DLQ"),
            "app-env/ORDERS_TOPIC_DLQ",
            "orders-dlq",
            "read by Deployment app",
        ),
    ]


def test_a_configmap_that_nothing_reads_is_the_last_to_be_suggested() -> None:
    unread = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"topic": ""}}
    (found,) = kustomize.candidates({}, [unread], {})
    assert (found.seen, found.likeness) == ("read by nothing", POSSIBLE)


@pytest.mark.parametrize("data", [None, [], "text"])
def test_odd_configmaps_are_passed_over(data: object) -> None:
    assert (
        kustomize.candidates({}, [{"kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}], {}) == []
    )


def test_a_configmaps_key_is_typed_with_a_slash() -> None:
    assert kustomize.typed("topic-config/topic_name") == ConfigMapKey(
        configmap="topic-config", key="topic_name"
    )
    for text in ("topic-config", "topic-config/", "/key", "a/b/c"):
        with pytest.raises(UsageError) as error:
            kustomize.typed(text)
        assert (error.value.message, error.value.hint) == (
            f"'{text}' names no ConfigMap's key",
            "write CONFIGMAP/KEY, as in topic-config/topic_name",
        )
