"""Logs: what is sent, what is not, and how a container that cannot be read is told of."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from argorun.argocd.logs.cursor import sortable
from tests.contract.manifests import container, job
from tests.contract.recordings import FOREVER, Recording
from tests.contract.targets import App, Target, eventually, nodes, stream

Json = dict[str, Any]
Pair = tuple[Recording, Recording]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
ODD = r"printf 'one\rtwo  \t\n \n\377\376 \033[31mred\033[0m\nend'"
NEVER = "0001-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def app(argocd: Target) -> Iterator[App]:
    """An operation that is held by three Jobs: of two containers, of no image, and one that is restarted."""
    two = [container(f"echo one; echo two; {FOREVER}"), container(f"echo beside; {FOREVER}", "side")]
    manifests = (
        job("two", *two, hook="PreSync"),
        job("unpullable", container("true", image="example.invalid/nope:1"), hook="PreSync"),
        job("restless", "echo attempt; exit 1", hook="PreSync", restart="OnFailure", limit=100),
        job("odd", container(f"{ODD}; {FOREVER}"), hook="PreSync"),
    )
    with argocd.application("logs", *manifests) as app:
        app.sync()
        yield app


def pod(app: App, job: str) -> str:
    return str(app.node("Pod", f"{job}-")["name"])


def lines(entries: list[Json]) -> list[str]:
    return [e["content"] for e in entries if e["podName"]]


def until(app: App, condition: Any, **query: str) -> list[Json]:
    """A log once it fits."""
    seen = eventually(lambda: {"log": app.log(**query)}, lambda s: condition(s["log"]))
    log: list[Json] = seen["log"]
    return log


def test_without_a_pod_a_log_is_empty(app: App) -> None:
    query = {"kind": "Job", "group": "batch", "resourceName": "nope", "namespace": app.namespace}
    for follow in ("false", "true"):
        answer = app.request("GET", "/logs", **query, follow=follow)
        assert (answer.status_code, answer.text) == (200, "")


def test_a_line_tells_its_pod_and_its_time_and_the_last_entry_is_the_end(green: Pair) -> None:
    for recording in green:
        *told, last = recording.log
        name = next(n["name"] for n in nodes(recording.tree) if n["name"].startswith("checks-"))
        for entry in told:
            assert set(entry) == {"content", "timeStamp", "timeStampStr", "last", "podName"}
            assert (entry["podName"], entry["last"]) == (name, False)
            assert STAMP.fullmatch(entry["timeStampStr"])
            assert entry["timeStamp"] == entry["timeStampStr"][:19] + "Z"
        stamps = [sortable(e["timeStampStr"]) for e in told]
        assert stamps == sorted(stamps)
        assert (last["content"], last["podName"], last["last"]) == ("", "", True)


async def test_a_followed_log_goes_on_while_its_container_runs(app: App) -> None:
    name = pod(app, "two")
    until(app, lambda log: lines(log) == ["one", "two"], podName=name, container="main")
    query = {"namespace": app.namespace, "container": "main", "follow": "true"}
    async with (
        app.reader() as http,
        contextlib.aclosing(stream(http, f"{app.path}/pods/{name}/logs", **query)) as log,
    ):
        assert [(await anext(log))["content"] for _ in range(2)] == ["one", "two"]
        running = app.get()["status"]["operationState"]["phase"]
    assert running == "Running"


def test_a_pods_log_has_two_addresses(app: App) -> None:
    name = pod(app, "two")
    by_job = {"kind": "Job", "group": "batch", "resourceName": "two"}
    query = {"container": "side"}
    until(app, lambda log: lines(log) == ["beside"], podName=name, **query)
    assert lines(app.log(**by_job, **query)) == ["beside"]
    answer = app.request("GET", f"/pods/{name}/logs", namespace=app.namespace, **query)
    assert answer.text.count("beside") == 1


def test_of_two_containers_one_must_be_named(app: App) -> None:
    name = pod(app, "two")
    until(app, lambda log: lines(log) == ["beside"], podName=name, container="side")
    told = app.log(podName=name)
    text = f"a container name must be specified for pod {name}, choose one of: [main side]"
    assert [(e["content"], e["podName"], e["timeStampStr"]) for e in told[:-1]] == [(text, "", NEVER)]
    assert told[-1]["last"] is True


def test_a_container_that_is_not_there_is_told_without_a_pod(app: App) -> None:
    name = pod(app, "two")
    until(app, lambda log: lines(log) == ["beside"], podName=name, container="side")
    told = app.log(podName=name, container="nope")
    text = f"container nope is not valid for pod {name}"
    assert [(e["content"], e["podName"]) for e in told] == [(text, ""), ("", "")]


def test_a_container_that_cannot_start_is_told_without_a_pod(app: App) -> None:
    name = pod(app, "unpullable")
    text = f'container "main" in pod "{name}" is waiting to start: trying and failing to pull image'
    told = until(app, lambda log: log and log[0]["content"] == text, podName=name, follow="true")
    assert [(e["content"], e["podName"], e["last"]) for e in told] == [(text, "", False), ("", "", True)]
    assert told[0]["timeStampStr"] == NEVER


def test_the_tree_says_why_a_container_cannot_start(app: App) -> None:
    def reason(tree: Json) -> set[str]:
        pods = [n for n in nodes(tree) if n["kind"] == "Pod" and n["name"].startswith("unpullable-")]
        return {i["value"] for n in pods for i in n["info"] if i["name"] == "Status Reason"}

    tree = eventually(lambda: app.get("/resource-tree"), lambda t: "ImagePullBackOff" in reason(t))
    node = next(n for n in nodes(tree) if n["kind"] == "Pod" and n["name"].startswith("unpullable-"))
    assert node["health"]["status"] == "Progressing"


def test_the_tail_of_a_log(app: App) -> None:
    name = pod(app, "two")
    query = {"podName": name, "container": "main"}
    until(app, lambda log: lines(log) == ["one", "two"], **query)
    assert lines(app.log(**query, tailLines="1")) == ["two"]
    assert lines(app.log(**query, tailLines="0")) == ["one", "two"]


def test_the_log_since_some_seconds_ago(app: App) -> None:
    name = pod(app, "two")
    query = {"podName": name, "container": "main"}
    until(app, lambda log: lines(log) == ["one", "two"], **query)
    assert lines(app.log(**query, sinceSeconds="600")) == ["one", "two"]
    until(app, lambda log: lines(log) == [] and log[-1]["last"], **query, sinceSeconds="1")


def test_there_is_no_since_a_time(app: App) -> None:
    answer = app.request("GET", "/logs", sinceTime="2026-01-01T00:00:00Z")
    text = "field type *v1.Time is not supported in query parameters"
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert answer.json()["message"] == text


def test_a_filtered_log(app: App) -> None:
    name = pod(app, "two")
    query = {"podName": name, "container": "main"}
    until(app, lambda log: lines(log) == ["one", "two"], **query)
    assert lines(app.log(**query, filter="ON")) == ["one"]
    assert lines(app.log(**query, filter="!on")) == ["two"]


def test_the_log_of_the_attempt_before(app: App) -> None:
    name = pod(app, "restless")
    told = until(app, lambda log: lines(log) == ["attempt"], podName=name, previous="true")
    assert told[-1]["last"] is True
    two = pod(app, "two")
    none = app.log(podName=two, container="main", previous="true")
    text = f'previous terminated container "main" in pod "{two}" not found'
    assert [(e["content"], e["podName"]) for e in none] == [(text, ""), ("", "")]


def test_a_pod_tells_of_the_instance_before(app: App) -> None:
    def status(answer: Json) -> Json:
        pod = json.loads(answer["manifest"])
        assert pod["spec"]["restartPolicy"] == "OnFailure"
        (container,) = pod["status"]["containerStatuses"]
        return dict(container)

    query = {"namespace": app.namespace, "resourceName": pod(app, "restless"), "version": "v1", "kind": "Pod"}
    answer = eventually(lambda: app.get("/resource", **query), lambda a: status(a)["restartCount"] > 0)
    assert status(answer)["lastState"]["terminated"]["exitCode"] == 1


def test_odd_lines(app: App) -> None:
    """Split at carriage returns, which share a stamp; no blanks at their ends, no byte that is no text."""
    told = until(app, lambda log: len(lines(log)) >= 4, podName=pod(app, "odd"))
    assert lines(told)[:4] == ["one", "two", "", "\ufffd\ufffd \x1b[31mred\x1b[0m"]
    assert told[0]["timeStampStr"] == told[1]["timeStampStr"] < told[2]["timeStampStr"]


def test_restarts_are_counted_in_the_tree(app: App) -> None:
    def restarts(tree: Json) -> list[str]:
        pods = [n for n in nodes(tree) if n["kind"] == "Pod" and n["name"].startswith("restless-")]
        return [i["value"] for n in pods for i in n["info"] if i["name"] == "Restart Count"]

    eventually(lambda: app.get("/resource-tree"), restarts)


async def test_the_end_of_an_operation_ends_the_followed_log(argocd: Target) -> None:
    with argocd.application("cut", job("long", f"echo one; {FOREVER}", hook="PreSync")) as app:
        app.sync()
        name = pod(app, "long")
        until(app, lambda log: lines(log) == ["one"], podName=name)
        query = {"namespace": app.namespace, "follow": "true"}
        async with (
            app.reader() as http,
            contextlib.aclosing(stream(http, f"{app.path}/pods/{name}/logs", **query)) as log,
        ):
            assert (await anext(log))["content"] == "one"
            app.terminate()
            rest = [entry async for entry in log]
        assert [(e["content"], e["last"]) for e in rest] == [("", True)]
