"""The stand-in's API: who may do what, what PATCH does, and the errors as Argo CD words them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from argorun.sandbox.standin import RenderError
from tests.unit.sandbox.world import NAME, PATH, configmap, job, run, world

DENIED = {"error": "permission denied", "code": 7, "message": "permission denied"}
GONE = 'applications.argoproj.io "nope" not found'


def test_a_missing_application_is_denied_and_with_a_project_not_found(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            without = await it.client.get("/api/v1/applications/nope")
            assert (without.status_code, without.json()) == (403, DENIED)
            within = await it.client.get("/api/v1/applications/nope", params={"project": "default"})
            assert (within.status_code, within.json()) == (404, {"error": GONE, "code": 5, "message": GONE})
            other = await it.client.get(PATH, params={"project": "other"})
            assert other.status_code == 404
            assert (await it.client.get(PATH, params={"appNamespace": "other"})).status_code == 403

    run(test())


def test_tokens_decide_who_may_read_and_who_may_change(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            for authorization in ("none", "Bearer nope"):
                answer = await it.client.get(PATH, headers={"authorization": authorization})
                assert (answer.status_code, answer.json()["code"]) == (401, 16)
            it.client.headers["authorization"] = f"Bearer {it.standin.read_only_token}"
            assert (await it.client.get(PATH)).status_code == 200
            assert (await it.client.get("/api/v1/session/userinfo")).json()["username"] == "readonly"
            refused = await it.patch()
            assert refused.status_code == 403
            assert refused.json()["message"].startswith(
                f"permission denied: applications, update, default/{NAME}"
            )
            assert (await it.client.post(PATH + "/sync", json={})).status_code == 403
            assert (await it.terminate()).status_code == 403
            may = "/api/v1/account/can-i/applications/{}/default/weather"
            assert (await it.client.get(may.format("get"))).json() == {"value": "yes"}
            assert (await it.client.get(may.format("sync"))).json() == {"value": "no"}

    run(test())


def test_it_says_that_it_is_a_stand_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            answer = await it.client.get("/api/version", headers={"authorization": ""})
            assert "stand-in" in answer.json()["Version"]

    run(test())


def test_every_request_but_get_needs_exactly_this_content_type(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            for kind in ("application/json; charset=utf-8", "text/plain"):
                answer = await it.client.patch(PATH, content=b"{}", headers={"content-type": kind})
                assert (answer.status_code, answer.text) == (415, "Invalid content type\n")
            assert (await it.client.request("DELETE", PATH + "/operation")).status_code == 415

    run(test())


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"op": "test", "path": "/spec/project", "value": "x"},
            "testing value /spec/project failed: test failed",
        ),
        (
            {"op": "add", "path": "/metadata/annotations/a", "value": "x"},
            'add operation does not apply: doc is missing path: "/metadata/annotations/a": missing value',
        ),
        (
            {"op": "test", "path": "/metadata/annotations/a", "value": "x"},
            "test operation does not apply: is missing path: /metadata/annotations/a: missing value",
        ),
        (
            {"op": "remove", "path": "/spec/nope"},
            "error in remove for path: '/spec/nope': Unable to remove nonexistent key: nope: missing value",
        ),
        ({"op": "frob", "path": "/spec"}, "Unexpected kind: frob"),
    ],
)
def test_a_patch_that_does_not_apply_is_a_500_with_code_2(
    tmp_path: Path, operation: Any, message: str
) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            answer = await it.patch(operation)
            assert (answer.status_code, answer.json()["code"]) == (500, 2)
            assert answer.json()["message"] == f"error applying patch: {message}"

    run(test())


def test_a_patch_is_all_or_nothing_and_normalised(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            before = await it.get()
            refused = await it.patch(
                {"op": "replace", "path": "/spec/source/path", "value": "other"},
                {"op": "test", "path": "/spec/project", "value": "x"},
            )
            assert refused.status_code == 500
            assert (await it.get())["spec"] == before["spec"]
            await it.patch(
                {"op": "add", "path": "/metadata/annotations", "value": {"record": "1"}},
                {"op": "add", "path": "/spec/syncPolicy", "value": {}},
                {
                    "op": "replace",
                    "path": "/spec/source/helm/parameters/0",
                    "value": {"name": "a", "forceString": False},
                },
            )
            after = await it.get()
            assert after["metadata"]["annotations"] == {"record": "1"}
            assert after["spec"] == before["spec"] | {
                "source": before["spec"]["source"] | {"helm": {"parameters": [{"name": "a"}]}}
            }

    run(test())


def test_a_merge_patch_merges_maps_and_replaces_lists(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            change = {
                "metadata": {"labels": {"a": "1"}},
                "spec": {"source": {"helm": {"parameters": []}, "path": None}},
            }
            body = {"patch": json.dumps(change), "patchType": "merge"}
            answer = await it.client.patch(PATH, json=body)
            assert answer.status_code == 200
            assert answer.json()["metadata"]["labels"] == {"a": "1"}
            assert "helm" not in answer.json()["spec"]["source"]
            assert "path" not in answer.json()["spec"]["source"]

    run(test())


def test_a_source_that_cannot_be_rendered_is_refused_unless_put_without_validation(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path) as it:
            render = it.standin.apps[NAME].render

            def broken(source: dict[str, Any]) -> list[dict[str, Any]]:
                if source.get("path") == "broken":
                    raise RenderError("repository not found")
                return render(source)

            it.standin.apps[NAME].render = broken
            refused = await it.patch({"op": "replace", "path": "/spec/source/path", "value": "broken"})
            assert (refused.status_code, refused.json()["code"]) == (400, 3)
            assert refused.json()["message"].startswith(
                f"application spec for {NAME} is invalid: InvalidSpecError:"
            )
            spec = (await it.get())["spec"]
            spec["source"]["path"] = "broken"
            put = await it.client.put(PATH + "/spec", params={"validate": "false"}, json=spec)
            assert (put.status_code, put.json()) == (200, spec)
            app = await it.get(refresh="normal")
            assert app["status"]["sync"]["status"] == "Unknown"
            assert app["status"]["conditions"][0]["type"] == "ComparisonError"

    run(test())


def test_live_manifests_events_and_what_is_managed(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, configmap("config", a="1"), job("red", "exit 1", hook="PostSync")) as it:
            await it.sync()
            await it.ended()
            query = {"kind": "Job", "group": "batch", "namespace": "default", "version": "v1"}
            live = json.loads((await it.get("/resource", resourceName="red", **query))["manifest"])
            assert live["status"]["conditions"][-1]["type"] == "Failed"
            missing = await it.client.get(PATH + "/resource", params={**query, "resourceName": "nope"})
            assert (missing.status_code, missing.json()["code"]) == (400, 3)
            about = {"resourceUID": live["metadata"]["uid"], "resourceName": "red"}
            events = await it.get("/events", **about, resourceNamespace="default")
            assert [event["reason"] for event in events["items"]] == [
                "SuccessfulCreate",
                "BackoffLimitExceeded",
            ]
            managed = await it.get("/managed-resources")
            assert [item["name"] for item in managed["items"]] == ["config"]
            manifests = [json.loads(m) for m in (await it.get("/manifests"))["manifests"]]
            assert [m["metadata"]["name"] for m in manifests] == ["config", "red"]

    run(test())


def test_what_comes_before_a_request_may_answer_in_its_place(tmp_path: Path) -> None:
    async def test() -> None:
        async def before(request: Request) -> Response | None:
            return JSONResponse({}, 503) if request.url.path == PATH else None

        async with world(tmp_path) as it:
            it.standin.before_request = before
            assert (await it.client.get(PATH)).status_code == 503
            assert (await it.client.get("/api/version")).status_code == 200

    run(test())
