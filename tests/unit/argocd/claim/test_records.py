"""A run's record tells the next one whether it is dead, and what was there before it."""

from __future__ import annotations

import datetime
import json

import msgspec
import pytest

from argorun.argocd.claim.records import (
    abandoned,
    begins_within,
    live,
    synced_lately,
    undone,
    values,
    way_back,
)
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.parameters.spec import claimed
from argorun.argocd.types import RUN_INFO, Application, Json
from tests.unit.argocd.gopatch import applied

TOPIC = "weather_updates_1700000000_0a1b2c3d"


def application(document: Json) -> Application:
    return msgspec.convert(document, Application)


def of(spec: Json, annotations: Json | None = None) -> Json:
    metadata: Json = {"name": "weather"} | ({"annotations": annotations} if annotations else {})
    return {"metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("now", "ended", "settling", "standing", "alive"),
    [
        (99, None, False, True, True),
        (100, None, False, True, False),  # its time is over
        (99, None, False, False, False),  # its values are gone
        (99, None, True, False, True),  # they are to be gone: the workloads are on their way
        (100, None, True, False, False),
        (99, 9, False, True, True),  # its operation has just ended
        (99, 8, False, True, False),  # it has had its time to read the logs
        (99, 8, True, True, True),
        (99, 0, False, False, True),  # its operation runs: somebody may follow it, whatever the spec says
        (100, 0, False, True, False),
    ],
)
def test_a_record_is_live_while_its_run_may_still_be_at_it(
    now: float, ended: float | None, settling: bool, standing: bool, alive: bool
) -> None:
    parameters = [{"name": "a", "value": TOPIC if standing else "other"}]
    document = of({"source": {"helm": {"parameters": parameters}}})
    if ended is not None:
        at = datetime.datetime.fromtimestamp(ended, datetime.UTC).isoformat()
        operation = {"info": [{"name": RUN_INFO, "value": "r/again"}]}
        state = {"phase": "Failed", "finishedAt": at} if ended else {"phase": "Running"}
        document["status"] = {"operationState": {"operation": operation, **state}}
    record = Record(run="r", until=100, helm=(HelmValue("a", TOPIC),), settling=settling)
    assert live(record, application(document), now) is alive


@pytest.mark.parametrize(
    ("now", "ours", "alive"), [(1240, False, True), (1241, False, False), (1189, True, True)]
)
def test_a_record_is_dead_when_its_operation_does_not_come(now: float, ours: bool, alive: bool) -> None:
    """Its run was killed between the PATCH and the POST; somebody else's operation does not count."""
    document = of({"source": {"helm": {"parameters": [{"name": "a", "value": TOPIC}]}}})
    operation = {"info": [{"name": RUN_INFO, "value": "r" if ours else "theirs"}]}
    at = datetime.datetime.fromtimestamp(1100, datetime.UTC).isoformat()
    state = {"operation": operation, "phase": "Failed", "finishedAt": at}
    document["status"] = {"operationState": state}
    record = Record(run="r", until=9999, helm=(HelmValue("a", TOPIC),), since=1000)
    assert live(record, application(document), now) is alive


@pytest.mark.parametrize(
    ("run_id", "phase", "ended", "lately"),
    [
        ("", "Succeeded", 99, True),  # somebody's own sync
        ("r/settle", "Succeeded", 99, True),
        ("r/settle", "Succeeded", 129, True),  # by a clock that is ahead of ours
        ("r/settle", "Succeeded", 70, False),  # by now it would show
        ("r", "Succeeded", 99, False),  # with its tests: the workloads are on its topic
        ("r/again", "Succeeded", 99, False),
        ("", "Failed", 99, False),
        ("", "Running", None, False),
    ],
)
def test_a_sync_that_ended_just_now_may_not_show_yet(
    run_id: str, phase: str, ended: float | None, lately: bool
) -> None:
    at = ended and datetime.datetime.fromtimestamp(ended, datetime.UTC).isoformat()
    operation = {"info": [{"name": RUN_INFO, "value": run_id}] if run_id else None}
    document = of({}) | {
        "status": {"operationState": {"operation": operation, "phase": phase, "finishedAt": at}}
    }
    assert synced_lately(application(document), 100) is lately


def test_a_record_whose_topic_is_gone_is_dead_though_another_value_of_it_still_stands() -> None:
    values = (HelmValue("kafka.topic", TOPIC), HelmValue("image.tag", "abc"))
    record = Record(run="r", until=100, helm=values, topics=(TOPIC,))
    for value, alive in ((TOPIC, True), ("theirs", False)):
        parameters = [{"name": "kafka.topic", "value": value}, {"name": "image.tag", "value": "abc"}]
        assert live(record, application(of({"source": {"helm": {"parameters": parameters}}})), 99) is alive
    texts = [json.dumps([{"op": "replace", "path": "/data/topic", "value": TOPIC}]), "kept"]
    for text, alive in zip(texts, (True, False), strict=True):
        spec: Json = {"source": {"kustomize": {"patches": [{"patch": text}]}}}
        assert live(record, application(of(spec)), 99) is alive


def test_a_record_of_an_older_argorun_is_read_and_written_as_it_was() -> None:
    text = '{"run":"r","until":100,"helm":[{"name":"a","value":"x","original":null}],"settling":true}'
    record = record_of(application(of({}, {RECORD: text})))
    assert record == Record(run="r", until=100, helm=(HelmValue("a", "x"),), settling=True)
    assert msgspec.json.encode(record).decode() == text


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
    after = undone(application(during), record)
    assert (after.spec, after.metadata) == (before["spec"], application(before).metadata)
    assert after.status.sync == application(before).status.sync
    assert [r.status for r in after.status.resources or ()] == ["Synced" if was else "OutOfSync"]
    assert undone(after, None) == after


def test_of_an_older_record_the_sync_status_is_the_one_that_is_seen() -> None:
    document = of({}, {RECORD: '{"run":"r","until":1}'}) | {"status": {"sync": {"status": "Synced"}}}
    seen = application(document)
    assert undone(seen, record_of(seen)).status == seen.status


@pytest.mark.parametrize(
    ("now", "run_id", "phase", "ended"),
    [
        (100, "r", "Running", "r"),
        (100, "r/settle", None, "r/settle"),  # the controller has not looked yet
        (99, "r", "Running", ""),  # its run may still be at it
        (100, "another", "Running", ""),
        (100, "", "Running", ""),  # somebody's
        (100, "r", "Failed", ""),
    ],
)
def test_only_a_dead_runs_own_operation_is_abandoned(
    now: float, run_id: str, phase: str | None, ended: str
) -> None:
    operation: Json = {"info": [{"name": RUN_INFO, "value": run_id}]}
    status = {"operationState": {"operation": operation, "phase": phase}} if phase else {}
    document = of({}) | {"status": status} | ({} if phase else {"operation": operation})
    assert abandoned(Record(run="r", until=100), application(document), now) == ended


def test_a_record_says_which_topics_it_is_about() -> None:
    helm = (HelmValue("kafka.topic", TOPIC), HelmValue("image.tag", "abc"))
    assert values(Record(run="r", until=1, helm=helm, kustomize=("patch",))) == [TOPIC, "abc", "patch"]
    assert values(Record(run="r", until=1, helm=helm, topics=(TOPIC,))) == [TOPIC]


def test_the_way_back_by_hand_leaves_nothing_of_the_dead_run() -> None:
    parameters = [{"name": "kafka.topic", "value": "weather"}]
    before = of({"source": {"helm": {"parameters": parameters}}}, {"k": "x"})
    before["spec"]["syncPolicy"] = {"automated": {"prune": True}}
    spec, record = claimed(application(before), [Helm("kafka.topic", TOPIC)], [], "r", 1e9, topics=[TOPIC])
    during = of(spec, {"k": "x", RECORD: msgspec.json.encode(record).decode()})
    assert applied(during, way_back(application(during), record)) == before


# -- the commit that is in the cluster -------------------------------------------------------------------


def operated(revision: str, phase: str = "Succeeded", run: str = "") -> Json:
    info = [{"name": "argorun-run", "value": run}] if run else []
    return {"operation": {"info": info}, "phase": phase, "syncResult": {"revision": revision}}


@pytest.mark.parametrize(
    ("status", "deployed"),
    [
        ({"history": [{"revision": "aaa"}, {"revision": "bbb"}]}, "bbb"),
        ({"history": [{"revision": "aaa"}], "operationState": operated("zzz", "Failed")}, "aaa"),
        ({"history": [{"revision": "aaa"}], "operationState": operated("zzz", run="r")}, "aaa"),
        ({"history": [{"revision": "bbb"}], "operationState": operated("aaa", run="r/settle")}, "aaa"),
        ({"history": [{"revision": "aaa"}], "operationState": operated("z", "Failed", "r/settle")}, "aaa"),
        ({"operationState": None}, "ccc"),
    ],
    ids=["two syncs", "a failed sync", "a run's sync", "a settled run", "a run that did not settle", "none"],
)
def test_what_is_deployed_is_not_what_git_has_by_now(status: Json, deployed: str) -> None:
    sync = {"status": "OutOfSync", "revision": "ccc"}
    assert application({"metadata": {}, "spec": {}, "status": {"sync": sync} | status}).deployed == deployed


def test_after_a_dead_run_of_another_commit_the_one_before_it_is_deployed() -> None:
    seen = application(
        {
            "metadata": {},
            "spec": {},
            "status": {"sync": {"status": "OutOfSync", "revision": "ccc"}, "history": [{"revision": "zzz"}]},
        }
    )
    assert undone(seen, Record(run="dead", until=0, synced=True, revision="aaa")).deployed == "aaa"


@pytest.mark.parametrize(("timeout", "alive"), [(90, False), (300, True)])
def test_where_rendering_may_take_longer_a_run_has_longer_to_begin(timeout: float, alive: bool) -> None:
    seen = application(of({"source": {"helm": {"parameters": [{"name": "a", "value": TOPIC}]}}}))
    record = Record("r", 9000, topics=(TOPIC,), since=100, begins_within=int(begins_within(timeout)))
    assert live(record, seen, 100 + 500) is alive
