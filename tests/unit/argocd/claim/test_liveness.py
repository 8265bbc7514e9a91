"""A run whose tests still run is at it, however long ago its operation ended."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from argorun.argocd.claim.liveness import is_live
from argorun.argocd.client import Client
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import HelmValue, Record
from argorun.argocd.types import (
    Application,
    Health,
    Info,
    Node,
    Operation,
    OperationState,
    Ref,
    ResourceResult,
    Status,
    SyncResult,
    Tree,
)
from tests.unit.argocd.fakes import APP

ENDED = "2024-01-01T00:00:00Z"
AFTER = 1704067200.0 + 600  # ten minutes later, in seconds since the epoch
TOPIC = Helm("kafka.topic", "weather_1700000000_0a1b2c3d")


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
    parameter: Any = {"name": TOPIC.name, "value": TOPIC.value}
    seen = Application(
        spec={"source": {"helm": {"parameters": [parameter]}}}, status=Status(operation_state=state)
    )
    record = Record(run="theirs", until=int(until), helm=(HelmValue(TOPIC.name, TOPIC.value, None),))
    assert asyncio.run(is_live(argocd(*nodes), APP, record, seen)) is live
