"""What says why something failed: the tree, the live manifests and the events, in the same words on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from argorun.argocd.diagnosis import analyze, collect
from argorun.argocd.diagnosis.analyze import Case
from argorun.argocd.http.errors import ApiError
from argorun.argocd.types import Node, ResourceResult
from tests.contract.manifests import Json, configmap, container, from_configmap, job
from tests.contract.targets import App, Target

NO_IMAGE = container("true", image="no-such-image:1")
NO_KEY = container("true", env=from_configmap("settings", "no-such-key"))
LIMIT = "Job has reached the specified backoff limit"
DEADLINE = "Job was active longer than specified deadline"


def late(manifest: Json) -> Json:
    manifest["spec"]["activeDeadlineSeconds"] = 1
    return manifest


@pytest.fixture(scope="module")
def app(argocd: Target) -> Iterator[App]:
    """An operation that waits for hooks that fail, and for some that cannot even do that."""
    manifests = (
        configmap("settings", topic="t"),
        job("unpullable", NO_IMAGE, hook="PostSync"),
        job("keyless", NO_KEY, hook="PostSync"),
        job("broken", "echo it rained; exit 3", hook="PostSync"),
        job("killed", "kill -9 $$", hook="PostSync"),
        late(job("late", "exec sleep 600", hook="PostSync")),
    )
    with argocd.application("why", *manifests) as made:
        made.sync()
        yield made


async def case(app: App, name: str, enough: Callable[[Case], object]) -> Case:
    """What argorun learns about one of the Jobs, once it is enough."""
    result = ResourceResult(group="batch", kind="Job", namespace=app.namespace, name=name)
    async with app.client() as client, asyncio.timeout(60):
        while True:
            seen = await collect.collect(client, app.ref, await client.tree(app.ref), result, ())
            if enough(seen):
                return seen
            await asyncio.sleep(0.2)


CAUSES = {
    "unpullable": "there is no such image (ImagePullBackOff)",
    "keyless": "the container's configuration is missing (CreateContainerConfigError)",
    "broken": "exit code 3",
    "killed": "exit code 137 (SIGKILL)",
    "late": "it took longer than its activeDeadlineSeconds of 1 (DeadlineExceeded)",
}


@pytest.mark.parametrize("name", CAUSES)
async def test_a_hook_that_fails_or_cannot_start_says_why(app: App, name: str) -> None:
    seen = await case(app, name, lambda c: analyze.diagnose(c).cause == CAUSES[name])
    assert analyze.cannot_start(seen) is (name in ("unpullable", "keyless"))


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [("broken", "BackoffLimitExceeded", LIMIT), ("late", "DeadlineExceeded", DEADLINE)],
)
async def test_a_failed_job_has_its_condition_and_a_warning_with_the_same_words(
    app: App, name: str, reason: str, message: str
) -> None:
    seen = await case(app, name, lambda c: any(e.type == "Warning" for e in c.events))
    conditions = {c["type"]: (c["reason"], c["message"]) for c in seen.live["status"]["conditions"]}
    assert conditions == {"FailureTarget": (reason, message), "Failed": (reason, message)}
    (warning,) = [e for e in seen.events if e.type == "Warning"]
    about = warning.involved_object
    assert (warning.reason, warning.message, about.kind, about.name) == (reason, message, "Job", name)
    assert warning.count == 1
    assert warning.last_timestamp


async def test_a_pod_that_cannot_start_has_a_warning_about_it(app: App) -> None:
    seen = await case(app, "unpullable", lambda c: any("Back-off" in e.message for e in c.events))
    (pod,) = seen.pods
    warnings = [e for e in seen.events if e.type == "Warning"]
    assert {(e.reason, e.involved_object.uid) for e in warnings} == {("Failed", pod.node.uid)}


async def test_of_what_is_not_in_the_tree_there_are_no_events_to_be_read(app: App) -> None:
    async with app.client() as client:
        for node in (
            Node(kind="Job", namespace=app.namespace, name="nope", uid="nope"),
            Node(kind="Job", namespace=app.namespace, name="broken", uid="of another Job"),
        ):
            with pytest.raises(ApiError) as refused:
                await client.events(app.ref, node)
            assert (refused.value.status, refused.value.code) == (400, 3)
            assert refused.value.text == f"{node.name} not found as part of application {app.name}"
