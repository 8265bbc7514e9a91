"""A dry run says what would be done, with the values that stand now."""

from __future__ import annotations

import dataclasses

import msgspec

from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.types import Application
from argorun.config.model import ApplicationRef, ArgoCD, Assignment, Config, Parameter, Topic
from argorun.events import Planned
from argorun.kinds import PlannedKind
from argorun.run.plan import planned, settings
from argorun.run.state import RunTopic

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
    wanted = [
        Helm("kafka.topic", "weather_1_a", string=True),
        Helm("alerts.topic", "alerts_1_b", string=True),
        Helm("image.tag", ""),
    ]
    topics = [RunTopic("weather_1_a", WEATHER), RunTopic("alerts_1_b", ALERTS)]
    seen = msgspec.convert(SEEN, Application)
    assert [line.what for line in planned(config, topics, wanted, seen, (), 1.0)] == [
        "create topic weather_1_a (3 partitions), and delete it at the end",
        "create topic alerts_1_b (the broker's number of partitions), and delete it at the end",
        "set helm: kafka.topic to weather_1_a as a string (now 'old'), and put it back",
        "set helm: alerts.topic to alerts_1_b as a string (now not set), and put it back",
        "set helm: image.tag to '' (now not set), and put it back",
        "sync weather at abc",
        "wait for checks, more",
        SETTLE,
    ]


def test_a_program_need_not_read_the_words_of_a_dry_run() -> None:
    config = Config(
        application=ApplicationRef(name="weather", namespace="teams"),
        argocd=ArgoCD(server="argocd.example.com", token="t"),
        kafka={},
        topics=(WEATHER,),
        jobs=("checks",),
        revision="abc",
        settle=False,
    )
    wanted = [Helm("kafka.topic", "weather_1_a", string=True), Kustomize("settings", "topic", "weather_1_a")]
    seen = msgspec.convert(SEEN, Application)
    lines = list(planned(config, [RunTopic("weather_1_a", WEATHER)], wanted, seen, (), 1.0))
    assert [dataclasses.replace(line, what="") for line in lines] == [
        Planned(time=1.0, what="", kind=PlannedKind.TOPIC, names=("weather_1_a",), partitions=3),
        Planned(
            time=1.0,
            what="",
            kind=PlannedKind.PARAMETER,
            names=("kafka.topic",),
            value="weather_1_a",
            original="old",
        ),
        Planned(
            time=1.0,
            what="",
            kind=PlannedKind.PARAMETER,
            names=("settings", "topic"),
            value="weather_1_a",
        ),
        Planned(time=1.0, what="", kind=PlannedKind.SYNC, names=("teams/weather",), value="abc"),
        Planned(time=1.0, what="", kind=PlannedKind.TESTS, names=("checks",)),
        Planned(time=1.0, what="", kind=PlannedKind.KEEP_WORKLOADS),
    ]


def test_topics_are_set_as_strings_and_other_parameters_as_they_were_asked_for() -> None:
    config = Config(
        application=ApplicationRef(name="weather"),
        argocd=ArgoCD(server="argocd.example.com", token="t"),
        kafka={},
        topics=(ALERTS,),
        sets=(Assignment(name="a", value="1"), Assignment(name="image.tag", value="4651090", string=True)),
    )
    assert settings(config, [RunTopic("alerts_1_b", ALERTS)]) == [
        Helm("alerts.topic", "alerts_1_b", string=True),
        Helm("a", "1"),
        Helm("image.tag", "4651090", string=True),
    ]


def deeds(automated: bool = False, synced: bool = True, **changes: bool) -> list[str]:
    config = Config(
        application=ApplicationRef(name="weather"),
        argocd=ArgoCD(server="argocd.example.com", token="t"),
        kafka={},
        topics=(ALERTS,),
    )
    config = msgspec.structs.replace(config, **changes)
    spec = SEEN["spec"] | ({"syncPolicy": {"automated": {}}} if automated else {})
    status = {"sync": {"status": "Synced" if synced else "OutOfSync"}}
    seen = msgspec.convert({"spec": spec, "status": status}, Application)
    one = msgspec.structs.replace(ALERTS, partitions=1)
    lines = planned(config, [RunTopic("alerts_1_b", one)], [Helm("a", "alerts_1_b")], seen, (), 1.0)
    return [line.what for line in lines]


MADE = "create topic alerts_1_b (1 partition), and delete it at the end"
KEPT = "create topic alerts_1_b (1 partition), and leave it there (--keep-topics)"
SET = "set helm: a to alerts_1_b (now not set), and put it back"
OFF = "switch auto-sync off, and on again at the end"
SYNC = ["sync weather", "wait for every PostSync Job and Pod"]
SETTLE = "sync without hooks at the end, to take the workloads off the topic"
STAY = "leave the workloads on the run's topic (--no-settle)"


def test_what_stays_what_auto_sync_does_and_how_workloads_leave_the_topic_are_said() -> None:
    assert deeds() == [MADE, SET, *SYNC, SETTLE]
    assert deeds(keep_topics=True) == [KEPT, SET, *SYNC, SETTLE]
    assert deeds(settle=False) == [MADE, SET, *SYNC, STAY]
    assert deeds(synced=False) == [MADE, SET, *SYNC, SETTLE], "whatever it was before"
    assert deeds(synced=False, settle=False) == [MADE, SET, *SYNC, STAY]
    assert deeds(automated=True, settle=False, synced=False) == [MADE, SET, OFF, *SYNC, SETTLE]
