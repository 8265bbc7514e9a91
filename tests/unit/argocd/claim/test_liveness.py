"""Whether the run that left a record is still alive."""

from __future__ import annotations

import asyncio
import datetime
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from argorun.argocd.claim.liveness import abandoned_operation, begins_within, is_alive, is_alive_or_testing
from argorun.argocd.client import Client
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import HelmValue, Record
from argorun.argocd.types import (
    RUN_INFO,
    Application,
    Health,
    Info,
    Json,
    Node,
    Operation,
    OperationState,
    Ref,
    ResourceResult,
    Status,
    SyncResult,
    Tree,
)
from tests.unit.argocd.applications import application, of
from tests.unit.argocd.fakes import APP

ENDED = "2024-01-01T00:00:00Z"
AFTER = 1704067200.0 + 600  # ten minutes later, in seconds since the epoch
PARAMETER = Helm("kafka.topic", "weather_1700000000_0a1b2c3d")
TOPIC = "weather_updates_1700000000_0a1b2c3d"


def argocd(*nodes: Node) -> Client:
    async def tree(app: object) -> Tree:
        return Tree(nodes=list(nodes))

    return cast(Client, SimpleNamespace(clock=SimpleNamespace(now=lambda: AFTER), tree=tree))


def job(name: str, health: str) -> Node:
    return Node(group="batch", kind="Job", namespace="n", name=name, uid=name, health=Health(status=health))


def pod(owner: str, health: str) -> Node:
    of = Ref(kind="Job", name=owner, uid=owner)
    return Node(kind="Pod", namespace="n", name="p", uid="p", parent_refs=[of], health=Health(status=health))


@pytest.mark.parametrize(
    ("nodes", "until", "live"),
    [
        ([job("checks", "Progressing")], AFTER + 60, True),
        ([job("checks", "Suspended")], AFTER + 60, True),
        ([job("checks", "Healthy")], AFTER + 60, False),
        ([job("checks", "Healthy"), pod("checks", "Progressing")], AFTER + 60, True),
        ([job("checks", "Healthy"), pod("checks", "Healthy")], AFTER + 60, False),
        ([job("of-others", "Progressing")], AFTER + 60, False),
        ([], AFTER + 60, False),
        ([job("checks", "Progressing")], AFTER - 60, False),
    ],
)
def test_a_run_lives_while_its_tests_run_and_its_time_has_not_passed(
    nodes: list[Node], until: float, live: bool
) -> None:
    checks = ResourceResult(group="batch", kind="Job", namespace="n", name="checks", hook_type="PostSync")
    state = OperationState(
        operation=Operation(info=[Info("argorun-run", "theirs")]),
        phase="Succeeded",
        finished_at=ENDED,
        sync_result=SyncResult(resources=[checks]),
    )
    parameter: Any = {"name": PARAMETER.name, "value": PARAMETER.value}
    seen = Application(
        spec={"source": {"helm": {"parameters": [parameter]}}}, status=Status(operation_state=state)
    )
    record = Record(run="theirs", until=int(until), helm=(HelmValue(PARAMETER.name, PARAMETER.value, None),))
    assert asyncio.run(is_alive_or_testing(argocd(*nodes), APP, record, seen)) is live


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
    assert is_alive(record, application(document), now) is alive


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
    assert is_alive(record, application(document), now) is alive


def test_a_record_whose_topic_is_gone_is_dead_though_another_value_of_it_still_stands() -> None:
    values = (HelmValue("kafka.topic", TOPIC), HelmValue("image.tag", "abc"))
    record = Record(run="r", until=100, helm=values, topics=(TOPIC,))
    for value, alive in ((TOPIC, True), ("theirs", False)):
        parameters = [{"name": "kafka.topic", "value": value}, {"name": "image.tag", "value": "abc"}]
        assert (
            is_alive(record, application(of({"source": {"helm": {"parameters": parameters}}})), 99) is alive
        )
    texts = [json.dumps([{"op": "replace", "path": "/data/topic", "value": TOPIC}]), "kept"]
    for text, alive in zip(texts, (True, False), strict=True):
        spec: Json = {"source": {"kustomize": {"patches": [{"patch": text}]}}}
        assert is_alive(record, application(of(spec)), 99) is alive


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
    assert abandoned_operation(Record(run="r", until=100), application(document), now) == ended


@pytest.mark.parametrize(("timeout", "alive"), [(90, False), (300, True)])
def test_where_rendering_may_take_longer_a_run_has_longer_to_begin(timeout: float, alive: bool) -> None:
    seen = application(of({"source": {"helm": {"parameters": [{"name": "a", "value": TOPIC}]}}}))
    record = Record("r", 9000, topics=(TOPIC,), since=100, begins_within=int(begins_within(timeout)))
    assert is_alive(record, seen, 100 + 500) is alive
