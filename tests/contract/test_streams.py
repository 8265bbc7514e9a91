"""The watch, the stream of trees, and the two forms that a stream can have."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from argorun.argocd.sync import operation
from tests.contract.recordings import Recording
from tests.contract.targets import App, connect, nodes, stream

Json = dict[str, Any]
Pair = tuple[Recording, Recording]
WATCH = "/api/v1/stream/applications"


def test_a_watch_begins_with_the_application_as_it_stands(green: Pair) -> None:
    for recording in green:
        types = [e["type"] for e in recording.seen]
        assert types == ["ADDED"] + ["MODIFIED"] * (len(types) - 1)
    before = green[1].seen[0]["application"]
    assert before["status"]["operationState"]["operation"]["info"] == [
        {"name": "argorun-run", "value": "one"}
    ]


def test_a_watch_tells_the_phases_up_to_the_last(green: Pair) -> None:
    for recording in green:
        run = recording.posted["operation"]["info"]
        states = [e["application"]["status"].get("operationState") or {} for e in recording.seen]
        ours = [s["phase"] for s in states if s.get("operation", {}).get("info") == run]
        assert list(dict.fromkeys(ours)) == ["Running", "Succeeded"]


def test_the_last_phase_and_the_end_of_the_operation_come_at_once(green: Pair) -> None:
    for recording in green:
        run = recording.posted["operation"]["info"]
        for event in recording.seen:
            state = event["application"]["status"].get("operationState") or {}
            if state.get("operation", {}).get("info") == run:
                assert (state["phase"] == "Running") == ("operation" in event["application"])


def test_the_trees_tell_of_a_pods_life(green: Pair) -> None:
    for recording in green:
        pods = [n for t in recording.trees for n in nodes(t) if n["kind"] == "Pod"]
        new = {n["uid"]: n["name"] for n in nodes(recording.tree) if n["kind"] == "Pod"}
        reasons = [
            next(i["value"] for i in n["info"] if i["name"] == "Status Reason")
            for n in pods
            if new.get(n["uid"], "").startswith("checks-")
        ]
        lived = list(dict.fromkeys(reasons))
        assert lived[-2:] == ["Running", "Completed"]
        assert set(lived[:-2]) <= {"Pending", "ContainerCreating"}


async def test_fields_trim_a_watch(green: Pair) -> None:
    app = green[1].app
    async with app.client() as client, contextlib.aclosing(client.watch(app.ref, operation.WATCHED)) as watch:
        seen = await anext(watch)
    assert seen.metadata.name == app.name
    assert seen.state_of("two") is not None
    assert seen.spec == {}
    fields = "result.type,result.application.metadata.name,result.application.status.sync.status"
    async with (
        app.reader() as http,
        contextlib.aclosing(stream(http, WATCH, name=app.name, fields=fields)) as raw,
    ):
        first = await anext(raw)
    status = app.get()["status"]["sync"]["status"]
    assert first == {
        "type": "ADDED",
        "application": {"metadata": {"name": app.name}, "status": {"sync": {"status": status}}},
    }


def first_chunk(app: App, accept: str, path: str, **query: str) -> tuple[str, str]:
    """The content type of a stream, and its first lines as they are sent."""
    with app.http.stream("GET", path, params=query, headers={"Accept": accept}) as answer:
        text = ""
        for chunk in answer.iter_text():
            text += chunk
            if "\n" in text:
                break
        return answer.headers["content-type"].partition(";")[0], text


def test_a_stream_is_lines_of_json_or_server_sent_events(green: Pair) -> None:
    app = green[1].app
    kind, text = first_chunk(app, "application/json", WATCH, name=app.name)
    assert kind == "application/json"
    assert json.loads(text.split("\n")[0])["result"]["type"] == "ADDED"
    kind, text = first_chunk(app, "text/event-stream", WATCH, name=app.name)
    assert kind == "text/event-stream"
    assert text.startswith("data: {")
    assert json.loads(text.split("\n")[0].removeprefix("data:"))["result"]["type"] == "ADDED"


def test_a_log_is_lines_of_json_or_server_sent_events(green: Pair) -> None:
    app = green[1].app
    pod = next(n for n in nodes(green[1].tree) if n["kind"] == "Pod" and n["name"].startswith("checks-"))
    bodies = {}
    for accept in ("application/json", "text/event-stream"):
        answer = app.http.get(
            f"{app.path}/pods/{pod['name']}/logs",
            params={"namespace": app.namespace},
            headers={"Accept": accept},
        )
        assert answer.headers["content-type"].partition(";")[0] == accept
        lines = [line for line in answer.text.split("\n") if line.strip()]
        assert all(line.startswith("data: " if "event" in accept else "{") for line in lines)
        bodies[accept] = [json.loads(line.removeprefix("data:"))["result"] for line in lines]
    plain, events = bodies.values()
    assert [e["content"] for e in plain] == [e["content"] for e in events]
    assert [e["content"] for e in plain] == [*(f"line {i} of weather" for i in (1, 2, 3)), ""]


def test_a_stream_without_a_good_token_is_401(green: Pair) -> None:
    app = green[1].app
    with connect(app.target.settings) as http:
        http.headers["Authorization"] = "Bearer nope"
        for path in (WATCH, f"{WATCH}/{app.name}/resource-tree", f"{app.path}/logs"):
            answer = http.get(path, params={"name": app.name})
            assert answer.status_code == 401
            body = answer.json()
            assert (body.get("code") or body["error"]["grpc_code"]) == 16


def test_the_trees_of_an_application_that_is_not_there_are_403(green: Pair) -> None:
    app = green[1].app
    answer = app.http.get(f"{WATCH}/{app.name}-not/resource-tree")
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/resource-tree", "/manifests", "/logs"])
def test_nothing_is_told_of_an_application_that_is_not_there(green: Pair, path: str) -> None:
    app = green[1].app
    assert app.http.get(f"{app.path}-not{path}").status_code == 403
