"""The life cycle of a run's topics on the broker: preflight, create, wait, delete, verify."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from argorun.errors import AccessDenied, ArgorunError, KafkaFailed
from argorun.kafka import groups, names, preflight
from argorun.kafka.acls import Acls
from argorun.kafka.admin import Admin, Cluster, Described, KafkaAdmin
from argorun.kafka.errors import (
    INVALID_REPLICATION_FACTOR,
    TOPIC_EXISTS,
    UNKNOWN_TOPIC,
    Act,
    BrokerError,
    cannot_delete,
    refusal,
)
from argorun.kafka.retry import Limits, RetryingCaller, now
from argorun.kafka.spec import CreatedTopic, TopicExists, TopicSpec

__all__ = ["CreatedTopic", "Limits", "Related", "TopicExists", "TopicSpec", "Topics"]

T = TypeVar("T")
_IN_A_ROW = 3  # descriptions that must agree: brokers learn of a topic one after the other
_COMEBACKS = 5  # how often a topic that comes back is deleted again: over about 12 s


@dataclass
class _Creation:
    """The state of a topic that this process requested."""

    task: asyncio.Task[None] | None = None
    abandoned: bool = False  # no further try
    foreign: bool = False  # it existed before this run
    unanswered: float | None = None  # loop time of the latest try without an answer
    id: str = ""  # the broker's, once described
    prefix: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)  # TopicSpec.sources


@dataclass(frozen=True)
class Related:
    """Other topics whose names hold a topic's name: `derived` ones begin with it (`names.is_derived`)."""

    derived: tuple[str, ...]
    others: tuple[str, ...]


def _silent(_: str) -> None:
    pass


class Topics:
    """The topics of one run over one Kafka client; an async context manager.

    Every method raises AccessDenied for a missing permission or a refused login, and KafkaFailed when its
    limit is over or Kafka fails otherwise. `properties` are librdkafka's, `retrying` is called with the
    reason of retries (see RetryingCaller), `redact` masks secrets in messages (see KafkaAdmin); with `keep`,
    no step asks whether the topics may be deleted. `given` is where the brokers' address was given, for
    errors. The constructor raises UsageError for a property that
    librdkafka does not accept.
    """

    def __init__(
        self,
        properties: Mapping[str, str | int | float | bool],
        *,
        warn: Callable[[str], None] = _silent,
        retrying: Callable[[str], None] = _silent,
        redact: Callable[[str], str] | None = None,
        keep: bool = False,
        limits: Limits | None = None,
        given: str = "kafka.bootstrap.servers",
        admin: Admin | None = None,
    ) -> None:
        self._admin: Admin = admin if admin is not None else KafkaAdmin(properties, redact=redact)
        self._acls = Acls.of(properties, self._admin.where)
        self._warn = warn
        self._keep = keep
        self._limits = limits or Limits()
        self._caller = RetryingCaller(self._admin, self._limits, retrying, given)
        self._creations: dict[str, _Creation] = {}

    async def __aenter__(self) -> Self:
        self._admin.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._admin.close()

    # -- step 2: preflight --

    async def preflight(self, drawn: Mapping[str, TopicSpec]) -> None:
        """Check that topics of these names can be created, described and deleted, while none exists yet.

        A validate-only CreateTopics checks the broker's policies, limits and ACLs (KIP-4;
        docs/kafka-facts.md#creating-topics). Deleting an absent topic answers UNKNOWN_TOPIC_OR_PARTITION to a
        user who may delete it, TOPIC_AUTHORIZATION_FAILED to one who may not, and TOPIC_DELETION_DISABLED if
        no one may (seen on 4.3.1; docs/kafka-facts.md#deleting-topics). Raises UsageError for what
        argorun.yaml must fix, and TopicExists for a name that is taken. A trial deletion without an answer is
        not sent again: a late one would hit the real topic.
        """
        for name, spec in drawn.items():
            await self._preflight_one(name, spec)

    async def _preflight_one(self, name: str, spec: TopicSpec) -> None:
        try:
            await preflight.check_topic(
                self._admin, self._caller, name, spec, self._acls, deletes=not self._keep
            )
        except TopicExists:
            self._creation(name, spec).foreign = True
            raise

    async def check_groups(self, prefix: str, name: str) -> None:
        """Check that empty consumer groups with this prefix may be found and deleted. Raises AccessDenied."""
        await preflight.check_groups(self._admin, self._caller, prefix, f"{prefix}{name}", self._acls)

    async def cluster(self) -> Cluster:
        """The cluster that answers. Raises KafkaFailed or AccessDenied if none does."""
        return await preflight.cluster(self._admin, self._caller)

    # -- step 3: topics --

    async def create(self, name: str, spec: TopicSpec) -> None:
        """Create the topic; register `delete` and `wait_gone` as its undo *before* this call.

        Raises TopicExists if the first definite answer is "exists": the topic is another's, and `delete` will
        refuse it. "Exists" after a try without an answer means that the try succeeded. Canceling leaves the
        request in flight, for Kafka creates the topic anyway; `delete` awaits it
        (docs/kafka-facts.md#creating-topics).
        """
        creation = self._creation(name, spec)
        if creation.foreign:
            raise TopicExists(name)
        creation.task = asyncio.create_task(self._create(name, spec, creation))
        creation.task.add_done_callback(_retrieve_exception)
        try:
            await asyncio.shield(creation.task)
        except asyncio.CancelledError:
            creation.abandoned = True
            raise

    async def _create(self, name: str, spec: TopicSpec, creation: _Creation) -> None:
        async def request(timeout: float) -> None:
            if creation.abandoned:
                return
            try:
                await self._admin.create(name, spec, timeout=timeout)
            except asyncio.CancelledError:
                creation.unanswered = now()
                raise
            except BrokerError as e:
                if e.unanswered:
                    creation.unanswered = now()
                if e.code != TOPIC_EXISTS:
                    raise
                if creation.unanswered is None:
                    creation.foreign = True
                    raise TopicExists(name) from None

        # A broker that restarts is not registered for a moment: "only 0 broker(s) are registered" (38, see
        # docs/kafka-facts.md#creating-topics).
        await self._caller.retry(
            self._limits.create, request, self._refused(Act.CREATE, name), also={INVALID_REPLICATION_FACTOR}
        )

    async def wait_usable(self, name: str) -> CreatedTopic:
        """Wait until three descriptions in a row show a leader for every partition.

        Raises AccessDenied for a topic that this user may not delete. It then stays: a user who may describe
        but not delete gets "unknown topic" for a trial deletion, like one who may (seen on 4.3.1;
        docs/kafka-facts.md#deleting-topics), so `preflight` cannot detect it.
        """
        limits, start = self._limits, now()
        in_a_row = 0
        pause = limits.pause
        while now() < start + limits.usable:
            found = await self._find(name, start + limits.usable)
            if found is not None and not found.may_delete and not self._keep:
                raise cannot_delete(name, self._creation(name).prefix, self._acls)
            if found is not None and found.partitions and all(p.leader for p in found.partitions):
                in_a_row += 1
                self._creation(name).id = found.id
                if in_a_row == _IN_A_ROW:
                    replicas = max(p.replicas for p in found.partitions)
                    return CreatedTopic(
                        name=name, partitions=len(found.partitions), replication_factor=replicas
                    )
            else:
                in_a_row = 0
                pause = min(1.5 * pause, limits.longest_pause)
            await asyncio.sleep(pause)
        raise KafkaFailed(
            f"topic {name} did not get a leader for every partition within {limits.usable:g} s",
            "are enough brokers up for its replication factor?",
        )

    # -- step 9: clean up --

    async def delete(self, name: str) -> None:
        """Send the deletion until the broker accepts it; an absent topic is fine.

        First awaits a create that is in flight; after a create without an answer, deletes a topic that
        appears within `late` seconds. Raises TopicExists, and touches nothing, if the topic existed before
        this run.
        """
        creation = await self._settled_creation(name)
        pause = self._limits.pause
        while not await self._delete(name) and self._may_come_late(creation):
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._limits.longest_pause)

    async def _settled_creation(self, name: str) -> _Creation:
        """Wait until no create is in flight. Raises TopicExists if the topic existed before this run."""
        creation = self._creation(name)
        if creation.task is not None and not creation.task.done():
            creation.abandoned = True
            if not (await asyncio.wait([creation.task], timeout=self._limits.request))[0]:
                creation.unanswered = now()
        if creation.foreign:
            raise TopicExists(name)
        return creation

    async def _delete(self, name: str) -> bool:
        """Delete it; whether it existed."""

        async def request(timeout: float) -> bool:
            try:
                await self._admin.delete(name, timeout=timeout)
            except BrokerError as e:
                if e.code != UNKNOWN_TOPIC:
                    raise
                return False
            return True

        return await self._caller.retry(self._limits.delete, request, self._refused(Act.DELETE, name))

    async def wait_gone(self, name: str) -> None:
        """Wait until the topic is absent for `limits.absent` seconds; one that comes back is deleted again.

        With `auto.create.topics.enable`, a live producer or consumer creates a deleted topic again within 0.1
        to 0.3 s, with another id (seen, Java and librdkafka; docs/kafka-facts.md#topics-on-demand). Raises
        KafkaFailed if it comes back again and again, or stays.
        """
        limits, start, creation = self._limits, now(), self._creation(name)
        id, pause = creation.id, 2 * limits.pause
        absent: float | None = None  # since when it is absent
        deleted = start
        comebacks = 0
        while now() < start + limits.gone:
            found = await self._find(name, start + limits.gone)
            if found is None:
                absent = absent or now()
                if now() >= absent + limits.absent and not self._may_come_late(creation):
                    return
            else:
                again = now() >= deleted + limits.late  # did it come back before the first description?
                if absent is not None or (id and found.id != id) or again:
                    comebacks += 1
                    if comebacks > _COMEBACKS:
                        break
                    self._warn(f"topic {name} came back after its deletion; deleting it again")
                    await self._delete(name)
                    deleted = now()
                    pause *= 2  # its clients may be about to end
                id, absent = found.id, None
            await asyncio.sleep(pause)
        raise (
            _came_back(name, comebacks)
            if comebacks
            else KafkaFailed(
                f"topic {name} is still there {limits.gone:g} s after Kafka accepted its deletion",
                "are all brokers up that hold a replica of it?",
            )
        )

    async def delete_groups(self, prefix: str, topics: Collection[str]) -> list[str]:
        """Delete the empty consumer groups with this prefix whose id holds the name of one of these topics.

        Returns their ids. Raises AccessDenied, too, if the list of groups would leave some out.
        """
        return await groups.delete_empty(self._admin, prefix, frozenset(topics), self._retry_for_groups)

    def _retry_for_groups(self, request: Callable[[float], Awaitable[T]], name: str) -> Awaitable[T]:
        return self._caller.retry(
            self._limits.groups, request, lambda error: refusal(error, Act.GROUPS, name, name)
        )

    # -- the broker's other topics --

    async def related(self, name: str) -> Related:
        """The other topics whose names hold that of this run's topic, which may be deleted already.

        All derived ones are found: Kafka's ACLs are for a prefix, for all topics, or for a literal name,
        which no one could know before it was drawn; so a user who may describe the topic may describe those.
        Of the others only those are found that the user may describe. Raises TopicExists if the topic existed
        before this run: topics derived from it are not this run's either. See
        docs/kafka-facts.md#topics-that-services-derive.
        """
        await self._settled_creation(name)
        found = {t: names.is_derived(t, name) for t in await self.present() if name in t and t != name}
        return Related(tuple(t for t in found if found[t]), tuple(t for t in found if not found[t]))

    async def present(self) -> list[str]:
        """The names of all topics that the user may describe, sorted; see `check_visible`."""
        return await self._caller.retry(
            self._limits.preflight,
            lambda t: self._admin.topics(timeout=t),
            lambda error: KafkaFailed(f"Kafka does not list its topics: {error.text}"),
        )

    async def check_visible(self, prefixes: Iterable[str], time: float) -> None:
        """Raise AccessDenied if `present` would leave out topics of these prefixes; `time` in unix seconds.

        Kafka's list silently leaves out topics that the user may not describe. But Kafka refuses a request
        for one of their names, even if no such topic exists (KafkaApis.handleTopicMetadataRequest; seen on
        4.3.1; docs/kafka-facts.md#permissions).
        """
        for prefix in prefixes:
            try:
                await self._find(names.draw(prefix, time), now() + self._limits.preflight)
            except AccessDenied as e:
                raise AccessDenied(f"Kafka does not let this account see topics {prefix}*", e.hint) from None

    # -- shared --

    def _creation(self, name: str, spec: TopicSpec | None = None) -> _Creation:
        creation = self._creations.setdefault(name, _Creation())
        if spec is not None:
            creation.prefix, creation.sources = spec.prefix, spec.sources
        creation.prefix = creation.prefix or names.prefix_of(name)
        return creation

    def _may_come_late(self, creation: _Creation) -> bool:
        return creation.unanswered is not None and now() < creation.unanswered + self._limits.late

    async def _find(self, name: str, until: float) -> Described | None:
        """The topic, or None if the broker does not know it; retried until loop time `until`."""

        async def request(timeout: float) -> Described | None:
            try:
                return await self._admin.describe(name, timeout=timeout)
            except BrokerError as e:
                if e.code != UNKNOWN_TOPIC:
                    raise
                return None

        return await self._caller.retry(until - now(), request, self._refused(Act.DESCRIBE, name))

    def _refused(self, act: Act, name: str) -> Callable[[BrokerError], ArgorunError]:
        made = self._creation(name)
        return lambda error: refusal(error, act, name, made.prefix, sources=made.sources)


def _retrieve_exception(task: asyncio.Task[None]) -> None:
    """Retrieve the result of a create that is no longer awaited, or asyncio would print it."""
    if not task.cancelled():
        task.exception()


def _came_back(name: str, times: int) -> KafkaFailed:
    return KafkaFailed(
        f"topic {name} was deleted and came back, {times} times: something still uses it,"
        " and the broker creates topics on demand",
        "stop the producers and consumers of this topic, then delete it",
    )
