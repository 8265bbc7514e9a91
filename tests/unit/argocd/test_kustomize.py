"""Kustomize: the object that a name means is found among those rendered, and its patch reaches only it."""

from __future__ import annotations

import json

import pytest

from argorun.argocd.kustomize import ROLLED, Kustomize, patches, reads_configmap
from argorun.argocd.types import Json

TOPIC = "weather_updates_1700000000_0a1b2c3d"
DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "hellotilt"},
    "spec": {
        "template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "topic-config"}}]}]}}
    },
}
MANIFESTS: list[Json] = [
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "topic-config"},
        "data": {"topic_name": "was", "one": "a", "two": "b"},
    },
    DEPLOYMENT,
]


def test_a_config_maps_key_is_patched_and_its_readers_are_rolled() -> None:
    other: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hellotilt"}}
    made = patches([Kustomize("topic-config", "topic_name", TOPIC)], [*MANIFESTS, other], {})
    assert [p["target"] for p in made] == [
        {"version": "v1", "kind": "ConfigMap", "name": "topic-config"},
        {"group": "apps", "version": "v1", "kind": "Deployment", "name": "hellotilt"},
    ]
    assert [json.loads(p["patch"]) for p in made] == [
        [{"op": "replace", "path": "/data/topic_name", "value": TOPIC}],
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hellotilt"},
            "spec": {"template": {"metadata": {"annotations": {ROLLED: TOPIC}}}},
        },
    ]


def test_a_keys_slash_and_tilde_are_escaped() -> None:
    (patch,) = patches([Kustomize("c", "a/b~c", TOPIC)], [], {})
    assert json.loads(patch["patch"]) == [{"op": "replace", "path": "/data/a~1b~0c", "value": TOPIC}]


def test_a_workload_that_reads_two_topics_is_rolled_once_for_both() -> None:
    two = [Kustomize("topic-config", "one", "t1"), Kustomize("topic-config", "two", "t2")]
    made = patches(two, MANIFESTS, {})
    assert len(made) == 3
    body = json.loads(made[2]["patch"])
    assert body["spec"]["template"]["metadata"]["annotations"] == {ROLLED: "t1,t2"}


@pytest.mark.parametrize(
    ("pod", "reads"),
    [
        (
            {
                "containers": [
                    {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}
                ]
            },
            True,
        ),
        ({"initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}, True),
        ({"volumes": [{"configMap": {"name": "c"}}]}, True),
        ({"volumes": [{"projected": {"sources": [{"secret": {}}, {"configMap": {"name": "c"}}]}}]}, True),
        (
            {
                "containers": [
                    {"env": [{"name": "A", "value": "c"}], "envFrom": [{"secretRef": {"name": "c"}}]}
                ]
            },
            False,
        ),
        ({"volumes": [{"configMap": {"name": "d"}}, {"secret": {"secretName": "c"}}]}, False),
        ({"containers": [{"env": None, "envFrom": None}], "initContainers": None, "volumes": None}, False),
        ({}, False),
    ],
)
def test_only_pods_that_read_the_config_map_are_rolled(pod: Json, reads: bool) -> None:
    assert reads_configmap({"spec": {"template": {"spec": pod}}}, "c") is reads


@pytest.mark.parametrize(
    ("rendered", "is_it"),
    [
        ("topic-config", True),
        ("topic-config-5g2m8k9f7h", True),
        ("topic-config-x", False),
        ("my-topic-config", False),
    ],
)
def test_a_generated_config_map_is_known_by_its_name_without_the_hash(rendered: str, is_it: bool) -> None:
    assert parameters.called({"metadata": {"name": rendered}}, "topic-config") is is_it
