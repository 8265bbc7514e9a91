"""Asks a broker for each permission that a run needs, before it makes anything."""

from __future__ import annotations

from argorun.errors import KafkaFailed
from argorun.kafka.acls import Acls
from argorun.kafka.admin import Admin, Cluster
from argorun.kafka.errors import DENIED, GROUP_NOT_FOUND, TOPIC_EXISTS, UNKNOWN_TOPIC, Act, denied, refusal
from argorun.kafka.retry import RetryingCaller
from argorun.kafka.spec import TopicExists, TopicSpec


async def check_topic(
    admin: Admin, caller: RetryingCaller, name: str, spec: TopicSpec, acls: Acls, *, deletes: bool
) -> None:
    """Check that a topic of this name can be created, described and (`deletes`) deleted.

    See Topics.preflight. The error for missing permissions names all of them.
    """
    missing: list[Act] = []
    validated = await caller.once(lambda t: admin.create(name, spec, timeout=t, validate_only=True))
    if validated is not None and validated.code == TOPIC_EXISTS:
        raise TopicExists(name)
    if validated is not None and validated.code not in DENIED:
        raise refusal(validated, Act.VALIDATE, name, spec.prefix, sources=spec.sources)
    if validated is not None:
        missing.append(Act.CREATE)

    async def describe(timeout: float) -> None:
        await admin.describe(name, timeout=timeout)

    described = await caller.once(describe)
    if described is None:
        raise TopicExists(name)
    if described.code in DENIED:
        # A trial deletion could hit a topic that is hidden; and who may delete may describe, too.
        missing += [Act.DESCRIBE, Act.DELETE] if deletes else [Act.DESCRIBE]
    elif described.code != UNKNOWN_TOPIC:
        raise refusal(described, Act.DESCRIBE, name, spec.prefix, sources=spec.sources)
    elif deletes and not await _may_delete(admin, caller, name, spec.prefix):
        missing.append(Act.DELETE)
    if missing:
        raise denied(missing, name, spec.prefix, acls)


async def _may_delete(admin: Admin, caller: RetryingCaller, name: str, prefix: str) -> bool:
    """Whether a topic that does not exist may be deleted. Raises UsageError if no one may delete any."""
    deleted = await caller.once(lambda t: admin.delete(name, timeout=t))
    if deleted is not None and deleted.code not in (UNKNOWN_TOPIC, *DENIED):
        raise refusal(deleted, Act.DELETE, name, prefix)
    return deleted is None or deleted.code == UNKNOWN_TOPIC


async def check_groups(admin: Admin, caller: RetryingCaller, prefix: str, group: str, acls: Acls) -> None:
    """Check that a consumer group may be described and deleted, by one that does not exist.

    Kafka answers GROUP_ID_NOT_FOUND to a user who may, and GROUP_AUTHORIZATION_FAILED to one who may not
    (docs/kafka-facts.md#permissions). Raises AccessDenied.
    """

    async def describe(timeout: float) -> None:
        await admin.group_is_empty(group, timeout=timeout)

    for ask in (describe, lambda t: admin.delete_group(group, timeout=t)):
        error = await caller.once(ask)
        if error is not None and error.code != GROUP_NOT_FOUND:
            raise refusal(error, Act.GROUPS, prefix, prefix, acls)


async def cluster(admin: Admin, caller: RetryingCaller) -> Cluster:
    """The cluster that answers. Raises KafkaFailed or AccessDenied if none does."""
    found: list[Cluster] = []

    async def ask(timeout: float) -> None:
        found.append(await admin.cluster(timeout=timeout))

    if (error := await caller.once(ask)) is not None:
        raise KafkaFailed(f"Kafka does not describe its cluster: {error.text}")
    return found[0]
