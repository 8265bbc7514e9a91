"""Every answer of Kafka becomes an error with an exit code, a reason and a hint."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from argorun.errors import AccessDenied, ArgorunError, KafkaFailed, UsageError
from argorun.kafka import errors
from argorun.kafka.errors import (
    TRANSIENT,
    Act,
    BrokerError,
    ConnectionTrouble,
    LoginRefused,
    Unreachable,
    cannot_delete,
    connection_error,
    dropped,
    refusal,
)

CODES = sorted(v for k, v in vars(KafkaError).items() if k.isupper() and isinstance(v, int))
NAME, PREFIX = "weather_1753747200_0a1b2c3d", "weather"
LINES = {
    "prefix": "a.yaml:4",
    "partitions": "a.yaml:5",
    "replication_factor": "a.yaml:6",
    "config": "a.yaml:7",
}


def told(error: ArgorunError) -> tuple[type[ArgorunError], str, str]:
    return type(error), error.message, error.hint


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("code", CODES)
def test_no_code_is_unmapped(act: Act, code: int) -> None:
    error = refusal(BrokerError(code, "why"), act, NAME, PREFIX)
    assert error.exit_code in (2, 6, 7)
    assert error.message


def test_the_codes_are_librdkafkas() -> None:
    names = {
        "UNKNOWN_TOPIC": "UNKNOWN_TOPIC_OR_PART",
        "INVALID_TOPIC": "TOPIC_EXCEPTION",
        "TOPIC_DENIED": "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_DENIED": "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_DENIED": "CLUSTER_AUTHORIZATION_FAILED",
        "TOPIC_EXISTS": "TOPIC_ALREADY_EXISTS",
        "GROUP_NOT_FOUND": "GROUP_ID_NOT_FOUND",
        "DELETION_DISABLED": "TOPIC_DELETION_DISABLED",
        "THROTTLED": "THROTTLING_QUOTA_EXCEEDED",
        "UNKNOWN_SERVER_ERROR": "UNKNOWN",
        "LOCALLY_INVALID": "_INVALID_ARG",
    }
    ours = {k: v for k, v in vars(errors).items() if k.isupper() and isinstance(v, int)}
    theirs = vars(KafkaError)
    assert ours == {k: theirs.get(names.get(k, k), theirs.get(f"_{k}")) for k in ours}


@pytest.mark.parametrize(
    ("code", "act", "expected"),
    [
        (
            44,
            Act.VALIDATE,
            (
                UsageError,
                "Kafka would not create a topic for prefix weather: why",
                "the broker's policy decides this: change the topic (a.yaml:4)",
            ),
        ),
        (
            38,
            Act.VALIDATE,
            (
                UsageError,
                "Kafka would not create a topic for prefix weather: why",
                "change replication_factor in the topic's entry under topics: (a.yaml:6)",
            ),
        ),
        (
            37,
            Act.VALIDATE,
            (
                UsageError,
                "Kafka would not create a topic for prefix weather: why",
                "change partitions in the topic's entry under topics: (a.yaml:5)",
            ),
        ),
        (
            40,
            Act.VALIDATE,
            (
                UsageError,
                "Kafka would not create a topic for prefix weather: why",
                "change config in the topic's entry under topics: (a.yaml:7)",
            ),
        ),
        (
            17,
            Act.CREATE,
            (
                UsageError,
                "Kafka did not create a topic for prefix weather: why",
                "change prefix in the topic's entry under topics: (a.yaml:4)",
            ),
        ),
        (
            -186,
            Act.VALIDATE,
            (
                UsageError,
                "the topic for prefix weather cannot be requested: why",
                "change the topic (a.yaml:4)",
            ),
        ),
        (
            29,
            Act.VALIDATE,
            (
                AccessDenied,
                f"Kafka does not let this account create {NAME}",
                "an ACL is missing: Create on Topic weather* (prefixed) or on the Cluster",
            ),
        ),
        (
            31,
            Act.CREATE,
            (
                AccessDenied,
                f"Kafka does not let this account create {NAME}",
                "an ACL is missing: Create on Topic weather* (prefixed) or on the Cluster",
            ),
        ),
        (
            29,
            Act.DESCRIBE,
            (
                AccessDenied,
                f"Kafka does not let this account describe {NAME}",
                "an ACL is missing: Describe on Topic weather* (prefixed)",
            ),
        ),
        (
            29,
            Act.DELETE,
            (
                AccessDenied,
                f"Kafka does not let this account delete {NAME}",
                "an ACL is missing: Delete on Topic weather* (prefixed)",
            ),
        ),
        (
            30,
            Act.GROUPS,
            (
                AccessDenied,
                f"Kafka does not let this account delete consumer groups with {NAME}",
                "an ACL is missing: Describe and Delete on Group weather* (prefixed)",
            ),
        ),
        (
            73,
            Act.DELETE,
            (
                UsageError,
                "Kafka does not delete topics: why",
                "set delete.topic.enable=true on the brokers, or use --keep-topics and delete them yourself",
            ),
        ),
        (-1, Act.CREATE, (KafkaFailed, f"Kafka did not create topic {NAME}: why", "")),
        (40, Act.DELETE, (KafkaFailed, f"Kafka did not delete topic {NAME}: why", "")),
        (2, Act.DESCRIBE, (KafkaFailed, f"Kafka could not describe topic {NAME}: why", "")),
    ],
)
def test_an_error_says_what_to_fix(
    code: int, act: Act, expected: tuple[type[ArgorunError], str, str]
) -> None:
    assert told(refusal(BrokerError(code, "why\n"), act, NAME, PREFIX, sources=LINES)) == expected


@pytest.mark.parametrize(
    ("sources", "hint"),
    [({"prefix": "--topic"}, "change --topic"), ({}, "change prefix in the topic's entry under topics:")],
)
def test_a_refused_prefix_is_changed_where_it_was_given(sources: dict[str, str], hint: str) -> None:
    assert refusal(BrokerError(17, "why"), Act.CREATE, NAME, PREFIX, sources=sources).hint == hint


@pytest.mark.parametrize(
    ("where", "named"),
    [("kafka", "kafka:9092"), ("::1", "[::1]:9092"), ("a:1,PLAINTEXT://kafka:9092", "kafka:9092")],
)
def test_an_address_without_its_port_is_the_users_own(where: str, named: str) -> None:
    trouble = ConnectionTrouble(-195, f"{named}: Connect to ipv4#127.0.0.1:9092 failed: refused", 0)
    assert connection_error(where, trouble).hint == LOST


AT = "kafka.example.com:9092"
LOST = "check kafka.bootstrap.servers and that the broker runs"


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (
            -195,
            f"{AT}: Connect to ipv4#192.0.2.1:9092 failed: Connection refused",
            (
                Unreachable,
                f"Kafka at {AT} cannot be reached: Connection refused",
                LOST,
            ),
        ),
        (
            -193,
            f"{AT}: Failed to resolve '{AT}': Name or service not known",
            (
                Unreachable,
                f"Kafka at {AT} cannot be reached: Failed to resolve '{AT}': Name or service not known",
                "check the host in kafka.bootstrap.servers",
            ),
        ),
        (
            -193,
            "inner:29092: Failed to resolve 'inner:29092': Name or service not known",
            (
                Unreachable,
                f"Kafka at {AT} cannot be reached: "
                "inner:29092: Failed to resolve 'inner:29092': Name or service not known",
                "the broker itself names inner:29092 (advertised.listeners): can this machine reach it?",
            ),
        ),
        (
            -169,
            f"{AT}: SASL authentication error: Authentication failed: Invalid username or password",
            (
                LoginRefused,
                f"Kafka refused the login: {AT}: SASL authentication error: Authentication failed:"
                " Invalid username or password",
                "check kafka.sasl.username and kafka.sasl.password",
            ),
        ),
        (
            -169,
            f"{AT}: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism",
            (
                LoginRefused,
                f"Kafka refused the login: {AT}: SASL PLAIN mechanism handshake failed:"
                " Broker: Unsupported SASL mechanism",
                "check kafka.security.protocol and kafka.sasl.mechanism: the listener offers others",
            ),
        ),
        (
            -181,
            f"{AT}: SSL handshake failed: certificate verify failed",
            (
                Unreachable,
                f"Kafka at {AT} cannot be reached: SSL handshake failed: certificate verify failed",
                "check kafka.ssl.ca.location, and that the certificate names this host",
            ),
        ),
        (
            -195,
            f"{AT}: SSL handshake failed: connecting to a PLAINTEXT broker listener?",
            (
                Unreachable,
                f"Kafka at {AT} cannot be reached:"
                " SSL handshake failed: connecting to a PLAINTEXT broker listener?",
                "check kafka.security.protocol: this listener seems to be plaintext",
            ),
        ),
    ],
)
def test_no_connection_says_why_and_what_to_check(
    code: int, text: str, expected: tuple[type[ArgorunError], str, str]
) -> None:
    assert told(connection_error(AT, ConnectionTrouble(code, text, 0.0))) == expected


def test_the_hint_names_where_the_address_was_given() -> None:
    given = "KAFKA_BOOTSTRAP_SERVERS=localhost:1"
    trouble = ConnectionTrouble(-195, "localhost:1: Connection refused", 0.0)
    assert told(connection_error("localhost:1", trouble, None, given)) == (
        Unreachable,
        "Kafka at localhost:1 cannot be reached: Connection refused",
        "check KAFKA_BOOTSTRAP_SERVERS=localhost:1 and that the broker runs",
    )


def test_a_listener_that_hangs_up_and_one_that_is_silent_get_different_errors() -> None:
    assert told(connection_error(AT, dropped(0.0))) == (
        Unreachable,
        f"Kafka at {AT} cannot be reached: it closes the connection without an answer",
        "check kafka.security.protocol and the port: does the listener expect TLS or SASL? is it Kafka?",
    )
    assert told(connection_error(AT, None, BrokerError(-185, "Failed while waiting for controller"))) == (
        Unreachable,
        f"Kafka at {AT} cannot be reached: no answer",
        "check kafka.bootstrap.servers and kafka.security.protocol: is it Kafka that listens there?",
    )


def test_a_topic_that_cannot_be_deleted_is_named() -> None:
    assert told(cannot_delete(NAME, PREFIX)) == (
        AccessDenied,
        f"Kafka let this account create topic {NAME}, but not delete it: it stays",
        "an ACL is missing: Delete on Topic weather* (prefixed)",
    )


@pytest.mark.parametrize(
    ("code", "text", "unanswered"),
    [
        (-185, "Failed while waiting for response from broker: Local: Timed out", True),
        (-185, "Failed while waiting for controller: Local: Timed out", False),
        (-185, "Failed while waiting for broker: Local: Timed out", False),
        (-185, "no answer within 5 s", True),
        (-195, "Local: Broker transport failure", True),
        (7, "Broker: Request timed out", True),
        (41, "Broker: Not controller for cluster", True),
        (-1, "Unknown server error", True),
        (36, "Topic exists", False),
        (38, "only 0 broker(s) are registered", False),
        (89, "Broker: Throttling quota has been exceeded", False),
        (29, "denied", False),
    ],
)
def test_only_a_definite_answer_settles_whether_it_was_done(code: int, text: str, unanswered: bool) -> None:
    assert BrokerError(code, text).unanswered is unanswered


def test_what_the_user_must_fix_is_not_retried() -> None:
    assert TRANSIENT.isdisjoint({3, 17, 29, 30, 31, 36, 37, 38, 39, 40, 42, 44, 68, 69, 73, -169, -186})
