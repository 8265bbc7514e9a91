"""Records that earlier versions of argorun wrote are read and written back byte for byte."""

from __future__ import annotations

import msgspec
import pytest

from argorun.argocd.claim import acquire, restore
from argorun.argocd.claim.claim import Claim
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.parameters.spec import Setting
from argorun.argocd.types import Application, Metadata
from tests.unit.argocd.applications import application, of
from tests.unit.argocd.fakes import APP
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import NOW, Scenario
from tests.unit.virtual import run

UNTIL = NOW + 1000
TOPIC = "weather_1800000000_0a1b2c3d"
PATCH = r"[{\"op\": \"replace\", \"path\": \"/data/topic_name\", \"value\": \"weather_1800000000_0a1b2c3d\"}]"

RECORDED = {
    "the smallest one": '{"run":"r","until":1}',
    "without topics, since and synced": (
        '{"run":"r","until":100,"helm":[{"name":"a","value":"x","original":null}],"settling":true}'
    ),
    "with an original and auto-sync": (
        '{"run":"3f2a","until":1700000900,"helm":[{"name":"kafka.topic","value":"weather_1700000000_0a1b2c3d",'
        '"original":{"name":"kafka.topic","value":"weather"}}],"automated":{"prune":true,"selfHeal":true}}'
    ),
    "with the sync status": (
        '{"run":"3f2a","until":1700000900,"helm":[{"name":"kafka.topic","value":"t","original":null}],'
        '"automated":{},"synced":false}'
    ),
    "with Kustomize": '{"run":"r","until":100,"kustomize":["' + PATCH + '"],"synced":true}',
    "settling, with topics and a commit": (
        '{"run":"r","until":100,"helm":[{"name":"a","value":"x","original":{"name":"a","value":"é","forceString"'
        ':true}}],"automated":{"prune":true,"enabled":true},"settling":true,"synced":true,"revision":"abc123",'
        '"topics":["x"],"since":99}'
    ),
    "with a parameter that stands there several times": (
        '{"run":"r","until":100,"helm":[{"name":"a","value":"","original":null,"at":1,"alike":2}],'
        '"synced":true,"topics":["x"],"since":99,"begins_within":480}'
    ),
}


@pytest.mark.parametrize("text", RECORDED.values(), ids=list(RECORDED))
def test_a_recorded_annotation_is_read_and_written_back_byte_for_byte(text: str) -> None:
    record = record_of(Application(metadata=Metadata(annotations={RECORD: text})))
    assert msgspec.json.encode(record).decode() == text


CONFIGMAP: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "topic-config"},
    "data": {"topic_name": "weather"},
}
AUTOMATED: Json = {"syncPolicy": {"automated": {"prune": True}}}


@pytest.mark.parametrize(
    ("spec", "setting", "values"),
    [
        (
            {"source": {"helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}}} | AUTOMATED,
            Helm("kafka.topic", TOPIC),
            '"helm":[{"name":"kafka.topic","value":"weather_1800000000_0a1b2c3d",'
            '"original":{"name":"kafka.topic","value":"weather"}}],"automated":{"prune":true}',
        ),
        (
            {"source": {"repoURL": "git"}},
            Kustomize("topic-config", "topic_name", TOPIC),
            f'"kustomize":["{PATCH}"]',
        ),
    ],
    ids=["Helm", "Kustomize"],
)
def test_a_claim_writes_the_same_annotations_as_ever(spec: Json, setting: Setting, values: str) -> None:
    scenario = Scenario(spec)
    scenario.set_time(NOW)
    argocd, warn = scenario.argocd, scenario.emitter.warn
    written: list[str | None] = []

    def note() -> None:
        written.append((argocd.document["metadata"].get("annotations") or {}).get(RECORD))

    async def whole() -> None:
        claim = Claim(argocd.client, APP, "mine", [setting], warn=warn, topics=[TOPIC], pinned=True)
        argocd.document["status"]["sync"]["revision"] = "abc123"
        await acquire.take(claim, [CONFIGMAP], UNTIL)
        note()
        await restore.give_back(claim, settling=True, until=UNTIL + 60)
        note()
        await restore.release(claim)
        note()

    run(whole())
    rest = f'"synced":true,"revision":"abc123","topics":["{TOPIC}"],"since":1800000000}}'
    assert written == [
        f'{{"run":"mine","until":1800001000,{values},{rest}',
        f'{{"run":"mine","until":1800001060,{values},"settling":true,{rest}',
        None,
    ]


def test_a_record_of_an_older_argorun_is_read_and_written_as_it_was() -> None:
    text = '{"run":"r","until":100,"helm":[{"name":"a","value":"x","original":null}],"settling":true}'
    record = record_of(application(of({}, {RECORD: text})))
    assert record == Record(run="r", until=100, helm=(HelmValue("a", "x"),), settling=True)
    assert msgspec.json.encode(record).decode() == text
