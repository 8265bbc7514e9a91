"""Kafka's error codes, and the error of argorun that each becomes.

The codes are Kafka's (org.apache.kafka.common.protocol.Errors) and, below zero, librdkafka's own
(rdkafka.h, rd_kafka_resp_err_t).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from argorun.errors import AccessDenied, ArgorunError, KafkaFailed, UsageError
from argorun.kafka.acls import Acls

UNKNOWN_TOPIC = 3
INVALID_TOPIC = 17
TOPIC_DENIED = 29
GROUP_DENIED = 30
CLUSTER_DENIED = 31
TOPIC_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
INVALID_REPLICA_ASSIGNMENT = 39
INVALID_CONFIG = 40
INVALID_REQUEST = 42
LOCALLY_INVALID = -186
POLICY_VIOLATION = 44
NON_EMPTY_GROUP = 68
GROUP_NOT_FOUND = 69
DELETION_DISABLED = 73
REQUEST_TIMED_OUT = 7
UNKNOWN_SERVER_ERROR = -1
THROTTLED = 89
TRANSPORT = -195
TIMED_OUT = -185
AUTHENTICATION = -169
ALL_BROKERS_DOWN = -187
SSL = -181

# Transient errors: a broker that restarts, elects a leader or is short of quota.
TRANSIENT = frozenset({
    5,  # LEADER_NOT_AVAILABLE
    6,  # NOT_LEADER_OR_FOLLOWER
    REQUEST_TIMED_OUT,
    8,  # BROKER_NOT_AVAILABLE
    13,  # NETWORK_EXCEPTION
    14,  # COORDINATOR_LOAD_IN_PROGRESS
    15,  # COORDINATOR_NOT_AVAILABLE
    16,  # NOT_COORDINATOR
    41,  # NOT_CONTROLLER
    56,  # KAFKA_STORAGE_ERROR
    THROTTLED,
    TRANSPORT,
    TIMED_OUT,
    ALL_BROKERS_DOWN,
    -193,  # _RESOLVE
    -180,  # _WAIT_COORD
    -198,  # _DESTROY_BROKER
    -166,  # _TIMED_OUT_QUEUE
})  # fmt: skip

# librdkafka's states before a request leaves (rdkafka_admin.c, rd_kafka_admin_state_desc). The one after
# them is "waiting for response from broker".
_NEVER_SENT = re.compile(
    r"Failed while (initializing|constructing request|waiting for (a valid|broker|controller))"
)
_CONNECT = re.compile(r"^Connect to ipv\S+ failed: ")
_ADDRESS = re.compile(r"[^\s/]+:\d+(?=: )")


class BrokerError(Exception):
    """An answer that is not a success; `code` as above, `text` is Kafka's or librdkafka's message, masked."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code
        self.text = text.strip()

    @property
    def transient(self) -> bool:
        """Whether the error is transient: another try may succeed."""
        return self.code in TRANSIENT

    @property
    def unanswered(self) -> bool:
        """Whether the broker may have carried out the request, or may still do so.

        NOT_CONTROLLER counts: a KRaft controller that resigns answers so for what it has already written
        (docs/kafka-facts.md#creating-topics).
        """
        if self.code == THROTTLED or _NEVER_SENT.match(self.text):
            return False
        return self.transient or self.code == UNKNOWN_SERVER_ERROR


@dataclass(frozen=True)
class ConnectionTrouble:
    """A connection error that librdkafka reported outside any answer; `time` is the loop's, in seconds."""

    code: int
    text: str
    time: float

    @property
    def denied(self) -> bool:
        """Whether the broker refused the login."""
        return self.code == AUTHENTICATION


class Act(enum.StrEnum):
    """The kind of a request."""

    VALIDATE = "validate"
    CREATE = "create"
    DESCRIBE = "describe"
    DELETE = "delete"
    GROUPS = "delete consumer groups with"


DENIED = (TOPIC_DENIED, CLUSTER_DENIED, GROUP_DENIED)
_SAYS = {Act.VALIDATE: "would not create", Act.CREATE: "did not create", Act.DELETE: "did not delete"}
_KEYS = {
    INVALID_TOPIC: "prefix",
    INVALID_PARTITIONS: "partitions",
    INVALID_REPLICATION_FACTOR: "replication_factor",
    INVALID_REPLICA_ASSIGNMENT: "replication_factor",
    INVALID_CONFIG: "config",
}


def refusal(
    error: BrokerError,
    act: Act,
    name: str,
    prefix: str,
    acls: Acls | None = None,
    sources: Mapping[str, str] | None = None,
) -> ArgorunError:
    """The error for a definite answer about topic `name`; `prefix` and `sources` are its TopicSpec's.

    With `acls`, the hint has the command that grants what is missing.
    """
    given = sources or {}
    if error.code in DENIED:
        return denied([act], name, prefix, acls)
    if error.code == DELETION_DISABLED:
        return UsageError(
            f"Kafka does not delete topics: {error.text}",
            "set delete.topic.enable=true on the brokers, or use --keep-topics and delete them yourself",
        )
    if error.code == LOCALLY_INVALID:
        return UsageError(f"the topic for prefix {prefix} cannot be requested: {error.text}", _fix("", given))
    if act in (Act.VALIDATE, Act.CREATE):
        says = f"Kafka {_SAYS[act]} a topic for prefix {prefix}: {error.text}"
        if error.code == POLICY_VIOLATION:
            return UsageError(says, f"the broker's policy decides this: {_fix('', given)}")
        if error.code in _KEYS:
            return UsageError(says, _fix(_KEYS[error.code], given))
    return KafkaFailed(f"Kafka {_SAYS.get(act, f'could not {act}')} topic {name}: {error.text}")


def _fix(key: str, sources: Mapping[str, str]) -> str:
    """What to change in the topic's settings, and where: a key, or the topic as a whole."""
    source = sources.get(key or "prefix", "")
    if source.startswith("--"):
        return f"change {source}"
    where = f" ({source})" if source else ""
    return f"change {key} in the topic's entry under topics:{where}" if key else f"change the topic{where}"


def denied(acts: Sequence[Act], name: str, prefix: str, acls: Acls | None = None) -> AccessDenied:
    """The error for acts on topic `name`, or on consumer groups, that the account may not do."""
    verbs = list(dict.fromkeys(Act.CREATE if act is Act.VALIDATE else act for act in acts))
    return AccessDenied(
        f"Kafka does not let this account {_listed(verbs)} {name}", _missing(verbs, prefix, acls)
    )


def _missing(verbs: Sequence[Act], prefix: str, acls: Acls | None) -> str:
    """The ACLs that are missing for these acts, and the command that adds them."""
    groups = Act.GROUPS in verbs
    kind = "Group" if groups else "Topic"
    operations = ["Describe", "Delete"] if groups else [v.capitalize() for v in verbs]
    cluster = " or on the Cluster" if verbs == [Act.CREATE] else ""
    is_one = len(operations) == 1 or groups
    what = f"{'an ACL is' if is_one else 'ACLs are'} missing: {_listed(operations)} on {kind} {prefix}*"
    command = f"\n{acls.grant(operations, kind, prefix)}" if acls is not None else ""
    return f"{what} (prefixed){cluster}{command}"


def _listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def cannot_delete(name: str, prefix: str, acls: Acls | None = None) -> AccessDenied:
    """The error for a topic that this run created and may not delete."""
    return AccessDenied(
        f"Kafka let this account create topic {name}, but not delete it: it stays",
        _missing([Act.DELETE], prefix, acls),
    )


class Unreachable(KafkaFailed):
    """No broker answers: the next request would get no answer either."""


class LoginRefused(AccessDenied):
    """The broker does not know the account: the next request would fare no better."""


def connection_error(
    where: str,
    trouble: ConnectionTrouble | None,
    error: BrokerError | None = None,
    given: str = "kafka.bootstrap.servers",
) -> ArgorunError:
    """The error for a broker that gave no answer; `where` is bootstrap.servers, `given` its source."""
    if trouble is not None and trouble.denied:
        return LoginRefused(f"Kafka refused the login: {trouble.text}", _advice(trouble, where, given))
    if trouble is None and (error is None or error.code == TIMED_OUT):
        return Unreachable(
            f"Kafka at {where} cannot be reached: no answer",
            f"check {given} and kafka.security.protocol: is it Kafka that listens there?",
        )
    reason = why_unreachable(where, trouble, error)
    return Unreachable(f"Kafka at {where} cannot be reached: {reason}", _advice(trouble, where, given))


def why_unreachable(where: str, trouble: ConnectionTrouble | None, error: BrokerError | None) -> str:
    """librdkafka's reason without the address that was asked: `Connection refused`; empty if it gave none."""
    text = trouble.text if trouble is not None else error.text if error is not None else ""
    return _CONNECT.sub("", text.removeprefix(f"{where}: "))


_DROPPED = "it closes the connection without an answer"


def dropped(time: float) -> ConnectionTrouble:
    """A TLS or SASL listener hangs up on a plaintext client; librdkafka does not report it (seen).

    See docs/kafka-facts.md#errors-outside-of-answers.
    """
    return ConnectionTrouble(TRANSPORT, _DROPPED, time)


def _is_given(address: str, where: str) -> bool:
    """Whether the address is one of bootstrap.servers, where the port may be left out."""
    host, _, port = address.rpartition(":")
    given = [part.strip().rpartition("://")[2] for part in where.split(",")]
    return address in given or (port == "9092" and (host in given or host.strip("[]") in given))


def _advice(trouble: ConnectionTrouble | None, where: str, given: str) -> str:
    text = trouble.text.lower() if trouble else ""
    if "sasl mechanism" in text or "mechanism handshake" in text:
        return "check kafka.security.protocol and kafka.sasl.mechanism: the listener offers others"
    if trouble is not None and trouble.denied:
        return "check kafka.sasl.username and kafka.sasl.password"
    if "certificate verify failed" in text:
        return "check kafka.ssl.ca.location, and that the certificate names this host"
    if "plaintext broker listener" in text:
        return "check kafka.security.protocol: this listener seems to be plaintext"
    if "certificate required" in text or "bad certificate" in text:
        return (
            "the listener requires a client certificate: set kafka.ssl.certificate.location and .key.location"
        )
    if "invalid response size" in text or "ssl" in text or _DROPPED in text:
        return (
            "check kafka.security.protocol and the port: does the listener expect TLS or SASL? is it Kafka?"
        )
    named = _ADDRESS.match(trouble.text) if trouble else None
    if named and not _is_given(named[0], where):
        return f"the broker itself names {named[0]} (advertised.listeners): can this machine reach it?"
    if "resolve" in text:
        return f"check the host in {given}"
    return f"check {given} and that the broker runs"
