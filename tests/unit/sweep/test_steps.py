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
from argorun.events import Event, LeftBehind, Notice, SweepEnded, SweepStarted, TopicSwept, Undone
from argorun.kafka.spec import TopicSpec
from argorun.kafka.topics import Limits, Topics
from argorun.reporters.dispatcher import Dispatcher
from argorun.sweep import steps
from tests.unit.argocd.fakes import FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.kafka.standin import Answer, Broker, Group, Slow
from tests.unit.virtual import run

PREFIX = "weather"
NOW = int(time.time())
OLD, YOUNG = f"{PREFIX}_{NOW - 7 * 3600}_0a1b2c3d", f"{PREFIX}_{NOW - 60}_0a1b2c3d"
PAST, FUTURE = 1_000_000_000, 9_000_000_000
SPEC: Json = {
    "source": {"repoURL": "git", "helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}}
}
CONFIG = SweepConfig(
    kafka={"bootstrap.servers": "broker:9092"},
    prefixes={PREFIX: None},
    older_than=6 * 3600.0,
    longest_run=1590.0,
    cleanup=90.0,
    argocd=ArgoCD(server="argocd", token="t"),
)


class Stage:
    """A broker, an Argo CD with one Application, and what a sweep says of them."""

    name = "events"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *topics: str) -> None:
        self.broker, self.argocd = Broker(), FakeArgoCD(copy.deepcopy(SPEC))
        self.argocd.document["metadata"]["namespace"] = "argocd"
        for name in topics:
            self.broker.make(name, TopicSpec(prefix=PREFIX))
        self.events: list[Event] = []
        self.code: int | None = None
        self.controls = False  # whether a controller takes operations up
        argocd, broker = self.argocd, self.broker

        class Made:
            async def __aenter__(self) -> Client:
                return argocd.client

            async def __aexit__(self, *_: object) -> None: ...

        def kafka(*_: object, **more: Any) -> Topics:
            limits = Limits(delete=3, gone=3, request=1)
            return Topics({}, admin=broker, limits=limits, warn=more["notice"])

        monkeypatch.setattr(steps, "Client", lambda *_, **__: Made())
        monkeypatch.setattr(steps, "Topics", kafka)

    def left(self, topic: str = OLD, until: int = PAST, **changes: Any) -> Record:
        """A run has left the Application with this topic in it."""
        seen, settings = self.argocd.seen(), [Helm("kafka.topic", topic)]
        spec, record = claimed(seen, settings, [], "dead", until, topics=[topic])
        self.argocd.document["spec"] = spec
        record = msgspec.structs.replace(record, **changes)
        self.argocd.document["metadata"]["annotations"] = {RECORD: msgspec.json.encode(record).decode()}
        return record

    def sweep(self, **changes: Any) -> int:
        config = msgspec.structs.replace(CONFIG, **changes)
        dispatcher = Dispatcher([self])
        self.code = run(self._swept(config, dispatcher))
        assert dispatcher.failures == []
        return self.code

    async def _swept(self, config: SweepConfig, dispatcher: Dispatcher) -> int:
        controller = asyncio.create_task(self.argocd.controls()) if self.controls else None
        try:
            return await steps.execute(config, dispatcher)
        finally:
            if controller is not None:
                controller.cancel()
                await asyncio.wait({controller})

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None: ...

    def all(self, kind: type) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]

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
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, OLD, YOUNG, "somebody's")


# -- what is swept --------------------------------------------------------------------------------------


def test_what_is_ours_and_old_goes_and_the_end_says_how_much(stage: Stage) -> None:
    assert stage.sweep() == 0
    assert (stage.deleted, set(stage.broker.held)) == ([OLD], {YOUNG, "somebody's"})
    started = stage.events[0]
    assert isinstance(started, SweepStarted)
    assert (started.prefixes, started.older_than, started.kafka) == ((PREFIX,), 6 * 3600, "broker:9092")
    assert (stage.end.topics, stage.end.applications, stage.end.left) == (1, 0, 0)
    assert stage.all(Notice) == []


def test_nothing_to_do_is_0(stage: Stage) -> None:
    stage.broker.held.clear()
    assert stage.sweep() == 0
    assert (stage.deleted, stage.end.topics) == ([], 0)


def test_what_a_dead_run_left_is_put_back_before_its_topic_goes(stage: Stage) -> None:
    stage.left()
    was: list[bool] = []
    stage.broker.on_delete = lambda _: was.append(stage.is_as_it_was)
    assert stage.sweep() == 0
    assert was == [True]
    (undone,) = stage.all(Undone)
    assert undone.what == "Application argocd/weather: parameters put back, record removed"
    assert (stage.deleted, stage.end.applications) == ([OLD], 1)


def test_the_age_that_was_asked_for_decides_over_a_record_that_still_counts_as_live(stage: Stage) -> None:
    stage.left(until=FUTURE)
    stage.sweep(explicit=True)
    assert stage.is_as_it_was


def test_where_no_age_was_asked_for_a_record_that_counts_as_live_spares_application_and_topic(
    stage: Stage,
) -> None:
    """Its run has more time than this argorun.yaml gives."""
    stage.left(until=FUTURE)
    before = copy.deepcopy(stage.argocd.document)
    assert stage.sweep() == 0
    assert (stage.deleted, stage.argocd.document) == ([], before)
    assert [e.text for e in stage.all(Notice)] == [
        "Application argocd/weather: run dead is still at it, for all its age: its topics stay"
    ]


@pytest.mark.parametrize("until", [PAST, FUTURE])
def test_a_younger_run_is_left_alone_with_topic_application_and_operation(stage: Stage, until: int) -> None:
    stage.left(YOUNG, until=until)
    stage.argocd.runs("dead")
    before = copy.deepcopy(stage.argocd.document)
    assert stage.sweep() == 0
    assert (stage.deleted, stage.argocd.document) == ([OLD], before)
    assert "terminate" not in stage.argocd.calls


@pytest.mark.parametrize(("until", "put_back"), [(PAST, True), (FUTURE, False)])
def test_of_a_run_whose_young_topic_is_gone_only_a_dead_one_is_put_back(
    stage: Stage, until: int, put_back: bool
) -> None:
    """The topic of a live one may have been deleted by a hook."""
    del stage.broker.held[YOUNG]
    stage.left(YOUNG, until=until)
    assert stage.sweep() == 0
    assert stage.is_as_it_was is put_back


def test_a_run_of_another_prefix_is_nobody_of_ours(stage: Stage) -> None:
    stage.left(f"other_{NOW - 7 * 3600}_0a1b2c3d")
    before = copy.deepcopy(stage.argocd.document)
    stage.sweep()
    assert (stage.argocd.document, stage.all(Notice)) == (before, [])


def test_a_run_of_an_older_argorun_is_known_by_what_it_put_in(stage: Stage) -> None:
    stage.left(topics=(), synced=None)
    stage.sweep()
    assert stage.is_as_it_was


def test_a_run_that_ended_while_we_looked_is_left_alone(stage: Stage) -> None:
    stage.left()
    stage.argocd.meets("application", lambda a: a.document["metadata"].pop("annotations"))
    stage.sweep()
    assert stage.argocd.patches == []


@pytest.mark.parametrize("annotation", [None, "{"])
def test_a_gone_name_without_a_record_is_told_and_left(stage: Stage, annotation: str | None) -> None:
    stage.left()
    stage.argocd.document["metadata"]["annotations"] = {RECORD: annotation} if annotation else {}
    before = copy.deepcopy(stage.argocd.document)
    assert stage.sweep() == 0
    (notice,) = stage.all(Notice)
    assert notice.text.startswith(
        f"Application argocd/weather: helm: kafka.topic names topic {OLD}, which is no more, and no record"
    )
    assert "\nargocd app patch argocd/weather --type json --patch '[" in notice.text
    assert stage.argocd.document == before


def test_a_name_that_still_exists_and_stays_is_not_worth_a_word(stage: Stage) -> None:
    stage.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": YOUNG}]
    stage.sweep()
    assert stage.all(Notice) == []


def test_consumer_groups_go_with_their_topics(stage: Stage) -> None:
    stage.broker.consumers = {
        f"tests-{OLD}": Group(),
        f"tests-{YOUNG}": Group(),
        "tests-nightly": Group(),
        f"other-{OLD}": Group(),
    }
    assert stage.sweep(prefixes={PREFIX: "tests-"}) == 0
    assert set(stage.broker.consumers) == {f"tests-{YOUNG}", "tests-nightly", f"other-{OLD}"}
    assert [e.text for e in stage.all(Notice)] == [f"consumer group tests-{OLD} deleted"]


def test_what_services_derived_from_a_topics_name_goes_with_it_and_by_itself(stage: Stage) -> None:
    gone = f"{PREFIX}_{NOW - 8 * 3600}_0badcafe"
    derived = [f"{gone}-dlt", f"{OLD}-retry-0", f"{OLD}.DLT"]
    for name in (*derived, f"{YOUNG}-dlt", f"other_{NOW - 8 * 3600}_0badcafe-dlt"):
        stage.broker.make(name)
    staying = {YOUNG, "somebody's", f"{YOUNG}-dlt", f"other_{NOW - 8 * 3600}_0badcafe-dlt"}
    assert stage.sweep(dry_run=True) == 0
    assert sorted(stage.deleted) == sorted([*derived, OLD])
    assert set(stage.broker.held) == staying | {*derived, OLD}
    stage.events.clear()
    assert stage.sweep() == 0
    assert (sorted(stage.deleted), set(stage.broker.held)) == (sorted([*derived, OLD]), staying)
    assert all(e.age > 6 * 3600 for e in stage.all(TopicSwept))
    assert (stage.end.topics, stage.all(Notice)) == (4, [])


def test_another_topic_that_holds_a_swept_ones_name_is_told_and_left(stage: Stage) -> None:
    stage.broker.make(f"app-{OLD}-changelog")
    stage.broker.make(f"app-{YOUNG}-changelog")
    assert stage.sweep() == 0
    assert [e.text for e in stage.all(Notice)] == [
        f"topic app-{OLD}-changelog holds the name of {OLD} and is left alone: is it needed?"
    ]
    assert stage.deleted == [OLD]


def test_what_is_derived_from_a_live_runs_topic_is_spared_with_it(stage: Stage) -> None:
    stage.broker.make(f"{OLD}-dlt")
    stage.left(until=FUTURE)
    assert stage.sweep() == 0
    assert (stage.deleted, f"{OLD}-dlt" in stage.broker.held) == ([], True)


def test_topics_that_kafka_leaves_out_of_its_list_are_not_taken_for_none(stage: Stage) -> None:
    stage.broker.hidden = PREFIX
    assert stage.sweep() == 6
    assert (stage.end.error, stage.deleted) == (f"Kafka does not let us see topics {PREFIX}*", [])


def test_a_token_that_sees_no_application_is_not_taken_for_there_being_none(stage: Stage) -> None:
    stage.argocd.listed = False
    assert stage.sweep() == 0
    assert [e.text for e in stage.all(Notice)] == [
        "the token sees no Application: a topic's age alone tells whether it is in use"
    ]


@pytest.mark.parametrize(("older_than", "level"), [(6 * 3600.0, "info"), (600.0, "warning")])
def test_a_token_that_may_not_see_every_application_is_told_that_age_alone_decides(
    stage: Stage, older_than: float, level: str
) -> None:
    """No run lives for six hours; one may for ten minutes."""
    stage.argocd.forbidden = {("get", "applications", "*/*")}
    assert stage.sweep(older_than=older_than) == 0
    told = [(e.text, e.level) for e in stage.all(Notice)]
    text = "the token may not see every Application: of those that it does not, a topic's age alone tells"
    assert (f"{text} whether it is in use", level) in told


def test_a_token_that_expires_while_applications_are_looked_at_takes_no_topic(stage: Stage) -> None:
    stage.left()
    stage.argocd.meets("application", Denied("show", 401, "token is expired", "hint"))
    assert stage.sweep() == 6
    assert stage.deleted == []


@pytest.mark.parametrize(
    "error", [OSError("no more processes"), ValueError("oops"), RuntimeError("a bug"), AccessDenied("no")]
)
def test_whatever_an_optional_helper_raises_every_topic_goes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def raises(*_: object, **__: object) -> None:
        raise error

    stage.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": OLD}]
    stage.broker.make(f"{OLD}-dlt")
    monkeypatch.setattr(stage.broker, "groups", raises)
    monkeypatch.setattr(steps.leftovers, "places", raises)
    monkeypatch.setattr(steps.old_topics.ExpiredTopics, "name_in", raises)
    assert stage.sweep(prefixes={PREFIX: "tests-"}) == (6 if isinstance(error, AccessDenied) else 70)
    assert sorted(stage.deleted) == [OLD, f"{OLD}-dlt"]
    assert [e.what for e in stage.all(LeftBehind)] == ["consumer groups tests-*"]
    assert [e.text.partition(":")[0] for e in stage.all(Notice)] == [
        "whether Application argocd/weather names a topic that goes is not known",
        "not all topics could be looked at",
    ]


def test_a_topic_from_the_future_is_left_and_the_clocks_are_doubted(stage: Stage) -> None:
    ahead = f"{PREFIX}_{NOW + 7200}_0a1b2c3d"
    stage.broker.make(ahead)
    assert stage.sweep() == 0
    (notice,) = stage.all(Notice)
    assert notice.text.startswith(f"topic {ahead} is dated ")
    assert ahead in stage.broker.held


# -- clocks ----------------------------------------------------------------------------------------------


@pytest.fixture
def seven_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock is; Argo CD's, by which runs date their topics, is right."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 7 * 3600)


@pytest.mark.usefixtures("seven_hours_ahead")
def test_a_sweep_by_a_clock_that_is_ahead_leaves_a_live_runs_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, OLD, YOUNG)
    stage.argocd.time = lambda: NOW
    stage.argocd.clock = Clock(local=lambda: NOW + 7 * 3600)
    stage.left(YOUNG, until=NOW + 900)
    stage.argocd.runs("dead")
    before = copy.deepcopy(stage.argocd.document)
    assert stage.sweep() == 0
    assert (stage.deleted, set(stage.broker.held)) == ([OLD], {YOUNG})
    assert (stage.argocd.document, "terminate" in stage.argocd.calls) == (before, False)
    (told,) = [e.text for e in stage.all(Notice)]
    assert told == "the clock of this machine is 7h00m ahead of Argo CD's: Argo CD's time is used"
    (swept,) = stage.all(TopicSwept)
    assert 7 * 3600 <= swept.age < 8 * 3600


@pytest.mark.parametrize("told_by_argocd", [True, False])
def test_where_no_argo_cd_tells_the_time_a_young_age_needs_a_yes(stage: Stage, told_by_argocd: bool) -> None:
    """None is known, or a proxy keeps the date to itself."""
    unknown: dict[str, Any] = {"argocd": None, "without_argocd": "no Argo CD server to talk to"}
    changes = {} if told_by_argocd else unknown
    if told_by_argocd:
        stage.argocd.time = lambda: 0.0  # a date that is none
    held = dict(stage.broker.held)
    assert stage.sweep(older_than=3599.0, **changes) == 2
    assert (stage.broker.held, stage.broker.asked, stage.argocd.patches) == (held, [], [])
    assert stage.end.error == (
        "--older-than 3599s is less than an hour, and no Argo CD tells the time: "
        "where the clock of this machine is wrong, a run that is still at it would be hit"
    )
    assert "--yes" in stage.end.hint
    assert stage.sweep(older_than=3599.0, dry_run=True, **changes) == 0
    assert stage.sweep(older_than=3600.0, **changes) == 0
    assert stage.sweep(older_than=0.0, yes=True, **changes) == 0
    assert set(stage.broker.held) == {"somebody's"}


def test_where_argo_cd_tells_the_time_a_young_age_needs_none(stage: Stage) -> None:
    assert stage.sweep(older_than=0.0) == 0
    assert set(stage.broker.held) == {"somebody's"}


def test_an_age_below_what_a_run_may_take_is_warned_of(stage: Stage) -> None:
    stage.sweep(older_than=0.0)
    assert set(stage.broker.held) == {"somebody's"}
    assert [e.text for e in stage.all(Notice)] == [
        "--older-than 0s is less than a run may take (26m30s): one that is still at it would be hit"
    ]


def test_an_age_is_told_as_a_person_would_write_it(stage: Stage) -> None:
    stage.sweep(older_than=21600.0, longest_run=25200.0)
    assert [e.text for e in stage.all(Notice)] == [
        "--older-than 6h00m is less than a run may take (7h00m): one that is still at it would be hit"
    ]


def test_a_server_that_is_not_verified_is_told(stage: Stage) -> None:
    stage.sweep(argocd=ArgoCD(server="argocd", token="t", insecure=True))
    assert [e.text for e in stage.all(Notice)] == ["whether argocd is Argo CD is not verified (insecure)"]


@pytest.mark.parametrize(
    "server", ["argocd-server.argocd.svc", "localhost.example.com:80", "127.example.com"]
)
def test_a_token_that_leaves_the_machine_unencrypted_is_told(stage: Stage, server: str) -> None:
    stage.sweep(argocd=ArgoCD(server=server, token="t", plaintext=True, insecure=True))
    (told,) = [e.text for e in stage.all(Notice)]
    assert told == f"the token goes to {server} without encryption (plaintext)"


@pytest.mark.parametrize("server", ["localhost:8080", "127.0.0.1:80", "[::1]:80", "argocd.localhost"])
def test_a_token_that_stays_on_the_machine_is_not(stage: Stage, server: str) -> None:
    stage.sweep(argocd=ArgoCD(server=server, token="t", plaintext=True))
    assert not stage.all(Notice)


def test_without_argo_cd_only_topics_are_swept_and_it_is_said(stage: Stage) -> None:
    stage.left()
    assert stage.sweep(argocd=None, without_argocd="no Argo CD server to talk to") == 0
    assert (stage.deleted, stage.argocd.calls) == ([OLD], [])
    assert [e.text for e in stage.all(Notice)] == [
        "Applications are not looked at: no Argo CD server to talk to",
        "ages are by the clock of this machine: no Argo CD tells the time",
    ]


def test_a_dry_run_says_all_and_touches_nothing(stage: Stage) -> None:
    stage.left()
    stage.argocd.runs("dead")
    before, held = copy.deepcopy(stage.argocd.document), dict(stage.broker.held)
    assert stage.sweep(dry_run=True) == 0
    assert (stage.deleted, stage.end.topics, stage.end.applications) == ([OLD], 1, 1)
    assert [e.text for e in stage.all(Notice)] == [
        "Application argocd/weather: would end its operation, put back what run dead left"
    ]
    assert (stage.argocd.document, stage.broker.held) == (before, held)
    assert [act for act, _ in stage.broker.asked] == ["describe", "topics"]


def test_a_password_among_an_applications_parameters_is_not_shown(stage: Stage) -> None:
    stage.argocd.spec["source"]["helm"]["parameters"].append({"name": "db.password", "value": "pa55word"})
    stage.left()
    stage.argocd.meets("patch", *[Denied("change", 403, "denied", "")] * 9)
    assert stage.sweep() == 6
    (left,) = stage.all(LeftBehind)
    assert "db.password" in left.command
    assert "pa55word" not in repr(stage.events)


# -- what is left ---------------------------------------------------------------------------------------


def test_a_topic_that_may_not_be_deleted_is_6_and_named_with_the_command(stage: Stage) -> None:
    stage.broker.faults["delete"] = collections.deque([Answer(29)])
    assert stage.sweep() == 6
    (left,) = stage.all(LeftBehind)
    assert (left.what, left.why, left.command) == (
        f"topic {OLD}",
        f"Kafka does not let us delete {OLD}; an ACL is missing: Delete on Topic weather* (prefixed)",
        f"kafka-topics --bootstrap-server broker:9092 --delete --if-exists --topic '{OLD}([-._].*)?'",
    )
    assert stage.end.left == 1


def test_a_topic_that_cannot_be_deleted_is_10(stage: Stage) -> None:
    stage.broker.faults["delete"] = collections.deque([Answer(1, "no idea")])
    assert stage.sweep() == 10
    assert [e.what for e in stage.all(LeftBehind)] == [f"topic {OLD}"]


def test_a_slow_rendering_leaves_time_for_the_way_back_without_one(stage: Stage) -> None:
    stage.left()
    stage.sweep(cleanup=60.0)
    assert stage.argocd.rendering.seconds == 20


def test_the_topics_of_an_application_that_cannot_be_put_back_go_all_the_same(stage: Stage) -> None:
    stage.left()
    stage.argocd.runs("dead")
    stage.argocd.meets("terminate", *[Denied("end", 403, "permission denied", "hint")] * 9)
    stage.argocd.meets("patch", *[Denied("change", 403, "permission denied", "hint")] * 99)
    assert stage.sweep() == 6
    assert stage.deleted == [OLD]
    (left,) = stage.all(LeftBehind)
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


def deployed(stage: Stage) -> None:
    """A workload is on the topic that the run has left."""
    stage.argocd.source = [WORKLOAD]
    stage.argocd.made(stage.argocd.renders()[0])


def test_of_an_application_that_is_half_put_back_only_the_other_half_is_left_to_be_done(
    stage: Stage,
) -> None:
    """The record stays: what is left can be done again, by the next sweep, too."""
    stage.left()
    deployed(stage)
    stage.argocd.runs("somebody's")
    assert stage.sweep() == 10
    assert stage.argocd.spec == SPEC
    assert RECORD in stage.argocd.document["metadata"]["annotations"]
    (left,) = stage.all(LeftBehind)
    assert "could not be settled" in left.why
    assert left.command.startswith("argocd app patch argocd/weather --type json --patch '[")
    assert "/spec/" not in left.command
    assert left.command.endswith("]'; argocd app sync argocd/weather --strategy apply")


def test_an_object_that_still_names_the_topic_is_left_with_the_command_that_changes_it(stage: Stage) -> None:
    stage.left()
    deployed(stage)
    stage.argocd.carries_out = lambda: None  # type: ignore[method-assign]
    stage.controls = True
    assert stage.sweep() == 10
    (left,) = stage.all(LeftBehind)
    assert (left.what, left.why) == (
        "Application argocd/weather: Deployment w",
        f"it still names {OLD}",
    )
    assert left.command == "argocd app sync argocd/weather --resource apps:Deployment:n/w"
    assert stage.is_as_it_was


def test_an_application_that_is_deleted_while_we_look_is_nobodys_any_more(stage: Stage) -> None:
    stage.left()
    stage.argocd.meets("application", Denied("show", 403, "permission denied", ""))
    stage.argocd.gone = True
    assert stage.sweep() == 0
    assert (stage.deleted, stage.all(Notice)) == ([OLD], [])


def test_an_application_that_cannot_be_read_keeps_its_topics(stage: Stage) -> None:
    """The list has shown a record; what it is by now nobody is shown."""
    stage.left(until=FUTURE)
    stage.argocd.meets("application", Denied("show", 403, "permission denied", ""))
    assert stage.sweep() == 0
    assert stage.deleted == []
    assert [e.text for e in stage.all(Notice)] == [
        "Application argocd/weather cannot be read: its topics stay: permission denied"
    ]


def test_a_token_that_expires_meanwhile_says_nothing_about_an_application(stage: Stage) -> None:
    """It is not taken for deleted, and its topic not for nobody's."""
    stage.left(until=FUTURE)
    stage.argocd.meets("application", Unauthenticated("the token expired", "hint"))
    assert stage.sweep() == 6
    assert (stage.deleted, stage.end.error) == ([], "the token expired")


@pytest.mark.parametrize(
    ("error", "code"), [(Denied("list", 401, "no session", "hint"), 6), (Unreachable("down", "hint"), 8)]
)
def test_where_applications_cannot_be_listed_nothing_is_touched(
    stage: Stage, error: Exception, code: int
) -> None:
    stage.argocd.meets("applications", error)
    assert stage.sweep() == code
    assert (stage.deleted, stage.end.error, stage.end.hint) == ([], str(error), "hint")


def test_where_topics_cannot_be_listed_nothing_is_touched(stage: Stage) -> None:
    stage.left()
    stage.broker.faults["topics"] = collections.deque([Answer(1, "no idea")])
    assert stage.sweep() == 7
    assert (stage.deleted, stage.argocd.patches) == ([], [])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_sweep_and_what_is_left_is_named(stage: Stage, signum: int) -> None:
    stage.broker.faults["delete"] = collections.deque([Slow(0.5)])
    stage.broker.make(f"{PREFIX}_{NOW - 8 * 3600}_0a1b2c3d")
    stage.broker.on_delete = lambda _: os.kill(os.getpid(), signum)
    assert stage.sweep() == 128 + signum
    (left,) = stage.all(LeftBehind)
    assert (left.what, left.why) == ("2 topics", f"interrupted by {signal.Signals(signum).name}")
    older = f"{PREFIX}_{NOW - 8 * 3600}_0a1b2c3d"
    assert left.command == (
        "kafka-topics --bootstrap-server broker:9092 --delete --if-exists"
        f" --topic '({older}|{OLD})([-._].*)?'"
    )
    assert stage.end.error == f"interrupted by {signal.Signals(signum).name}"


@pytest.mark.parametrize(
    "further", [(), (signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)]
)
def test_a_further_signal_ends_only_the_last_look_and_what_is_left_is_named_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, further: tuple[int, ...]
) -> None:
    stage.left()
    before = signals._listener
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

    monkeypatch.setattr(steps.leftovers, "undo", kills)
    monkeypatch.setattr(stage.argocd, "landed", landed)
    assert stage.sweep() == 130
    assert looked == ([] if signal.SIGTERM in further else ["landed"]), "the same key press is no further one"
    assert [(e.what, e.why) for e in stage.all(LeftBehind)] == [
        ("Application argocd/weather, as run dead left it", "interrupted by SIGINT"),
        (f"topic {OLD}", "interrupted by SIGINT"),
    ]
    assert (stage.end.left, stage.end.error) == (2, "interrupted by SIGINT")
    assert signals._listener is signals.ignore, "the end cannot be cut short"
    signals.from_now_on(before)


def test_after_a_second_signal_nothing_is_waited_for_that_hardly_stops(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.left()
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

    monkeypatch.setattr(steps.leftovers, "undo", hardly_stops)
    assert stage.sweep() == 130
    (end,) = stage.all(SweepEnded)
    assert (stopped, end.left, end.error) == ([], 2, "interrupted by SIGINT")


def test_a_bug_with_one_topic_is_70_and_keeps_no_other(stage: Stage) -> None:
    other = f"{PREFIX}_{NOW - 8 * 3600}_0a1b2c3d"
    stage.broker.make(other)

    def breaks(name: str) -> None:
        if name == OLD:
            raise ValueError("oops")

    stage.broker.on_delete = breaks
    assert stage.sweep() == 70
    (left,) = stage.all(LeftBehind)
    assert left.what == f"topic {OLD}"
    assert left.why.startswith("an error inside argorun: ValueError: oops; please report it")
    assert stage.deleted == [other]


def test_a_bug_with_one_application_keeps_no_topic_and_no_other_application(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> list[str]:
        raise ValueError("oops")

    stage.left()
    monkeypatch.setattr(steps.leftovers, "undo", breaks)
    assert stage.sweep() == 70
    assert stage.deleted == [OLD]
    (left,) = stage.all(LeftBehind)
    assert left.what == "Application argocd/weather, as run dead left it"
    assert left.command.startswith("argocd app patch argocd/weather")


def test_a_bug_while_looking_is_70_and_touches_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("oops")

    monkeypatch.setattr(steps.parameters, "record_of", breaks)
    assert stage.sweep() == 70
    assert "please report it" in stage.end.hint
    assert stage.deleted == []


def test_where_another_run_holds_the_application_by_now_no_command_would_disturb_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, OLD)
    record = stage.left()
    found = Leftover(ApplicationRef(name="weather"), stage.argocd.seen(), record)
    assert "argocd app patch" in steps.by_hand(found)
    stage.argocd.document["metadata"]["annotations"] = {
        RECORD: msgspec.json.encode(Record("another", FUTURE)).decode()
    }
    assert steps.by_hand(dataclasses.replace(found, seen=stage.argocd.seen())) == ""
