"""A sweep from its settings to its exit code, on an Argo CD and a broker in memory."""

from __future__ import annotations

import asyncio
import collections
import copy
import dataclasses
import os
import signal
import time
from typing import Any

import msgspec
import pytest

from argorun import signals
from argorun.argocd.claim import leftovers
from argorun.argocd.claim.leftovers import Leftover
from argorun.argocd.client import Client
from argorun.argocd.clock import Clock
from argorun.argocd.http.errors import Denied, Unauthenticated, Unreachable
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD, Record
from argorun.argocd.parameters.spec import claimed
from argorun.config.model import ApplicationRef, ArgoCD
from argorun.config.sweep import SweepConfig
from argorun.errors import AccessDenied
from argorun.events import Notice, Planned, SweepEnded, SweepStarted, TopicSwept, Undone
from argorun.kafka import old_topics
from argorun.kafka.spec import TopicSpec
from argorun.kafka.topics import Limits, Topics
from argorun.kinds import PlannedKind, Subject
from argorun.reporters.dispatcher import Dispatcher
from argorun.sweep import candidates, steps
from argorun.sweep.left_behind import restore_commands
from tests.unit.argocd.gopatch import Json
from tests.unit.kafka.standin import Answer, Group, Slow
from tests.unit.scenario import FUTURE, PAST, SPEC, Scenario
from tests.unit.step_pairs import endings
from tests.unit.virtual import run

PREFIX = "weather"
NOW = int(time.time())
OLD, YOUNG = f"{PREFIX}_{NOW - 7 * 3600}_0a1b2c3d", f"{PREFIX}_{NOW - 60}_0a1b2c3d"
CONFIG = SweepConfig(
    kafka={"bootstrap.servers": "broker:9092"},
    prefixes={PREFIX: None},
    older_than=6 * 3600.0,
    longest_run=1590.0,
    cleanup=90.0,
    argocd=ArgoCD(server="argocd", token="t"),
)


class Sweep(Scenario):
    """A sweep of the broker's topics and of the Application."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *topics: str) -> None:
        super().__init__()
        self.argocd.document["metadata"]["namespace"] = "argocd"
        for name in topics:
            self.broker.make(name, TopicSpec(prefix=PREFIX))
        self.code: int | None = None
        self.controls = False  # whether a controller takes operations up
        argocd, broker = self.argocd, self.broker

        class Made:
            async def __aenter__(self) -> Client:
                return argocd.client

            async def __aexit__(self, *_: object) -> None: ...

        def kafka(*_: object, **more: Any) -> Topics:
            limits = Limits(delete=3, gone=3, request=1)
            return Topics({}, admin=broker, limits=limits, warn=more["warn"])

        monkeypatch.setattr(steps, "RestClient", lambda *_, **__: Made())
        monkeypatch.setattr(steps, "Topics", kafka)

    def dead_run_left(self, topic: str = OLD, until: int = PAST, **changes: Any) -> Record:
        """A run has left the Application with this topic in it."""
        seen, settings = self.argocd.seen(), [Helm("kafka.topic", topic)]
        spec, record = claimed(seen, settings, [], "dead", until, topics=[topic])
        self.argocd.document["spec"] = spec
        record = msgspec.structs.replace(record, **changes)
        self.annotate(record)
        return record

    def sweep(self, **changes: Any) -> int:
        config = msgspec.structs.replace(CONFIG, **changes)
        dispatcher = Dispatcher([self])
        sweeping = steps.execute(config, dispatcher)
        self.code = run(self.with_controller(sweeping) if self.controls else sweeping)
        assert dispatcher.failures == []
        endings(self.events)  # each step that begins ends
        return self.code

    @property
    def deleted(self) -> list[str]:
        return [e.topic for e in self.all(TopicSwept)]

    @property
    def is_as_it_was(self) -> bool:
        return self.argocd.spec == SPEC and not self.argocd.document["metadata"].get("annotations")

    @property
    def end(self) -> SweepEnded:
        last = self.events[-1]
        assert isinstance(last, SweepEnded)
        assert last.exit_code == self.code
        return last


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    return Sweep(monkeypatch, OLD, YOUNG, "somebody's")


# -- what is swept --------------------------------------------------------------------------------------


def test_what_runs_made_and_is_old_goes_and_the_end_says_how_much(scenario: Sweep) -> None:
    assert scenario.sweep() == 0
    assert (scenario.deleted, set(scenario.broker.held)) == ([OLD], {YOUNG, "somebody's"})
    started = scenario.events[0]
    assert isinstance(started, SweepStarted)
    assert (started.prefixes, started.older_than, started.kafka) == ((PREFIX,), 6 * 3600, "broker:9092")
    assert (scenario.end.topics, scenario.end.applications, scenario.end.left) == (1, 0, 0)
    assert scenario.all(Notice) == []


def test_nothing_to_do_is_0(scenario: Sweep) -> None:
    scenario.broker.held.clear()
    assert scenario.sweep() == 0
    assert (scenario.deleted, scenario.end.topics) == ([], 0)


def test_what_a_dead_run_left_is_put_back_before_its_topic_goes(scenario: Sweep) -> None:
    scenario.dead_run_left()
    was: list[bool] = []
    scenario.broker.on_delete = lambda _: was.append(scenario.is_as_it_was)
    assert scenario.sweep() == 0
    assert was == [True]
    (undone,) = scenario.all(Undone)
    assert undone.what == "Application argocd/weather: parameters put back, record removed"
    assert (scenario.deleted, scenario.end.applications) == ([OLD], 1)


def test_the_age_that_was_asked_for_decides_over_a_record_that_still_counts_as_live(
    scenario: Sweep,
) -> None:
    scenario.dead_run_left(until=FUTURE)
    scenario.sweep(explicit=True)
    assert scenario.is_as_it_was


def test_where_no_age_was_asked_for_a_record_that_counts_as_live_spares_application_and_topic(
    scenario: Sweep,
) -> None:
    """Its run has more time than this argorun.yaml gives."""
    scenario.dead_run_left(until=FUTURE)
    before = copy.deepcopy(scenario.argocd.document)
    assert scenario.sweep() == 0
    assert (scenario.deleted, scenario.argocd.document) == ([], before)
    assert scenario.notices == [
        "Application argocd/weather: run dead is still in progress, despite its age: its topics stay"
    ]


@pytest.mark.parametrize("until", [PAST, FUTURE])
def test_a_younger_run_is_left_alone_with_topic_application_and_operation(
    scenario: Sweep, until: int
) -> None:
    scenario.dead_run_left(YOUNG, until=until)
    scenario.argocd.runs("dead")
    before = copy.deepcopy(scenario.argocd.document)
    assert scenario.sweep() == 0
    assert (scenario.deleted, scenario.argocd.document) == ([OLD], before)
    assert "terminate" not in scenario.argocd.calls


@pytest.mark.parametrize(("until", "put_back"), [(PAST, True), (FUTURE, False)])
def test_of_a_run_whose_young_topic_is_gone_only_a_dead_one_is_put_back(
    scenario: Sweep, until: int, put_back: bool
) -> None:
    """The topic of a live one may have been deleted by a hook."""
    del scenario.broker.held[YOUNG]
    scenario.dead_run_left(YOUNG, until=until)
    assert scenario.sweep() == 0
    assert scenario.is_as_it_was is put_back


def test_a_run_of_another_prefix_is_none_of_this_sweep(scenario: Sweep) -> None:
    scenario.dead_run_left(f"other_{NOW - 7 * 3600}_0a1b2c3d")
    before = copy.deepcopy(scenario.argocd.document)
    scenario.sweep()
    assert (scenario.argocd.document, scenario.all(Notice)) == (before, [])


def test_a_run_of_an_older_argorun_is_known_by_what_it_put_in(scenario: Sweep) -> None:
    scenario.dead_run_left(topics=(), synced=None)
    scenario.sweep()
    assert scenario.is_as_it_was


def test_a_run_that_ended_while_we_looked_is_left_alone(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.argocd.meets("application", lambda a: a.document["metadata"].pop("annotations"))
    scenario.sweep()
    assert scenario.argocd.patches == []


@pytest.mark.parametrize("annotation", [None, "{"])
def test_a_gone_name_without_a_record_is_reported_and_left(scenario: Sweep, annotation: str | None) -> None:
    scenario.dead_run_left()
    scenario.argocd.document["metadata"]["annotations"] = {RECORD: annotation} if annotation else {}
    before = copy.deepcopy(scenario.argocd.document)
    assert scenario.sweep() == 0
    (notice,) = scenario.all(Notice)
    assert notice.text.startswith(
        f"Application argocd/weather: helm: kafka.topic names topic {OLD}, which no longer exists, and no"
    )
    assert "\nargocd app patch argocd/weather --type json --patch '[" in notice.text
    assert scenario.argocd.document == before


def test_a_name_that_still_exists_and_stays_is_not_worth_a_word(scenario: Sweep) -> None:
    scenario.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": YOUNG}]
    scenario.sweep()
    assert scenario.all(Notice) == []


def test_consumer_groups_go_with_their_topics(scenario: Sweep) -> None:
    scenario.broker.consumers = {
        f"tests-{OLD}": Group(),
        f"tests-{YOUNG}": Group(),
        "tests-nightly": Group(),
        f"other-{OLD}": Group(),
    }
    assert scenario.sweep(prefixes={PREFIX: "tests-"}) == 0
    assert set(scenario.broker.consumers) == {f"tests-{YOUNG}", "tests-nightly", f"other-{OLD}"}
    assert [(e.kind, e.names, e.what) for e in scenario.all(Undone)] == [
        (Subject.CONSUMER_GROUP, (f"tests-{OLD}",), f"consumer group tests-{OLD} deleted")
    ]


def test_what_services_derived_from_a_topics_name_goes_with_it_and_by_itself(scenario: Sweep) -> None:
    gone = f"{PREFIX}_{NOW - 8 * 3600}_0badcafe"
    derived = [f"{gone}-dlt", f"{OLD}-retry-0", f"{OLD}.DLT"]
    for name in (*derived, f"{YOUNG}-dlt", f"other_{NOW - 8 * 3600}_0badcafe-dlt"):
        scenario.broker.make(name)
    staying = {YOUNG, "somebody's", f"{YOUNG}-dlt", f"other_{NOW - 8 * 3600}_0badcafe-dlt"}
    assert scenario.sweep(dry_run=True) == 0
    assert sorted(scenario.deleted) == sorted([*derived, OLD])
    assert set(scenario.broker.held) == staying | {*derived, OLD}
    scenario.events.clear()
    assert scenario.sweep() == 0
    assert (sorted(scenario.deleted), set(scenario.broker.held)) == (sorted([*derived, OLD]), staying)
    assert all(e.age > 6 * 3600 for e in scenario.all(TopicSwept))
    assert (scenario.end.topics, scenario.all(Notice)) == (4, [])


def test_another_topic_that_holds_a_swept_ones_name_is_reported_and_left(scenario: Sweep) -> None:
    scenario.broker.make(f"app-{OLD}-changelog")
    scenario.broker.make(f"app-{YOUNG}-changelog")
    assert scenario.sweep() == 0
    assert scenario.notices == [
        f"topic app-{OLD}-changelog contains the name of {OLD} and is left alone: is it needed?"
    ]
    assert scenario.deleted == [OLD]


def test_what_is_derived_from_a_live_runs_topic_is_spared_with_it(scenario: Sweep) -> None:
    scenario.broker.make(f"{OLD}-dlt")
    scenario.dead_run_left(until=FUTURE)
    assert scenario.sweep() == 0
    assert (scenario.deleted, f"{OLD}-dlt" in scenario.broker.held) == ([], True)


def test_topics_that_kafka_leaves_out_of_its_list_are_not_taken_for_none(scenario: Sweep) -> None:
    scenario.broker.hidden = PREFIX
    assert scenario.sweep() == 6
    assert (scenario.end.error, scenario.deleted) == (
        f"Kafka does not let this account see topics {PREFIX}*",
        [],
    )


def test_a_token_that_sees_no_application_is_not_taken_for_there_being_none(scenario: Sweep) -> None:
    scenario.argocd.listed = False
    assert scenario.sweep() == 0
    assert scenario.notices == [
        "the token sees no Application: only a topic's age decides whether it is in use"
    ]


@pytest.mark.parametrize(("older_than", "level"), [(6 * 3600.0, "info"), (600.0, "warning")])
def test_a_token_that_may_not_see_every_application_is_warned_about_for_age_alone_decides(
    scenario: Sweep, older_than: float, level: str
) -> None:
    """No run lives for six hours; one may for ten minutes."""
    scenario.argocd.forbidden = {("get", "applications", "*/*")}
    assert scenario.sweep(older_than=older_than) == 0
    notices = [(e.text, e.level) for e in scenario.all(Notice)]
    text = (
        "the token may not see every Application: for those that it does not see, only a topic's age decides"
    )
    assert (f"{text} whether it is in use", level) in notices


def test_a_token_that_expires_while_applications_are_looked_at_takes_no_topic(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.argocd.meets("application", Denied("show", 401, "token is expired", "hint"))
    assert scenario.sweep() == 6
    assert scenario.deleted == []


@pytest.mark.parametrize(
    "error", [OSError("no more processes"), ValueError("oops"), RuntimeError("a bug"), AccessDenied("no")]
)
def test_whatever_an_optional_helper_raises_every_topic_goes(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def raises(*_: object, **__: object) -> None:
        raise error

    scenario.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": OLD}]
    scenario.broker.make(f"{OLD}-dlt")
    monkeypatch.setattr(scenario.broker, "groups", raises)
    monkeypatch.setattr(candidates, "spec_values", raises)
    monkeypatch.setattr(old_topics.ExpiredTopics, "name_in", raises)
    assert scenario.sweep(prefixes={PREFIX: "tests-"}) == (6 if isinstance(error, AccessDenied) else 70)
    assert sorted(scenario.deleted) == [OLD, f"{OLD}-dlt"]
    assert [e.what for e in scenario.left] == ["consumer groups tests-*"]
    assert [e.text.partition(":")[0] for e in scenario.all(Notice)] == [
        "cannot tell whether Application argocd/weather names a topic to delete",
        "not all topics could be checked",
    ]


def test_a_topic_from_the_future_is_left_and_the_clocks_are_doubted(scenario: Sweep) -> None:
    ahead = f"{PREFIX}_{NOW + 7200}_0a1b2c3d"
    scenario.broker.make(ahead)
    assert scenario.sweep() == 0
    (notice,) = scenario.all(Notice)
    assert notice.text.startswith(f"topic {ahead} is dated ")
    assert ahead in scenario.broker.held


# -- clocks ----------------------------------------------------------------------------------------------


@pytest.fixture
def seven_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock is; Argo CD's, by which runs date their topics, is right."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 7 * 3600)


@pytest.mark.usefixtures("seven_hours_ahead")
def test_a_sweep_by_a_clock_that_is_ahead_leaves_a_live_runs_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Sweep(monkeypatch, OLD, YOUNG)
    scenario.argocd.time = lambda: NOW
    scenario.argocd.clock = Clock(local=lambda: NOW + 7 * 3600)
    scenario.dead_run_left(YOUNG, until=NOW + 900)
    scenario.argocd.runs("dead")
    before = copy.deepcopy(scenario.argocd.document)
    assert scenario.sweep() == 0
    assert (scenario.deleted, set(scenario.broker.held)) == ([OLD], {YOUNG})
    assert (scenario.argocd.document, "terminate" in scenario.argocd.calls) == (before, False)
    (notice,) = scenario.notices
    assert notice == "the clock of this machine is 7h00m ahead of Argo CD's: Argo CD's time is used"
    (swept,) = scenario.all(TopicSwept)
    assert 7 * 3600 <= swept.age < 8 * 3600


@pytest.mark.parametrize("told_by_argocd", [True, False])
def test_where_no_argo_cd_gives_the_time_a_young_age_needs_a_yes(
    scenario: Sweep, told_by_argocd: bool
) -> None:
    """None is known, or a proxy keeps the date to itself."""
    unknown: dict[str, Any] = {"argocd": None, "without_argocd": "no Argo CD server is configured"}
    changes = {} if told_by_argocd else unknown
    if told_by_argocd:
        scenario.argocd.time = lambda: 0.0  # a date that is none
    held = dict(scenario.broker.held)
    assert scenario.sweep(older_than=3599.0, **changes) == 2
    assert (scenario.broker.held, scenario.broker.asked, scenario.argocd.patches) == (held, [], [])
    assert scenario.end.error == (
        "--older-than 3599s is less than an hour, and there is no Argo CD to "
        "read the time from: with a wrong clock, topics of runs in progress are deleted"
    )
    assert "--yes" in scenario.end.hint
    assert scenario.sweep(older_than=3599.0, dry_run=True, **changes) == 0
    assert scenario.sweep(older_than=3600.0, **changes) == 0
    assert scenario.sweep(older_than=0.0, yes=True, **changes) == 0
    assert set(scenario.broker.held) == {"somebody's"}


def test_where_argo_cd_gives_the_time_a_young_age_needs_none(scenario: Sweep) -> None:
    assert scenario.sweep(older_than=0.0) == 0
    assert set(scenario.broker.held) == {"somebody's"}


def test_an_age_below_what_a_run_may_take_is_warned_of(scenario: Sweep) -> None:
    scenario.sweep(older_than=0.0)
    assert set(scenario.broker.held) == {"somebody's"}
    assert scenario.notices == [
        "--older-than 0s is less than a run may take (26m30s): it would delete topics of runs in progress"
    ]


def test_an_age_is_reported_as_a_person_would_write_it(scenario: Sweep) -> None:
    scenario.sweep(older_than=21600.0, longest_run=25200.0)
    assert scenario.notices == [
        "--older-than 6h00m is less than a run may take (7h00m): it would delete topics of runs in progress"
    ]


def test_a_server_that_is_not_verified_is_reported(scenario: Sweep) -> None:
    scenario.sweep(argocd=ArgoCD(server="argocd", token="t", insecure=True))
    assert scenario.notices == ["the certificate of argocd is not verified (insecure)"]


@pytest.mark.parametrize(
    "server", ["argocd-server.argocd.svc", "localhost.example.com:80", "127.example.com"]
)
def test_a_token_that_leaves_the_machine_unencrypted_is_reported(scenario: Sweep, server: str) -> None:
    scenario.sweep(argocd=ArgoCD(server=server, token="t", plaintext=True, insecure=True))
    (notice,) = scenario.notices
    assert notice == f"the token goes to {server} without encryption (plaintext)"


@pytest.mark.parametrize("server", ["localhost:8080", "127.0.0.1:80", "[::1]:80", "argocd.localhost"])
def test_a_token_that_stays_on_the_machine_is_not(scenario: Sweep, server: str) -> None:
    scenario.sweep(argocd=ArgoCD(server=server, token="t", plaintext=True))
    assert not scenario.all(Notice)


def test_without_argo_cd_only_topics_are_swept_and_it_is_said(scenario: Sweep) -> None:
    scenario.dead_run_left()
    assert scenario.sweep(argocd=None, without_argocd="no Argo CD server is configured") == 0
    assert (scenario.deleted, scenario.argocd.calls) == ([OLD], [])
    assert scenario.notices == [
        "Applications are not checked: no Argo CD server is configured",
        "ages are by the clock of this machine: there is no Argo CD to read the time from",
    ]


def test_a_dry_run_says_all_and_touches_nothing(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.argocd.runs("dead")
    before, held = copy.deepcopy(scenario.argocd.document), dict(scenario.broker.held)
    assert scenario.sweep(dry_run=True) == 0
    assert (scenario.deleted, scenario.end.topics, scenario.end.applications) == ([OLD], 1, 1)
    (planned,) = scenario.all(Planned)
    assert planned.what == "Application argocd/weather: would end its operation, put back what run dead left"
    assert (planned.kind, planned.names, scenario.notices) == (PlannedKind.RESTORE, ("argocd/weather",), [])
    assert (scenario.argocd.document, scenario.broker.held) == (before, held)
    assert [act for act, _ in scenario.broker.asked] == ["describe", "topics"]


def test_a_password_among_an_applications_parameters_is_not_shown(scenario: Sweep) -> None:
    scenario.argocd.spec["source"]["helm"]["parameters"].append({"name": "db.password", "value": "pa55word"})
    scenario.dead_run_left()
    scenario.argocd.meets("patch", *[Denied("change", 403, "denied", "")] * 9)
    assert scenario.sweep() == 6
    (left,) = scenario.left
    assert "db.password" in left.command
    assert "pa55word" not in repr(scenario.events)


# -- what is left ---------------------------------------------------------------------------------------


def test_a_topic_that_may_not_be_deleted_is_6_and_named_with_the_command(scenario: Sweep) -> None:
    scenario.broker.faults["delete"] = collections.deque([Answer(29)])
    assert scenario.sweep() == 6
    (left,) = scenario.left
    assert (left.what, left.why, left.command) == (
        f"topic {OLD}",
        f"Kafka does not let this account delete {OLD}; "
        "an ACL is missing: Delete on Topic weather* (prefixed)",
        f"kafka-topics --bootstrap-server broker:9092 --delete --if-exists --topic '{OLD}([-._].*)?'",
    )
    assert scenario.end.left == 1


def test_a_topic_that_cannot_be_deleted_is_10(scenario: Sweep) -> None:
    scenario.broker.faults["delete"] = collections.deque([Answer(1, "no idea")])
    assert scenario.sweep() == 10
    assert [e.what for e in scenario.left] == [f"topic {OLD}"]


def test_a_slow_rendering_leaves_time_for_restoring_without_one(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.sweep(cleanup=60.0)
    assert scenario.argocd.rendering.seconds == 20


def test_the_topics_of_an_application_that_cannot_be_put_back_go_anyway(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.argocd.runs("dead")
    scenario.argocd.meets("terminate", *[Denied("end", 403, "permission denied", "hint")] * 9)
    scenario.argocd.meets("patch", *[Denied("change", 403, "permission denied", "hint")] * 99)
    assert scenario.sweep() == 6
    assert scenario.deleted == [OLD]
    (left,) = scenario.left
    assert left.what == "Application argocd/weather, as run dead left it"
    patch = "argocd app patch argocd/weather --type json --patch '["
    assert left.command.startswith(
        f"argocd app terminate-op argocd/weather; argocd app wait argocd/weather --operation; {patch}"
    )
    assert left.command.endswith("]'; argocd app sync argocd/weather --strategy apply")


WORKLOAD: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "w", "namespace": "n"},
    "spec": {"topic": "TOPIC"},
}


def deployed(scenario: Sweep) -> None:
    """A workload is on the topic that the run has left."""
    scenario.argocd.source = [WORKLOAD]
    scenario.argocd.made(scenario.argocd.renders()[0])


def test_of_an_application_that_is_half_put_back_only_the_other_half_is_left_to_be_done(
    scenario: Sweep,
) -> None:
    """The record stays: what is left can be done again, by the next sweep, too."""
    scenario.dead_run_left()
    deployed(scenario)
    scenario.argocd.runs("somebody's")
    assert scenario.sweep() == 10
    assert scenario.argocd.spec == SPEC
    assert RECORD in scenario.argocd.document["metadata"]["annotations"]
    (left,) = scenario.left
    assert "could not be settled" in left.why
    assert left.command.startswith("argocd app patch argocd/weather --type json --patch '[")
    assert "/spec/" not in left.command
    assert left.command.endswith("]'; argocd app sync argocd/weather --strategy apply")


def test_an_object_that_still_names_the_topic_is_left_with_the_command_that_changes_it(
    scenario: Sweep,
) -> None:
    scenario.dead_run_left()
    deployed(scenario)
    scenario.argocd.carries_out = lambda: None  # type: ignore[method-assign]
    scenario.controls = True
    assert scenario.sweep() == 10
    (left,) = scenario.left
    assert (left.what, left.why) == (
        "Application argocd/weather: Deployment w",
        f"it still names {OLD}",
    )
    assert left.command == "argocd app sync argocd/weather --resource apps:Deployment:n/w"
    assert scenario.is_as_it_was


def test_an_application_that_is_deleted_meanwhile_keeps_no_topic(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.argocd.meets("application", Denied("show", 403, "permission denied", ""))
    scenario.argocd.gone = True
    assert scenario.sweep() == 0
    assert (scenario.deleted, scenario.all(Notice)) == ([OLD], [])


def test_an_application_that_cannot_be_read_keeps_its_topics(scenario: Sweep) -> None:
    """The list has shown a record; what it is by now nobody is shown."""
    scenario.dead_run_left(until=FUTURE)
    scenario.argocd.meets("application", Denied("show", 403, "permission denied", ""))
    assert scenario.sweep() == 0
    assert scenario.deleted == []
    assert scenario.notices == [
        "Application argocd/weather cannot be read: its topics stay: permission denied"
    ]


def test_a_token_that_expires_meanwhile_says_nothing_about_an_application(scenario: Sweep) -> None:
    """It is not taken for deleted, and its topic not for nobody's."""
    scenario.dead_run_left(until=FUTURE)
    scenario.argocd.meets("application", Unauthenticated("the token expired", "hint"))
    assert scenario.sweep() == 6
    assert (scenario.deleted, scenario.end.error) == ([], "the token expired")


@pytest.mark.parametrize(
    ("error", "code"), [(Denied("list", 401, "no session", "hint"), 6), (Unreachable("down", "hint"), 8)]
)
def test_where_applications_cannot_be_listed_nothing_is_touched(
    scenario: Sweep, error: Exception, code: int
) -> None:
    scenario.argocd.meets("applications", error)
    assert scenario.sweep() == code
    assert (scenario.deleted, scenario.end.error, scenario.end.hint) == ([], str(error), "hint")


def test_where_topics_cannot_be_listed_nothing_is_touched(scenario: Sweep) -> None:
    scenario.dead_run_left()
    scenario.broker.faults["topics"] = collections.deque([Answer(1, "no idea")])
    assert scenario.sweep() == 7
    assert (scenario.deleted, scenario.argocd.patches) == ([], [])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_sweep_and_what_is_left_is_named(scenario: Sweep, signum: int) -> None:
    scenario.broker.faults["delete"] = collections.deque([Slow(0.5)])
    scenario.broker.make(f"{PREFIX}_{NOW - 8 * 3600}_0a1b2c3d")
    scenario.broker.on_delete = lambda _: os.kill(os.getpid(), signum)
    assert scenario.sweep() == 128 + signum
    (left,) = scenario.left
    assert (left.what, left.why) == ("2 topics", f"interrupted by {signal.Signals(signum).name}")
    older = f"{PREFIX}_{NOW - 8 * 3600}_0a1b2c3d"
    assert left.command == (
        "kafka-topics --bootstrap-server broker:9092 --delete --if-exists"
        f" --topic '({older}|{OLD})([-._].*)?'"
    )
    assert scenario.end.error == f"interrupted by {signal.Signals(signum).name}"


@pytest.mark.parametrize(
    "further", [(), (signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)]
)
def test_a_further_signal_ends_only_the_last_look_and_what_is_left_is_named_anyway(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch, further: tuple[int, ...]
) -> None:
    scenario.dead_run_left()
    before = signals.handler()
    looked: list[str] = []

    async def kills(*_: object) -> list[str]:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
        return []

    async def landed() -> None:
        for signum in further:
            os.kill(os.getpid(), signum)
        await asyncio.sleep(3)
        looked.append("landed")

    monkeypatch.setattr(leftovers, "undo", kills)
    monkeypatch.setattr(scenario.argocd, "wait_for_in_flight", landed)
    assert scenario.sweep() == 130
    assert looked == ([] if signal.SIGTERM in further else ["landed"]), "the same key press is no further one"
    assert [(e.what, e.why) for e in scenario.left] == [
        ("Application argocd/weather, as run dead left it", "interrupted by SIGINT"),
        (f"topic {OLD}", "interrupted by SIGINT"),
    ]
    assert (scenario.end.left, scenario.end.error) == (2, "interrupted by SIGINT")
    assert signals.handler() is signals.ignore, "the end cannot be cut short"
    signals.handle_with(before)


def test_once_a_sweep_has_its_result_a_signal_does_not_cut_its_end_short(scenario: Sweep) -> None:
    handlers = {signum: signal.getsignal(signum) for signum in signals.SIGNALS}
    signals.install()
    try:
        assert scenario.sweep() == 0
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        signals.handle_with(signals.leave)


def test_after_a_second_signal_nothing_is_waited_for_that_hardly_stops(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.dead_run_left()
    stopped: list[str] = []

    async def hardly_stops(*_: object) -> list[str]:
        for seconds, signum in ((0.0, signal.SIGINT), (1.0, signal.SIGTERM)):
            asyncio.get_running_loop().call_later(seconds, os.kill, os.getpid(), signum)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3600)
            stopped.append("undo")
        return []

    monkeypatch.setattr(leftovers, "undo", hardly_stops)
    assert scenario.sweep() == 130
    (end,) = scenario.all(SweepEnded)
    assert (stopped, end.left, end.error) == ([], 2, "interrupted by SIGINT")


def test_a_bug_with_one_topic_is_70_and_keeps_no_other(scenario: Sweep) -> None:
    other = f"{PREFIX}_{NOW - 8 * 3600}_0a1b2c3d"
    scenario.broker.make(other)

    def breaks(name: str) -> None:
        if name == OLD:
            raise ValueError("oops")

    scenario.broker.on_delete = breaks
    assert scenario.sweep() == 70
    (left,) = scenario.left
    assert left.what == f"topic {OLD}"
    assert left.why.startswith("an error inside argorun: ValueError: oops; please report it")
    assert scenario.deleted == [other]


def test_a_bug_with_one_application_keeps_no_topic_and_no_other_application(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> list[str]:
        raise ValueError("oops")

    scenario.dead_run_left()
    monkeypatch.setattr(leftovers, "undo", breaks)
    assert scenario.sweep() == 70
    assert scenario.deleted == [OLD]
    (left,) = scenario.left
    assert left.what == "Application argocd/weather, as run dead left it"
    assert left.command.startswith("argocd app patch argocd/weather")


def test_a_bug_while_looking_is_70_and_touches_nothing(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("oops")

    monkeypatch.setattr(candidates, "record_of", breaks)
    assert scenario.sweep() == 70
    assert "please report it" in scenario.end.hint
    assert scenario.deleted == []


def test_a_signal_at_the_very_beginning_takes_the_first_event_from_nobody(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = steps.RestClient

    def interrupted(*_: object, **__: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return connected(CONFIG)  # type: ignore[arg-type]

    monkeypatch.setattr(steps, "RestClient", interrupted)
    assert scenario.sweep() == 130
    assert isinstance(scenario.events[0], SweepStarted)
    assert scenario.deleted == []


def test_a_bug_in_the_last_look_is_70_and_takes_the_last_event_from_nobody(
    scenario: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("oops")

    monkeypatch.setattr(candidates, "record_of", breaks)
    monkeypatch.setattr(steps.Sweep, "last_look", breaks)
    assert scenario.sweep() == 70
    assert "oops" in scenario.end.error


def test_where_another_run_holds_the_application_by_now_no_command_would_disturb_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = Sweep(monkeypatch, OLD)
    record = scenario.dead_run_left()
    found = Leftover(ApplicationRef(name="weather"), scenario.argocd.seen(), record)
    assert "argocd app patch" in restore_commands(found)
    scenario.argocd.document["metadata"]["annotations"] = {
        RECORD: msgspec.json.encode(Record("another", FUTURE)).decode()
    }
    assert restore_commands(dataclasses.replace(found, seen=scenario.argocd.seen())) == ""
