"""Argo CD says how it calls Helm only where Helm fails; asking changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.parameters import helm_command
from tests.contract.manifests import TOPIC, configmap
from tests.contract.targets import Target, good

Json = dict[str, Any]
IN_THE_APPLICATION: list[Json] = [
    {"name": "kafka.topic", "value": "weather_1760000000_deadbeef", "forceString": True},
    {"name": "list", "value": "a,b c"},
    {"name": "braces", "value": "{a,b}"},
    {"name": "twice", "value": "plain"},
    {"name": "twice", "value": "forced", "forceString": True},
    {"name": "nothing", "value": ""},
]


@pytest.mark.parametrize(
    ("pinned", "expected"),
    [
        (
            None,
            {
                "kafka.topic": "weather_1760000000_deadbeef",
                "list": "a\\,b c",
                "braces": "{a,b}",
                "twice": "forced",
                "nothing": "",
            },
        ),
        ([{"name": "image.tag", "value": "3.12", "forceString": True}], {"image.tag": "3.12"}),
        ([], {}),
    ],
    ids=["the Application's own", "a file in Git pins others", "a file in Git has none"],
)
async def test_how_helm_is_called_can_be_asked_without_changing_anything(
    argocd: Target, pinned: list[Json] | None, expected: dict[str, str]
) -> None:
    with argocd.application("helmcmd", configmap("settings", topic=TOPIC), pinned=pinned) as app:
        helm = {"parameters": IN_THE_APPLICATION}
        good(app.patch({"op": "add", "path": "/spec/source/helm", "value": helm}))
        before = app.get()
        async with app.client() as client:
            text = await client.helm_command(app.ref)
            assert helm_command.parameters(text) == expected, text
            others = {"parameters": [{"name": "another", "value": "x", "forceString": True}]}
            text = await client.helm_command(app.ref, helm=others)
            assert helm_command.parameters(text) == ({"another": "x"} if pinned is None else expected), text
        after = app.get()
        assert after["spec"] == before["spec"]
        assert after["metadata"].get("labels") == before["metadata"].get("labels")


async def test_a_label_that_kubernetes_refuses_is_never_stored(argocd: Target) -> None:
    """The second lock: should a file in Git set the release name, the change still cannot be written."""
    with argocd.application("label", configmap("settings", topic=TOPIC)) as app:
        before = app.get()["metadata"].get("labels")
        answer = app.patch({"op": "add", "path": "/metadata/labels", "value": {"no label": ""}})
        assert (answer.status_code, answer.json()["code"]) == (400, 3), answer.text
        assert 'metadata.labels: Invalid value: "no label"' in answer.json()["message"]
        assert app.get()["metadata"].get("labels") == before


async def test_the_rendered_manifests_come_without_the_commands(argocd: Target) -> None:
    """Why it is asked so: server/application/application.go, GetManifests, gives the manifests alone."""
    with argocd.application("nocmd", configmap("settings", topic=TOPIC)) as app:
        assert list(app.get("/manifests")) == ["manifests"]
