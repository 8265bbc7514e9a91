"""What an object holds, and which topics it names."""

from __future__ import annotations

import copy

import pytest

from argorun.argocd.manifests.objects import LAST_APPLIED, content, topics_named
from tests.unit.argocd.objects import FORMER, SAFE, TOPIC, thing


def test_what_servers_and_kubectl_note_in_an_object_is_not_its_content() -> None:
    noted = thing(uid="u", version="3", **{LAST_APPLIED.replace("/", "__"): f'{{"topic":"{TOPIC}"}}'})
    noted["metadata"] |= {"generation": 3, "creationTimestamp": "2024-01-01T00:00:00Z", "managedFields": [1]}
    noted["status"] = {"topic": TOPIC}
    kept = copy.deepcopy(noted)
    assert content(noted) == FORMER
    assert noted == kept, "it is not changed by being looked at"
    assert topics_named(noted, [TOPIC]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TOPIC, True),
        (f"prefix-{TOPIC}.suffix", True),
        (SAFE, True),
        (TOPIC.upper().replace("WEATHER", "weather"), False),
        ("weather_1700000000_ffffffff", False),
    ],
)
def test_a_topic_is_named_in_either_spelling(text: str, found: bool) -> None:
    for manifest in (thing(value=text), thing(name=text), thing(note=text)):
        assert topics_named(manifest, [TOPIC]) == ([TOPIC] if found else [])


def test_a_topic_with_capitals_is_named_where_kubernetes_wants_small_letters() -> None:
    assert topics_named(
        thing(name="weather-updates-1700000000-0a1b2c3d"), ["Weather_Updates_1700000000_0a1b2c3d"]
    )
