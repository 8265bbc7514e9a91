"""What a server says of itself and of who asks: the time, its version, its namespace, what a token may."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from argorun.argocd import clock as clocks
from argorun.argocd.client import policy_object
from argorun.argocd.clock import Clock
from argorun.argocd.http.errors import Unauthenticated
from argorun.argocd.rest_client import RestClient
from argorun.argocd.types import UserInfo
from argorun.config import jwt
from tests.contract.manifests import DEFAULT, job
from tests.contract.targets import JSON, App, Target, connect, eventually, good


@pytest.fixture(scope="module")
def app(argocd: Target) -> Iterator[App]:
    with argocd.application("server", job("tests", "PostSync")) as made:
        yield made


# -- the time ------------------------------------------------------------------------------------------


def test_every_answer_says_when_it_was_made_errors_and_streams_included(app: App) -> None:
    """To the second, and cut off: never ahead."""
    ours: dict[str, str] = {}
    nobodys = {"Authorization": "Bearer nope"}
    for path, headers, status in (
        ("/api/version", ours, 200),
        (app.path, ours, 200),
        (app.path, nobodys, 401),
        (f"{app.path}-none", ours, 403),
        (f"{app.path}/logs", ours, 200),
    ):
        sent = time.time()
        answer = app.http.get(path, headers=headers)
        made = clocks.date(answer.headers["date"])
        assert (answer.status_code, "age" in answer.headers) == (status, False)
        assert made is not None
        assert math.floor(sent) <= made <= time.time()


async def test_one_answer_is_enough_to_know_the_time(app: App) -> None:
    """Both servers are on this machine: its clock is theirs, and argorun's stays within the bounds."""
    async with app.client() as client:
        client.clock = Clock(local=lambda: 0.0)  # a machine whose clock has never been set
        before = time.time()
        await client.application(app.ref)
        assert before - 1 <= client.clock.now() <= time.time() + 1
        assert client.clock.known


# -- what it is ------------------------------------------------------------------------------------------


async def test_its_version_begins_with_two_numbers_and_needs_no_token(app: App, argocd: Target) -> None:
    async with app.client() as client:
        told = await client.version()
    major, minor, *_ = told.removeprefix("v").split(".")
    assert (major.isdigit(), minor.isdigit()) == (True, True)
    with connect(argocd.settings) as http:
        assert http.get("/api/version", headers={"Authorization": ""}).json() == {"Version": told}


async def test_where_it_is_itself_is_told_to_those_with_a_token(app: App, argocd: Target) -> None:
    async with app.client() as client:
        assert (await client.server_settings()).controller_namespace == app.get()["metadata"]["namespace"]
    with connect(argocd.settings) as http:
        assert "controllerNamespace" not in http.get("/api/v1/settings", headers={"Authorization": ""}).json()


# -- what a token may ------------------------------------------------------------------------------------


async def test_in_its_own_namespace_an_application_is_asked_about_by_project_and_name(
    app: App, argocd: Target
) -> None:
    own = app.get()["metadata"]["namespace"]
    subjects = [policy_object("default", namespace, app.name, own) for namespace in ("", own, "team-a")]
    assert subjects == [f"default/{app.name}", f"default/{app.name}", f"default/team-a/{app.name}"]
    async with RestClient(argocd.read_only) as client:
        for subject in subjects:
            told = [await client.can_i(action, "applications", subject) for action in ("get", "update")]
            assert told == [True, False]


async def test_whose_a_token_is_is_told_and_of_one_that_nobody_knows_that_it_is_nobodys(
    app: App, argocd: Target
) -> None:
    async with app.client() as client:
        user = await client.user_info()
    assert (user.logged_in, user.username, user.iss) == (True, "ci", "argocd")
    async with RestClient(msgspec.structs.replace(argocd.settings, token="nope")) as client:
        assert await client.user_info() == UserInfo()
        with pytest.raises(Unauthenticated) as denied:
            await client.can_i("get", "applications", "*/*")
    assert denied.value.message == "Argo CD does not know this token (no session information)"


async def test_a_role_that_may_not_read_repositories_is_not_told_a_charts_values(app: App) -> None:
    async with app.client() as client:
        assert await client.chart_values(app.ref, await client.application(app.ref)) is None


async def test_one_that_may_is_told_them_with_their_names(app: App, argocd: Target) -> None:
    async with RestClient(argocd.reads_repositories) as client:
        seen = await client.application(app.ref)
        assert await client.chart_values(app.ref, seen) == {"kafka.topic": DEFAULT}
        elsewhere = seen.spec["source"] | {"path": "elsewhere"}
        other = msgspec.structs.replace(seen, spec=seen.spec | {"source": elsewhere})
        assert await client.chart_values(app.ref, other) is None, "only for a source that it has or had"


# -- a token's end ---------------------------------------------------------------------------------------


def token(app: App, seconds: int) -> str:
    """A new one of the account ci, good for so long."""
    body = {"name": "ci", "expiresIn": seconds}
    made = good(app.http.post("/api/v1/account/ci/token", json=body, headers=JSON))
    return str(made["token"])


def test_a_token_says_when_it_expires_and_one_that_does_not_says_nothing(app: App) -> None:
    before = int(time.time())
    expires = jwt.expires(token(app, 3600))
    assert expires is not None
    assert before + 3600 <= expires <= time.time() + 3600
    assert jwt.expires(token(app, 0)) is None


async def test_a_token_that_has_expired_is_401_and_argorun_says_when(app: App, argocd: Target) -> None:
    settings = msgspec.structs.replace(argocd.settings, token=token(app, 1))
    refused: list[httpx.Response] = []

    def look() -> dict[str, int]:
        with connect(settings) as http:
            refused.append(http.get(app.path))
        return {"status": refused[-1].status_code}

    eventually(look, lambda seen: seen["status"] == 401)
    assert (refused[-1].json()["code"], "expired" in refused[-1].text) == (16, True)
    async with RestClient(settings) as client:
        with pytest.raises(Unauthenticated) as denied:
            await client.application(app.ref)
    assert settings.token_expires is not None
    said = f"the token for Argo CD expired at {clocks.stamp(settings.token_expires)}"
    assert denied.value.message == said
    assert "argocd account generate-token" in denied.value.hint
