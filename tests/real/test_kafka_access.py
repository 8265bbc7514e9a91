"""Kafka with SASL: librdkafka's own properties, passed through, and what is said when they are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import support
from tests.real.cluster import Stack
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


def run(bench: Bench, user: str, password: str) -> support.Result:
    """A run as this user; `Bench.run` sees that the password stands nowhere."""
    server = support.from_environment("REALSTACK_KAFKA_SASL")
    environment = {"KAFKA_BOOTSTRAP_SERVERS": server, "KAFKA_USER": user, "KAFKA_PASSWORD": password}
    with bench.as_it_was():
        return bench.run(config=bench.config(kafka=SASL), environment=environment)


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
