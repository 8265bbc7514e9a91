"""Names of a run's topics: draws unique ones, and parses them for the sweep."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass

MAX_NAME = 249  # Kafka: org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH
_TOKEN_BYTES = 4
_SUFFIX = len("_") + len("9999999999") + len("_") + 2 * _TOKEN_BYTES  # ten digits last until the year 2286
MAX_PREFIX = MAX_NAME - _SUFFIX

_PREFIX = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)
_DRAWN = re.compile(
    r"(?P<prefix>[a-zA-Z0-9._-]+)_(?P<created>[1-9][0-9]{9})_(?P<token>[0-9a-f]{8})", re.ASCII
)
_STAMP = re.compile(r"(?=_(?P<created>[1-9][0-9]{9})_(?P<token>[0-9a-f]{8}))", re.ASCII)
_SEPARATORS = ("-", ".", "_")  # between a topic's name and what a service appends to it


@dataclass(frozen=True)
class TopicName:
    """The parts of a drawn name; `created` is in unix seconds."""

    prefix: str
    created: int
    token: str

    def __str__(self) -> str:
        return f"{self.prefix}_{self.created}_{self.token}"


def draw(prefix: str, now: float) -> str:
    """A new name `{prefix}_{unix seconds}_{8 hex}`; `now` is in unix seconds.

    The 32 random bits come from `secrets`: two runs in one second cannot share a seed.
    """
    return str(TopicName(prefix, int(now), secrets.token_hex(_TOKEN_BYTES)))


def parse(name: str) -> TopicName | None:
    """The parts of a drawn name, or None for any other; the sweep deletes by this answer.

    Unix seconds have ten digits from 2001 until 2286; any other number means that the name was not drawn. A
    prefix may itself look like a drawn name: the last time and token count, and the rest is the prefix.
    """
    match = _DRAWN.fullmatch(name)
    if match is None or len(name) > MAX_NAME:
        return None
    return TopicName(match["prefix"], int(match["created"]), match["token"])


def within(text: str, prefixes: Collection[str]) -> Iterator[tuple[int, TopicName]]:
    """The drawn names with one of these prefixes in a text, each with the index where it begins."""
    for stamp in _STAMP.finditer(text):
        before = text[: stamp.start()]
        for prefix in prefixes:
            if before.endswith(prefix):
                yield len(before) - len(prefix), TopicName(prefix, int(stamp["created"]), stamp["token"])


def is_derived(topic: str, drawn: str) -> bool:
    """Whether a topic's name is a drawn one followed by `-`, `.` or `_`, as services derive names.

    Spring's `@RetryableTopic`, for example, creates `NAME-retry-0` and `NAME-dlt`
    (docs/kafka-facts.md#topics-that-services-derive).
    """
    return topic.startswith(drawn) and topic[len(drawn) : len(drawn) + 1] in _SEPARATORS


def origin(topic: str, prefixes: Collection[str]) -> TopicName | None:
    """The drawn name, with one of these prefixes, that this topic has or that its name is derived from.

    Of several, which is the case if a prefix looks like a drawn name itself, the longest.
    """
    name = parse(topic)
    if name is not None and name.prefix in prefixes:
        return name
    starts = [n for at, n in within(topic, prefixes) if at == 0 and is_derived(topic, str(n))]
    return max(starts, key=lambda n: len(n.prefix), default=None)


def prefix_of(topic: str) -> str:
    """The prefix of a drawn name, for an error message; any other name as a whole."""
    name = parse(topic)
    if name is not None:
        return name.prefix
    stamp = _STAMP.search(topic)
    return topic[: stamp.start()] if stamp else topic


def check_prefix(prefix: str) -> str | None:
    """A sentence on what is wrong with a topic prefix, or None.

    Kafka's rules (org.apache.kafka.common.internals.Topic.validate): ASCII letters, digits, '.', '_' and '-',
    at most 249 characters in all, and neither '.' nor '..'. The 20 characters that argorun appends count.
    """
    if not prefix:
        return "is empty"
    if prefix in (".", ".."):
        return f"may not be '{prefix}'"
    if _PREFIX.fullmatch(prefix) is None:
        wrong = next(c for c in prefix if _PREFIX.fullmatch(c) is None)
        return f"contains {wrong!r}: Kafka allows only ASCII letters, digits, '.', '_' and '-'"
    if len(prefix) > MAX_PREFIX:
        return f"has {len(prefix)} characters: at most {MAX_PREFIX} leave room for what argorun appends"
    return None
