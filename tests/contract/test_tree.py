"""What an Application is made of: the tree, the rendered manifests, the live ones."""

from __future__ import annotations

import re
from typing import Any

import pytest

from argorun.argocd.http.errors import ApiError
from argorun.argocd.manifests.hooks import Hook, hooks_of
from tests.contract.recordings import Recording
from tests.contract.targets import nodes

Json = dict[str, Any]
Pair = tuple[Recording, Recording]
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def only(tree: Json, kind: str, name: str = "") -> Json:
    found = [n for n in nodes(tree) if n["kind"] == kind and n["name"].startswith(name)]
    assert len(found) == 1, found
    return found[0]


def parent(node: Json) -> Json:
    assert len(node["parentRefs"]) == 1
    ref: Json = node["parentRefs"][0]
    return ref


def test_a_deployment_has_a_replica_set_and_that_has_a_pod(green: Pair) -> None:
    tree, namespace = green[0].tree, green[0].app.namespace
    web = only(tree, "Deployment")
    replicas, pod = only(tree, "ReplicaSet"), only(tree, "Pod", "web-")
    identity = {"group": "apps", "version": "v1", "namespace": namespace}
    assert parent(replicas) == {**identity, "kind": "Deployment", "name": "web", "uid": web["uid"]}
    expected = {**identity, "kind": "ReplicaSet", "name": replicas["name"], "uid": replicas["uid"]}
    assert parent(pod) == expected
    assert "parentRefs" not in web
    assert [n["health"] for n in (web, replicas, pod)] == [{"status": "Healthy"}] * 3
    assert {i["name"]: i["value"] for i in pod["info"]}["Status Reason"] == "Running"


def test_a_job_has_a_pod(green: Pair) -> None:
    for recording in green:
        job, pod = only(recording.tree, "Job", "checks"), only(recording.tree, "Pod", "checks-")
        assert parent(pod)["uid"] == job["uid"]
        assert job["health"]["status"] == pod["health"]["status"] == "Healthy"
        assert {i["name"]: i["value"] for i in pod["info"]}["Status Reason"] == "Completed"
        assert job["createdAt"] <= pod["createdAt"]
        assert job["createdAt"] >= recording.state["startedAt"]


def test_a_node_has_what_argorun_reads(green: Pair) -> None:
    for node in nodes(green[1].tree):
        expected = {"version", "kind", "namespace", "name", "uid", "resourceVersion", "createdAt"}
        assert expected <= set(node), node
        assert RFC3339.fullmatch(node["createdAt"])
        assert node.get("group", "") == {"Pod": "", "ConfigMap": "", "Job": "batch"}.get(node["kind"], "apps")


async def test_a_workload_that_did_not_change_keeps_its_pod(green: Pair) -> None:
    first, second = green
    assert only(first.tree, "Pod", "web-")["uid"] == only(second.tree, "Pod", "web-")["uid"]
    async with second.app.client() as client:
        tree = await client.tree(second.app.ref)
    job = tree.find("Job", second.app.namespace, "checks")
    assert job is not None
    assert [p.reason for p in tree.pods_under({job.uid})] == ["Completed"]


async def test_the_rendered_manifests_hold_the_hooks_and_the_parameter(green: Pair) -> None:
    app = green[1].app
    async with app.client() as client:
        manifests = await client.manifests(app.ref)
    assert sorted(hooks_of(manifests), key=lambda h: h.name) == [
        Hook("checks", ("PostSync",)),
        Hook("first", ("PostSync",)),
        Hook("onfail", ("SyncFail",)),
        Hook("pre", ("PreSync",)),
    ]
    settings = next(m for m in manifests if m["kind"] == "ConfigMap")
    assert settings["data"] == {"topic": "weather"}
    tracked = settings["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"]
    assert tracked == f"{app.name}:/ConfigMap:{app.namespace}/settings"


async def test_a_live_object_is_as_the_cluster_has_it(green: Pair) -> None:
    recording = green[1]
    app, pod = recording.app, only(recording.tree, "Pod", "checks-")
    async with app.client() as client:
        live = await client.live(app.ref, "", "v1", "Pod", app.namespace, pod["name"])
        settings = await client.live(app.ref, "", "v1", "ConfigMap", app.namespace, "settings")
        with pytest.raises(ApiError) as refused:
            await client.live(app.ref, "", "v1", "Pod", app.namespace, "nope")
    assert live["metadata"]["uid"] == pod["uid"]
    assert live["status"]["phase"] == "Succeeded"
    assert live["spec"]["restartPolicy"] == "Never"
    assert [c["name"] for c in live["spec"]["containers"]] == ["main"]
    ended = live["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert settings["data"] == {"topic": "weather"}
    assert (refused.value.status, refused.value.code) == (400, 3)
    assert refused.value.text == f"Pod  nope not found as part of application {app.name}"


def test_status_resources_tell_hooks_from_what_is_compared(green: Pair) -> None:
    app = green[1].app.get(refresh="normal")
    listed = {(r["kind"], r["name"]): r for r in app["status"]["resources"]}
    assert listed["ConfigMap", "settings"]["status"] == "Synced"
    assert listed["Job", "checks"]["hook"] is True
    assert "status" not in listed["Job", "checks"]
    assert app["status"]["sync"]["status"] == "Synced"
    assert app["status"]["sourceType"] == "Helm"
