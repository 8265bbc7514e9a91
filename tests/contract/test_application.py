"""GET, PATCH and PUT: who may, what is refused and in which words, what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.rest_client import RestClient
from argorun.argocd.types import Application, SyncWindows
from argorun.config.model import ApplicationRef
from tests.contract.manifests import TOPIC, configmap, job
from tests.contract.targets import JSON, App, Target, connect, good

Json = dict[str, Any]
PARAMETERS = "/spec/source/helm/parameters"
OURS = "/metadata/annotations/argorun.dev~1run"


@pytest.fixture(scope="module")
def shared(argocd: Target) -> Iterator[App]:
    with argocd.application("app", configmap("settings", topic=TOPIC)) as app:
        yield app


@pytest.fixture
def app(shared: App) -> Iterator[App]:
    """The module's Application, with one parameter and no annotation, and so again afterwards."""
    reset(shared)
    yield shared
    reset(shared)


def reset(app: App) -> None:
    """One parameter, no annotations."""
    good(app.patch(put("/metadata/annotations", {}), put("/spec/source/helm", helm(("kafka.topic", "old")))))


def helm(*parameters: tuple[str, str]) -> Json:
    return {"parameters": [{"name": n, "value": v} for n, v in parameters]}


def put(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}


def test(path: str, value: Any) -> Json:
    return {"op": "test", "path": path, "value": value}


test.__test__ = False  # type: ignore[attr-defined]


def error(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, gRPC code and text; the text is there twice."""
    body = answer.json()
    assert body["error"] == body["message"]
    assert set(body) <= {"error", "message", "code", "details"}
    return answer.status_code, body["code"], body["message"]


def parameters(app: Json) -> list[tuple[str, str]]:
    found = app["spec"]["source"].get("helm", {}).get("parameters", [])
    return [(p["name"], p["value"]) for p in found]


# -- the list ------------------------------------------------------------------------------------------


def test_the_list_holds_every_application_with_the_fields_that_are_asked_for(app: App) -> None:
    good(app.patch(put("/metadata/annotations", {"argorun.dev/run": "{}", "kept": "x"})))
    fields = "items.metadata.name,items.metadata.namespace,items.metadata.annotations,items.spec"
    listed = good(app.http.get("/api/v1/applications", params={"fields": fields}))["items"]
    (ours,) = [a for a in listed if a["metadata"]["name"] == app.name]
    whole = app.get()
    assert set(ours) == {"metadata", "spec"}
    assert set(ours["metadata"]) == {"name", "namespace", "annotations"}
    assert ours["metadata"]["namespace"] == whole["metadata"]["namespace"] == "argocd"
    assert ours["metadata"]["annotations"].items() >= {"argorun.dev/run": "{}", "kept": "x"}.items()
    assert ours["spec"] == whole["spec"]


def test_the_list_needs_a_token(app: App) -> None:
    answer = app.http.get("/api/v1/applications", headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, 16)


# -- GET -----------------------------------------------------------------------------------------------


def test_a_missing_application_is_403_and_with_a_project_404(app: App) -> None:
    missing = app.name + "-not"
    assert error(app.http.get(f"/api/v1/applications/{missing}")) == (403, 7, "permission denied")
    within = app.http.get(f"/api/v1/applications/{missing}", params={"project": "default"})
    assert error(within) == (404, 5, f'applications.argoproj.io "{missing}" not found')
    assert app.get(project="default")["metadata"]["name"] == app.name
    other = app.request("GET", project="another")
    assert error(other) == (404, 5, f'applications.argoproj.io "{app.name}" not found')


async def test_argorun_tells_of_a_missing_application_alike(app: App) -> None:
    async with app.client() as client:
        for project, status in ((None, 403), ("default", 404)):
            with pytest.raises(Denied) as denied:
                await client.application(ApplicationRef(name=app.name + "-not", project=project))
            assert denied.value.status == status


async def test_a_refresh_compares_anew_and_gives_the_application(app: App) -> None:
    good(app.patch(put(PARAMETERS + "/0/value", "fresh")))
    async with app.client() as client:
        seen = await client.application(app.ref, refresh="normal")
    assert seen.status.sync.status == "OutOfSync"
    assert seen.status.source_type == "Helm"
    assert seen.spec["source"]["helm"] == helm(("kafka.topic", "fresh"))
    compared = app.get()["status"]["sync"]["comparedTo"]["source"]
    assert compared["helm"] == helm(("kafka.topic", "fresh"))


def test_two_projects_are_one_too_many(app: App) -> None:
    answer = app.http.get(app.path, params={"project": ["default", "another"]})
    assert answer.status_code == 400


# -- PATCH ---------------------------------------------------------------------------------------------


async def test_a_parameter_is_replaced_where_it_has_the_expected_name(app: App) -> None:
    before = app.get()["spec"]
    async with app.client() as client:
        operations = [test(PARAMETERS + "/0/name", "kafka.topic"), put(PARAMETERS + "/0/value", "new")]
        answer = await client.patch(app.ref, operations)
    assert answer.spec["source"]["helm"] == helm(("kafka.topic", "new"))
    assert app.get()["spec"] == {
        **before,
        "source": {**before["source"], "helm": helm(("kafka.topic", "new"))},
    }


async def test_a_test_that_fails_is_500_code_2_and_changes_nothing(app: App) -> None:
    before = app.get()
    async with app.client() as client:
        with pytest.raises(ApiError) as refused:
            await client.patch(
                app.ref,
                [put(PARAMETERS + "/-", {"name": "x", "value": "y"}), test(PARAMETERS + "/0/value", "z")],
            )
    assert (refused.value.status, refused.value.code) == (500, 2)
    assert (
        refused.value.text == f"error applying patch: testing value {PARAMETERS}/0/value failed: test failed"
    )
    assert app.get()["spec"] == before["spec"]


def test_a_test_against_null_holds_where_nothing_is(app: App) -> None:
    good(app.patch(test("/spec/source/kustomize", None), test("/spec/syncPolicy", None)))
    assert error(app.patch(test("/spec/source/helm", None)))[:2] == (500, 2)


def test_a_test_below_what_is_not_there_fails(app: App) -> None:
    status, code, _ = error(app.patch(test("/spec/syncPolicy/automated", None)))
    assert (status, code) == (500, 2)


def test_an_annotation_cannot_be_added_where_there_are_none_but_all_of_them_can(app: App) -> None:
    assert "annotations" not in app.get()["metadata"]
    status, code, text = error(app.patch(put(OURS, "x")))
    assert (status, code) == (500, 2)
    assert "add operation does not apply" in text
    good(
        app.patch(test("/metadata/annotations", None), put("/metadata/annotations", {"argorun.dev/run": "x"}))
    )
    good(app.patch(test(OURS, "x"), put("/metadata/annotations/b", "y")))
    assert app.get()["metadata"]["annotations"] == {"argorun.dev/run": "x", "b": "y"}
    good(app.patch({"op": "remove", "path": OURS}))
    assert app.get()["metadata"]["annotations"] == {"b": "y"}


def test_what_is_empty_is_dropped_when_it_is_stored(app: App) -> None:
    before = app.get()["spec"]
    good(app.patch(put("/spec/source/helm/parameters", []), put("/spec/syncPolicy", {})))
    bare = {k: v for k, v in before["source"].items() if k != "helm"}
    assert app.get()["spec"] == {**before, "source": bare}


def test_auto_sync_is_switched_off_beside_what_it_was(app: App) -> None:
    automated = {"prune": True, "enabled": False}
    good(app.patch(put("/spec/syncPolicy", {"automated": automated})))
    policy = app.get()["spec"]["syncPolicy"]
    good(app.patch({"op": "remove", "path": "/spec/syncPolicy"}))
    assert policy == {"automated": automated}
    assert "syncPolicy" not in app.get()["spec"]


def test_a_path_that_is_not_in_git_is_400_and_changes_nothing(app: App) -> None:
    before = app.get()["spec"]
    status, code, text = error(app.patch({"op": "replace", "path": "/spec/source/path", "value": "nope"}))
    assert (status, code) == (400, 3)
    assert text.startswith(f"application spec for {app.name} is invalid: InvalidSpecError: ")
    assert "app path does not exist" in text
    assert app.get()["spec"] == before


def test_a_source_that_does_not_render_has_an_error_condition_and_no_type(argocd: Target) -> None:
    with argocd.application("lost", job("tests", "true", hook="PostSync")) as app:
        spec = app.get()["spec"]
        spec["source"]["path"] = "config/helm"
        good(app.request("PUT", "/spec", spec, validate="false"))
        raw = app.until(lambda a: a["status"].get("conditions"), refresh=True)
    seen = msgspec.convert(raw, Application)
    assert (seen.errors, seen.status.source_type) == (
        ["ComparisonError: config/helm: app path does not exist"],
        "",
    )


def test_two_kinds_of_source_are_too_many(app: App) -> None:
    status, code, text = error(app.patch(put("/spec/source/kustomize", {"patches": []})))
    assert (status, code) == (500, 2)
    assert text.endswith("multiple application sources defined: Kustomize,Helm")


def test_a_resource_version_in_a_patch_is_no_lock(app: App) -> None:
    good(app.patch(put("/metadata/resourceVersion", "1"), put(PARAMETERS + "/0/value", "won")))
    assert parameters(app.get()) == [("kafka.topic", "won")]


def test_a_patch_that_tests_the_resource_version_holds_until_anything_is_written(app: App) -> None:
    seen = app.get()
    version = {
        "op": "test",
        "path": "/metadata/resourceVersion",
        "value": seen["metadata"]["resourceVersion"],
    }
    good(app.patch(version, put(PARAMETERS + "/0/value", "first")))
    good(app.patch(put(PARAMETERS, seen["spec"]["source"]["helm"]["parameters"])))
    status, code, text = error(app.patch(version, put(PARAMETERS + "/0/value", "late")))
    assert (status, code) == (500, 2)
    assert "/metadata/resourceVersion" in text
    assert app.get()["spec"] == seen["spec"]


@pytest.mark.parametrize(
    ("patch", "kind", "status"),
    [
        ("nonsense", "json", 500),
        ("{}", "json", 500),
        ('[{"op": "dance", "path": "/a"}]', "json", 500),
        ("[]", "x", 400),
    ],
)
def test_a_patch_that_is_none_is_refused(app: App, patch: str, kind: str, status: int) -> None:
    answer = app.request("PATCH", "", {"patch": patch, "patchType": kind})
    assert answer.status_code == status, answer.text


def test_a_merge_patch_replaces_whole_lists(app: App) -> None:
    new = {"spec": {"source": {"helm": helm(("other", "1"))}}}
    good(app.request("PATCH", "", {"patch": json.dumps(new), "patchType": "merge"}))
    assert parameters(app.get()) == [("other", "1")]


# -- PUT -----------------------------------------------------------------------------------------------


async def test_a_whole_spec_is_put_without_validation(app: App) -> None:
    before = app.get()["spec"]
    broken = {**before, "source": {**before["source"], "path": "nope"}}
    refused = app.request("PUT", "/spec", broken)
    assert (refused.status_code, refused.json()["code"]) == (400, 3)
    async with app.client() as client:
        await client.replace_spec(app.ref, broken)
        assert app.get()["spec"] == broken
        await client.replace_spec(app.ref, before)
    assert app.get()["spec"] == before


async def test_a_whole_application_is_put_annotations_and_all(app: App) -> None:
    good(app.patch(put("/metadata/annotations", {"argorun.dev/run": "x", "kept": "y"})))
    async with app.client() as client:
        raw = await client.raw(app.ref)
        del raw["metadata"]["annotations"]["argorun.dev/run"]
        raw["spec"]["source"]["helm"] = helm(("kafka.topic", "put"))
        await client.replace(app.ref, raw)
        assert app.get()["metadata"]["annotations"] == {"kept": "y"}
        assert parameters(app.get()) == [("kafka.topic", "put")]
        raw["spec"]["source"]["path"] = "nope"
        await client.replace(app.ref, raw)
        assert app.get()["spec"]["source"]["path"] == "nope"
        raw["spec"]["source"]["path"] = "app"
        await client.replace(app.ref, raw)
    assert app.get()["spec"] == raw["spec"]


# -- who may -------------------------------------------------------------------------------------------


def test_a_wrong_token_and_none_are_401(app: App) -> None:
    for headers in ({"Authorization": "Bearer nope"}, {"Authorization": ""}):
        answer = app.http.get(app.path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, 16)


def test_who_may_only_look_may_not_change(app: App, argocd: Target) -> None:
    with connect(argocd.read_only) as http:
        assert http.get(app.path).status_code == 200
        patch = json.dumps({"patch": "[]", "patchType": "json"})
        for method, path, body, action in (
            ("PATCH", "", patch, "update"),
            ("PUT", "", json.dumps(app.get()), "update"),
            ("POST", "/sync", "{}", "sync"),
        ):
            status, code, text = error(http.request(method, app.path + path, content=body, headers=JSON))
            assert (status, code) == (403, 7)
            assert text.startswith(f"permission denied: applications, {action}, default/{app.name}, sub: ")
        spec = json.dumps(app.get()["spec"])
        for answer in (
            http.put(app.path + "/spec", content=spec, headers=JSON),
            http.delete(app.path + "/operation", headers=JSON),
        ):
            assert error(answer) == (403, 7, "permission denied")


async def test_can_i_tells_what_a_token_may(app: App, argocd: Target) -> None:
    asked = [("get", "applications"), ("update", "applications"), ("sync", "applications"), ("get", "logs")]
    answers = {}
    for name, settings in (("ci", argocd.settings), ("read-only", argocd.read_only)):
        async with RestClient(settings) as client:
            answers[name] = [await client.can_i(a, r, f"default/{app.name}") for a, r in asked]
    assert answers["ci"] == [True, True, True, True]
    assert answers["read-only"][:3] == [True, False, False]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", None])
def test_another_content_type_is_415_in_plain_text(app: App, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    for method, path in (("PATCH", ""), ("POST", "/sync"), ("DELETE", "/operation")):
        answer = app.http.request(method, app.path + path, headers=headers, content=b"{}" if kind else None)
        assert (answer.status_code, answer.text) == (415, "Invalid content type\n")


async def test_where_there_are_no_sync_windows_a_sync_is_allowed(app: App) -> None:
    assert app.get("/syncwindows") == {"canSync": True}
    async with app.client() as client:
        assert await client.sync_windows(app.ref) == SyncWindows()


@pytest.mark.standin_only
def test_the_stand_in_says_what_it_is(argocd: Target) -> None:
    with connect(argocd.settings) as http:
        assert "stand-in" in http.get("/api/version").json()["Version"]
