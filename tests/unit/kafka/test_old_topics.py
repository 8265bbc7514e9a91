"""The sweep deletes what is a run's and old enough, concurrently, and reports what it could not."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from argorun.attempt import AT_ONCE
from argorun.errors import AccessDenied, ArgorunError, KafkaFailed
from argorun.kafka import names
from argorun.kafka.errors import Unreachable
from argorun.kafka.names import TopicName
from argorun.kafka.old_topics import CHUNK, Age, ExpiredTopics, delete, mentioned, run_topics
from argorun.kafka.spec import TopicSpec
from argorun.kafka.topics import Limits, Topics
from tests.unit.kafka.standin import Answer, Broker, Slow
from tests.unit.virtual import run

NOW = 1_700_000_000.0
PREFIX = "weather_updates"
PREFIXES = st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True)
DRAWN = st.builds(
    TopicName,
    PREFIXES,
    st.integers(1_000_000_000, 9_999_999_999),
    st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
)


def named(created: float, token: str = "0a1b2c3d", prefix: str = PREFIX) -> TopicName:
    return TopicName(prefix, int(created), token)


# -- which are ours -------------------------------------------------------------------------------------


@given(drawn=st.lists(DRAWN, unique_by=str), others=st.lists(st.text()), chosen=st.data())
def test_only_drawn_names_with_one_of_the_prefixes_are_run_topics(
    drawn: list[TopicName], others: list[str], chosen: st.DataObject
) -> None:
    prefixes = set(chosen.draw(st.lists(st.sampled_from(drawn)))) if drawn else set()
    wanted = {name.prefix for name in prefixes}
    foreign = [o for o in others if names.parse(o) is None]
    found = run_topics([*foreign, *map(str, drawn)], wanted)
    assert {t: n for t, n in found.items() if t == str(n)} == {str(n): n for n in drawn if n.prefix in wanted}
    assert [t for t, n in found.items() if not t.startswith(str(n))] == []


@given(name=DRAWN, before=st.text(max_size=3), after=st.text(max_size=3))
def test_only_a_whole_name_and_a_separator_make_a_derived_topic(
    name: TopicName, before: str, after: str
) -> None:
    looks = f"{before}{name}{after}"
    mine = not before and (not after or after[0] in "-._")
    assert run_topics([looks], {name.prefix}) == ({looks: name} if mine else {})


@given(name=DRAWN, end=st.from_regex(r"[-._][a-zA-Z0-9._-]{0,9}", fullmatch=True), other=PREFIXES)
def test_what_is_derived_goes_with_exactly_the_prefix_that_is_asked_for(
    name: TopicName, end: str, other: str
) -> None:
    assert run_topics([f"{name}{end}"], {name.prefix}) == {f"{name}{end}": name}
    assert run_topics([f"{name}{end}"], {other} - {name.prefix}) == {}


def test_of_two_names_that_it_begins_with_a_topic_is_derived_from_the_longer() -> None:
    first = named(NOW)
    second = named(NOW + 60, prefix=str(first))
    assert run_topics([f"{second}-dlt"], {PREFIX, str(first)}) == {f"{second}-dlt": second}
    assert run_topics([f"{second}-dlt"], {PREFIX}) == {f"{second}-dlt": first}


def test_other_topics_that_hold_an_expired_name_are_found() -> None:
    mine, holding = str(named(NOW)), f"app-{named(NOW)}-changelog"
    others = [f"app-{named(NOW - 1)}-changelog", f"my-{named(NOW, token='0badcafe')}", PREFIX]
    expired = found_in([mine, f"{mine}-dlt", holding, *others])
    assert [expired.name_in(t) for t in (holding, mine, f"{mine}-dlt", *others)] == [named(NOW), *[None] * 5]
    expired.keep([named(NOW)])
    assert expired.name_in(holding) is None


def found_in(present: list[str]) -> ExpiredTopics:
    """The expired topics among these, whatever their age."""
    expired = ExpiredTopics()
    run(expired.find(present, {PREFIX}, Age(0, NOW)))
    return expired


def test_of_very_many_topics_each_is_checked() -> None:
    present = [str(named(NOW + i)) for i in range(2 * CHUNK + 1)]
    assert list(found_in(present).topics) == present


def test_derived_topics_are_kept_with_their_topic_even_if_that_is_gone() -> None:
    first, second = named(NOW), named(NOW + 1)
    present = [f"{first}-dlt", f"{first}.DLT", str(second), f"{second}-dlt", "other"]
    expired = found_in(present)
    assert expired.will_be_gone(first)
    expired.keep([first, first, named(NOW + 2)])
    assert (list(expired.topics), expired.will_be_gone(first), expired.will_be_gone(second)) == (
        [str(second), f"{second}-dlt"], False, True,
    )  # fmt: skip


def test_look_alikes_are_left_and_the_oldest_comes_first() -> None:
    old, new = named(NOW - 10), named(NOW)
    alike = [
        f"{PREFIX}_1700000000_0a1b2c3",
        f"{PREFIX}_1700000000_0A1B2C3D",
        f"{PREFIX}_17000000000_0a1b2c3d",
        f"{PREFIX}_1700000000_0a1b2c3dx",
        f"{PREFIX}_1700000000_0a1b2c3d\n",
        f"{PREFIX}_1700000000_1700000000_0a1b2c3d",
        f"my_{PREFIX}_1700000000_0a1b2c3d",
        f"{PREFIX}-1700000000-0a1b2c3d",
        PREFIX,
    ]
    found = found_in([*sorted(alike), str(new), f"{old}_retry", str(old)])
    assert list(found.topics.items()) == [(f"{old}_retry", old), (str(old), old), (str(new), new)]


@given(name=DRAWN, older_than=st.integers(1, 10**9), age=st.integers(-(10**6), 10**9))
def test_old_is_what_was_made_that_long_ago_by_the_time_in_its_name(
    name: TopicName, older_than: int, age: int
) -> None:
    judged = Age(older_than, name.created + age)
    assert (judged.is_old(name), judged.of(name)) == (age >= older_than, age)


def test_with_0_everything_is_old_even_what_another_clock_dates_ahead() -> None:
    assert Age(0, NOW).is_old(named(NOW + 3600))
    assert not Age(1, NOW).is_old(named(NOW + 3600))


@given(found=st.lists(DRAWN, min_size=1), between=st.text('",: {}[]\\/', min_size=1, max_size=5))
def test_names_are_found_in_a_patch_whatever_surrounds_them(found: list[TopicName], between: str) -> None:
    text = between + between.join(map(str, found)) + between
    assert mentioned(text, {n.prefix for n in found}) == found
    assert mentioned(text, {"another"} - {n.prefix for n in found}) == []


# -- their deletion -------------------------------------------------------------------------------------


class Swept:
    """A broker with topics on it, and what was reported about them."""

    def __init__(self, *found: TopicName) -> None:
        self.broker = Broker()
        self.found = found
        for name in found:
            self.broker.make(str(name), TopicSpec(prefix=name.prefix))
        self.deleted: list[str] = []
        self.failed: dict[str, ArgorunError] = {}
        self.told_at_once = 0

    def fail(self, topics: Sequence[str], error: ArgorunError) -> None:
        self.failed |= dict.fromkeys(topics, error)
        self.told_at_once = max(self.told_at_once, len(topics))

    def all(self) -> None:
        async def act() -> None:
            async with Topics({}, admin=self.broker, limits=Limits(delete=3, gone=3, request=1)) as topics:
                found = [str(n) for n in self.found]
                await delete(topics, found, self.deleted.append, self.fail)

        run(act())


def test_every_topic_is_deleted_and_reported_once_it_is_gone() -> None:
    found = [named(NOW + i) for i in range(20)]
    swept = Swept(*found)
    swept.broker.make("somebody's")
    swept.all()
    assert sorted(swept.deleted) == [str(n) for n in found]
    assert (set(swept.broker.held), swept.failed) == ({"somebody's"}, {})


def test_no_more_than_eight_are_deleted_at_once() -> None:
    swept = Swept(*(named(NOW + i) for i in range(30)))
    swept.broker.faults["delete"] = collections.deque([Slow(0.5)] * 30)
    at_once: list[int] = []
    asked = swept.broker.asked

    def count(_: str) -> None:
        begun = sum(act == "delete" for act, _ in asked)
        at_once.append(begun - len(swept.deleted))

    swept.broker.on_delete = count
    swept.all()
    assert max(at_once) == AT_ONCE
    assert len(swept.deleted) == 30


def test_once_kafka_is_unreachable_the_rest_is_not_tried_and_fails_at_once() -> None:
    """Each try waits for Kafka: ten thousand of them would take hours."""
    swept = Swept(*(named(NOW + i) for i in range(100)))
    swept.broker.faults["delete"] = collections.deque([Answer(-195)] * 10_000)
    swept.all()
    tried = {topic for act, topic in swept.broker.asked if act == "delete"}
    assert len(tried) < 2 * AT_ONCE  # others were under way when the last of them failed
    assert (len(swept.failed), swept.told_at_once) == (100, 100 - len(tried))
    assert {type(e) for e in swept.failed.values()} == {Unreachable}


def test_a_topic_that_cannot_be_deleted_is_reported_and_delays_no_other() -> None:
    found = [named(NOW + i) for i in range(3)]
    swept = Swept(*found)
    swept.broker.faults["delete"] = collections.deque([Answer(29)])
    swept.all()
    first, *others = map(str, found)
    assert {name: (type(e), e.hint) for name, e in swept.failed.items()} == {
        first: (AccessDenied, f"an ACL is missing: Delete on Topic {PREFIX}* (prefixed)")
    }
    assert sorted(swept.deleted) == others


def test_a_topic_that_someone_else_deleted_meanwhile_counts_as_deleted() -> None:
    swept = Swept(named(NOW))
    swept.broker.held.clear()
    swept.all()
    assert (swept.deleted, swept.failed) == ([str(named(NOW))], {})


def test_a_topic_that_keeps_coming_back_is_reported() -> None:
    swept = Swept(named(NOW))
    swept.broker.on_delete = swept.broker.make
    swept.all()
    (error,) = swept.failed.values()
    assert isinstance(error, KafkaFailed)
    assert "still there" in error.message or "came back" in error.message
