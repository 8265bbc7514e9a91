"""Which topics are ours and old enough to go, told by their names alone; and how they go, several at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

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

    The time in a name is Argo CD's, and so is `now` where Argo CD is known; else it is this machine's.
    """

    older_than: float
    now: float

    def is_old(self, name: TopicName) -> bool:
        return self.older_than == 0 or name.created <= self.now - self.older_than

    def of(self, name: TopicName) -> float:
        """How old a topic is, in seconds; below zero where one of the two clocks is wrong."""
        return self.now - name.created


def ours(present: Iterable[str], prefixes: Collection[str]) -> list[TopicName]:
    """The topics whose name is exactly of our form, with exactly one of these prefixes; the oldest first."""
    parsed = (names.parse(name) for name in present)
    mine = [name for name in parsed if name is not None and name.prefix in prefixes]
    return sorted(mine, key=lambda n: (n.created, str(n)))


def mentioned(text: str, prefixes: Collection[str]) -> list[TopicName]:
    """The names of topics of ours in a text, a patch say, in their order."""
    return list(_mentioned(text, prefixes))


def _mentioned(text: str, prefixes: Collection[str]) -> Iterator[TopicName]:
    for word in _WORDS.findall(text):
        name = names.parse(word)
        if name is not None and name.prefix in prefixes:
            yield name


async def delete(
    topics: Topics,
    found: Iterable[TopicName],
    deleted: Callable[[TopicName], None],
    failed: Callable[[TopicName, ArgorunError], None],
) -> None:
    """Delete these topics and see that they are gone; each is told as `deleted` or `failed`."""

    async def one(name: TopicName) -> None:
        try:
            await topics.delete(str(name))
            await topics.wait_gone(str(name))
        except ArgorunError as e:
            failed(name, e)
        else:
            deleted(name)

    await several(found, one)


async def several(things: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Act on each in its turn, on AT_ONCE of them at the same time."""
    queue = iter(things)

    async def worker() -> None:
        for thing in queue:
            await act(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
