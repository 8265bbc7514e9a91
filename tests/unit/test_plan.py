"""A dry run says what would be done, with the values that stand now."""

from __future__ import annotations

import msgspec

from argorun.argocd import parameters
from argorun.argocd.types import Application
from argorun.config import ApplicationRef, ArgoCD, Config, Parameter, Topic
from argorun.plan import planned

WEATHER = Topic(prefix="weather", parameters=(Parameter(helm="kafka.topic"),), partitions=3)
ALERTS = Topic(prefix="alerts", parameters=(Parameter(helm="alerts.topic"),))
SEEN = {"spec": {"source": {"helm": {"parameters": [{"name": "kafka.topic", "value": "old"}]}}}}


def test_the_deeds_of_a_run_stand_in_their_order() -> None:
    config = Config(
        application=ApplicationRef(name="weather"),
        argocd=ArgoCD(server="argocd.example.com", token="t"),
        kafka={},
        topics=(WEATHER, ALERTS),
        jobs=("checks", "more"),
        revision="abc",
    )
    settings = [parameters.Helm("kafka.topic", "weather_1_a"), parameters.Helm("alerts.topic", "alerts_1_b")]
    drawn = [(WEATHER, "weather_1_a"), (ALERTS, "alerts_1_b")]
    seen = msgspec.convert(SEEN, Application)
    assert list(planned(config, drawn, settings, seen, ())) == [
        "create topic weather_1_a (3 partitions), and delete it in the end",
        "create topic alerts_1_b (the broker's number of partitions), and delete it in the end",
        "set helm: kafka.topic to weather_1_a (now 'old'), and put it back",
        "set helm: alerts.topic to alerts_1_b (now not set), and put it back",
        "sync weather at abc",
        "wait for checks, more",
    ]
