"""A verdict counts only where what the tests read names the run's topic to the end."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from argorun.argocd.hooks.live_providers import LEFT_ALONE, LiveProviders
from argorun.argocd.hooks.ownership import TRACKING
from argorun.argocd.hooks.topic_providers import providers
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key
from argorun.errors import OperationFailed
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.virtual import run

Json = dict[str, Any]
T, OTHER = "weather_1760000000_deadbeef", "weather_1760000000_0a1b2c3d"
SETTINGS = Key("", "ConfigMap", "n", "settings")


def settings(topic: str = T, owner: str = "weather") -> Json:
    tracking = {TRACKING: f"{owner}:/ConfigMap:n/settings"} if owner else {}
    metadata = {"name": "settings", "annotations": tracking}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"topic": topic}}


def checks(**env: Any) -> Json:
    container = {"name": "main", "env": [{"name": "TOPIC", **env}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "checks", "annotations": {"argocd.argoproj.io/hook": "PostSync"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


READS = checks(valueFrom={"configMapKeyRef": {"name": "settings", "key": "topic"}})


def checked(argocd: FakeArgoCD) -> list[str]:
    return run(LiveProviders.of(providers([T], [settings(), READS], []), "n").check(argocd.client, APP))


def test_a_configmap_that_a_test_reads_is_a_provider_and_the_test_itself_is_none() -> None:
    found = LiveProviders.of(providers([T], [settings(), READS, checks(value=T)], []), "n")
    assert (found.objects, found.topics) == ({SETTINGS: settings()}, {SETTINGS: [T]})


def test_what_names_the_topic_to_the_end_lets_the_verdict_count() -> None:
    argocd = FakeArgoCD()
    argocd.made(settings())
    assert checked(argocd) == []


@pytest.mark.parametrize(
    ("owner", "hint"),
    [("other", "it belongs to Application other now"), ("weather", LEFT_ALONE), ("", LEFT_ALONE)],
)
def test_what_names_another_topic_by_now_leaves_no_verdict(owner: str, hint: str) -> None:
    argocd = FakeArgoCD()
    argocd.made(settings(OTHER, owner))
    with pytest.raises(OperationFailed) as caught:
        checked(argocd)
    assert caught.value.exit_code == 3
    assert caught.value.message == (
        f"no verdict: ConfigMap settings in namespace n no longer names {T}, so the tests may have used "
        "another topic"
    )
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("error", "unseen"),
    [
        (ApiError("show", 400, 3, "not found"), []),
        (Denied("show", 404, "not found", ""), []),
        (Denied("show", 403, "permission denied", ""), ["ConfigMap settings still names the topic: "]),
        (DOWN, ["ConfigMap settings still names the topic: "]),
    ],
)
def test_what_is_gone_tells_nothing_and_what_cannot_be_read_is_told(
    error: Exception, unseen: list[str]
) -> None:
    argocd = FakeArgoCD()
    argocd.made(settings())
    argocd.meets("live settings", error)
    found = checked(argocd)
    assert len(found) == len(unseen)
    assert all(text.startswith(start) for text, start in zip(found, unseen, strict=True))


def test_a_live_objects_defaults_do_not_matter() -> None:
    argocd = FakeArgoCD()
    live = copy.deepcopy(settings())
    live["data"]["more"] = "x"
    argocd.made(live)
    assert checked(argocd) == []
