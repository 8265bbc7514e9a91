"""Which topics are ours and old enough to go, told by their names alone; and how they go, several at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from argorun.attempt import attempt
from argorun.errors import ArgorunError
from argorun.kafka import names
from argorun.kafka.errors import Away
from argorun.kafka.names import TopicName
from argorun.kafka.topics import Topics

T = TypeVar("T")
AT_ONCE = 8  # deletions at the same time
A_PART = 1000  # names that are looked at in one go: a few milliseconds
_WORDS = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)  # what a topic's name is made of


@dataclass(frozen=True)
class Age:
    """What counts as old: names from `older_than` seconds before `now`, in unix seconds; 0 takes them all.

    The time in a name is Argo CD's, and so is `now` where Argo CD is known; else it is this machine's.
    """

    older_than: float
    now: float

    def is_old(self, name: TopicName) -> bool:
        return self.older_than == 0 or name.created <= self.now - self.older_than

    def of(self, name: TopicName) -> float:
        """How old a topic is, in seconds; below zero where one of the two clocks is wrong."""
        return self.now - name.created


def ours(present: Iterable[str], prefixes: Collection[str]) -> dict[str, TopicName]:
    """Runs' topics and those that services derived from them, each with the drawn name.

    A drawn name is exactly of our form and has exactly one of these prefixes. Whether its own topic is there
    is not asked: a derived one outlives it.
    """
    return {topic: name for topic in present if (name := names.origin(topic, prefixes)) is not None}


def mentioned(text: str, prefixes: Collection[str]) -> list[TopicName]:
    """The names of runs' topics in a text, a patch say, in their order."""
    return list(_mentioned(text, prefixes))


def _mentioned(text: str, prefixes: Collection[str]) -> Iterator[TopicName]:
    for word in _WORDS.findall(text):
        name = names.parse(word)
        if name is not None and name.prefix in prefixes:
            yield name


class Going:
    """The topics that are to go: `topics` has the drawn name that each begins with, the oldest first.

    `younger` are those of runs that stay for their age.
    """

    def __init__(self) -> None:
        self.topics: dict[str, TopicName] = {}
        self.younger: dict[str, TopicName] = {}
        self._staying: set[str] = set()
        self._named: dict[TopicName, list[str]] = {}
        self._prefixes: Collection[str] = ()

    async def look(self, present: Sequence[str], prefixes: Collection[str], age: Age) -> None:
        """Find them among all topics; as there may be many, a part at a time."""
        self._prefixes = prefixes
        found: dict[str, TopicName] = {}
        for at in range(0, len(present), A_PART):
            found |= ours(present[at : at + A_PART], prefixes)
            await asyncio.sleep(0)
        for topic, name in sorted(found.items(), key=lambda item: item[1].created):
            if age.is_old(name):
                self.topics[topic] = name
                self._named.setdefault(name, []).append(topic)
            else:
                self.younger[topic] = name
        await asyncio.sleep(0)
        self._staying = set(present) - self.topics.keys()

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

    def held_by(self, topic: str) -> TopicName | None:
        """The name of one that goes which this other topic holds: a person may know whose it is."""
        if topic in self.topics or topic in self.younger:
            return None
        return next((name for _, name in names.within(topic, self._prefixes) if name in self._named), None)


async def delete(
    topics: Topics,
    found: Iterable[str],
    deleted: Callable[[str], None],
    failed: Callable[[Sequence[str], ArgorunError], None],
) -> None:
    """Delete these topics and see that they are gone; each is told as `deleted` or `failed`.

    Where Kafka is away for AT_ONCE of them in a row, the rest is not tried, and told as `failed` at once.
    """
    rest: list[str] = []
    away: list[ArgorunError] = []  # in a row

    async def one(topic: str) -> None:
        if len(away) >= AT_ONCE:
            rest.append(topic)
            return
        await topics.delete(topic)
        await topics.wait_gone(topic)
        away.clear()
        deleted(topic)

    def one_failed(topic: str, error: ArgorunError) -> None:
        if isinstance(error, Away):
            away.append(error)
        else:
            away.clear()
        failed([topic], error)

    await several(found, one, one_failed)
    if rest:
        failed(rest, away[-1])


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
