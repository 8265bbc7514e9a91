"""POST /sync and DELETE /operation: what is captured, who is in the way, how an operation is ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from argorun.argocd.http.errors import ApiError
from argorun.argocd.sync import operation
from argorun.argocd.types import Application, ResourceStatus
from tests.contract.manifests import TOPIC, configmap, job
from tests.contract.recordings import FOREVER, Recording
from tests.contract.targets import App, Target, good, nodes

Json = dict[str, Any]
Pair = tuple[Recording, Recording]


def test_the_answer_to_a_sync_carries_our_infos_and_no_former_state(green: Pair) -> None:
    for recording, run in zip(green, ("one", "two"), strict=True):
        posted = recording.posted
        assert posted["operation"]["info"] == [{"name": "argorun-run", "value": run}]
        assert "operationState" not in posted["status"]
        assert recording.state["operation"] == posted["operation"]


def test_an_operation_captures_the_source_as_it_was_when_it_was_posted(green: Pair) -> None:
    first, second = green
    helm = {"parameters": [{"name": "kafka.topic", "value": "weather"}]}
    assert "helm" not in first.state["syncResult"]["source"]
    assert second.state["syncResult"]["source"]["helm"] == helm
    if first.app.is_before_3_2:  # it captures the source when the operation begins
        assert "source" not in first.posted["operation"]["sync"]
    else:
        assert "helm" not in first.posted["operation"]["sync"]["source"]
        assert second.posted["operation"]["sync"]["source"]["helm"] == helm
        assert second.state["operation"]["sync"]["source"]["helm"] == helm
    assert second.state["syncResult"]["revision"] == second.posted["operation"]["sync"]["revision"]


def test_an_operation_that_succeeded_says_so(green: Pair) -> None:
    for recording in green:
        state = recording.state
        assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (no more tasks)")
        assert state["startedAt"] <= state["finishedAt"]
        assert set(state) == {"operation", "phase", "message", "startedAt", "finishedAt", "syncResult"}


def test_a_retry_of_none_overrules_the_applications_own(failed: Pair) -> None:
    for recording in failed:
        assert recording.app.get()["spec"]["syncPolicy"] == {"retry": {"limit": 3}}
        assert recording.posted["operation"]["retry"] == {}
        assert recording.state["phase"] == "Failed"
        assert "retryCount" not in recording.state


@pytest.fixture(scope="module")
def held(argocd: Target) -> Iterator[App]:
    """An Application whose PreSync hook runs forever."""
    manifests = (
        job("long", FOREVER, hook="PreSync"),
        configmap("settings", topic=TOPIC),
        job("checks", "echo never", hook="PostSync"),
        job("onfail", "echo never", hook="SyncFail"),
    )
    with argocd.application("held", *manifests) as app:
        yield app


@pytest.fixture
def app(held: App) -> Iterator[App]:
    held.free()
    yield held
    held.free()


def running(app: Json) -> bool:
    state = app["status"].get("operationState", {})
    found = state.get("syncResult", {}).get("resources", [])
    return any(r.get("hookPhase") == "Running" for r in found)


def test_nothing_can_be_ended_where_nothing_runs(app: App) -> None:
    answer = app.request("DELETE", "/operation")
    text = "Unable to terminate operation. No operation is in progress"
    assert (answer.status_code, answer.json()) == (400, {"error": text, "code": 3, "message": text})


async def test_a_second_sync_is_refused_while_one_runs(app: App) -> None:
    app.sync(infos=[{"name": "argorun-run", "value": "theirs"}])
    async with app.client() as client:
        with pytest.raises(ApiError) as refused:
            await client.sync(app.ref, operation.body("ours"))
        assert (refused.value.status, refused.value.code) == (400, 9)
        assert refused.value.text == "another operation is already in progress"
        with pytest.raises(operation.Busy) as busy:
            await operation.start(client, app.ref, "ours", operation.body("ours"))
        assert str(busy.value).startswith("run theirs")


def test_the_spec_can_be_changed_while_an_operation_runs_and_does_not_change_it(app: App) -> None:
    app.sync()
    app.until(running)
    helm = {"parameters": [{"name": "kafka.topic", "value": "late"}]}
    good(app.patch({"op": "add", "path": "/spec/source/helm", "value": helm}))
    seen = app.get()
    captured = (
        seen["status"]["operationState"]["syncResult"] if app.is_before_3_2 else seen["operation"]["sync"]
    )
    assert "helm" not in captured["source"]
    good(app.patch({"op": "remove", "path": "/spec/source/helm"}))


def test_an_ended_operation_fails_without_its_later_phases_and_its_syncfail_hooks(app: App) -> None:
    app.sync(infos=[{"name": "argorun-run", "value": "ended"}])
    app.until(running)
    app.terminate()
    state = app.ended()
    assert (state["phase"], state["message"]) == ("Failed", "Operation terminated")
    assert state["operation"]["info"] == [{"name": "argorun-run", "value": "ended"}]
    results = [(r["name"], r["hookPhase"], r["message"]) for r in state["syncResult"]["resources"]]
    ended = ("Succeeded", "Deleted") if app.is_before_3_2 else ("Failed", "Terminated")
    assert results == [("long", *ended)]


def test_the_hook_of_an_ended_operation_is_deleted_with_its_pod(app: App) -> None:
    app.sync()
    app.until(running)
    pod = app.node("Pod", "long-")
    app.terminate()
    app.ended()
    app.gone(pod["uid"])
    app.gone(pod["parentRefs"][0]["uid"])


async def test_argorun_ends_only_what_is_its_own(app: App) -> None:
    async with app.client() as client:
        await operation.start(client, app.ref, "ours", operation.body("ours"))
        assert not await operation.end(client, app.ref, "another")
        assert (await client.application(app.ref)).running is not None
        assert await operation.end(client, app.ref, "ours")
        seen: Application = await client.application(app.ref)
        assert seen.running is None
        assert seen.state_of("ours") is not None


def test_after_the_end_of_one_operation_another_can_be_started(app: App) -> None:
    for run in ("one", "two"):
        posted = app.sync(infos=[{"name": "argorun-run", "value": run}])
        assert "operationState" not in posted["status"]
        app.until(running)
        app.terminate()
        assert app.ended()["operation"]["info"] == [{"name": "argorun-run", "value": run}]


async def test_a_partial_sync_runs_no_hooks(app: App) -> None:
    wanted = ResourceStatus(kind="ConfigMap", namespace=app.namespace, name="settings")
    async with app.client() as client:
        request = operation.body("partial", None, [wanted])
        await operation.start(client, app.ref, "partial", request)
        state = await operation.follow(client, app.ref, "partial", lambda _: None)
    assert (state.phase, state.message) == ("Succeeded", "successfully synced (all tasks run)")
    assert operation.hooks(state) == []
    assert [(r.kind, r.name, r.status) for r in operation.resources(state)] == [
        ("ConfigMap", "settings", "Synced")
    ]


def test_a_dry_run_makes_nothing_and_tells_of_every_hook(app: App) -> None:
    app.sync(dryRun=True)
    state = app.ended()
    assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (no more tasks)")
    results = {r["name"]: (r["hookPhase"], r["message"]) for r in state["syncResult"]["resources"]}
    assert set(results) == {"long", "settings", "checks", "onfail"}
    assert results["checks"] == ("Succeeded", "job.batch/checks created (dry run)")
    app.get(refresh="normal")  # so that the tree is not an older one
    assert [n for n in nodes(app.get("/resource-tree")) if n.get("createdAt", "") > state["startedAt"]] == []


def test_a_dry_run_can_be_partial(app: App) -> None:
    app.sync(dryRun=True, resources=[{"kind": "ConfigMap", "name": "settings"}])
    state = app.ended()
    assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (no more tasks)")
    assert [r["name"] for r in state["syncResult"]["resources"]] == ["settings"]


def test_a_revision_that_is_not_in_git_starts_nothing(app: App) -> None:
    answer = app.request("POST", "/sync", {"revision": "no-such-branch"})
    assert (answer.status_code, answer.json()["code"]) == (400, 9)
    assert answer.json()["message"].removesuffix(": revision not found") == (  # 3.1 does not say that
        "error resolving repo revision: rpc error: code = Unknown desc = "
        "unable to resolve 'no-such-branch' to a commit SHA"
    )
    assert "operation" not in app.get()
