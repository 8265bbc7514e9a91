"""What the tests of runs share: an Argo CD and a broker in memory, and the emitted events."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from argorun.argocd.clock import Clock
from argorun.argocd.parameters.record import RECORD, Record
from argorun.config.model import ArgoCD, Config, Parameter, Topic
from argorun.emit import Emitter
from argorun.events import Event, LeftBehind, Notice
from tests.unit.argocd.fakes import APP, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.kafka.standin import Broker

T = TypeVar("T")
TOPIC = "weather_1700000000_0a1b2c3d"  # a run's topic
PAST, NOW, FUTURE = 1_000_000_000, 1_800_000_000, 9_000_000_000  # seconds since the epoch
SPEC: Json = {
    "source": {"repoURL": "git", "helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}},
    "destination": {"namespace": "n"},
}
AUTOMATED: Json = SPEC | {"syncPolicy": {"automated": {"prune": True}}}

# Manifests: TOPIC in them is the Helm parameter kafka.topic.
SETTINGS: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings"},
    "data": {"topic": "TOPIC"},
}
READS_SETTINGS: Json = {"containers": [{"name": "main", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}


class Scenario:
    """One Application in a `FakeArgoCD`, a Kafka `Broker`, the Config of a run, and the events emitted.

    A test module derives from it where it needs more. What emits gets the `emitter`, or the scenario itself:
    it is a reporter of the Dispatcher.
    """

    name = "events"

    def __init__(
        self, spec: Json | None = SPEC, annotations: Json | None = None, *, argocd: FakeArgoCD | None = None
    ) -> None:
        self.argocd = FakeArgoCD(copy.deepcopy(spec), annotations) if argocd is None else argocd
        self.broker = Broker()
        self.config = Config(
            application=APP,
            argocd=ArgoCD(server="argocd", token="t"),
            kafka={"bootstrap.servers": self.broker.where},
            topics=(Topic(prefix="weather", parameters=(Parameter(helm="kafka.topic"),)),),
        )
        self.events: list[Event] = []
        self.emitter = Emitter(self.report)

    def configure(self, **changes: Any) -> None:
        """Replace these fields of the Config."""
        self.config = msgspec.structs.replace(self.config, **changes)

    def set_time(self, now: float, *, ahead: float = 0.0) -> None:
        """Stop Argo CD's clock at `now`, and this machine's so many seconds ahead of it."""
        self.argocd.time = lambda: now
        self.argocd.clock = Clock(steady=lambda: 0.0, local=lambda: now + ahead)

    def annotate(self, record: Record) -> None:
        """Put a run's record into the Application."""
        annotations = self.argocd.document["metadata"].setdefault("annotations", {})
        annotations[RECORD] = msgspec.json.encode(record).decode()

    async def with_controller(self, work: Awaitable[T]) -> T:
        """Wait for `work` while Argo CD's controller takes up, carries out and ends operations."""
        controller = asyncio.create_task(self.argocd.controls())
        try:
            return await work
        finally:
            controller.cancel()
            await asyncio.wait({controller})

    # -- a reporter ------------------------------------------------------------------------------------

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None: ...

    # -- what was emitted ------------------------------------------------------------------------------

    def all(self, kind: type[T]) -> list[T]:
        """The events of this class."""
        return [e for e in self.events if isinstance(e, kind)]

    @property
    def notices(self) -> list[str]:
        """The texts of the warnings and of the notes, in their order."""
        return [e.text for e in self.all(Notice)]

    @property
    def warnings(self) -> list[str]:
        return [e.text for e in self.all(Notice) if e.level == "warning"]

    @property
    def left(self) -> list[LeftBehind]:
        """What the run could not undo."""
        return self.all(LeftBehind)
