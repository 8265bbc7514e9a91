"""The commands that a person is given for Kafka take exactly the topics that they name."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun import recovery
from argorun.kafka import names

KAFKA = {"bootstrap.servers": "k:9092"}
TOPICS = st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True)


def patterns(command: str) -> list[str]:
    """What kafka-topics matches whole names with, by command (org.apache.kafka.server.util.TopicFilter)."""
    return [shlex.split(part)[-1].replace(",", "|") for part in command.split("; ")]


@given(st.lists(TOPICS, min_size=1, unique=True), TOPICS)
def test_topics_and_what_is_derived_from_them_are_deleted_and_no_others(given: list[str], other: str) -> None:
    (pattern,) = patterns(recovery.delete_topics(KAFKA, given))
    matched = {t for t in (*given, f"{given[0]}-dlt", other) if re.fullmatch(pattern, t)}
    mine = other in given or any(names.is_derived(other, t) for t in given)
    assert matched == {*given, f"{given[0]}-dlt"} | ({other} if mine or other == f"{given[0]}-dlt" else set())


def test_a_dot_in_a_name_matches_a_dot_alone() -> None:
    assert recovery.delete_topics(KAFKA, ["a.b"]) == (
        "kafka-topics --bootstrap-server k:9092 --delete --if-exists --topic 'a\\.b([-._].*)?'"
    )


def test_many_topics_take_few_commands_that_a_shell_takes() -> None:
    topics = [f"weather_{1700000000 + i}_0a1b2c3d" for i in range(250)]
    command = recovery.delete_topics(KAFKA, topics)
    parts = patterns(command)
    assert [sum(1 for t in topics if re.fullmatch(p, t)) for p in parts] == [100, 100, 50]
    assert max(map(len, command.split("; "))) < 10_000
    assert recovery.delete_topics(KAFKA, []) == ""


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT", "SSL", "sasl_ssl"])
def test_a_cluster_with_a_login_or_tls_is_reached_with_a_file_of_settings(
    protocol: str,
) -> None:
    command = recovery.delete_topics(KAFKA | {"security.protocol": protocol}, ["t"])
    assert command == (
        "kafka-topics --bootstrap-server k:9092 --command-config client.properties"
        " --delete --if-exists --topic 't([-._].*)?'"
    )


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "plaintext"])
def test_any_other_needs_no_file(protocol: str) -> None:
    assert "--command-config" not in recovery.delete_topics(KAFKA | {"security.protocol": protocol}, ["t"])
