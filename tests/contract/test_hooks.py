"""Hooks: their order, their entries, what a failure leaves out, and when they are deleted."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.contract.manifests import HOOK, TOPIC, configmap, container, job, pod
from tests.contract.recordings import Recording
from tests.contract.targets import Target, entries, eventually, nodes

Json = dict[str, Any]
Pair = tuple[Recording, Recording]
DONE = "Reached expected number of succeeded pods"
LIMIT = "Job has reached the specified backoff limit"
UNSUCCESSFUL = "one or more synchronization tasks completed unsuccessfully"


def rows(recording: Recording) -> list[tuple[str, ...]]:
    """Name, hookType, syncPhase, hookPhase, status, message of each entry, in order.

    Argo CD 3.1 gives hooks no status: they get the one that later versions give them.
    """
    fields = ("name", "hookType", "syncPhase", "hookPhase", "status", "message")
    status = {"status": "Synced"} if recording.app.is_before_3_2 else {}
    return [tuple((status | r).get(f, "") for f in fields) for r in recording.results]


def test_hooks_run_phase_by_phase_and_wave_by_wave(green: Pair) -> None:
    first, second = green
    assert rows(first) == [
        ("pre", "PreSync", "PreSync", "Succeeded", "Synced", DONE),
        ("settings", "", "Sync", "Succeeded", "Synced", "configmap/settings created"),
        ("web", "", "Sync", "Succeeded", "Synced", "deployment.apps/web created"),
        ("first", "PostSync", "PostSync", "Succeeded", "Synced", DONE),
        ("checks", "PostSync", "PostSync", "Succeeded", "Synced", DONE),
    ]
    assert [r[-1] for r in rows(second)] == [
        DONE,
        "configmap/settings configured",
        "deployment.apps/web unchanged",
        DONE,
        DONE,
    ]


def test_an_entry_has_all_its_fields(green: Pair) -> None:
    recording = green[0]
    hook, resource = recording.results[0], recording.results[1]
    status = {} if recording.app.is_before_3_2 else {"status": "Synced"}
    assert hook == status | {
        "group": "batch",
        "version": "v1",
        "kind": "Job",
        "namespace": recording.app.namespace,
        "name": "pre",
        "message": DONE,
        "hookType": "PreSync",
        "hookPhase": "Succeeded",
        "syncPhase": "PreSync",
        "images": ["busybox"],
    }
    assert resource == {
        "group": "",
        "version": "v1",
        "kind": "ConfigMap",
        "namespace": recording.app.namespace,
        "name": "settings",
        "status": "Synced",
        "message": "configmap/settings created",
        "hookPhase": "Succeeded",
        "syncPhase": "Sync",
    }


def test_a_hook_is_told_of_only_when_it_is_reached(green: Pair) -> None:
    """Each event's entries begin like the last one's: what is later was not yet there."""
    for recording in green:
        whole = [r["name"] for r in recording.results]
        for event in recording.seen[1:]:
            state = event["application"]["status"].get("operationState", {})
            names = [r["name"] for r in state.get("syncResult", {}).get("resources") or ()]
            assert names == whole[: len(names)]


def test_a_later_hook_begins_after_the_earlier_one_has_ended(green: Pair) -> None:
    for recording in green:
        for event in recording.seen[1:]:
            state = event["application"]["status"].get("operationState", {})
            results = {r["name"]: r["hookPhase"] for r in state.get("syncResult", {}).get("resources") or ()}
            if "checks" in results:
                assert {v for k, v in results.items() if k != "checks"} == {"Succeeded"}


def test_a_hook_that_is_to_go_when_it_succeeded_is_gone_and_the_others_stay(green: Pair) -> None:
    app = green[1].app

    def jobs(tree: Json) -> set[str]:
        return {n["name"] for n in nodes(tree) if n["kind"] == "Job"}

    eventually(lambda: app.get("/resource-tree"), lambda tree: jobs(tree) == {"pre", "checks"})


def test_the_former_runs_job_is_there_until_the_new_one_comes(green: Pair) -> None:
    first, second = ({n["name"]: n["uid"] for n in nodes(r.tree) if n["kind"] == "Job"} for r in green)
    assert first["pre"] != second["pre"]
    told = [n["uid"] for t in green[1].trees for n in nodes(t) if (n["kind"], n["name"]) == ("Job", "checks")]
    assert list(dict.fromkeys(told)) == [first["checks"], second["checks"]]


def test_what_the_hooks_read_is_the_new_value(green: Pair) -> None:
    for recording, topic in zip(green, ("none", "weather"), strict=True):
        lines = [e["content"] for e in recording.log if not e["last"]]
        assert lines == [f"line {i} of {topic}" for i in (1, 2, 3)]


def test_a_failing_postsync_hook_fails_the_operation_and_its_later_waves_do_not_run(failed: Pair) -> None:
    recording = failed[0]
    state, found = recording.state, rows(recording)
    assert (state["phase"], state["message"]) == ("Failed", UNSUCCESSFUL)
    assert found[0] == ("settings", "", "Sync", "Succeeded", "Synced", "configmap/settings created")
    assert sorted(found[1:3]) == [
        ("bad", "PostSync", "PostSync", "Failed", "Synced", LIMIT),
        ("beside", "PostSync", "PostSync", "Failed", "Synced", LIMIT),
    ]
    assert found[3:] == [("onfail", "SyncFail", "SyncFail", "Succeeded", "Synced", DONE)]


def test_a_failing_presync_hook_keeps_everything_else_from_running(failed: Pair) -> None:
    recording = failed[1]
    state = recording.state
    assert (state["phase"], state["message"]) == ("Failed", UNSUCCESSFUL)
    assert rows(recording) == [
        ("bad", "PreSync", "PreSync", "Failed", "Synced", LIMIT),
        ("both", "SyncFail", "SyncFail", "Succeeded", "Synced", DONE),
    ]
    missing = {"status": "Missing"}
    settings = next(n for n in nodes(recording.tree) if n["name"] == "settings")
    assert settings.get("health", missing if recording.app.is_before_3_2 else None) == missing


def test_a_hook_that_is_to_go_when_it_failed_is_gone(failed: Pair) -> None:
    app = failed[0].app

    def jobs(tree: Json) -> set[str]:
        return {n["name"] for n in nodes(tree) if n["kind"] == "Job"}

    eventually(lambda: app.get("/resource-tree"), lambda tree: jobs(tree) == {"bad", "onfail"})


def test_the_tree_says_why_a_pod_failed(failed: Pair) -> None:
    recording = failed[0]
    job = next(n for n in nodes(recording.tree) if (n["kind"], n["name"]) == ("Job", "bad"))
    pod = next(n for n in nodes(recording.tree) if n["kind"] == "Pod" and n["name"].startswith("bad-"))
    assert job["health"] == {"status": "Degraded", "message": LIMIT}
    assert pod["health"] == {"status": "Degraded", "message": 'container "main" failed with exit code 3'}
    assert {i["name"]: i["value"] for i in pod["info"]}["Status Reason"] == "Error"


def test_generated_names_and_helms_own_hooks(argocd: Target) -> None:
    generated = job("", "true", hook="PostSync")
    del generated["metadata"]["name"]
    generated["metadata"]["generateName"] = "generated-"
    helms = [job(name, "true") for name in ("before", "after", "test")]
    for made, hook in zip(helms, ("pre-install,pre-upgrade", "post-install", "test"), strict=True):
        made["metadata"]["annotations"] = {"helm.sh/hook": hook, "helm.sh/hook-weight": "1"}
    with argocd.application("named", generated, *helms) as app:
        app.sync()
        state = app.ended()
    results = [(r["name"], r["hookType"], r["hookPhase"]) for r in state["syncResult"]["resources"]]
    began = int(datetime.datetime.fromisoformat(state["startedAt"]).timestamp())
    stem = f"generated-{state['syncResult']['revision'][:7]}-postsync-"
    name = next(n for n, _, _ in results if n.startswith(stem))
    assert abs(int(name.removeprefix(stem)) - began) <= 1
    assert results == [
        ("before", "PreSync", "Succeeded"),
        (name, "PostSync", "Succeeded"),
        ("after", "PostSync", "Succeeded"),
    ]


def bare(name: str, script: str, *, generated: bool = False, restart: str = "Never") -> Json:
    """A bare Pod that is a PostSync hook."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName" if generated else "name": name, "annotations": {HOOK: "PostSync"}},
        "spec": pod(container(script), restart=restart),
    }


@pytest.mark.parametrize(
    ("script", "restart", "phase", "message"),
    [
        ("echo sunny", "Never", "Succeeded", None),
        ("exit 3", "Never", "Failed", 'container "main" failed with exit code 3'),
        ("sleep 1000", "Always", "Succeeded", None),  # it is ready, and runs on
    ],
    ids=["passes", "fails", "never ends"],
)
def test_a_bare_pod_is_a_hook_that_ends_by_its_health(
    argocd: Target, script: str, restart: str, phase: str, message: str | None
) -> None:
    manifests = configmap("settings", topic=TOPIC), bare("checks", script, restart=restart)
    with argocd.application("barepod", *manifests) as app:
        for _ in range(2):  # the second time, the first one's Pod is there, and goes first
            app.sync()
            state = app.ended()
            entry = entries(state)["checks"]
            assert state["phase"] == phase
            assert (entry["kind"], entry["hookType"], entry["hookPhase"]) == ("Pod", "PostSync", phase)
            assert message is None or entry["message"] == message


def test_a_bare_pods_generated_name_is_made_as_a_jobs(argocd: Target) -> None:
    manifests = configmap("settings", topic=TOPIC), bare("checks-", "echo sunny", generated=True)
    with argocd.application("barepodg", *manifests) as app:
        app.sync()
        state = app.ended()
        (entry,) = [e for e in entries(state).values() if e["kind"] == "Pod"]
        started = datetime.datetime.fromisoformat(state["startedAt"]).timestamp()
        revision = state["syncResult"]["revision"][:7]
        assert (entry["name"], entry["hookPhase"]) == (
            f"checks-{revision}-postsync-{started:.0f}",
            "Succeeded",
        )
