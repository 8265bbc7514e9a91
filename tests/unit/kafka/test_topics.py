"""A run's topics, on a stand-in for the broker and a jumping clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argorun.errors import AccessDenied, ArgorunError, KafkaFailed, UsageError
from argorun.kafka.admin import Cluster, Described, Partition
from argorun.kafka.errors import ConnectionTrouble
from argorun.kafka.topics import CreatedTopic, TopicExists, Topics, TopicSpec
from tests.unit.kafka.standin import Answer, Broker, Fault, Group, Lost, LostAnswer, Slow
from tests.unit.virtual import run

NAME, SPEC = "weather_1753747200_0a1b2c3d", TopicSpec(prefix="weather")
OTHER = "weather_1753747200_0a1b2c3e"


def on(
    broker: Broker,
    use: Callable[[Topics], Awaitable[None]],
    *,
    keep: bool = False,
    retrying: Callable[[str], None] = lambda reason: None,
) -> list[str]:
    """Use topics on a broker; returns the warnings."""
    notices: list[str] = []

    async def main() -> None:
        async with Topics({}, admin=broker, warn=notices.append, retrying=retrying, keep=keep) as topics:
            assert broker.is_open
            await use(topics)
        assert not broker.is_open

    run(main())
    return notices


def failure(
    broker: Broker, use: Callable[[Topics], Awaitable[None]], kind: type[Exception], *, keep: bool = False
) -> str:
    with pytest.raises(kind) as caught:
        on(broker, use, keep=keep)
    return str(caught.value)


async def create_and_clean_up(topics: Topics) -> None:
    try:
        await topics.create(NAME, SPEC)
        await topics.wait_usable(NAME)
    finally:
        await topics.delete(NAME)
        await topics.wait_gone(NAME)


async def preflight(topics: Topics) -> None:
    await topics.preflight({NAME: SPEC})


async def create(topics: Topics) -> None:
    await topics.create(NAME, SPEC)


async def delete(topics: Topics) -> None:
    await topics.delete(NAME)
    await topics.wait_gone(NAME)


# -- preflight --


def test_preflight_asks_and_touches_nothing() -> None:
    broker = Broker()
    on(broker, preflight)
    assert broker.asked == [("validate", NAME), ("describe", NAME), ("delete", NAME)]
    assert broker.held == {}


def test_preflight_never_touches_a_topic_that_exists() -> None:
    broker = Broker()
    broker.make(NAME)
    assert failure(broker, preflight, TopicExists) == f"topic {NAME} already exists and is not this run's"
    assert ("delete", NAME) not in broker.asked
    assert NAME in broker.held


def test_a_topic_that_preflight_found_is_neither_created_nor_deleted() -> None:
    broker = Broker()
    broker.make(NAME)

    async def use(topics: Topics) -> None:
        for step in (preflight, create, delete):
            with pytest.raises(TopicExists):
                await step(topics)

    on(broker, use)
    assert NAME in broker.held


@pytest.mark.parametrize(
    ("act", "code", "kind"),
    [
        ("validate", 44, UsageError),
        ("validate", 38, UsageError),
        ("validate", 29, AccessDenied),
        ("validate", 999, KafkaFailed),
        ("describe", 29, AccessDenied),
        ("delete", 29, AccessDenied),
        ("delete", 73, UsageError),
        ("delete", -1, KafkaFailed),
    ],
)
def test_preflight_says_what_is_refused(act: str, code: int, kind: type[ArgorunError]) -> None:
    broker = Broker()
    broker.faults[act] = deque([Answer(code)])
    failure(broker, preflight, kind)
    assert broker.held == {}


@pytest.mark.parametrize(
    ("denied", "verbs", "operations"),
    [
        (("validate",), "create", "an ACL is missing: Create on Topic weather* (prefixed) or on the Cluster"),
        (("delete",), "delete", "an ACL is missing: Delete on Topic weather* (prefixed)"),
        (
            ("validate", "delete"),
            "create and delete",
            "ACLs are missing: Create and Delete on Topic weather* (prefixed)",
        ),
        (
            ("validate", "describe"),
            "create, describe and delete",
            "ACLs are missing: Create, Describe and Delete on Topic weather* (prefixed)",
        ),
    ],
)
def test_all_acls_that_are_missing_are_told_at_once_with_the_command(
    denied: tuple[str, ...], verbs: str, operations: str
) -> None:
    """Who may not describe may not delete: a trial deletion could hit a topic that is hidden."""
    broker = Broker()
    broker.faults = {act: deque([Answer(29)]) for act in denied}
    with pytest.raises(AccessDenied) as caught:
        on(broker, preflight)
    wanted = "".join(f" --operation {v.capitalize()}" for v in verbs.replace(" and ", ", ").split(", "))
    assert caught.value.message == f"Kafka does not let this account {verbs} {NAME}"
    assert caught.value.hint.splitlines() == [
        operations,
        "kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:ANONYMOUS"
        f"{wanted} --topic weather --resource-pattern-type prefixed",
    ]
    assert ("delete", NAME) not in broker.asked or "describe" not in denied


@pytest.mark.parametrize(("act", "code"), [("group", 30), ("delete group", 30)])
def test_groups_that_may_not_be_deleted_are_told_before_there_are_any(act: str, code: int) -> None:
    broker = Broker()

    async def use(topics: Topics) -> None:
        await topics.check_groups("tests-", NAME)

    on(broker, use)
    assert broker.asked == [("group", f"tests-{NAME}"), ("delete group", f"tests-{NAME}")]
    broker.faults = {act: deque([Answer(code)])}
    with pytest.raises(AccessDenied) as caught:
        on(broker, use)
    assert caught.value.message == "Kafka does not let this account delete consumer groups with tests-"
    assert caught.value.hint.splitlines()[1] == (
        "kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:ANONYMOUS "
        "--operation Describe --operation Delete --group tests- --resource-pattern-type prefixed"
    )


def test_a_broker_that_answers_says_which_cluster_it_is_of() -> None:
    broker = Broker()

    async def use(topics: Topics) -> None:
        assert await topics.cluster() == Cluster("stand-in", 1)

    on(broker, use)


def test_preflight_retries_only_after_a_transient_answer() -> None:
    broker = Broker()
    broker.faults = {"validate": deque([Answer(41), Answer(89)])}
    on(broker, preflight)
    assert [act for act, _ in broker.asked] == ["validate"] * 3 + ["describe", "delete"]


def test_a_trial_deletion_without_an_answer_is_not_sent_again() -> None:
    broker = Broker()
    broker.faults = {"delete": deque([Lost()])}
    assert failure(broker, preflight, KafkaFailed) == "Kafka at broker:9092 cannot be reached: no answer"
    assert broker.asked.count(("delete", NAME)) == 1


def test_a_refused_login_ends_the_preflight_at_once() -> None:
    broker = Broker()
    broker.faults = {"validate": deque([Lost()])}
    broker.told = ConnectionTrouble(
        -169, "broker:9092: Authentication failed: Invalid username or password", 0
    )

    async def use(topics: Topics) -> None:
        start = asyncio.get_running_loop().time()
        with pytest.raises(AccessDenied, match="Invalid username or password"):
            await preflight(topics)
        assert asyncio.get_running_loop().time() - start < 1

    on(broker, use)


def test_brokers_that_stay_down_end_the_preflight_after_three_seconds() -> None:
    broker = Broker()
    broker.faults = {"validate": deque([Lost()])}
    broker.down = 1000.0

    async def use(topics: Topics) -> None:
        start = asyncio.get_running_loop().time()
        with pytest.raises(KafkaFailed, match="it closes the connection without an answer"):
            await preflight(topics)
        assert 3 <= asyncio.get_running_loop().time() - start < 4

    on(broker, use)


def test_with_keep_topics_the_right_to_delete_is_not_needed() -> None:
    broker = Broker()
    broker.may_delete = False
    broker.faults = {"delete": deque([Answer(29)])}

    async def use(topics: Topics) -> None:
        await preflight(topics)
        await topics.create(NAME, SPEC)
        await topics.wait_usable(NAME)

    on(broker, use, keep=True)
    assert NAME in broker.held


# -- create --


def test_a_topic_is_created_as_requested_and_gone_in_the_end() -> None:
    broker = Broker()

    async def use(topics: Topics) -> None:
        await topics.create(NAME, TopicSpec(prefix="weather", partitions=3, replication_factor=2))
        assert await topics.wait_usable(NAME) == CreatedTopic(name=NAME, partitions=3, replication_factor=2)
        await delete(topics)

    assert on(broker, use) == []
    assert broker.held == {}


def test_a_topic_that_existed_before_is_never_touched() -> None:
    broker = Broker()
    broker.make(NAME)

    async def use(topics: Topics) -> None:
        with pytest.raises(TopicExists):
            await create(topics)
        with pytest.raises(TopicExists):
            await topics.delete(NAME)

    on(broker, use)
    assert NAME in broker.held
    assert broker.asked == [("create", NAME)]


@pytest.mark.parametrize("fault", [LostAnswer(), Answer(-195), Answer(7), Answer(41)])
def test_a_topic_that_exists_after_an_unanswered_create_is_this_runs(fault: Fault) -> None:
    broker = Broker()
    if isinstance(fault, Answer):
        broker.make(NAME)  # made, and the answer said otherwise
    broker.faults = {"create": deque([fault])}
    on(broker, create_and_clean_up)
    assert broker.held == {}


def test_a_create_that_was_never_sent_does_not_claim_an_existing_topic() -> None:
    broker = Broker()
    broker.make(NAME)
    broker.faults = {"create": deque([Answer(-185, "Failed while waiting for controller: Local: Timed out")])}
    failure(broker, create, TopicExists)
    assert NAME in broker.held


def test_create_rides_out_a_restart_and_says_why_it_tries_again() -> None:
    broker = Broker()
    down = "broker:9092: Connect to ipv4#192.0.2.1:9092 failed: Connection refused"
    restart = [Answer(-195, down)] * 8 + [Answer(38, "only 0 broker(s) are registered")] * 4
    broker.faults = {"create": deque(restart)}
    retries: list[str] = []
    assert on(broker, create, retrying=retries.append) == []
    assert list(dict.fromkeys(retries)) == ["Connection refused", "only 0 broker(s) are registered", ""]
    assert NAME in broker.held


def test_create_gives_up_in_the_end() -> None:
    broker = Broker()
    broker.faults = {"create": deque([Answer(-195, "down")] * 1000)}
    assert failure(broker, create, KafkaFailed) == "Kafka at broker:9092 cannot be reached: down"


@pytest.mark.parametrize("fault", [None, Slow(3), LostAnswer(), Lost(after=2), Lost(after=0.5), Answer(-195)])
@pytest.mark.parametrize("moment", [0.0, 0.005, 0.02, 1.0, 4.0])
def test_a_canceled_create_leaves_nothing(fault: Fault | None, moment: float) -> None:
    broker = Broker()
    broker.faults = {"create": deque([fault] if fault else [])}

    async def use(topics: Topics) -> None:
        task = asyncio.create_task(topics.create(NAME, SPEC))
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await delete(topics)
        await asyncio.sleep(60)

    on(broker, use)
    assert broker.held == {}


def test_a_canceled_create_that_finds_anothers_topic_leaves_it() -> None:
    broker = Broker()
    broker.make(NAME)
    broker.faults = {"create": deque([Slow(2)])}

    async def use(topics: Topics) -> None:
        task = asyncio.create_task(topics.create(NAME, SPEC))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(TopicExists):
            await topics.delete(NAME)

    on(broker, use)
    assert NAME in broker.held


silences = st.one_of(
    st.builds(Answer, st.sampled_from([-195, -185, 7, 41, 89])),
    st.builds(Lost, st.one_of(st.none(), st.floats(0, 4))),
    st.just(LostAnswer()),
    st.builds(Slow, st.floats(0, 4.9)),
)


@settings(max_examples=300, deadline=None)
@given(
    creates=st.lists(silences | st.just(Answer(38)), max_size=4),
    deletes=st.lists(silences, max_size=2),
    describes=st.lists(silences, max_size=2),
    cancel=st.one_of(st.none(), st.floats(0, 30)),
)
def test_whatever_fails_and_whenever_it_is_canceled_nothing_is_left(
    creates: list[Fault], deletes: list[Fault], describes: list[Fault], cancel: float | None
) -> None:
    broker = Broker()
    broker.make("other_1753747200_0a1b2c3d")
    broker.faults = {"create": deque(creates), "delete": deque(deletes), "describe": deque(describes)}

    async def use(topics: Topics) -> None:
        task = asyncio.create_task(topics.create(NAME, SPEC))
        await asyncio.wait([task], timeout=cancel)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await delete(topics)
        await asyncio.sleep(120)

    on(broker, use)
    assert set(broker.held) == {"other_1753747200_0a1b2c3d"}


# -- wait_usable --


def test_usable_is_a_leader_for_every_partition_three_times_in_a_row() -> None:
    broker = Broker()
    led, unled = Partition(leader=True, replicas=1), Partition(leader=False, replicas=1)
    seen = [None, [], [led, unled], [led, led], [led, led], [unled, led], [led, led], [led, led], [led, led]]
    states = deque(seen)

    async def use(topics: Topics) -> None:
        await topics.create(NAME, SPEC)

        async def describe(name: str, *, timeout: float) -> Described:
            partitions = states.popleft()
            if partitions is None:
                broker.faults["describe"] = deque([Answer(3)])
                return await Broker.describe(broker, name, timeout=timeout)
            return Described("id", True, tuple(partitions))

        broker.describe = describe  # type: ignore[method-assign]
        assert (await topics.wait_usable(NAME)).partitions == 2

    on(broker, use)
    assert not states


def test_a_topic_without_leaders_is_not_usable() -> None:
    broker = Broker()
    broker.held[NAME] = Described("id", True, (Partition(leader=False, replicas=3),))

    async def use(topics: Topics) -> None:
        await topics.wait_usable(NAME)

    assert failure(broker, use, KafkaFailed) == (
        f"topic {NAME} did not get a leader for every partition within 30 s"
    )


def test_a_topic_that_may_not_be_deleted_fails_before_the_sync() -> None:
    broker = Broker()
    broker.may_delete = False

    async def use(topics: Topics) -> None:
        await topics.create(NAME, SPEC)
        await topics.wait_usable(NAME)

    assert failure(broker, use, AccessDenied) == (
        f"Kafka let this account create topic {NAME}, but not delete it: it stays"
    )


# -- delete, wait_gone --


def test_deleting_what_is_not_there_is_fine() -> None:
    broker = Broker()
    on(broker, delete)
    assert broker.held == {}


def test_a_lost_answer_to_a_deletion_is_no_failure() -> None:
    broker = Broker()
    broker.make(NAME)
    broker.faults = {"delete": deque([LostAnswer(), Answer(41)])}
    on(broker, delete)
    assert broker.held == {}


def test_a_refused_deletion_is_an_error() -> None:
    broker = Broker()
    broker.make(NAME)
    broker.faults = {"delete": deque([Answer(29)])}
    assert failure(broker, delete, AccessDenied) == f"Kafka does not let this account delete {NAME}"


def test_a_topic_that_comes_back_is_deleted_again() -> None:
    broker = Broker()
    left = [NAME, NAME]

    def again(name: str) -> None:
        if left:
            asyncio.get_running_loop().call_later(0.3, broker.make, left.pop())

    broker.on_delete = again
    assert (
        on(broker, create_and_clean_up)
        == [f"topic {NAME} came back after its deletion; deleting it again"] * 2
    )
    assert broker.held == {}


def test_a_topic_that_comes_back_before_it_was_seen_gone_is_deleted_again() -> None:
    broker = Broker()
    broker.make(NAME)
    left = [NAME]
    broker.on_delete = lambda name: broker.make(left.pop()) if left else None
    on(broker, delete)
    assert broker.held == {}


def test_a_topic_that_comes_back_forever_is_an_error() -> None:
    broker = Broker()
    broker.on_delete = lambda name: broker.make(name)
    assert failure(broker, create_and_clean_up, KafkaFailed) == (
        f"topic {NAME} was deleted and came back, 6 times: something still uses it,"
        " and the broker creates topics on demand"
    )


# -- groups --


def test_only_empty_groups_of_the_prefix_that_hold_the_topics_name_go() -> None:
    broker = Broker()
    broker.consumers = {
        f"tests-{NAME}": Group(),
        f"tests-{NAME}-second": Group(),
        f"tests-x-{NAME}": Group(),
        "tests-": Group(),
        "tests-nightly": Group(),
        f"tests-{NAME[:-1]}": Group(),
        f"tests-{OTHER}": Group(),
        f"tests-live-{NAME}": Group(members=1),
        f"live-{NAME}": Group(),
        NAME: Group(),
    }
    gone: list[str] = []

    async def use(topics: Topics) -> None:
        gone.extend(await topics.delete_groups("tests-", [NAME]))

    before = set(broker.consumers)
    assert on(broker, use) == []
    assert gone == sorted([f"tests-{NAME}", f"tests-{NAME}-second", f"tests-x-{NAME}"])
    assert set(broker.consumers) == before - set(gone)


def test_a_group_that_got_a_member_meanwhile_is_kept() -> None:
    broker = Broker()
    broker.consumers = {f"tests-{NAME}": Group()}
    broker.faults = {"delete group": deque([Answer(68)])}

    async def use(topics: Topics) -> None:
        assert await topics.delete_groups("tests-", [NAME]) == []

    on(broker, use)
    assert f"tests-{NAME}" in broker.consumers


def test_an_empty_prefix_takes_no_group() -> None:
    async def use(topics: Topics) -> None:
        await topics.delete_groups("", [NAME])

    assert failure(Broker(), use, UsageError).startswith("groups: must not be empty")


def test_groups_that_the_list_silently_leaves_out_name_the_missing_acl() -> None:
    broker = Broker()
    broker.consumers = {f"tests-{NAME}": Group()}
    broker.hidden = "tests-"

    async def use(topics: Topics) -> None:
        await topics.delete_groups("tests-", [NAME])

    assert failure(broker, use, AccessDenied) == (
        "Kafka does not let this account delete consumer groups with tests-"
    )


def test_all_topics_are_listed_for_the_sweep() -> None:
    broker = Broker()
    broker.make("b")
    broker.make("a")
    broker.faults = {"topics": deque([Answer(-195)])}

    async def use(topics: Topics) -> None:
        assert await topics.present() == ["a", "b"]

    on(broker, use)


# -- the broker's other topics --


def test_topics_that_are_derived_from_the_name_are_separate_from_others_that_hold_it() -> None:
    broker = Broker()
    derived = [f"{NAME}-dlt", f"{NAME}.DLT", f"{NAME}_retry"]
    others = [f"app-{NAME}-changelog", f"{NAME}2", f"x{NAME}"]
    for name in (NAME, OTHER, f"{OTHER}-dlt", "weather", *derived, *others):
        broker.make(name)

    async def use(topics: Topics) -> None:
        found = await topics.related(NAME)
        assert (sorted(found.derived), sorted(found.others)) == (derived, others)

    on(broker, use)
    assert {act for act, _ in broker.asked} == {"topics"}, "asking by name could make one"


def test_nothing_is_derived_from_anothers_topic() -> None:
    broker = Broker()
    broker.make(NAME)
    broker.make(f"{NAME}-dlt")

    async def use(topics: Topics) -> None:
        with pytest.raises(TopicExists):
            await topics.create(NAME, SPEC)
        await topics.related(NAME)

    failure(broker, use, TopicExists)


def test_topics_that_the_list_silently_leaves_out_name_the_missing_acl() -> None:
    broker = Broker()
    broker.make(NAME)
    broker.hidden = "weather"

    async def use(topics: Topics) -> None:
        assert await topics.present() == []
        await topics.check_visible(["orders", "weather"], 1753747200)

    with pytest.raises(AccessDenied) as caught:
        on(broker, use)
    assert (caught.value.message, caught.value.hint) == (
        "Kafka does not let this account see topics weather*",
        "an ACL is missing: Describe on Topic weather* (prefixed)",
    )


def test_checking_what_is_visible_creates_nothing() -> None:
    broker = Broker()

    async def use(topics: Topics) -> None:
        await topics.check_visible(["orders", "weather"], 1753747200)

    on(broker, use)
    assert (broker.held, {act for act, _ in broker.asked}) == ({}, {"describe"})
