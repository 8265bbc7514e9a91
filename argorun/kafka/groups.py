"""The consumer groups that a test left behind: which of them may go with its topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from argorun.errors import UsageError
from argorun.kafka.client import Admin
from argorun.kafka.faults import GROUP_NOT_FOUND, NON_EMPTY_GROUP, BrokerError

T = TypeVar("T")


class Again(Protocol):
    """Sends a request until its answer is no passing trouble; `ask` takes a timeout in seconds."""

    def __call__(self, ask: Callable[[float], Awaitable[T]], name: str) -> Awaitable[T]: ...


async def delete_empty(
    admin: Admin, prefix: str, topics: frozenset[str], again: Again, notice: Callable[[str], None]
) -> list[str]:
    """Delete the groups with this prefix that have no member and offsets on `topics` only, or none.

    A group that gets a member between our look and the deletion is kept by its coordinator (NON_EMPTY_GROUP).
    One that commits an offset elsewhere and leaves again in these milliseconds would lose it.
    """
    if not prefix:
        raise UsageError("groups: must not be empty: it would take every consumer group for the test's")
    listed = await again(lambda t: admin.groups(timeout=t), prefix)
    mine = [g for g in listed if g.startswith(prefix)]
    empty = [g for g in mine if await again(partial(_is_empty, admin, g), g)]
    if not empty:
        return []
    used = await again(lambda t: admin.group_topics(empty, timeout=t), prefix)
    if unclear := [g for g in empty if g not in used]:
        notice(f"consumer groups kept, for their offsets could not be read: {', '.join(unclear)}")
    return [
        g for g in empty if g in used and used[g] <= topics and await again(partial(_delete, admin, g), g)
    ]


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
