"""The consumer groups that a test left behind: which of them may go with its topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Protocol, TypeVar

from argorun.errors import UsageError
from argorun.kafka import names
from argorun.kafka.admin import Admin
from argorun.kafka.errors import GROUP_NOT_FOUND, NON_EMPTY_GROUP, BrokerError

T = TypeVar("T")


class Again(Protocol):
    """Sends a request until its answer is no passing trouble; `ask` takes a timeout in seconds."""

    def __call__(self, ask: Callable[[float], Awaitable[T]], name: str) -> Awaitable[T]: ...


async def delete_empty(admin: Admin, prefix: str, topics: frozenset[str], again: Again) -> list[str]:
    """Delete the groups with this prefix whose id holds the name of one of `topics` and that have no member.

    The id tells whose a group is. Its offsets do not: Kafka leaves out, in silence, those on topics that the
    caller may not describe (KafkaApis.handleOffsetFetchRequest). Kafka itself drops the offsets that other
    groups have on a topic together with the topic. A group that gets a member between our look and the
    deletion is kept by its coordinator (NON_EMPTY_GROUP).
    """
    if not prefix:
        raise UsageError("groups: must not be empty: it would take every consumer group for the test's")
    if not topics:
        return []
    # The list, too, leaves out what we may not describe; a group that is asked for by its id is refused.
    await again(partial(_is_empty, admin, f"{prefix}{next(iter(topics))}"), prefix)
    listed = await again(lambda t: admin.groups(timeout=t), prefix)
    prefixes = {topic.rsplit("_", 2)[0] for topic in topics}  # of PREFIX_SECONDS_TOKEN
    mine = [g for g in listed if g.startswith(prefix) and _holds_one(g, topics, prefixes)]
    empty = [g for g in mine if await again(partial(_is_empty, admin, g), g)]
    return [g for g in empty if await again(partial(_delete, admin, g), g)]


def _holds_one(group: str, topics: frozenset[str], prefixes: Collection[str]) -> bool:
    return any(str(name) in topics for _, name in names.within(group, prefixes))


async def _is_empty(admin: Admin, group: str, timeout: float) -> bool:
    try:
        return await admin.group_is_empty(group, timeout=timeout)
    except BrokerError as e:
        if e.code != GROUP_NOT_FOUND:
            raise
        return False


async def _delete(admin: Admin, group: str, timeout: float) -> bool:
    try:
        await admin.delete_group(group, timeout=timeout)
    except BrokerError as e:
        if e.code not in (NON_EMPTY_GROUP, GROUP_NOT_FOUND):
            raise
        return False
    return True
