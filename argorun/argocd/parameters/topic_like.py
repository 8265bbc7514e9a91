"""Tells by name and value whether a place may hold a topic's name. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from argorun.redact.secrets import is_parameter

CERTAIN, LIKELY, POSSIBLE, NO = 3, 2, 1, 0
"""How much a place looks like one for a topic's name."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_TOPIC = ("topic", "topics")
_SAME = (*_TOPIC, "name", "names", "kafka", "id", "value")  # words that say nothing more
# Topics beside the one under test.
_BESIDE = re.compile("dlq|dlt|dead|letter|retry|errors?|audit|logs?|changelog")
# What is said of a topic, or done to one, and is not its name.
_ABOUT = re.compile(
    "partitions?|replication|replicas?|factor|retention|ms|bytes|size|count|config(s|uration)?|settings|enabled?"
    "|disabled?|creat(e|ion)|delet(e|ion)|auto|jobs?|regex|pattern|prefix|suffix|policy|version|schema|users?|acls?"
    "|ttl|timeout|class|strategy|resolver|naming|labels|annotations|operator|manager|image|tag|type|format|registry"
    "|url|host|port|key|cleanup|compaction"
)
_NAME = re.compile(r"[a-zA-Z0-9._-]{0,249}")  # Kafka: org.apache.kafka.common.internals.Topic
_NO_NAME = re.compile(r"true|false|null|[0-9.]+", re.IGNORECASE)


def likeness(name: str, value: str) -> int:
    """How much a place of this dotted name, with this value now, looks like one for a topic's name.

    `kafka.topic`, `TOPIC_NAME`: CERTAIN; `inputTopic`: LIKELY; `topics.orders`, `topic.dlq`: POSSIBLE.
    """
    if not _NAME.fullmatch(value) or _NO_NAME.fullmatch(value) or is_parameter(name):
        return NO
    segments = [words(part) for part in re.split(r"(?<!\\)[./]|\[\d+\]\.?", name) if part]
    if not segments or any(map(_ABOUT.fullmatch, segments[-1])):
        return NO
    above = [word for part in segments[:-1] for word in part]
    own = [word for word in segments[-1] if word not in _SAME]
    if any(map(_BESIDE.fullmatch, (*above, *own))):
        return POSSIBLE if any(word in _TOPIC for word in (*above, *segments[-1])) else NO
    if any(word in _TOPIC for word in segments[-1]):
        return LIKELY if own else CERTAIN
    if any(word in _TOPIC for word in above):
        return POSSIBLE if own else CERTAIN
    return NO


def words(text: str) -> list[str]:
    """The words of a name, in lower case: `kafkaTopicName`, `KAFKA_TOPIC_NAME`, `kafkatopic-name`."""
    found: list[str] = []
    for word in _WORD.findall(text):
        before, topic, behind = word.lower().partition("topic")
        plural = "s" if topic and behind.startswith("s") else ""
        found += [w for w in (before, topic + plural, behind.removeprefix(plural)) if w]
    return found


def flattened(values: object, name: str = "") -> dict[str, str]:
    """The single values of nested ones, by their names as `helm --set` takes them."""
    if isinstance(values, Mapping):
        pairs = ((f"{name}.{_escaped(k)}" if name else _escaped(k), v) for k, v in values.items())
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        pairs = ((f"{name}[{i}]", v) for i, v in enumerate(values))
    else:
        shown = str(values).lower() if isinstance(values, bool) else str(values)
        return {name: "" if values is None else shown}
    found: dict[str, str] = {}
    for key, value in pairs:
        found |= flattened(value, key)
    return found


def _escaped(key: object) -> str:
    return re.sub(r"([.,\[\]=\\])", r"\\\1", str(key))
