"""A run's record tells the next one whether it is dead, and what was there before it."""

from __future__ import annotations

import msgspec
import pytest

from argorun.argocd.claim.original import original, patch_to_original, topics_of
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.parameters.spec import claimed
from tests.unit.argocd.applications import application, of
from tests.unit.argocd.gopatch import applied

TOPIC = "weather_updates_1700000000_0a1b2c3d"


@pytest.mark.parametrize("was", [True, False])
def test_what_a_dead_run_left_is_thought_away(was: bool) -> None:
    """Spec, annotations and sync status are those from before it, whatever its values have made of them."""
    before = of(
        {"source": {"helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}}}, {"k": "x"}
    )
    before["spec"]["syncPolicy"] = {"automated": {"prune": True}}
    before["status"] = {"sync": {"status": "Synced" if was else "OutOfSync", "revision": "aaa"}}
    settings = [Helm("kafka.topic", TOPIC)]
    spec, record = claimed(application(before), settings, [], "r", 1e9, topics=[TOPIC], pinned=True)
    assert (record.synced, record.revision, record.topics) == (was, "aaa", (TOPIC,))
    during = of(spec, {"k": "x", RECORD: msgspec.json.encode(record).decode()})
    during["status"] = {
        "sync": {"status": "OutOfSync", "revision": "bbb"},
        "resources": [{"status": "OutOfSync"}],
    }
    after = original(application(during), record)
    assert (after.spec, after.metadata) == (before["spec"], application(before).metadata)
    assert after.status.sync == application(before).status.sync
    assert [r.status for r in after.status.resources or ()] == ["Synced" if was else "OutOfSync"]
    assert original(after, None) == after


def test_of_an_older_record_the_sync_status_is_the_one_that_is_seen() -> None:
    document = of({}, {RECORD: '{"run":"r","until":1}'}) | {"status": {"sync": {"status": "Synced"}}}
    seen = application(document)
    assert original(seen, record_of(seen)).status == seen.status


def test_a_record_says_which_topics_it_is_about() -> None:
    helm = (HelmValue("kafka.topic", TOPIC), HelmValue("image.tag", "abc"))
    assert topics_of(Record(run="r", until=1, helm=helm, kustomize=("patch",))) == [TOPIC, "abc", "patch"]
    assert topics_of(Record(run="r", until=1, helm=helm, topics=(TOPIC,))) == [TOPIC]


def test_restoring_by_hand_leaves_nothing_of_the_dead_run() -> None:
    parameters = [{"name": "kafka.topic", "value": "weather"}]
    before = of({"source": {"helm": {"parameters": parameters}}}, {"k": "x"})
    before["spec"]["syncPolicy"] = {"automated": {"prune": True}}
    spec, record = claimed(application(before), [Helm("kafka.topic", TOPIC)], [], "r", 1e9, topics=[TOPIC])
    during = of(spec, {"k": "x", RECORD: msgspec.json.encode(record).decode()})
    assert applied(during, patch_to_original(application(during), record)) == before


def test_after_a_dead_run_of_another_commit_the_one_before_it_is_deployed() -> None:
    seen = application(
        {
            "metadata": {},
            "spec": {},
            "status": {"sync": {"status": "OutOfSync", "revision": "ccc"}, "history": [{"revision": "zzz"}]},
        }
    )
    assert original(seen, Record(run="dead", until=0, synced=True, revision="aaa")).deployed == "aaa"
