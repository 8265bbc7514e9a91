"""What holds a run up on a real cluster is named while it waits, and when its time is over."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import cluster, support
from tests.real.cluster import Json, Stack
from tests.real.support import Bench, Result, chart, configmap, job

HOLD = "example.com/hold"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
}
LIMITS = {"run": "40s", "busy": "60s", "cleanup": "60s"}


def held(manifest: Json) -> Json:
    manifest["metadata"]["finalizers"] = [HOLD]
    return manifest


@pytest.fixture
def balanced(stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    """An Application with a Service that no cloud gives an address."""
    files = chart(SERVICE, configmap("settings", topic=support.TOPIC), job("checks", "true", "PostSync"))
    with support.bench(stack, tmp_path, files, name="b-balanced", deploy=False) as made:
        yield made


@pytest.fixture
def holding(stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    """An Application whose test Job has a finalizer that nobody takes off."""
    test = held(job("checks", "true", "PostSync"))
    with support.bench(
        stack,
        tmp_path,
        chart(configmap("settings", topic=support.TOPIC), test),
        name="b-holding",
        deploy=False,
    ) as made:
        yield made
        let_go(made)


def let_go(bench: Bench) -> None:
    patch = json.dumps({"metadata": {"finalizers": None}})
    for made in bench.stack.objects("jobs", bench.app.namespace):
        name = made["metadata"]["name"]
        bench.stack.kubectl("patch", "job", name, "-n", bench.app.namespace, "--type=merge", "-p", patch)


def run(bench: Bench) -> Result:
    result = bench.run("--no-settle", config=bench.config(timeouts=LIMITS))
    assert bench.topics() == set()
    assert not bench.app.running
    return result


def test_a_service_without_an_address_is_named_while_it_is_waited_for(balanced: Bench) -> None:
    result = run(balanced)
    why = "it is of type LoadBalancer and has no address"
    assert result.code == 4, str(result)
    assert result.err.count(f"  - Argo CD waits for Service web: {why}; set its type to ClusterIP") == 1
    assert f"time ran out after 40 s: waiting for healthy state of /Service/web: {why}" in result.err
    assert "  ! next: set its type to ClusterIP, or wait for the cloud's load balancer" in result.err


def test_the_finalizer_that_holds_the_former_hook_is_named_while_it_is_waited_for(holding: Bench) -> None:
    assert run(holding).code == 0
    result = run(holding)
    why = f"its finalizer {HOLD} holds it"
    assert result.code == 4, str(result)
    assert result.err.count(f"  - Argo CD waits until the former Job checks is deleted: {why}; ") == 1
    said = (
        "one or more tasks are running"
        if cluster.BEFORE_3_2
        else "waiting for deletion of hook batch/Job/checks"
    )
    title = f"time ran out after 40 s: {said}: {why}"
    assert title in result.err, str(result)
    (hint,) = [line for line in result.err.splitlines() if "  ! next: " in line]
    command = hint.partition("remove it: ")[2]
    assert command.startswith("kubectl patch job checks --namespace "), hint
    holding.stack.kubectl(*shlex.split(command)[1:])
    namespace = holding.app.namespace
    cluster.eventually(lambda: not holding.stack.objects("jobs", namespace), what="the former Job goes")
