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
from argorun.errors import AccessDenied
from argorun.events import Event, LeftBehind
from argorun.kafka.spec import TopicExists
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
    assert_pastes(
        command, "kafka-topics", "--bootstrap-server", servers, "--delete", "--if-exists", "--topic", "t_1"
    )


# -- what is undone, and in spite of what ---------------------------------------------------------------


class Topics:
    """Topics that are deleted, as far as they are ours; groups that may be kept."""

    def __init__(self, groups: Exception | None = None, delete: Exception | None = None) -> None:
        self.deleted: list[str] = []
        self._groups, self._delete = groups, delete

    async def delete_groups(self, prefix: str, topics: list[str]) -> list[str]:
        if self._groups is not None:
            raise self._groups
        await asyncio.Event().wait()
        return []

    async def delete(self, name: str) -> None:
        if self._delete is not None:
            raise self._delete
        self.deleted.append(name)

    async def wait_gone(self, name: str) -> None: ...


def undone(topics: Topics, topic: Topic, *, hurried: bool = False) -> list[LeftBehind]:
    """Undo a topic's making; what is announced as left."""
    told: list[Event] = []
    clean = CleanUp(told.append)
    config = Config(application="weather", argocd=None, kafka={"bootstrap.servers": "k:1"}, topics=(topic,))
    back = WayBack(config, cast(Any, None), cast(Any, topics), cast(Any, None), clean, cast(Any, None), print)
    back.from_topic("t_1", topic)
    if hurried:
        clean.hurry()
    run(clean.unwind(90))
    return [e for e in told if isinstance(e, LeftBehind)]


@pytest.mark.parametrize(
    ("groups", "hurried", "why"),
    [
        (AccessDenied("Kafka does not let us"), False, "Kafka does not let us"),
        (None, False, "not done within 20 s"),
        (None, True, "not done within 2 s"),
    ],
)
def test_a_consumer_group_that_stays_does_not_keep_the_topic(
    groups: Exception | None, hurried: bool, why: str
) -> None:
    topics = Topics(groups)
    left = undone(topics, Topic(prefix="t", parameters=(), groups="tests-"), hurried=hurried)
    assert topics.deleted == ["t_1"]
    assert [(e.what, e.why) for e in left] == [("consumer groups tests-*", why)]


def test_a_topic_that_turns_out_to_be_somebody_elses_is_neither_touched_nor_left() -> None:
    topics = Topics(delete=TopicExists("t_1"))
    assert (undone(topics, Topic(prefix="t", parameters=())), topics.deleted) == ([], [])


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
