"""Where chaos happens: a real Kafka and the Argo CD stand-in behind real sockets, and argorun as processes.

The servers live in a thread with a loop of its own, so that whoever sends signals may block.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from argorun.argocd.parameters.record import RECORD
from argorun.sandbox.kafka import Kafka
from argorun.sandbox.standin import StandIn, Timings
from argorun.sandbox.standin.objects import key_of
from tests import checkout
from tests.contract.manifests import TOPIC, Json, configmap, deployment, job
from tests.contract.targets import Chart
from tests.threads import in_a_thread

T = TypeVar("T")
LIMIT = 240.0  # seconds after which something that hangs is ended; no test depends on it
TIMINGS = Timings(pick_up=0.02, wave_delay=0.1, job_batch=0.3, container_start=0.05)
ENV = [{"name": "TOPIC", "value": TOPIC}]


def manifests(test: str, prepare: str) -> list[Json]:
    """A workload, a hook that prepares and a test, all of them on the topic."""
    checks = job("checks", f"echo on $TOPIC; {test}", hook="PostSync")
    checks["spec"]["template"]["spec"]["containers"][0]["env"] = ENV
    return [
        configmap("settings", topic=TOPIC),
        deployment("workload", "trap 'kill $!; exit 0' TERM; sleep 1000 & wait", ENV),
        job("prepare", prepare, hook="PreSync"),
        checks,
    ]


class Ground:
    """The two servers, and Applications on them; use `Ground.start`."""

    def __init__(
        self, folder: Path, standin: StandIn, kafka: Kafka | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.folder, self.standin, self._kafka, self._loop = folder, standin, kafka, loop
        self._names = map("chaos-{}".format, itertools.count(1))

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, *, with_kafka: bool = True, timings: Timings = TIMINGS) -> Iterator[Ground]:
        """Both servers, or Argo CD's stand-in alone, until the block ends."""
        images = folder / "images"
        (images / "busybox").mkdir(parents=True)

        @contextlib.asynccontextmanager
        async def servers() -> AsyncIterator[tuple[StandIn, Kafka | None]]:
            async with contextlib.AsyncExitStack() as stack:
                kafka = await stack.enter_async_context(Kafka.start()) if with_kafka else None
                standin = await stack.enter_async_context(StandIn.start(images=[images], timings=timings))
                yield standin, kafka

        with in_a_thread(servers(), "chaos-ground", LIMIT) as ((standin, kafka), loop):
            yield cls(folder, standin, kafka, loop)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer, from the servers' own thread."""

        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(LIMIT)

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        assert self._kafka is not None
        return self._kafka.bootstrap_servers

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find both servers, and nothing else of the tests' environment."""
        return checkout.environment(
            self.folder,
            ARGOCD_SERVER=f"http://{self.standin.server}",
            ARGOCD_AUTH_TOKEN=self.standin.token,
            KAFKA_BOOTSTRAP_SERVERS=self.bootstrap_servers,
        )

    def application(self, test: str = "sleep 0.5", prepare: str = "sleep 0.2") -> App:
        """A new Application whose test Job runs this script, deployed and Synced."""
        name = next(self._names)

        def add() -> None:
            parameters = [{"name": "kafka.topic", "value": "stable"}, {"name": "other", "value": "kept"}]
            source: Json = {"repoURL": "file:///chaos", "path": "app", "targetRevision": "HEAD"}
            source["helm"] = {"parameters": parameters}
            self.standin.add(name, Chart(tuple(manifests(test, prepare))), source, namespace=name)

        self.ask(add)
        app = App(self, name)
        app.deploy()
        return app

    def remove(self, name: str) -> None:
        """Delete an Application's live objects, so that nothing of it runs any longer."""

        def delete() -> None:
            for obj in self.standin.controllers[name].live():
                self.standin.cluster.delete(key_of(obj))

        self.ask(delete)

    def look(self, name: str) -> Json:
        return self.ask(lambda: self.standin.apps[name].snapshot())

    def compare(self, name: str) -> str:
        """The sync status, compared anew."""

        def compared() -> str:
            self.standin.controllers[name].reconcile()
            return str(self.standin.apps[name].doc["status"]["sync"]["status"])

        return self.ask(compared)

    def start_sync(self, name: str, request: Json) -> None:
        self.ask(lambda: self.standin.apps[name].start(request, "chaos"))

    def topics(self, prefix: str = "") -> list[str]:
        """The topics on the broker whose names begin so; asked without making any."""
        from confluent_kafka.admin import AdminClient

        settings = {"bootstrap.servers": self.bootstrap_servers, "allow.auto.create.topics": False}
        listed = AdminClient(settings).list_topics(timeout=30).topics
        return sorted(t for t in listed if t.startswith(prefix))


class App:
    """One Application, and how it was before anybody ran."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground, self.name = ground, name
        self.before: Json = copy.deepcopy(ground.look(name)["spec"])

    def deploy(self) -> None:
        """Sync it once without its hooks, and wait until it is Synced."""
        self.ground.start_sync(self.name, {"strategy": {"apply": {}}})
        self.until(lambda a: "operation" not in a and a["status"]["sync"]["status"] == "Synced")

    def until(self, fits: Callable[[Json], bool]) -> Json:
        deadline = time.monotonic() + LIMIT
        while not fits(seen := self.ground.look(self.name)):
            assert time.monotonic() < deadline, f"never: {seen}"
            time.sleep(0.05)
        return seen

    @property
    def running(self) -> str:
        """The run id that the running operation carries, "?" for one that carries none; empty when free."""
        app = self.ground.look(self.name)
        operation = app.get("operation")
        if operation is None:
            return ""
        return next((i["value"] for i in operation.get("info", []) if i["name"] == "argorun-run"), "?")

    @property
    def holds_until_its_time(self) -> bool:
        """Whether a record stands whose run never started an operation: then only its time can be over."""
        app = self.ground.look(self.name)
        record = json.loads(app["metadata"].get("annotations", {}).get(RECORD, "{}"))
        infos = app["status"].get("operationState", {}).get("operation", {}).get("info", [])
        return bool(record) and not any(i["value"].startswith(record["run"]) for i in infos)

    def left(self) -> list[str]:
        """What differs from before, of all that argorun changes; a settling operation may still run."""
        app = self.ground.look(self.name)
        found = []
        if (running := self.running) and not running.endswith("/settle"):
            found.append(f"operation of {running}")
        if app["spec"] != self.before:
            found.append(f"spec {app['spec']}")
        if not running and (sync := self.ground.compare(self.name)) != "Synced":
            found.append(f"it is {sync}")
        if record := app["metadata"].get("annotations", {}).get(RECORD):
            found.append(f"record {record}")
        return found
