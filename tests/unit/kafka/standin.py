"""A stand-in for a broker behind `Admin`: topics and groups in memory, and faults on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from argorun.kafka.admin import Cluster, Described, Partition
from argorun.kafka.errors import TIMED_OUT, BrokerError, ConnectionTrouble
from argorun.kafka.spec import TopicSpec

T = TypeVar("T")
NO_ANSWER = "Failed while waiting for response from broker: Local: Timed out"


@dataclass(frozen=True)
class Answer:
    """The broker answers with an error and does nothing else."""

    code: int
    text: str = "as told"


@dataclass(frozen=True)
class Lost:
    """No answer; the request takes effect `after` seconds after the caller gave up, or never (None)."""

    after: float | None = None


@dataclass(frozen=True)
class LostAnswer:
    """Done at once, and the answer is lost: the caller waits for its timeout."""


@dataclass(frozen=True)
class Slow:
    """Done and answered after so many seconds."""

    seconds: float


Fault = Answer | Lost | LostAnswer | Slow


@dataclass
class Group:
    """A consumer group."""

    members: int = 0


class Broker:
    """Implements `Admin`. Each request uses up one of `faults[act]`; `asked` holds what was sent."""

    where = "broker:9092"

    def __init__(self) -> None:
        self.held: dict[str, Described] = {}
        self.consumers: dict[str, Group] = {}
        self.faults: dict[str, deque[Fault]] = {}
        self.asked: list[tuple[str, str]] = []
        self.told: ConnectionTrouble | None = None
        self.down: float | None = None
        self.is_open = False
        self.may_delete = True
        self.hidden = ""  # topics and groups that begin so may not be described
        self.on_delete: Callable[[str], None] = lambda name: None
        self.late: set[asyncio.Future[Any]] = set()  # kept, or asyncio would drop them
        self.made = 0

    def make(self, name: str, spec: TopicSpec | None = None) -> None:
        """Create a topic, as any user may."""
        self.made += 1
        partitions = max(1, spec.partitions) if spec else 1
        replicas = max(1, spec.replication_factor) if spec else 1
        self.held[name] = Described(
            f"id-{self.made}", self.may_delete, (Partition(leader=True, replicas=replicas),) * partitions
        )

    # -- Admin --

    def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def trouble(self, since: float) -> ConnectionTrouble | None:
        return self.told

    def all_down(self, since: float) -> float | None:
        return self.down

    async def create(
        self, name: str, spec: TopicSpec, *, timeout: float, validate_only: bool = False
    ) -> None:
        def do() -> None:
            if name in self.held:
                raise BrokerError(36, f"Topic '{name}' already exists.")
            if not validate_only:
                self.make(name, spec)

        await self._do("validate" if validate_only else "create", name, do, timeout)

    async def delete(self, name: str, *, timeout: float) -> None:
        def do() -> None:
            if self.held.pop(name, None) is None:
                raise BrokerError(3, "Broker: Unknown topic or partition")
            self.on_delete(name)

        await self._do("delete", name, do, timeout)

    async def describe(self, name: str, *, timeout: float) -> Described:
        def do() -> Described:
            if self._hides(name):
                raise BrokerError(29, "Topic authorization failed.")
            if name not in self.held:
                raise BrokerError(3, "Broker: Unknown topic or partition")
            return self.held[name]

        return await self._do("describe", name, do, timeout)

    async def cluster(self, *, timeout: float) -> Cluster:
        return await self._do("cluster", "", lambda: Cluster("stand-in", 1), timeout)

    async def topics(self, *, timeout: float) -> list[str]:
        return await self._do(
            "topics", "", lambda: sorted(n for n in self.held if not self._hides(n)), timeout
        )

    async def groups(self, *, timeout: float) -> list[str]:
        return await self._do(
            "groups", "", lambda: sorted(g for g in self.consumers if not self._hides(g)), timeout
        )

    async def group_is_empty(self, group: str, *, timeout: float) -> bool:
        def do() -> bool:
            if self._hides(group):
                raise BrokerError(30, "Group authorization failed.")
            return group in self.consumers and not self.consumers[group].members

        return await self._do("group", group, do, timeout)

    async def delete_group(self, group: str, *, timeout: float) -> None:
        def do() -> None:
            if self._hides(group):
                raise BrokerError(30, "Group authorization failed.")
            if group not in self.consumers:
                raise BrokerError(69, "The group id does not exist.")
            if self.consumers[group].members:
                raise BrokerError(68, "The group is not empty")
            del self.consumers[group]

        await self._do("delete group", group, do, timeout)

    def _hides(self, name: str) -> bool:
        """Like Kafka, silently leave out of lists what may not be described."""
        return bool(self.hidden) and name.startswith(self.hidden)

    async def _do(self, act: str, name: str, do: Callable[[], T], timeout: float) -> T:
        self.asked.append((act, name))
        queue = self.faults.get(act)
        match queue.popleft() if queue else None:
            case Answer(code, text):
                raise BrokerError(code, text)
            case Lost(after):
                await self._apart(self._lose(do, timeout, after), wait=timeout)
                raise BrokerError(TIMED_OUT, NO_ANSWER)
            case LostAnswer():
                with contextlib.suppress(BrokerError):
                    do()
                await asyncio.sleep(timeout)
                raise BrokerError(TIMED_OUT, NO_ANSWER)
            case Slow(seconds) if seconds < timeout:
                return await self._apart(self._slow(do, seconds), wait=None)
        await asyncio.sleep(0.01)
        return do()

    async def _apart(self, work: Awaitable[T], wait: float | None) -> T:
        """Kafka goes on when the caller is canceled."""
        task = asyncio.ensure_future(work)
        self.late.add(task)
        task.add_done_callback(_heard)
        done, _ = await asyncio.wait([task], timeout=wait)
        return task.result() if done else None  # type: ignore[return-value]

    async def _slow(self, do: Callable[[], T], seconds: float) -> T:
        await asyncio.sleep(seconds)
        return do()

    async def _lose(self, do: Callable[[], T], timeout: float, after: float | None) -> None:
        await asyncio.sleep(timeout + (after or 0))
        if after is not None:
            do()


def _heard(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
