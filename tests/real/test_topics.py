"""A run's topics on a real Kafka: the stack's, and brokers of a test's own that are set up otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from argorun.errors import AccessDenied, ArgorunError, KafkaFailed, UsageError
from argorun.kafka import names
from argorun.kafka.topics import CreatedTopic, Related, TopicExists, Topics, TopicSpec
from tests.faults import brokers
from tests.faults.brokers import CREATE_TOPICS, DELETE_TOPICS, Broker, Proxy
from tests.real import support
from tests.real.cluster import Stack, eventually

Properties = dict[str, str | int | float | bool]
PASSWORD = "open-sesame-7"
PLAIN: Properties = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
ADMIN = PLAIN | {"sasl.username": "admin", "sasl.password": "admin-secret"}


@pytest.fixture
def spec() -> TopicSpec:
    """A prefix that no other test has."""
    return TopicSpec(prefix=f"topics-{secrets.token_hex(3)}")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that creates topics on demand."""
    with brokers.broker(tmp_path_factory.mktemp("kafka"), auto_create_topics_enable="true") as made:
        yield made


def at(servers: str, more: Mapping[str, str | int | float | bool] = {}) -> Properties:
    return {"bootstrap.servers": servers, **more}


def use(properties: Properties, what: Callable[[Topics], Awaitable[None]]) -> list[str]:
    """Use topics; what was noticed."""
    notices: list[str] = []

    async def main() -> None:
        async with Topics(properties, warn=notices.append) as topics:
            await what(topics)

    asyncio.run(main())
    return notices


def failure(
    properties: Properties, spec: TopicSpec, kind: type[ArgorunError], within: float = 6
) -> ArgorunError:
    """How `look` ends, and soon enough; it shows no password and leaves no topic."""

    async def look(topics: Topics) -> None:
        await topics.preflight({names.draw(spec.prefix, time.time()): spec})

    began = time.monotonic()
    with pytest.raises(kind) as caught:
        use(properties, look)
    assert time.monotonic() - began < within
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def all_topics(servers: str) -> set[str]:
    return set(AdminClient(at(servers)).list_topics(timeout=10).topics)


def make(servers: str, *topics: str) -> None:
    """Make topics, as anybody may."""
    admin = AdminClient(at(servers))  # kept until they are made, or librdkafka would give up
    for made in admin.create_topics([NewTopic(t, 1, 1) for t in topics]).values():
        made.result(10)


# -- on the stack --


def test_looked_at_made_used_and_gone(stack: Stack, spec: TopicSpec) -> None:
    name = names.draw(spec.prefix, time.time())
    asked = TopicSpec(prefix=spec.prefix, partitions=3, config={"retention.ms": "60000"})

    async def all_of_it(topics: Topics) -> None:
        await topics.preflight({name: asked})
        assert stack.topics(spec.prefix) == set(), "looking makes nothing"
        await topics.create(name, asked)
        made = await topics.wait_usable(name)
        assert (made.name, made.partitions) == (name, 3)
        assert await asyncio.to_thread(produce, stack.kafka, name) == []
        assert name in await topics.present()
        await topics.delete(name)
        await topics.wait_gone(name)

    assert use(at(stack.kafka), all_of_it) == []
    assert stack.topics(spec.prefix) == set()


def produce(servers: str, topic: str) -> list[str]:
    """A message to each partition of three; what went wrong."""
    producer = Producer(at(servers, {"allow.auto.create.topics": False}))
    wrong: list[str] = []
    for partition in range(3):
        producer.produce(
            topic, b"x", partition=partition, on_delivery=lambda e, _: wrong.append(str(e)) if e else None
        )
    left = producer.flush(10)
    return wrong + ["not delivered"] * left


def test_a_topic_that_exists_is_not_touched(stack: Stack, spec: TopicSpec) -> None:
    name = names.draw(spec.prefix, time.time())
    other = AdminClient(at(stack.kafka))
    other.create_topics([NewTopic(name)])[name].result(10)
    try:

        async def collide(topics: Topics) -> None:
            for step in (topics.create(name, spec), topics.delete(name), topics.preflight({name: spec})):
                with pytest.raises(TopicExists):
                    await step

        use(at(stack.kafka), collide)

        async def look(topics: Topics) -> None:
            with pytest.raises(TopicExists):
                await topics.preflight({name: spec})
            with pytest.raises(TopicExists):
                await topics.delete(name)

        use(at(stack.kafka), look)
        assert stack.topics(spec.prefix) == {name}
    finally:
        other.delete_topics([name])[name].result(10)


@pytest.mark.parametrize(
    ("asked", "says", "fix"),
    [
        ({"replication_factor": 99}, "99", "replication_factor"),
        ({"config": {"retention.ms": "soon"}}, "Invalid value soon for configuration retention.ms", "config"),
        ({"config": {"retenton.ms": "1"}}, "Unknown topic config name: retenton.ms", "config"),
        ({"partitions": 0}, "Number of partitions was set to an invalid non-positive value", "partitions"),
    ],
)
def test_what_the_broker_would_not_make_is_bad_usage(
    stack: Stack, spec: TopicSpec, asked: dict[str, Any], says: str, fix: str
) -> None:
    error = failure(at(stack.kafka), TopicSpec(prefix=spec.prefix, **asked), UsageError)
    assert says in error.message
    assert error.hint == f"change {fix} in the topic's entry under topics:"


def test_a_user_who_may_not_is_told_the_acl(stack: Stack, spec: TopicSpec) -> None:
    server = support.from_environment("REALSTACK_KAFKA_SASL")
    limited = PLAIN | {"sasl.username": "limited", "sasl.password": "limited-secret"}
    error = failure(at(server, limited), spec, AccessDenied)
    assert error.hint == (
        f"ACLs are missing: Create, Describe and Delete on Topic {spec.prefix}* (prefixed)\n"
        f"kafka-acls --bootstrap-server {server} --command-config admin.properties --add "
        "--allow-principal User:limited --operation Create --operation Describe --operation Delete "
        f"--topic {spec.prefix} --resource-pattern-type prefixed"
    )


def test_a_wrong_password_is_told_at_once(stack: Stack, spec: TopicSpec) -> None:
    server = support.from_environment("REALSTACK_KAFKA_SASL")
    wrong = PLAIN | {"sasl.username": "admin", "sasl.password": PASSWORD}
    error = failure(at(server, wrong), spec, AccessDenied, within=4)
    assert "Invalid username or password" in error.message
    assert error.hint == "check kafka.sasl.username and kafka.sasl.password"


@pytest.mark.parametrize(
    ("properties", "kind", "hint"),
    [
        ({}, KafkaFailed, "check kafka.security.protocol and the port"),
        (
            {**ADMIN, "sasl.mechanism": "SCRAM-SHA-256"},
            AccessDenied,
            "check kafka.security.protocol and kafka.sasl",
        ),
        ({"security.protocol": "SSL"}, KafkaFailed, "check kafka.security.protocol"),
    ],
)
def test_a_listener_that_wants_something_else_says_what_to_check(
    stack: Stack, spec: TopicSpec, properties: Properties, kind: type[ArgorunError], hint: str
) -> None:
    server = support.from_environment("REALSTACK_KAFKA_SASL")
    assert failure(at(server, properties), spec, kind).hint.startswith(hint)


def test_sasl_to_a_plaintext_listener_says_what_to_check(stack: Stack, spec: TopicSpec) -> None:
    error = failure(at(stack.kafka, ADMIN), spec, AccessDenied)
    assert error.hint.startswith("check kafka.security.protocol and kafka.sasl.mechanism")


def test_a_broker_that_is_down_is_told_with_its_address(spec: TopicSpec) -> None:
    error = failure(at("localhost:1,127.0.0.1:2"), spec, KafkaFailed)
    assert error.message.startswith("Kafka at localhost:1, 127.0.0.1:2 cannot be reached: ")
    assert error.message.endswith("Connection refused")


def test_an_unknown_host_is_told_with_its_name(spec: TopicSpec) -> None:
    error = failure(at("no-such-host.invalid:9092"), spec, KafkaFailed)
    assert "Failed to resolve 'no-such-host.invalid:9092'" in error.message
    assert error.hint == "check the host in kafka.bootstrap.servers"


def test_empty_groups_that_hold_the_topics_name_go_with_it_and_no_others(
    stack: Stack, spec: TopicSpec
) -> None:
    mine, other = names.draw(spec.prefix, time.time()), names.draw(f"{spec.prefix}-other", time.time())
    prefix = f"{spec.prefix}-tests-"
    member = f"{prefix}{mine}-member"
    staying = {f"{prefix}nightly", f"{prefix}{other}", f"live-{spec.prefix}"}

    async def all_of_it(topics: Topics) -> None:
        try:
            for name in (mine, other):
                await topics.create(name, spec)
                await topics.wait_usable(name)
            for group in (f"{prefix}{mine}", *staying):
                await asyncio.to_thread(commit, stack.kafka, group, [mine, other])
            joined = await asyncio.to_thread(join, stack.kafka, member, mine)
            assert await topics.delete_groups(prefix, [mine]) == [f"{prefix}{mine}"]
            await asyncio.to_thread(joined.close)
            assert await topics.delete_groups(prefix, [mine]) == [member]
            assert {g for g in stack.groups() if spec.prefix in g} == staying
            await topics.delete(mine)
            await topics.wait_gone(mine)
            committed = {g: await asyncio.to_thread(offsets_of, stack.kafka, g) for g in staying}
            assert committed == {g: {other} for g in staying}, "Kafka itself drops the others' offsets"
        finally:
            for name in (mine, other):
                await topics.delete(name)
                await topics.wait_gone(name)

    use(at(stack.kafka), all_of_it)
    admin = AdminClient(at(stack.kafka))
    for group, done in admin.delete_consumer_groups([g for g in stack.groups() if g in staying]).items():
        assert done.result(10) is None, group


def offsets_of(servers: str, group: str) -> set[str]:
    """The topics on which a group has committed offsets."""
    admin = AdminClient(at(servers))
    found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
    return {p.topic for p in found.topic_partitions}


def test_topics_that_are_derived_from_the_name_are_found_and_none_is_made(
    stack: Stack, spec: TopicSpec
) -> None:
    name = names.draw(spec.prefix, time.time())
    derived = [f"{name}-dlt", f"{name}.retry", f"{name}_0"]
    others = [f"app-{name}-changelog", f"{name}0"]
    make(stack.kafka, *derived, *others)

    async def all_of_it(topics: Topics) -> None:
        await topics.check_visible([spec.prefix], time.time())
        found = await topics.related(name)
        assert (sorted(found.derived), sorted(found.others)) == (derived, sorted(others))
        for topic in (*derived, *others):
            await topics.delete(topic)
            await topics.wait_gone(topic)
        assert await topics.related(name) == Related((), ())

    use(at(stack.kafka), all_of_it)
    assert stack.topics(spec.prefix) == set()


def commit(servers: str, group: str, topics: list[str]) -> None:
    """A group without members that has read these topics."""
    consumer = Consumer(at(servers, {"group.id": group}))

    def committed() -> bool:
        """Whether it is: a broker that never had a group makes __consumer_offsets first."""
        try:
            consumer.commit(offsets=[TopicPartition(t, 0, 1) for t in topics], asynchronous=False)
        except KafkaException as e:
            if e.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
                raise
            return False
        return True

    try:
        eventually(committed, 30, "the group has a coordinator")
    finally:
        consumer.close()


def join(servers: str, group: str, topic: str) -> Consumer:
    """A group's member, that has its partition."""
    consumer = Consumer(at(servers, {"group.id": group}))
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.1) or consumer.assignment(), 30, "a partition is assigned")
    return consumer


# -- on a broker that creates topics on demand --


def test_asking_after_a_topic_does_not_make_it(own: Broker, spec: TopicSpec) -> None:
    name = names.draw(spec.prefix, time.time())

    async def ask(topics: Topics) -> None:
        await topics.preflight({name: spec})
        await topics.wait_gone(name)
        await topics.delete(name)
        await topics.wait_gone(name)

    use(at(own.plain), ask)
    assert not {t for t in all_topics(own.plain) if t.startswith(spec.prefix)}


def test_a_topic_that_a_live_producer_brings_back_is_told(own: Broker, spec: TopicSpec) -> None:
    name = names.draw(spec.prefix, time.time())

    async def clean_up(topics: Topics) -> None:
        await topics.create(name, spec)
        await topics.wait_usable(name)
        with producing(own.plain, name):
            await topics.delete(name)
            with pytest.raises(KafkaFailed, match="was deleted and came back, 6 times"):
                await topics.wait_gone(name)
        await topics.delete(name)
        await topics.wait_gone(name)

    notices = use(at(own.plain), clean_up)
    assert notices[:5] == [f"topic {name} came back after its deletion; deleting it again"] * 5
    assert name not in all_topics(own.plain)


def test_a_topic_whose_producer_ends_in_time_goes(own: Broker, spec: TopicSpec) -> None:
    name = names.draw(spec.prefix, time.time())

    async def clean_up(topics: Topics) -> None:
        await topics.create(name, spec)
        await topics.wait_usable(name)
        with producing(own.plain, name) as stop:
            asyncio.get_running_loop().call_later(1, stop.set)
            await topics.delete(name)
            await topics.wait_gone(name)

    assert use(at(own.plain), clean_up)
    assert name not in all_topics(own.plain)


@contextlib.contextmanager
def producing(servers: str, topic: str) -> Iterator[threading.Event]:
    """A producer that goes on until it is told to stop, and makes its topic when it is not there."""
    stop, began = threading.Event(), threading.Event()

    def work() -> None:
        producer = Producer(at(servers, {"linger.ms": 0, "log_level": 0}))
        while not stop.is_set():
            producer.produce(topic, b"x", on_delivery=lambda e, _: began.set())
            producer.poll(0.02)
        producer.purge()
        producer.flush(5)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert began.wait(20)
        yield stop
    finally:
        stop.set()
        thread.join()


# -- permissions that only a broker of one's own has --


def allow(
    own: Broker, prefix: str, *operations: AclOperation, kind: ResourceType = ResourceType.TOPIC
) -> None:
    """Give the user `maker` these operations on topics, or groups, with the prefix."""
    admin = AdminClient(at(own.plain))
    bindings = [
        AclBinding(
            kind, prefix, ResourcePatternType.PREFIXED, "User:maker", "*", operation, AclPermissionType.ALLOW
        )
        for operation in operations
    ]
    for done in admin.create_acls(bindings).values():
        done.result(10)


MAKER = PLAIN | {"sasl.username": "maker", "sasl.password": "maker-secret"}


def test_who_may_create_and_delete_may_run(own: Broker, spec: TopicSpec) -> None:
    allow(own, spec.prefix, AclOperation.CREATE, AclOperation.DELETE)
    name = names.draw(spec.prefix, time.time())

    async def all_of_it(topics: Topics) -> None:
        await topics.preflight({name: spec})
        await topics.create(name, spec)
        await topics.wait_usable(name)
        await topics.delete(name)
        await topics.wait_gone(name)

    use(at(own.sasl, MAKER), all_of_it)


def test_who_may_create_but_not_describe_is_told_before(own: Broker, spec: TopicSpec) -> None:
    allow(own, spec.prefix, AclOperation.CREATE)
    error = failure(at(own.sasl, MAKER), spec, AccessDenied)
    first = error.hint.splitlines()[0]
    assert first == f"ACLs are missing: Describe and Delete on Topic {spec.prefix}* (prefixed)"


def test_who_may_describe_but_not_delete_is_told_once_the_topic_is_made(own: Broker, spec: TopicSpec) -> None:
    allow(own, spec.prefix, AclOperation.CREATE, AclOperation.DESCRIBE)
    name = names.draw(spec.prefix, time.time())

    async def all_of_it(topics: Topics) -> None:
        await topics.preflight({name: spec})  # "unknown topic", as to one who may
        await topics.create(name, spec)
        with pytest.raises(AccessDenied, match=f"create topic {name}, but not delete it"):
            await topics.wait_usable(name)
        with pytest.raises(AccessDenied, match=f"Kafka does not let this account delete {name}"):
            await topics.delete(name)

    use(at(own.sasl, MAKER), all_of_it)
    admin = AdminClient(at(own.plain))
    admin.delete_topics([name])[name].result(10)


def test_a_foreign_group_whose_offsets_kafka_leaves_out_is_not_taken_for_the_tests(
    own: Broker, spec: TopicSpec
) -> None:
    allow(own, spec.prefix, AclOperation.CREATE, AclOperation.DELETE, AclOperation.DESCRIBE)
    allow(own, "tests-", AclOperation.DESCRIBE, AclOperation.DELETE, kind=ResourceType.GROUP)
    name, orders = names.draw(spec.prefix, time.time()), f"orders-{secrets.token_hex(3)}"
    foreign, mine = f"tests-nightly-{orders}", f"tests-{name}"
    make(own.plain, orders)

    async def all_of_it(topics: Topics) -> None:
        await topics.create(name, spec)
        await topics.wait_usable(name)
        await asyncio.to_thread(commit, own.plain, foreign, [orders])
        await asyncio.to_thread(commit, own.plain, mine, [name])
        assert await topics.delete_groups("tests-", [name]) == [mine]
        await topics.delete(name)
        await topics.wait_gone(name)

    use(at(own.sasl, MAKER), all_of_it)
    assert offsets_of(own.plain, foreign) == {orders}


def test_what_kafka_leaves_out_of_its_lists_in_silence_is_not_taken_for_nothing(
    own: Broker, spec: TopicSpec
) -> None:
    name = names.draw(spec.prefix, time.time())
    make(own.plain, name)
    commit(own.plain, f"{spec.prefix}-{name}", [name])

    async def look(topics: Topics) -> None:
        assert name not in await topics.present()
        with pytest.raises(AccessDenied) as topic:
            await topics.check_visible([spec.prefix], time.time())
        assert topic.value.hint == f"an ACL is missing: Describe on Topic {spec.prefix}* (prefixed)"
        with pytest.raises(AccessDenied) as group:
            await topics.delete_groups(f"{spec.prefix}-", [name])
        assert group.value.hint == (
            f"an ACL is missing: Describe and Delete on Group {spec.prefix}-* (prefixed)"
        )

    use(at(own.sasl, MAKER), look)
    assert name in all_topics(own.plain)


# -- faults of the network --


def proxied(
    own: Broker, faults: dict[int, list[str]], what: Callable[[Topics, Proxy], Awaitable[None]]
) -> list[str]:
    """Use topics through a proxy with these faults."""
    notices: list[str] = []

    async def main() -> None:
        proxy = Proxy()
        async with (
            proxy.before(own),
            Topics(at(own.proxied), warn=notices.append) as topics,
        ):
            proxy.faults = {key: deque(kinds) for key, kinds in faults.items()}
            await what(topics, proxy)

    asyncio.run(main())
    return notices


@pytest.mark.parametrize("fault", ["lose answer", "lose request", "cut"])
def test_a_create_whose_answer_is_lost_is_ours_anyway(own: Broker, spec: TopicSpec, fault: str) -> None:
    name = names.draw(spec.prefix, time.time())

    async def all_of_it(topics: Topics, proxy: Proxy) -> None:
        await topics.create(name, spec)
        assert proxy.asked[CREATE_TOPICS] >= 2
        assert await topics.wait_usable(name) == CreatedTopic(name=name, partitions=1, replication_factor=1)
        await topics.delete(name)
        await topics.wait_gone(name)

    proxied(own, {CREATE_TOPICS: [fault]}, all_of_it)
    assert name not in all_topics(own.plain)


@pytest.mark.parametrize("fault", ["lose answer", "lose request", "cut"])
def test_a_deletion_whose_answer_is_lost_is_asked_again(own: Broker, spec: TopicSpec, fault: str) -> None:
    name = names.draw(spec.prefix, time.time())

    async def all_of_it(topics: Topics, proxy: Proxy) -> None:
        await topics.create(name, spec)
        await topics.delete(name)
        assert proxy.asked[DELETE_TOPICS] >= 2
        await topics.wait_gone(name)

    proxied(own, {DELETE_TOPICS: [fault]}, all_of_it)
    assert name not in all_topics(own.plain)


@pytest.mark.parametrize("fault", ["lose answer", "lose request", "cut", "late 2", "late 7", ""])
@pytest.mark.parametrize("moment", [0.0, 0.05, 1.0])
def test_a_canceled_create_leaves_nothing(own: Broker, spec: TopicSpec, fault: str, moment: float) -> None:
    name = names.draw(spec.prefix, time.time())

    async def cancelled(topics: Topics, proxy: Proxy) -> None:
        task = asyncio.create_task(topics.create(name, spec))
        await asyncio.wait([task], timeout=moment)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await topics.delete(name)
        await topics.wait_gone(name)
        if fault.startswith("late"):
            await asyncio.sleep(8)

    proxied(own, {CREATE_TOPICS: [fault]}, cancelled)
    assert name not in all_topics(own.plain)


# -- a broker that restarts, starts, or does not delete --


@pytest.mark.parametrize("kill", [False, True])
def test_a_restart_is_ridden_out(own: Broker, spec: TopicSpec, kill: bool) -> None:
    drawn = [names.draw(spec.prefix, time.time()) for _ in range(6)]

    async def run(topics: Topics, name: str) -> None:
        await topics.create(name, spec)
        await topics.wait_usable(name)
        await topics.delete(name)
        await topics.wait_gone(name)

    async def all_of_it(topics: Topics) -> None:
        restart = asyncio.create_task(asyncio.to_thread(restart_it, own, kill))
        for name in drawn:
            await run(topics, name)
            await asyncio.sleep(0.2)
        await restart

    use(at(own.plain), all_of_it)
    assert not {t for t in all_topics(own.plain) if t.startswith(spec.prefix)}


def restart_it(own: Broker, kill: bool) -> None:
    time.sleep(0.7)
    own.stop(kill)
    own.start()


def test_a_broker_that_deletes_no_topics_is_told_before(
    tmp_path_factory: pytest.TempPathFactory, spec: TopicSpec
) -> None:
    with brokers.broker(tmp_path_factory.mktemp("kafka"), delete_topic_enable="false") as keeping:
        error = failure(at(keeping.plain), spec, UsageError)
        assert error.message.startswith("Kafka does not delete topics: ")
        assert all_topics(keeping.plain) == set()


def test_a_coordinator_that_just_starts_is_waited_for(
    tmp_path_factory: pytest.TempPathFactory, spec: TopicSpec
) -> None:
    with brokers.broker(tmp_path_factory.mktemp("kafka")) as cold:

        async def ask(topics: Topics) -> None:
            assert await topics.delete_groups("tests-", [names.draw(spec.prefix, time.time())]) == []

        use(at(cold.plain), ask)
