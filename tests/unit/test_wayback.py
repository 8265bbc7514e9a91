"""The commands that undo a run by hand do what they say when they are pasted, and nothing else."""

from __future__ import annotations

import asyncio
import json
import shlex
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.types import Health, Info, Node, Ref, Tree
from argorun.cleanup import CleanUp
from argorun.config import Config, Topic
from argorun.errors import AccessDenied, KafkaFailed
from argorun.events import Event, LeftBehind
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Related
from argorun.wayback import WayBack
from tests.unit.virtual import run


def way_back(servers: str = "", patch: object = ()) -> Any:
    fake = cast(Any, SimpleNamespace)
    config = fake(application="ns/weather", kafka={"bootstrap.servers": servers})
    return WayBack(config, fake(), fake(), fake(), fake(), fake(claim=fake(way_back=lambda: patch)), print)


def assert_pastes(command: str, *words: str) -> None:
    """As a shell takes it; and nothing in it drives the terminal that it is pasted into."""
    assert shlex.split(command) == list(words)
    assert command.isprintable()
    quoted = shlex.shlex(command, posix=False, punctuation_chars=True)
    quoted.whitespace_split = True
    assert [word for word in quoted if word in (";", "&", "|", "&&", "||", "(", ")", "<", ">")] == []


@given(st.text(), st.text())
def test_what_was_there_is_put_back_whatever_it_holds(name: str, value: str) -> None:
    patch = [
        {"op": "replace", "path": "/spec/source/helm/parameters", "value": [{"name": name, "value": value}]}
    ]
    command = way_back(patch=patch)._give_back_by_hand()
    *words, text = shlex.split(command)
    assert_pastes(command, *words, text)
    assert words == ["argocd", "app", "patch", "ns/weather", "--type", "json", "--patch"]
    assert json.loads(text) == patch


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])).filter(str.isprintable))
def test_a_topic_is_deleted_at_the_broker_whatever_its_address_holds(servers: str) -> None:
    command = way_back(servers)._delete_by_hand("t_1")
    *words, topic = "--delete", "--if-exists", "--topic", "t_1([-._].*)?"
    assert_pastes(command, "kafka-topics", "--bootstrap-server", servers, *words, topic)


# -- what is undone, and in spite of what ---------------------------------------------------------------


class Topics:
    """Topics that are deleted, as far as they are ours; what raises or hangs is named by `broken`."""

    def __init__(
        self,
        helpers: Exception | None = None,
        delete: Exception | None = None,
        related: Related | None = None,
        stays: str = "",
    ) -> None:
        self.deleted: list[str] = []
        self._helpers, self._delete, self._related, self._stays = helpers, delete, related, stays

    async def _help(self) -> None:
        if self._helpers is not None:
            raise self._helpers
        await asyncio.Event().wait()

    async def delete_groups(self, prefix: str, topics: list[str]) -> list[str]:
        await self._help()
        return []

    async def related(self, name: str) -> Related:
        if self._related is None:
            await self._help()
        return self._related or Related((), ())

    async def delete(self, name: str) -> None:
        if self._delete is not None or name == self._stays:
            raise self._delete or KafkaFailed("it comes back")
        self.deleted.append(name)

    async def wait_gone(self, name: str) -> None: ...


class Undone:
    """What became of a topic's making, its undos done; `told` are the events, `notices` the notices."""

    def __init__(self, topics: Topics, topic: Topic, *, hurried: bool = False, synced: bool = False) -> None:
        self.told: list[Event] = []
        self.notices: list[tuple[str, str]] = []
        clean = CleanUp(self.told.append)
        config = Config(
            application="weather", argocd=None, kafka={"bootstrap.servers": "k:1"}, topics=(topic,)
        )
        traces = cast(Any, SimpleNamespace(logs="of the run" if synced else None))
        none = cast(Any, None)
        back = WayBack(config, none, cast(Any, topics), none, clean, traces, self.notice)
        clean.before("the last look", back._stay_gone, lambda: "", patient=True)
        back.from_topic("t_1", topic)
        if hurried:
            clean.hurry()
        run(clean.unwind(90))

    def notice(self, text: str, level: str) -> None:
        self.notices.append((level, text))

    @property
    def left(self) -> list[tuple[str, str]]:
        return [(e.what, e.why) for e in self.told if isinstance(e, LeftBehind)]


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AccessDenied("Kafka does not let us"), ["Kafka does not let us"] * 2),
        (OSError("no more processes"), ["OSError: no more processes"] * 2),
        (ValueError("oops"), ["ValueError: oops"] * 2),
        (RuntimeError("a bug"), ["RuntimeError: a bug"] * 2),
        (None, ["not done within 45 s", "not done within 20 s"]),  # it hangs
    ],
)
def test_whatever_an_optional_helper_raises_the_topic_goes(
    error: Exception | None, why: list[str], hurried: bool
) -> None:
    topics = Topics(error)
    undone = Undone(topics, Topic(prefix="t", parameters=(), groups="tests-"), hurried=hurried)
    assert topics.deleted == ["t_1"]
    what = ["topics derived from t_1", "consumer groups of t_1"]
    assert undone.left == list(zip(what, why, strict=True))


def test_derived_topics_go_with_the_topic_and_each_is_told() -> None:
    topics = Topics(related=Related(("t_1-dlt", "t_1-retry-0"), ("app-t_1-changelog",)))
    undone = Undone(topics, Topic(prefix="t", parameters=()))
    assert topics.deleted == ["t_1", "t_1-dlt", "t_1-retry-0"]
    assert undone.notices == [
        ("warning", "topic app-t_1-changelog holds the name of t_1 and is left alone: is it needed?"),
        ("info", "topic t_1-dlt deleted: its name is derived from that of the run's topic"),
        ("info", "topic t_1-retry-0 deleted: its name is derived from that of the run's topic"),
    ]
    assert undone.left == []


def test_a_derived_topic_that_stays_is_named_once_with_the_command() -> None:
    topics = Topics(related=Related(("t_1-dlt", "t_1.DLT"), ()), stays="t_1-dlt")
    undone = Undone(topics, Topic(prefix="t", parameters=()), synced=True)
    assert topics.deleted == ["t_1", "t_1.DLT", "t_1.DLT"], "the last look tries once more"
    assert undone.left == [("topic t_1-dlt", "it comes back")]
    (left,) = [e for e in undone.told if isinstance(e, LeftBehind)]
    assert left.command == (
        "kafka-topics --bootstrap-server k:1 --delete --if-exists --topic 't_1-dlt([-._].*)?'"
    )


def test_derived_topics_stay_with_the_topic_that_stays_and_are_named() -> None:
    topics = Topics(related=Related(("t_1-dlt",), ()), stays="t_1")
    undone = Undone(topics, Topic(prefix="t", parameters=()))
    assert topics.deleted == []
    assert undone.left == [
        ("topic t_1", "it comes back"),
        ("topic t_1-dlt", "it is left for as long as topic t_1 is"),
    ]


def test_in_a_hurry_derived_topics_go_at_once_and_are_looked_for_again_after_the_pods() -> None:
    topics = Topics(related=Related(("t_1-dlt",), ()))
    undone = Undone(topics, Topic(prefix="t", parameters=()), hurried=True, synced=True)
    assert sorted(topics.deleted) == ["t_1", "t_1", "t_1-dlt", "t_1-dlt"]
    assert undone.left == []


def test_a_topic_that_turns_out_to_be_somebody_elses_is_neither_touched_nor_left() -> None:
    topics = Topics(TopicExists("t_1"), delete=TopicExists("t_1"))
    assert (Undone(topics, Topic(prefix="t", parameters=())).left, topics.deleted) == ([], [])


@pytest.mark.parametrize(
    ("settle", "synced", "automated", "settles"),
    [
        (True, True, None, True),
        (False, True, None, False),
        (True, False, None, False),
        (False, True, {}, True),
        (True, False, {}, True),  # switched on over our values, auto-sync would run the hooks again
    ],
)
def test_the_workloads_are_settled_where_they_were_synced_and_always_under_auto_sync(
    settle: bool, synced: bool, automated: object, settles: bool
) -> None:
    fake = cast(Any, SimpleNamespace)
    claim = fake(record=fake(automated=automated), was_synced=synced)
    config = fake(application="weather", settle=settle)
    assert WayBack(config, fake(), fake(), fake(), fake(), fake(claim=claim), print)._settles() is settles


def test_before_our_sync_nobody_is_told_to_end_the_operation_that_runs() -> None:
    fake = cast(Any, SimpleNamespace)

    def back(logs: object) -> Any:
        return WayBack(fake(application="weather"), fake(), fake(), fake(), fake(), fake(logs=logs), print)

    assert (back(None)._end_by_hand(), back(None)._wait_by_hand()) == ("", "")
    assert (
        back(fake())._end_by_hand() == "argocd app terminate-op weather; argocd app wait weather --operation"
    )


def test_a_job_that_nobody_has_told_to_stop_is_left_with_the_command_that_ends_it() -> None:
    """The operation was over before it; pods in their grace period leave by themselves."""

    def pod(name: str, job: str, health: str, reason: str) -> Node:
        status, told = Health(status=health), [Info(name="Status Reason", value=reason)]
        return Node(kind="Pod", name=name, uid=name, parent_refs=[Ref(uid=job)], health=status, info=told)

    jobs = [Node(kind="Job", namespace="n", name=name, uid=name) for name in ("runs", "leaves", "ended")]
    pods = [
        pod("runs-0", "runs", "Degraded", "Error"),
        pod("runs-1", "runs", "Progressing", "Running"),
        pod("leaves-0", "leaves", "Progressing", "Terminating"),
        pod("ended-0", "ended", "Healthy", "Completed"),
    ]
    told: list[Event] = []
    fake = cast(Any, SimpleNamespace)
    logs = fake(jobs=lambda: jobs)
    config = fake(application="ns/weather")
    back = WayBack(config, fake(), fake(), fake(), CleanUp(told.append), fake(logs=logs), print)
    back._leave_running(logs, Tree(nodes=[*jobs, *pods]))
    (left,) = told
    assert isinstance(left, LeftBehind)
    assert (left.what, left.why) == ("Job runs", "the operation is over, and runs-1 did not end with it")
    assert_pastes(left.command, "kubectl", "delete", "job", "runs", "--namespace", "n")
