"""The Kafka admin client: wraps librdkafka's futures, errors and callbacks.

The only module of this package that imports confluent_kafka.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AclOperation,
    AdminClient,
    NewTopic,
)

from argorun.errors import UsageError
from argorun.kafka import properties as librdkafka
from argorun.kafka.errors import (
    ALL_BROKERS_DOWN,
    AUTHENTICATION,
    INVALID_REQUEST,
    LOCALLY_INVALID,
    TIMED_OUT,
    BrokerError,
    ConnectionTrouble,
)
from argorun.kafka.spec import TopicSpec
from argorun.redact.redactor import Redactor
from argorun.redact.secrets import of_properties

T = TypeVar("T")
_POLL = 0.1  # seconds in librdkafka at a time: closing waits no longer than that
_GRACE = 2.0  # seconds past the request's own timeout until librdkafka itself counts as hung
_FILE = "check that the file is there, in PEM form, and that it may be read"
_UNNAMED = re.compile(r'No such configuration property: "(?P<name>[^"]*)"')
_NAMES = re.compile(r"[a-z][a-z0-9_.]*[a-z0-9]")
_AFTER = re.compile(r" \(after \d+ms in state \w+(?:, \d+ identical error\(s\) suppressed)?\)$")
_THREAD = re.compile(r"(?:(?:sasl_)?(?:ssl|plaintext)://)?(?P<where>\S+?)/(?:bootstrap|\d+): ")


@dataclass(frozen=True)
class Partition:
    """A partition as the broker describes it; `leader` is False while none is elected."""

    leader: bool
    replicas: int


@dataclass(frozen=True)
class Described:
    """A topic as the broker describes it; one that is created again has another `id` (KIP-516)."""

    id: str
    may_delete: bool
    partitions: tuple[Partition, ...]


@dataclass(frozen=True)
class Cluster:
    """The cluster that answers: its id, and how many brokers it has now."""

    id: str
    brokers: int


class Admin(Protocol):
    """The requests that `Topics` sends to a broker.

    Each call sends one request, waits `timeout` seconds at most and raises BrokerError for any answer that is
    not a success. `where` is bootstrap.servers as people read it.
    """

    where: str

    async def create(
        self, name: str, spec: TopicSpec, *, timeout: float, validate_only: bool = False
    ) -> None: ...
    async def delete(self, name: str, *, timeout: float) -> None: ...
    async def describe(self, name: str, *, timeout: float) -> Described: ...
    async def topics(self, *, timeout: float) -> list[str]: ...
    async def cluster(self, *, timeout: float) -> Cluster: ...
    async def groups(self, *, timeout: float) -> list[str]: ...
    async def group_is_empty(self, group: str, *, timeout: float) -> bool: ...
    async def delete_group(self, group: str, *, timeout: float) -> None: ...
    def trouble(self, since: float) -> ConnectionTrouble | None: ...
    def all_down(self, since: float) -> float | None: ...
    def open(self) -> None: ...
    async def close(self) -> None: ...


def wrong_properties(properties: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """What argorun and librdkafka do not accept: the property's name, if known, a text and a hint, for each.

    Nothing is connected: `bootstrap.servers` is left out. librdkafka names one property at a time (seen), so
    that one is left out, and the rest is tried again.
    """
    redact = Redactor(of_properties(properties)).text
    refused = list(librdkafka.wrong(properties))
    yield from refused
    without = {"bootstrap.servers", *(name for name, _, _ in refused)}
    while tried := {name: value for name, value in properties.items() if name not in without}:
        made = _client(tried)
        if isinstance(made, AdminClient):
            return
        name, text, hint = _explained(redact(made), tried)
        yield name, text, hint
        if name not in tried:
            return
        without.add(name)


def _client(settings: dict[str, Any]) -> AdminClient | str:
    """librdkafka's client, or its text about what it does not accept."""
    # Outside the tree of loggers: nothing of it reaches stderr.
    silent = logging.Logger("librdkafka")
    silent.addHandler(logging.NullHandler())
    try:
        return AdminClient(settings, logger=silent)
    except KafkaException as e:
        return _text(e.args[0])
    except (TypeError, ValueError, AttributeError) as e:
        return str(e)


def _explained(text: str, tried: Collection[str]) -> tuple[str, str, str]:
    """The property that librdkafka's text is about, or an empty string; a text and a hint."""
    if unknown := _UNNAMED.search(text):
        name = unknown["name"]
        return name, f"kafka.{name} is not a property of librdkafka", librdkafka.nearest(name)
    named = [n.replace("sasl.mechanisms", "sasl.mechanism") for n in _NAMES.findall(text)]
    name = next((n for n in named if n in tried), "")
    about = "sasl.mechanism" if re.search("SASL mechanism|Unsupported hash function", text) else name
    hint = librdkafka.CHOICES.get(about, _FILE if name.endswith(".location") else "")
    return name, f"the Kafka client cannot be set up: {text}", hint


class KafkaAdmin:
    """The `Admin` over one AdminClient of librdkafka; created outside an event loop, opened and used inside.

    `redact` masks the secrets in librdkafka's messages, which repeat a bad value (seen); by default it masks
    those among `properties`. Raises UsageError for a property that librdkafka does not accept.
    """

    def __init__(
        self, properties: Mapping[str, object], *, redact: Callable[[str], str] | None = None
    ) -> None:
        config = librdkafka.checked(properties)
        self.where = librdkafka.addresses(config)
        self._redact = redact or Redactor(of_properties(properties)).text
        self._troubles: dict[str, ConnectionTrouble] = {}  # the newest by kind
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._poller: threading.Thread | None = None
        self._admin: AdminClient | None = self._make(config)

    def _make(self, config: dict[str, librdkafka.Property]) -> AdminClient:
        made = _client({**config, "error_cb": self._on_error})
        if isinstance(made, AdminClient):
            return made
        _, text, hint = _explained(self._redact(made), config)
        raise UsageError(text, hint)

    # -- errors outside any answer: librdkafka calls error_cb from poll() only (seen) --
    # -- (docs/kafka-facts.md#errors-outside-of-answers) --

    def open(self) -> None:
        """Start to receive librdkafka's connection errors."""
        assert self._admin is not None
        self._loop = asyncio.get_running_loop()
        # A daemon thread: neither a poll nor a destruction that waits for a name server may hold up the exit.
        self._poller = threading.Thread(
            target=_poll, args=(self._admin, self._stop), name="argorun-kafka-poll", daemon=True
        )
        self._poller.start()

    async def close(self) -> None:
        """Drop the AdminClient. The poller holds the last reference: its thread destroys librdkafka."""
        self._stop.set()
        self._admin = None
        if self._poller is not None:
            await asyncio.to_thread(self._poller.join, 0.3)

    def _on_error(self, error: KafkaError) -> None:
        """librdkafka's error_cb, on the poller's thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        kind = {ALL_BROKERS_DOWN: "down", AUTHENTICATION: "denied"}.get(error.code(), "other")
        self._troubles[kind] = ConnectionTrouble(error.code(), self._readable(_text(error)), loop.time())

    def _readable(self, text: str) -> str:
        """Shorten `ssl://host:1/bootstrap: … failed: Connection refused (after 0ms in state CONNECT)`."""
        text = _AFTER.sub("", text.strip())
        return self._redact(_THREAD.sub(lambda m: f"{m['where']}: ", text, count=1))

    def trouble(self, since: float) -> ConnectionTrouble | None:
        """The newest connection error since loop time `since`, in seconds; a refused login wins."""
        recent = [t for kind, t in self._troubles.items() if kind != "down" and t.time >= since]
        return max(recent, key=lambda t: (t.denied, t.time), default=None)

    def all_down(self, since: float) -> float | None:
        """When librdkafka last reported, at or after loop time `since`, that no broker is connected."""
        down = self._troubles.get("down")
        return down.time if down is not None and down.time >= since else None

    # -- requests --

    async def create(
        self, name: str, spec: TopicSpec, *, timeout: float, validate_only: bool = False
    ) -> None:
        """CreateTopics for one topic. Kafka creates it even if the caller no longer waits for the answer."""

        def request(admin: AdminClient) -> concurrent.futures.Future[Any]:
            new = NewTopic(name, spec.partitions, spec.replication_factor, config=dict(spec.config))
            return admin.create_topics(
                [new], validate_only=validate_only, request_timeout=timeout, operation_timeout=timeout
            )[name]

        await self._send(request, timeout)

    async def delete(self, name: str, *, timeout: float) -> None:
        """DeleteTopics for one topic; success means that the controller accepted it."""
        await self._send(
            lambda a: a.delete_topics([name], request_timeout=timeout, operation_timeout=timeout)[name],
            timeout,
        )

    async def describe(self, name: str, *, timeout: float) -> Described:
        """DescribeTopics. Unlike `list_topics(name)`, it never creates a topic (seen with auto-create).

        See docs/kafka-facts.md#topics-on-demand.
        """

        def request(admin: AdminClient) -> concurrent.futures.Future[Any]:
            topics = TopicCollection([name])
            return admin.describe_topics(topics, include_authorized_operations=True, request_timeout=timeout)[
                name
            ]

        found = await self._send(request, timeout)
        partitions = tuple(
            Partition(leader=p.leader is not None and p.leader.id >= 0, replicas=len(p.replicas))
            for p in found.partitions
        )
        allowed = found.authorized_operations  # KIP-430; an older broker sends none
        return Described(str(found.topic_id), not allowed or AclOperation.DELETE in allowed, partitions)

    async def cluster(self, *, timeout: float) -> Cluster:
        """DescribeCluster; needs no permission. Kafka tells a client no version of its own."""
        found = await self._send(lambda a: a.describe_cluster(request_timeout=timeout), timeout)
        return Cluster(str(found.cluster_id), len(found.nodes))

    async def topics(self, *, timeout: float) -> list[str]:
        """The names of all topics that the user may describe; Kafka leaves out the others silently.

        See docs/kafka-facts.md#permissions. Metadata for *all* topics never creates one
        (docs/kafka-facts.md#topics-on-demand); the call blocks, hence the thread.
        """

        def request(admin: AdminClient) -> concurrent.futures.Future[Any]:
            answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
            threading.Thread(target=_list_topics, args=(admin, timeout, answer), daemon=True).start()
            return answer

        names: list[str] = await self._send(request, timeout)
        return names

    async def groups(self, *, timeout: float) -> list[str]:
        """The consumer groups that the user may describe; Kafka leaves out the others silently.

        Each broker lists the groups that it coordinates. Raises BrokerError if one broker gave no list.
        """
        listed = await self._send(lambda a: a.list_consumer_groups(request_timeout=timeout), timeout)
        if listed.errors:
            raise self._error(listed.errors[0])
        return sorted(g.group_id for g in listed.valid)

    async def group_is_empty(self, group: str, *, timeout: float) -> bool:
        """Whether the group has no member and its coordinator calls it Empty."""
        found = await self._send(
            lambda a: a.describe_consumer_groups([group], request_timeout=timeout)[group], timeout
        )
        return not found.members and found.state == ConsumerGroupState.EMPTY

    async def delete_group(self, group: str, *, timeout: float) -> None:
        """DeleteGroups; the coordinator refuses while the group has members."""
        await self._send(lambda a: a.delete_consumer_groups([group], request_timeout=timeout)[group], timeout)

    async def _send(
        self, request: Callable[[AdminClient], concurrent.futures.Future[Any]], timeout: float
    ) -> Any:
        """Send a request and wait for its answer, `_GRACE` seconds longer than its own timeout."""
        if self._admin is None:
            raise BrokerError(INVALID_REQUEST, "the Kafka client is closed")
        try:
            answer = request(self._admin)
            async with asyncio.timeout(timeout + _GRACE):
                return await wait_for(answer)
        except KafkaException as e:
            raise self._error(e) from None
        except (ValueError, TypeError) as e:  # confluent_kafka's own checks, before anything is sent
            raise BrokerError(LOCALLY_INVALID, self._redact(str(e))) from None
        except TimeoutError:
            raise BrokerError(TIMED_OUT, f"no answer within {timeout:g} s") from None

    def _error(self, raised: KafkaException) -> BrokerError:
        error: KafkaError = raised.args[0]
        return BrokerError(error.code(), self._redact(_text(error)))


def _poll(admin: AdminClient, stop: threading.Event) -> None:
    while not stop.is_set():
        admin.poll(_POLL)


def _list_topics(admin: AdminClient, timeout: float, answer: concurrent.futures.Future[Any]) -> None:
    try:
        answer.set_result(sorted(admin.list_topics(timeout=timeout).topics))
    except Exception as e:  # raised where `answer` is awaited
        answer.set_exception(e)


async def wait_for(answer: concurrent.futures.Future[T]) -> T:
    """The result of `answer`, like asyncio.wrap_future, but a canceled wait does not cancel `answer`.

    librdkafka's thread would fail to set the result of a canceled future. The loop may be closed meanwhile.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def done(_: concurrent.futures.Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: no one waits
            loop.call_soon_threadsafe(wake)

    answer.add_done_callback(done)
    await waiter
    return answer.result()


def _text(error: KafkaError) -> str:
    return str(error.str()).strip()
