"""Which topics are ours and old enough to go, told by their names alone; and how they go, several at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from argorun.attempt import attempt
from argorun.errors import ArgorunError
from argorun.kafka import names
from argorun.kafka.names import TopicName
from argorun.kafka.topics import Topics

T = TypeVar("T")
AT_ONCE = 8  # deletions at the same time
_WORDS = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)  # what a topic's name is made of


@dataclass(frozen=True)
class Age:
    """What counts as old: names from `older_than` seconds before `now`, in unix seconds; 0 takes them all.

    The time in a name is the run's machine's, `now` is this one's.
    """

    older_than: float
    now: float

    def is_old(self, name: TopicName) -> bool:
        return self.older_than == 0 or name.created <= self.now - self.older_than

    def of(self, name: TopicName) -> float:
        """How old a topic is, in seconds; below zero where one of the two clocks is wrong."""
        return self.now - name.created


def ours(present: Iterable[str], prefixes: Collection[str]) -> dict[str, TopicName]:
    """Runs' topics and those that services derived from them, each with the drawn name; the oldest first.

    A drawn name is exactly of our form and has exactly one of these prefixes. Whether its own topic is there
    is not asked: a derived one outlives it.
    """
    found = {topic: name for topic in present if (name := names.origin(topic, prefixes)) is not None}
    return dict(sorted(found.items(), key=lambda item: (item[1].created, item[0])))


def beside(present: Iterable[str], ours: Mapping[str, TopicName]) -> dict[str, TopicName]:
    """The other topics whose names hold one of these drawn names: a person may know whose they are."""
    drawn = set(ours.values())
    prefixes = {name.prefix for name in drawn}
    others = (topic for topic in present if topic not in ours)
    return {t: n for t in others for _, n in names.within(t, prefixes) if n in drawn}


def mentioned(text: str, prefixes: Collection[str]) -> list[TopicName]:
    """The names of topics of ours in a text, a patch say, in their order."""
    return list(_mentioned(text, prefixes))


def _mentioned(text: str, prefixes: Collection[str]) -> Iterator[TopicName]:
    for word in _WORDS.findall(text):
        name = names.parse(word)
        if name is not None and name.prefix in prefixes:
            yield name


class Going:
    """The topics that are to go: `topics` has the drawn name that each begins with, the oldest first.

    `younger` are those of runs that stay for their age. `present` has the names of all topics.
    """

    def __init__(self, present: Collection[str], prefixes: Collection[str], age: Age) -> None:
        found = ours(present, prefixes)
        self.topics = {topic: name for topic, name in found.items() if age.is_old(name)}
        self.younger = {topic: name for topic, name in found.items() if topic not in self.topics}
        self._staying = set(present) - self.topics.keys()
        self._named: dict[TopicName, list[str]] = {}
        for topic, name in self.topics.items():
            self._named.setdefault(name, []).append(topic)

    def goes(self, name: TopicName) -> bool:
        """Whether the topic of this name is no more, or is to go."""
        return str(name) not in self._staying

    def spare(self, names: Iterable[TopicName]) -> None:
        """These stay, and what is derived from them."""
        for name in names:
            self._staying.add(str(name))
            for topic in self._named.pop(name, ()):
                self._staying.add(topic)
                self.topics.pop(topic, None)


async def delete(
    topics: Topics,
    found: Iterable[str],
    deleted: Callable[[str], None],
    failed: Callable[[str, ArgorunError], None],
) -> None:
    """Delete these topics and see that they are gone; each is told as `deleted` or `failed`."""

    async def one(topic: str) -> None:
        await topics.delete(topic)
        await topics.wait_gone(topic)
        deleted(topic)

    await several(found, one, failed)


async def several(
    things: Iterable[T],
    act: Callable[[T], Awaitable[None]],
    failed: Callable[[T, ArgorunError], None],
) -> None:
    """Act on each in its turn, on AT_ONCE of them at the same time.

    Whatever `act` raises for one of them is told as `failed`; the others are acted on.
    """
    queue = iter(things)

    async def worker() -> None:
        for thing in queue:
            if (error := await attempt(act(thing))) is not None:
                failed(thing, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
