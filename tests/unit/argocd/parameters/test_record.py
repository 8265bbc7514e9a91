"""The record in the annotation: byte for byte as every argorun so far has written it, and read again."""

from __future__ import annotations

import json
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.claim.liveness import is_alive
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.parameters.patch import changes
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.parameters.spec import claimed, restored, with_automated
from argorun.argocd.types import Application, Json
from tests.kustomizations import HELLOTILT, configmap

TOPIC = "weather_updates_1700000000_0a1b2c3d"
MANIFESTS: list[Json] = [configmap("topic-config", topic_name="was"), HELLOTILT]
PLAIN: Json = {"source": {"repoURL": "git"}}
HELM: Json = {
    "source": {
        "repoURL": "git",
        "helm": {
            "parameters": [
                {"name": "kafka.topic", "value": "weather"},
                {"name": "image.tag", "value": "1", "forceString": True},
                {"name": "image.tag", "value": "2"},
            ]
        },
    },
    "syncPolicy": {"automated": {"prune": True}},
}
TWICE: Json = {
    "source": {"helm": {"parameters": [{"name": "a", "value": TOPIC}, {"name": "a", "value": "2"}]}}
}
KUSTOMIZE: Json = {"source": {"repoURL": "git", "kustomize": {"patches": [{"patch": "theirs"}]}}}

BEGINS = '{"run":"run1","until":1700000900,'
ENDS = '"synced":true,"topics":["TOPIC"],"since":1700000001,"begins_within":480}'
PATCHES = (
    r'"kustomize":["[{\"op\": \"replace\", \"path\": \"/data/topic_name\", \"value\": \"TOPIC\"}]",'
    r'"{\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"metadata\": {\"name\": \"hellotilt\"}, '
    r'\"spec\": {\"template\": {\"metadata\": {\"annotations\": {\"argorun.dev/topics\": \"TOPIC\"}}}}}"],'
)

# What stood in the annotation before the kinds of parameters were a table. Records outlive the argorun that
# wrote them: these texts must not change.
RECORDED: list[tuple[Json, list[Setting], str]] = [
    (
        PLAIN,
        [Helm("kafka.topic", TOPIC, string=True)],
        BEGINS + '"helm":[{"name":"kafka.topic","value":"TOPIC","original":null}],' + ENDS,
    ),
    (
        HELM,
        [Helm("kafka.topic", TOPIC, string=True), Helm("image.tag", "3"), Helm("other", "")],
        BEGINS + '"helm":[{"name":"kafka.topic","value":"TOPIC",'
        '"original":{"name":"kafka.topic","value":"weather"}},{"name":"image.tag","value":"3",'
        '"original":{"name":"image.tag","value":"1","forceString":true}},'
        '{"name":"other","value":"","original":null}],"automated":{"prune":true},' + ENDS,
    ),
    (
        TWICE,
        [Helm("a", TOPIC)],
        BEGINS
        + '"helm":[{"name":"a","value":"TOPIC","original":{"name":"a","value":"2"},"at":1,"alike":1}],'
        + ENDS,
    ),
    (PLAIN, [Kustomize("topic-config", "topic_name", TOPIC)], BEGINS + PATCHES + ENDS),
    (
        KUSTOMIZE,
        [Kustomize("topic-config", "topic_name", TOPIC), Helm("image.tag", "3")],
        BEGINS + '"helm":[{"name":"image.tag","value":"3","original":null}],' + PATCHES + ENDS,
    ),
]


@pytest.mark.parametrize(("spec", "settings", "text"), RECORDED)
def test_an_annotation_is_written_as_ever_and_undone_from_its_text(
    spec: Json, settings: list[Setting], text: str
) -> None:
    text = text.replace("TOPIC", TOPIC)
    seen = msgspec.convert(
        {"metadata": {"name": "weather"}, "spec": spec, "status": {"sync": {"status": "Synced"}}}, Application
    )
    ours, record = claimed(
        seen, settings, MANIFESTS, "run1", 1700000900, topics=[TOPIC], since=1700000001, begins_within=480
    )
    written = {o["op"]: o["value"] for o in changes(seen, ours, record) if "annotations" in o["path"]}
    assert written == {"test": None, "add": {RECORD: text}}
    carried = msgspec.convert({"metadata": {"annotations": {RECORD: text}}, "spec": ours}, Application)
    again = record_of(carried)
    assert again == record
    assert again is not None
    assert with_automated(restored(ours, again), again) == spec


# -- reading -------------------------------------------------------------------------------------------

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=3)
RECORDS = st.builds(
    Record,
    run=NAMES,
    until=st.integers(0, 2**40),
    helm=st.lists(st.builds(HelmValue, NAMES, NAMES, st.none() | st.just({"name": "a"}))).map(tuple),
    kustomize=st.lists(NAMES).map(tuple),
    automated=st.none() | st.just({"prune": True}),
    settling=st.booleans(),
)


def carrying(text: str) -> Application:
    return msgspec.convert({"metadata": {"annotations": {RECORD: text}}}, Application)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    text = msgspec.json.encode(record).decode()
    assert record_of(carrying(text)) == record


def test_no_record_and_one_that_cannot_be_read() -> None:
    assert record_of(Application()) is None
    for text in ("", "{", "[]", '{"run": 1}', '"x"'):
        assert record_of(carrying(text)) == Record(run="unreadable", until=0)


def test_a_newer_argoruns_record_is_believed_for_as_long_as_it_says() -> None:
    newer = json.dumps({"run": "r", "until": 100, "helm": "in a form of its own", "more": 1})
    record = record_of(carrying(newer))
    assert record == Record(run="r", until=100, settling=True)
    seen = carrying(newer)
    assert (is_alive(record, seen, 99), is_alive(record, seen, 100)) == (True, False)
