"""What tells which objects a sync changed and whose they are, and how each goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from argorun.argocd.client import Client
from argorun.argocd.hooks import ownership
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.rest_client import RestClient
from tests.contract.manifests import (
    HOOK,
    TOPIC,
    configmap,
    container,
    deployment,
    from_configmap,
    job,
)
from tests.contract.recordings import FOREVER, Recording
from tests.contract.targets import App, Target, eventually, good, nodes

Json = dict[str, Any]
Pair = tuple[Recording, Recording]


def annotated(manifest: Json, **annotations: str) -> Json:
    names = {"hook": HOOK, "options": "argocd.argoproj.io/sync-options"}
    more = {names[k]: v for k, v in annotations.items()}
    return manifest | {"metadata": {**manifest["metadata"], "annotations": more}}


def sets(app: App, value: str) -> None:
    """Put a value into the Helm parameter."""
    helm = {"parameters": [{"name": "kafka.topic", "value": value}]}
    good(app.patch({"op": "add", "path": "/spec/source/helm", "value": helm}))


def synced(app: App, **body: Any) -> Json:
    app.sync(**body)
    state = app.ended()
    assert state["phase"] == "Succeeded", state
    return state


def live(app: App, kind: str, name: str) -> Json:
    node = app.node(kind, name)
    where = {k: node.get(k, "") for k in ("group", "version", "kind", "namespace")}
    manifest: Json = json.loads(app.get("/resource", resourceName=name, **where)["manifest"])
    return manifest


def names(app: App, kind: str) -> list[str]:
    return sorted(n["name"] for n in nodes(app.get("/resource-tree")) if n["kind"] == kind and "uid" in n)


# -- what an object is ----------------------------------------------------------------------------------


async def test_the_tree_and_the_live_object_name_the_same_uid_version_and_time(argocd: Target) -> None:
    with argocd.application(
        "versions", configmap("settings", topic=TOPIC), deployment("web", FOREVER)
    ) as app:
        synced(app)

        def alike(tree: Json) -> bool:
            """The tree lags a little behind: a Deployment's status, say, or an object that was just made."""
            pairs = [
                (n, live(app, n["kind"], n["name"])["metadata"]) for n in nodes(tree) if n["kind"] != "Pod"
            ]
            told = ("uid", "resourceVersion", "createdAt")
            noted = ("uid", "resourceVersion", "creationTimestamp")
            return all([n.get(k) for k in told] == [m[k] for k in noted] for n, m in pairs)

        eventually(lambda: app.get("/resource-tree"), alike)


def test_a_sync_that_changes_nothing_leaves_the_version_and_one_that_does_makes_another(
    argocd: Target,
) -> None:
    with argocd.application("changes", configmap("settings", topic=TOPIC), configmap("same", k="v")) as app:
        synced(app)
        first = {name: app.node("ConfigMap", name) for name in ("settings", "same")}
        sets(app, "weather")
        synced(app)
        settings = live(app, "ConfigMap", "settings")["metadata"]
        assert settings["uid"] == first["settings"]["uid"]
        assert settings["resourceVersion"] != first["settings"]["resourceVersion"]
        same = live(app, "ConfigMap", "same")["metadata"]
        assert (same["uid"], same["resourceVersion"]) == (
            first["same"]["uid"],
            first["same"]["resourceVersion"],
        )


async def test_what_is_rendered_says_whose_it_is_as_the_live_object_does(green: Pair) -> None:
    app = green[0].app
    async with app.client() as client:
        rendered = await client.manifests(app.ref)
    assert {ownership.application_of(m) for m in rendered} == {app.name}
    tracking = {m["metadata"]["name"]: m["metadata"]["annotations"][ownership.TRACKING] for m in rendered}
    assert tracking["checks"] == f"{app.name}:batch/Job:{app.namespace}/checks"
    for name in ("web", "checks"):
        kind = "Deployment" if name == "web" else "Job"
        made = live(app, kind, name)["metadata"]["annotations"]
        assert made[ownership.TRACKING] == tracking[name]


async def test_manifests_are_rendered_at_the_revision_that_is_asked_for(argocd: Target) -> None:
    with argocd.application("revision", configmap("settings", topic=TOPIC)) as app:
        revision = app.get()["status"]["sync"]["revision"]
        sets(app, "weather")
        async with app.client() as client:
            (rendered,) = await client.manifests(app.ref, revision)
        assert rendered["data"] == {"topic": "weather"}, "with the parameters as they stand"


async def test_what_a_secret_holds_is_hidden_wherever_it_is_shown(argocd: Target) -> None:
    held = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "held"},
        "stringData": {"topic": TOPIC},
    }
    with argocd.application("hidden", held) as app:
        sets(app, "weather_in_secret")
        synced(app)
        async with app.client() as client:
            (rendered,) = await client.manifests(app.ref)
        for shown in (rendered, live(app, "Secret", "held")):
            assert list(shown["data"]) == ["topic"]
            assert "weather_in_secret" not in json.dumps(shown)
            assert set(shown["data"]["topic"]) == {"+"}


# -- restoring ------------------------------------------------------------------------------------------


def test_a_partial_sync_with_prune_deletes_the_extra_object_that_it_names_and_no_other(
    argocd: Target,
) -> None:
    extra, other = configmap(f"extra-{TOPIC}", k="v"), configmap(f"other-{TOPIC}", k="v")
    with argocd.application("prune", configmap("settings", topic=TOPIC), extra, other) as app:
        sets(app, "weather")
        synced(app)
        sets(app, "former")
        app.until(lambda a: a["status"]["sync"]["status"] == "OutOfSync", refresh=True)
        named = [
            {"group": "", "kind": "ConfigMap", "namespace": app.namespace, "name": n}
            for n in ("settings", "extra-weather")
        ]
        state = synced(app, resources=named, prune=True)
        told = {r["name"]: r["status"] for r in state["syncResult"]["resources"]}
        assert told == {"settings": "Synced", "extra-weather": "Pruned"}
        eventually(dict, lambda _: "extra-weather" not in names(app, "ConfigMap"))
        assert live(app, "ConfigMap", "settings")["data"] == {"topic": "former"}
        assert "other-weather" in names(app, "ConfigMap"), "it was not named"
        assert "extra-former" not in names(app, "ConfigMap"), "nor was this"


def test_without_prune_an_extra_object_that_is_named_stays(argocd: Target) -> None:
    with argocd.application("noprune", configmap(f"extra-{TOPIC}", k="v")) as app:
        sets(app, "weather")
        synced(app)
        sets(app, "former")
        named = [{"group": "", "kind": "ConfigMap", "namespace": app.namespace, "name": "extra-weather"}]
        state = synced(app, resources=named)
        (told,) = state["syncResult"]["resources"]
        assert (told["status"], told["message"]) == ("PruneSkipped", "ignored (requires pruning)")
        assert "extra-weather" in names(app, "ConfigMap")


def test_an_object_that_is_not_to_be_pruned_stays_though_it_is_named(argocd: Target) -> None:
    kept = annotated(configmap(f"extra-{TOPIC}", k="v"), options="Prune=false")
    with argocd.application("kept", kept) as app:
        sets(app, "weather")
        synced(app)
        sets(app, "former")
        named = [{"group": "", "kind": "ConfigMap", "namespace": app.namespace, "name": "extra-weather"}]
        state = synced(app, resources=named, prune=True)
        (told,) = state["syncResult"]["resources"]
        assert (told["status"], told["message"]) == ("PruneSkipped", "ignored (no prune)")
        assert "extra-weather" in names(app, "ConfigMap")


HOOKED = annotated(configmap("hooked", topic=TOPIC), hook="PreSync")


async def patch(client: Client, app: App, change: Json, name: str = "hooked") -> None:
    await client.patch_resource(app.ref, "", "v1", "ConfigMap", app.namespace, name, change)


async def test_a_hook_that_holds_data_is_not_put_back_by_a_sync_without_hooks_but_by_a_patch(
    argocd: Target,
) -> None:
    with argocd.application("hooked", HOOKED, configmap("settings", topic=TOPIC)) as app:
        sets(app, "weather")
        synced(app)
        sets(app, "former")
        synced(app, strategy={"apply": {}})
        assert live(app, "ConfigMap", "settings")["data"] == {"topic": "former"}
        assert live(app, "ConfigMap", "hooked")["data"] == {"topic": "weather"}
        before = live(app, "ConfigMap", "hooked")["metadata"]
        async with app.client() as client:
            await patch(client, app, {})
            after = live(app, "ConfigMap", "hooked")
            assert after["metadata"]["resourceVersion"] == before["resourceVersion"], "it changed nothing"
            await patch(client, app, {"data": {"topic": "former", "more": "x"}})
            await patch(client, app, {"data": {"more": None}})
        after = live(app, "ConfigMap", "hooked")
        assert after["data"] == {"topic": "former"}
        assert after["metadata"]["uid"] == before["uid"]


async def test_who_may_not_patch_is_told_so_before_it_is_looked_whether_there_is_such_an_object(
    argocd: Target,
) -> None:
    with argocd.application("denied", HOOKED) as app:
        synced(app)
        async with RestClient(argocd.read_only) as client:
            for name in ("hooked", "missing"):
                with pytest.raises(Denied) as denied:
                    await patch(client, app, {}, name)
                assert denied.value.status == 403
        async with app.client() as client:
            with pytest.raises(ApiError) as refused:
                await patch(client, app, {}, "missing")
            assert refused.value.status == 400
            assert "not found as part of application" in refused.value.text


# -- under the name of another's ------------------------------------------------------------------------


def test_the_tree_shows_another_applications_job_under_a_hooks_name_and_a_condition_names_both(
    argocd: Target,
) -> None:
    hook = job("checks", container("exit 0"), hook="PostSync")
    with argocd.application("first", hook) as first:
        synced(first)
        made = first.node("Job", "checks")
        there = {**first.get()["spec"]["destination"], "namespace": first.namespace}
        with argocd.application("second", hook, configmap("other", topic=TOPIC), destination=there) as second:
            seen = second.until(lambda a: a["status"].get("conditions"), refresh=True)
            told = {c["type"]: c["message"] for c in seen["status"]["conditions"]}
            message = told["SharedResourceWarning"]
            assert message.startswith("Job/checks is part of applications ")
            for name in (first.name, second.name):
                assert name in message
            node = second.node("Job", "checks")
            assert node["uid"] == made["uid"]
            assert ownership.application_of(live(second, "Job", "checks")) == first.name


def test_a_value_that_a_pod_reads_is_in_none_of_its_manifests(argocd: Target) -> None:
    """So whether it uses a topic is told by when it was started."""
    web = deployment("web", FOREVER, from_configmap("settings", "topic"))
    with argocd.application("reads", configmap("settings", topic=TOPIC), web) as app:
        sets(app, "weather_in_configmap")
        synced(app)

        def runs(_: Json) -> bool:
            statuses = live(app, "Pod", app.node("Pod", "web-")["name"])["status"].get("containerStatuses")
            return bool(statuses) and "running" in statuses[0]["state"]

        eventually(dict, runs)
        pod = live(app, "Pod", app.node("Pod", "web-")["name"])
        assert "weather_in_configmap" not in json.dumps(pod)
        started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        assert started >= pod["metadata"]["creationTimestamp"]
