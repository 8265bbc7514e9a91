"""Kafka with SASL: librdkafka's own properties, passed through, and what is said when they are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.real import support
from tests.real.cluster import Stack, eventually
from tests.real.support import Bench, scripted

SASL = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "${KAFKA_USER}",
    "sasl.password": "${KAFKA_PASSWORD}",
}


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("sasl"), scripted(), name="sasl") as made:
        made.scripts(test="true")
        yield made


LIMITED = ("limited", "limited-secret")
TOPIC_RIGHTS = (AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.DELETE)
# The settings file of docs/troubleshooting.md: what kafka-topics needs if there is a login.
CLIENT_PROPERTIES = """security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="{}" password="{}";
"""


def login(user: str, password: str) -> dict[str, str | None]:
    server = support.from_environment("REALSTACK_KAFKA_SASL")
    return {"KAFKA_BOOTSTRAP_SERVERS": server, "KAFKA_USER": user, "KAFKA_PASSWORD": password}


def run(bench: Bench, user: str, password: str) -> support.Result:
    """A run as this user; `Bench.run` sees that the password stands nowhere."""
    with bench.as_it_was():
        return bench.run(config=bench.config(kafka=SASL), environment=login(user, password))


class Acls:
    """What the user `limited` may do; taken away again in the end."""

    def __init__(self, stack: Stack) -> None:
        self._admin = AdminClient({"bootstrap.servers": stack.kafka})
        self._given: list[AclBinding] = []

    def allow(self, kind: ResourceType, prefix: str, *operations: AclOperation) -> None:
        pattern, allow = ResourcePatternType.PREFIXED, AclPermissionType.ALLOW
        new = [AclBinding(kind, prefix, pattern, "User:limited", "*", o, allow) for o in operations]
        for done in self._admin.create_acls(new).values():
            done.result(10)
        self._given += new

    def withdraw(self, *operations: AclOperation) -> None:
        """Take these operations away; without any, all."""
        gone = [a for a in self._given if not operations or a.operation in operations]
        filters = [
            AclBindingFilter(
                a.restype, a.name, a.resource_pattern_type, a.principal, a.host,
                a.operation, a.permission_type,
            )
            for a in gone
        ]  # fmt: skip
        for done in (self._admin.delete_acls(filters) if filters else {}).values():
            done.result(10)
        self._given = [a for a in self._given if a not in gone]


@pytest.fixture
def acls(stack: Stack) -> Iterator[Acls]:
    given = Acls(stack)
    yield given
    given.withdraw()


@contextlib.contextmanager
def topics(bench: Bench, *names: str) -> Iterator[None]:
    """Topics that others made, gone in the end."""
    admin = AdminClient({"bootstrap.servers": bench.stack.kafka})
    for made in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made.result(30)
    eventually(lambda: set(names) <= bench.stack.topics(), 30, "the topics are there")
    try:
        yield
    finally:
        left = sorted(set(names) & bench.stack.topics())
        for done in (admin.delete_topics(left) if left else {}).values():
            done.result(30)


def test_a_user_who_may(bench: Bench) -> None:
    result = run(bench, "admin", "admin-secret")
    assert result.code == 0, str(result)


def test_a_user_who_may_not(bench: Bench) -> None:
    result = run(bench, "limited", "limited-secret")
    assert result.code == 6, str(result)
    assert bench.prefix in result.err, "it says what for"


def test_a_wrong_password(bench: Bench) -> None:
    result = run(bench, "admin", "open-sesame-1")
    assert result.code == 6, str(result)
    assert "authentication" in result.err.lower()


def test_a_password_that_the_environment_does_not_have(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run(config=bench.config(kafka=SASL), environment={"KAFKA_USER": "admin"})
    assert result.code == 2, str(result)
    assert "KAFKA_PASSWORD" in result.err


def test_a_user_with_the_acls_of_the_readme_runs_and_takes_what_is_derived_along(
    bench: Bench, acls: Acls
) -> None:
    """And nobody else's group, though Kafka shows this user none of its offsets."""
    acls.allow(ResourceType.TOPIC, bench.prefix, *TOPIC_RIGHTS)
    acls.allow(ResourceType.GROUP, "tests-", AclOperation.DESCRIBE, AclOperation.DELETE)
    go, orders = bench.folder / "go", f"orders-{bench.prefix}"
    bench.scripts(test=f"echo begun; until [ -e {go} ]; do sleep 0.1; done")
    entry = {"prefix": bench.prefix, "parameter": "kafka.topic", "groups": "tests-"}
    config = bench.config(kafka=SASL, topics=[entry])
    with bench.as_it_was(), bench.start(config=config, environment=login(*LIMITED)) as run:
        run.until("log_line", text="begun")
        (topic,) = bench.topics()
        foreign = f"tests-nightly-{bench.prefix}"
        with topics(bench, f"{topic}-dlt", orders):
            commit(bench, foreign, orders)
            commit(bench, f"tests-{topic}", topic)
            go.touch()
            assert run.end() == 0, str(run)
            assert {g for g in bench.stack.groups("tests-") if bench.prefix in g} == {foreign}
    told = [(e["kind"], *e["names"]) for e in run.all("undone")]
    assert ("derived_topic", f"{topic}-dlt") in told, str(run)
    assert ("consumer_group", f"tests-{topic}") in told, str(run)
    bench.scripts(test="true")


def commit(bench: Bench, group: str, topic: str) -> None:
    """A group without members that has read this topic."""
    consumer = Consumer({"bootstrap.servers": bench.stack.kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    consumer.close()


def test_the_command_for_what_is_left_works_on_a_cluster_with_a_login(bench: Bench, acls: Acls) -> None:
    acls.allow(ResourceType.TOPIC, bench.prefix, *TOPIC_RIGHTS)
    go = bench.folder / "go-on"
    bench.scripts(test=f"echo begun; until [ -e {go} ]; do sleep 0.1; done")
    config = bench.config(kafka=SASL, timeouts={"run": "3m", "cleanup": "30s"})
    with bench.start(config=config, environment=login(*LIMITED)) as run:
        run.until("log_line", text="begun")
        (topic,) = bench.topics()
        with topics(bench, f"{topic}-dlt"):
            acls.withdraw(AclOperation.DELETE)
            go.touch()
            assert run.end() == 10, str(run)
            left = {e["what"]: e["command"] for e in run.all("left_behind")}
            assert set(left) == {f"topic {topic}", f"topic {topic}-dlt"}, str(run)
            (bench.folder / "client.properties").write_text(CLIENT_PROPERTIES.format("admin", "admin-secret"))
            command = left[f"topic {topic}"]
            assert " --command-config client.properties " in command
            bench.by_hand(f"cd {bench.folder}; {command}")
            assert bench.topics() == set()
    bench.scripts(test="true")


def test_a_sweep_that_kafka_shows_no_topics_does_not_say_that_there_are_none(
    bench: Bench, acls: Acls
) -> None:
    old = f"{bench.prefix}_1700000000_0a1b2c3d"
    config = bench.config(kafka=SASL)
    with topics(bench, old):
        blind = bench.sweep(config=config, environment=login(*LIMITED))
        assert (blind.code, blind.out) == (6, ""), str(blind)
        assert f"an ACL is missing: Describe on Topic {bench.prefix}* (prefixed)" in blind.err
        acls.allow(ResourceType.TOPIC, bench.prefix, AclOperation.DESCRIBE, AclOperation.DELETE)
        result = bench.sweep(config=config, environment=login(*LIMITED))
        assert (result.code, result.out.split()) == (0, [old]), str(result)
