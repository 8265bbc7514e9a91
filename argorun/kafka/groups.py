"""The consumer groups that a test left behind: which of them may go with its topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from argorun.errors import UsageError
from argorun.kafka.client import Admin
from argorun.kafka.faults import GROUP_NOT_FOUND, NON_EMPTY_GROUP, BrokerError

T = TypeVar("T")


class Ask(Protocol):
    """Sends a request until its answer is no passing trouble; the request takes a timeout in seconds."""

    def __call__(self, what: Callable[[float], Awaitable[T]], name: str) -> Awaitable[T]: ...


async def delete_empty(admin: Admin, prefix: str, topics: frozenset[str], ask: Ask) -> list[str]:
    """Delete the groups with this prefix that have no member and offsets on `topics` only, or none.

    A group that gets a member between our look and the deletion is kept by its coordinator (NON_EMPTY_GROUP).
    """
    if not prefix:
        raise UsageError("groups: must not be empty: it would take every consumer group for the test's")
    deleted = []
    for group in await ask(lambda t: admin.groups(timeout=t), prefix):
        if group.startswith(prefix) and await ask(partial(_delete, admin, group, topics), group):
            deleted.append(group)
    return deleted


async def _delete(admin: Admin, group: str, topics: frozenset[str], timeout: float) -> bool:
    try:
        if not await admin.group_is_empty(group, timeout=timeout):
            return False
        if not await admin.group_topics(group, timeout=timeout) <= topics:
            return False
        await admin.delete_group(group, timeout=timeout)
    except BrokerError as e:
        if e.code not in (NON_EMPTY_GROUP, GROUP_NOT_FOUND):
            raise
        return False
    return True
