"""Finds the topics that killed runs left, by their names alone, and deletes them concurrently."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from argorun.attempt import AT_ONCE, for_each
from argorun.errors import ArgorunError
from argorun.kafka import names
from argorun.kafka.errors import Unreachable
from argorun.kafka.names import TopicName
from argorun.kafka.topics import Topics

CHUNK = 1000  # names that are checked before the event loop gets its turn: a few milliseconds
_WORDS = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)  # what a topic's name is made of


@dataclass(frozen=True)
class Age:
    """The age limit: topics from `older_than` seconds before `now` are old; 0 means all.

    `now` is in unix seconds. The time in a name is Argo CD's, and so is `now` if Argo CD is configured; else
    it is this machine's.
    """

    older_than: float
    now: float

    def is_old(self, name: TopicName) -> bool:
        return self.older_than == 0 or name.created <= self.now - self.older_than

    def of(self, name: TopicName) -> float:
        """The age of a topic in seconds; negative if one of the two clocks is wrong."""
        return self.now - name.created


def run_topics(present: Iterable[str], prefixes: Collection[str]) -> dict[str, TopicName]:
    """The topics of runs and those that services derived from them, each with the drawn name.

    A drawn name has exactly one of these prefixes (see names.parse). Its own topic need not exist: a derived
    topic outlives it.
    """
    return {topic: name for topic in present if (name := names.origin(topic, prefixes)) is not None}


def mentioned(text: str, prefixes: Collection[str]) -> list[TopicName]:
    """The names of runs' topics in a text, for example a patch, in their order."""
    return list(_mentioned(text, prefixes))


def _mentioned(text: str, prefixes: Collection[str]) -> Iterator[TopicName]:
    for word in _WORDS.findall(text):
        name = names.parse(word)
        if name is not None and name.prefix in prefixes:
            yield name


class ExpiredTopics:
    """The topics to delete: `topics` maps each to the drawn name that it begins with, the oldest first.

    `younger` are the topics of runs that are kept for their age.
    """

    def __init__(self) -> None:
        self.topics: dict[str, TopicName] = {}
        self.younger: dict[str, TopicName] = {}
        self._staying: set[str] = set()
        self._named: dict[TopicName, list[str]] = {}
        self._prefixes: Collection[str] = ()

    async def find(self, present: Sequence[str], prefixes: Collection[str], age: Age) -> None:
        """Find them among all topics, CHUNK names at a time."""
        self._prefixes = prefixes
        found: dict[str, TopicName] = {}
        for at in range(0, len(present), CHUNK):
            found |= run_topics(present[at : at + CHUNK], prefixes)
            await asyncio.sleep(0)
        for topic, name in sorted(found.items(), key=lambda item: item[1].created):
            if age.is_old(name):
                self.topics[topic] = name
                self._named.setdefault(name, []).append(topic)
            else:
                self.younger[topic] = name
        await asyncio.sleep(0)
        self._staying = set(present) - self.topics.keys()

    def will_be_gone(self, name: TopicName) -> bool:
        """Whether no topic of this name exists once `topics` are deleted."""
        return str(name) not in self._staying

    def keep(self, names: Iterable[TopicName]) -> None:
        """Keep these topics and those derived from them."""
        for name in names:
            self._staying.add(str(name))
            for topic in self._named.pop(name, ()):
                self._staying.add(topic)
                self.topics.pop(topic, None)

    def name_in(self, topic: str) -> TopicName | None:
        """The name of an expired topic that the name of this other, kept topic holds."""
        if topic in self.topics or topic in self.younger:
            return None
        return next((name for _, name in names.within(topic, self._prefixes) if name in self._named), None)


async def delete(
    topics: Topics,
    found: Iterable[str],
    deleted: Callable[[str], None],
    failed: Callable[[Sequence[str], ArgorunError], None],
) -> None:
    """Delete these topics and wait until they are gone; calls `deleted` or `failed` for each.

    If Kafka is unreachable for AT_ONCE of them in a row, the rest is not tried: `failed` gets all of it at
    once.
    """
    rest: list[str] = []
    unreachable: list[ArgorunError] = []  # in a row

    async def one(topic: str) -> None:
        if len(unreachable) >= AT_ONCE:
            rest.append(topic)
            return
        await topics.delete(topic)
        await topics.wait_gone(topic)
        unreachable.clear()
        deleted(topic)

    def one_failed(topic: str, error: ArgorunError) -> None:
        if isinstance(error, Unreachable):
            unreachable.append(error)
        else:
            unreachable.clear()
        failed([topic], error)

    await for_each(found, one, one_failed)
    if rest:
        failed(rest, unreachable[-1])
