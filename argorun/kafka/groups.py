"""Deletes the empty consumer groups that a test left behind, together with its topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Protocol, TypeVar

from argorun.errors import UsageError
from argorun.kafka import names
from argorun.kafka.admin import Admin
from argorun.kafka.errors import GROUP_NOT_FOUND, NON_EMPTY_GROUP, BrokerError

T = TypeVar("T")


class Retry(Protocol):
    """Sends a request until its answer is no transient error; `request` takes a timeout in seconds."""

    def __call__(self, request: Callable[[float], Awaitable[T]], name: str) -> Awaitable[T]: ...


async def delete_empty(admin: Admin, prefix: str, topics: frozenset[str], retry: Retry) -> list[str]:
    """Delete the empty groups with this prefix whose id holds the name of a topic.

    Returns the ids of the deleted groups. The id alone says which topic a group belongs to: Kafka silently
    leaves out the offsets on topics that the user may not describe (KafkaApis.handleOffsetFetchRequest;
    docs/kafka-facts.md#permissions).
    Kafka itself drops the offsets that other groups have on a topic together with the topic. A group that
    gets a member before its deletion is kept by its coordinator (NON_EMPTY_GROUP).
    """
    if not prefix:
        raise UsageError("groups: must not be empty: it would match every consumer group")
    if not topics:
        return []
    # The list silently leaves out groups that may not be described; a request for one group is refused.
    await retry(partial(_is_empty, admin, f"{prefix}{next(iter(topics))}"), prefix)
    listed = await retry(lambda t: admin.groups(timeout=t), prefix)
    prefixes = {topic.rsplit("_", 2)[0] for topic in topics}  # of PREFIX_SECONDS_TOKEN
    of_topics = [g for g in listed if g.startswith(prefix) and _holds_one(g, topics, prefixes)]
    empty = [g for g in of_topics if await retry(partial(_is_empty, admin, g), g)]
    return [g for g in empty if await retry(partial(_delete, admin, g), g)]


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
