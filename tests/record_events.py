"""Records the events of whole runs for the reporters' tests: `make record-events`.

Runs the command line against a real Kafka and the Argo CD stand-in, replaces what differs from run to run
(times, ids, addresses), and writes tests/data/*.jsonl and how each reporter shows them (tests/data/shown).
`--shown` writes only the latter. Read the diff: two concurrent events may have changed places.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from argorun.events import (
    CannotStart,
    Event,
    HookChanged,
    LogLines,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    SweepEnded,
    TopicCreated,
    TopicSwept,
    Undone,
)
from argorun.redact.event_text import rewrite
from argorun.reporters.json_lines import decode, encode
from argorun.sandbox.kafka import Kafka
from argorun.sandbox.standin import StandIn, Timings
from argorun.sandbox.standin.application import Application
from argorun.sandbox.standin.objects import rfc3339, rfc3339_nano
from argorun.sandbox.standin.server import TOKEN
from tests import checkout
from tests.contract.manifests import TOPIC, Json, configmap, deployment, job
from tests.contract.targets import Chart
from tests.unit.reporters.replay import DATA, write_shown

LIMIT = 60.0  # seconds for one run
TIMINGS = Timings(pick_up=0.2, wave_delay=0.2, job_batch=0.5, container_start=0.2)
ENV: list[Json] = [{"name": "TOPIC", "value": TOPIC}]
TEST_JOB = "run-automation-tests-job"
PREFIX = "weather_updates"

# What the test Jobs do.
PASS = "echo collected 2 items; sleep 1; printf '\\033[32mtest_rain.py ..\\033[0m  [100%%]\\n'"
FAIL = """
echo collected 2 items; sleep 1
printf '\\033[31mtest_rain.py F.\\033[0m  [100%%]\\n'
echo '    assert rain == 3'
printf '\\033[31mE   AssertionError\\033[0m\\n'
echo '::error::not a command'
exit 3
"""
HANG = "echo collected 2 items; sleep 60 & wait"

Trigger = Callable[["Run", Event], None]


class Recorder:
    """The servers, and runs of argorun against them."""

    def __init__(self, standin: StandIn, kafka: Kafka, folder: Path) -> None:
        self.standin, self.kafka, self._folder = standin, kafka, folder
        self.address = standin.server  # where argorun looks for Argo CD

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, kafka: Kafka) -> AsyncIterator[Recorder]:
        """Start a stand-in beside this Kafka, until the block ends."""
        with tempfile.TemporaryDirectory(prefix="argorun-record-") as folder:
            (Path(folder) / "images" / "busybox").mkdir(parents=True)
            async with StandIn.start(images=[Path(folder) / "images"], timings=TIMINGS) as standin:
                yield cls(standin, kafka, Path(folder))

    async def application(self, test: str, *, image: str = "busybox") -> Application:
        """A new Application `weather`, synced once; its test Job runs this script in this image."""
        tests = job(TEST_JOB, test, hook="PostSync")
        tests["spec"]["template"]["spec"]["containers"][0]["image"] = image
        manifests = (
            configmap("settings", topic=TOPIC),
            deployment("weather", "trap 'kill $!; exit 0' TERM; sleep 1000 & wait", ENV),
            job("create-schema", "sleep 0.5", hook="PreSync"),
            tests,
        )
        source: Json = {"repoURL": "https://git.example.com/weather", "path": "app", "targetRevision": "HEAD"}
        source["helm"] = {"parameters": [{"name": "kafka.topic", "value": "weather"}]}
        app = self.standin.add("weather", Chart(manifests), source, namespace="weather")
        app.start({"strategy": {"apply": {}}}, "admin")
        async with asyncio.timeout(LIMIT):
            while app.doc.get("operation") is not None or app.doc["status"]["sync"]["status"] != "Synced":
                await app.pulse.wait(app.pulse.count)
        return app

    async def run(
        self, *arguments: str, then: Trigger | None = None, stuck: str = "60s", closed_for: float = 0.0
    ) -> list[Event]:
        """The events of `argorun ARGUMENTS`; `then` is called with each as it comes.

        For the first `closed_for` seconds Argo CD's address refuses connections.
        """
        (self._folder / "argorun.yaml").write_text(f"timeouts: {{cleanup: 10s, stuck: {stuck}}}\n")
        self.address = free_address() if closed_for else self.standin.server
        environment = checkout.environment(
            self._folder,
            ARGOCD_SERVER=f"http://{self.address}",
            ARGOCD_AUTH_TOKEN=self.standin.token,
            KAFKA_BOOTSTRAP_SERVERS=self.kafka.bootstrap_servers,
        )
        process = await asyncio.create_subprocess_exec(
            *checkout.ARGORUN, *arguments, "--output", "json",
            stdout=asyncio.subprocess.PIPE, cwd=self._folder, env=environment,
        )  # fmt: skip
        run = Run(process)
        try:
            async with asyncio.timeout(LIMIT), opened(self.address, self.standin.server, closed_for):
                assert process.stdout is not None
                async for line in process.stdout:
                    for event in decode([line]):
                        run.events.append(event)
                        if then is not None:
                            then(run, event)
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        return run.events

    async def weather(
        self, *arguments: str, then: Trigger | None = None, stuck: str = "60s", closed_for: float = 0.0
    ) -> list[Event]:
        """A run of the Application `weather`."""
        fixed = ("run", "weather", "--topic", PREFIX, "--parameter", "kafka.topic", "--job", TEST_JOB)
        return await self.run(*fixed, *arguments, then=then, stuck=stuck, closed_for=closed_for)

    # -- the recordings -----------------------------------------------------------------------------

    async def green(self) -> list[Event]:
        """The tests pass and nothing is left."""
        await self.application(PASS)
        return await self.weather()

    async def failed_test(self) -> list[Event]:
        """A test fails, after another operation has ended."""
        app = await self.application(FAIL)
        app.start({"strategy": {"hook": {}}}, "ci")
        return await self.weather()

    async def canceled(self) -> list[Event]:
        """Ctrl-C while the tests run."""
        await self.application(HANG)
        return await self.weather(then=once(LogLines, lambda run: run.send_signal(signal.SIGINT)))

    async def cannot_start(self) -> list[Event]:
        """The test's image cannot be pulled, and timeouts.stuck is over."""
        await self.application(PASS, image="example/nope:1")
        return await self.weather(stuck="3s")

    async def kept(self) -> list[Event]:
        """--keep-topics, after Argo CD's address refused connections for a moment."""
        await self.application(PASS)
        return await self.weather("--keep-topics", closed_for=3.0)

    async def time_ran_out(self) -> list[Event]:
        """--timeout is over while the tests run."""
        await self.application(HANG)
        return await self.weather("--timeout", "8s")

    async def dry_run(self) -> list[Event]:
        """--dry-run."""
        await self.application(PASS)
        return await self.weather("--dry-run")

    async def left_behind(self) -> list[Event]:
        """The tests pass, but the token may no longer change the Application."""
        await self.application(PASS)
        accounts, all_rights = self.standin.accounts, self.standin.accounts[TOKEN]
        reader = dataclasses.replace(all_rights, applications=frozenset({"get", "sync"}))

        def revoke(run: Run) -> None:
            accounts[TOKEN] = reader

        try:
            return await self.weather(then=once(LogLines, revoke))
        finally:
            accounts[TOKEN] = all_rights

    async def sweep(self) -> list[Event]:
        """A sweep, after a run was killed."""
        await self.application(HANG)
        await self.weather(then=once(LogLines, lambda run: run.send_signal(signal.SIGKILL)))
        return await self.run("sweep", "--topic", PREFIX, "--older-than", "0s")


def free_address() -> str:
    """An address on loopback where nothing listens yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextlib.asynccontextmanager
async def opened(address: str, server: str, after: float) -> AsyncIterator[None]:
    """After so many seconds, connections to this address go to the server; 0: it is the server's own."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*server.split(":"))
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async def serve() -> None:
        await asyncio.sleep(after)
        host, port = address.split(":")
        async with await asyncio.start_server(connected, host, int(port)) as listening:
            await listening.serve_forever()

    serving = asyncio.create_task(serve()) if after else None
    try:
        yield
    finally:
        if serving is not None:
            serving.cancel()


# -- what differs from run to run ------------------------------------------------------------------------

T = 1767225600.0  # 2026-01-01T00:00:00Z, when each recording begins
TICK = 0.5  # seconds between two events
AGE = 30000.0  # seconds, of a swept topic
RUN_ID, TOKEN_OF_TOPIC = "0badcafe0bad", "0badcafe"
NAMES = ("x7k2p", "m4d9t", "q8w3z")


def normalized(events: list[Event], argocd: str, kafka: Kafka) -> list[Event]:
    """The same run with fixed times, ids, names and addresses."""
    text = texts(events, argocd, kafka)
    begun: dict[object, float] = {}
    result: list[Event] = []
    for number, event in enumerate(events):
        time = T + number * TICK
        changed = dataclasses.replace(rewrite(event, text), time=time)
        result.append(timed(changed, time, begun))
    return result


def texts(events: list[Event], argocd: str, kafka: Kafka) -> Callable[[str], str]:
    """A function that replaces ids, names and addresses in a text."""
    ids = {e.run_id: RUN_ID for e in events if isinstance(e, RunStarted)}
    addresses = {
        f"http://{argocd}": "https://argocd.example.com",
        argocd: "argocd.example.com",
        kafka.bootstrap_servers: "kafka.example.com:9092",
    }
    suffixes: dict[str, str] = {}

    def suffix(match: re.Match[str]) -> str:
        name = suffixes.setdefault(match[0], NAMES[len(suffixes) % len(NAMES)])
        return f"{match['owner']}-{name}"

    def replace(text: str) -> str:
        for old, new in (ids | addresses).items():
            text = text.replace(old, new)
        text = re.sub(rf"({PREFIX})_\d{{10}}_[0-9a-f]{{8}}", rf"\1_{int(T)}_{TOKEN_OF_TOPIC}", text)
        text = re.sub(r"weather-[0-9a-f]{10}(?=-)", "weather-6c9f8d7b54", text)
        text = re.sub(
            r"(?P<owner>(weather-6c9f8d7b54|create-schema|[a-z-]+-job))-[0-9a-f]{5}\b", suffix, text
        )
        text = re.sub(r"\brun [0-9a-f]{12}\b", f"run {RUN_ID}", text)
        text = re.sub(r"\b(until|since)(\W+)\d{10}\b", rf"\g<1>\g<2>{int(T)}", text)
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rfc3339(T), text)

    return replace


def timed(event: Event, time: float, begun: dict[object, float]) -> Event:
    """The event with durations that fit its time; `begun` is kept from event to event."""
    match event:
        case StepStarted():
            begun[event.step] = time
        case StepEnded():
            return dataclasses.replace(event, seconds=time - begun[event.step])
        case HookChanged():
            key = (event.hook, event.kind, event.name)
            return dataclasses.replace(event, seconds=time - begun.setdefault(key, time))
        case LogLines():
            return dataclasses.replace(event, stamps=(rfc3339_nano(int(time * 1e9)),) * len(event.texts))
        case TopicCreated() | Undone() | CannotStart():
            return dataclasses.replace(event, seconds=TICK)
        case TopicSwept():
            return dataclasses.replace(event, age=AGE)
        case RunEnded() | SweepEnded():
            return dataclasses.replace(event, seconds=time - T)
        case _:
            pass
    return event


@dataclasses.dataclass
class Run:
    """A process of argorun, and its events so far."""

    process: asyncio.subprocess.Process
    events: list[Event] = dataclasses.field(default_factory=list)

    def send_signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)


def once(kind: type[Event], act: Callable[[Run], None]) -> Trigger:
    """A trigger that acts at the first event of this class."""

    def trigger(run: Run, event: Event) -> None:
        if isinstance(event, kind) and sum(isinstance(e, kind) for e in run.events) == 1:
            act(run)

    return trigger


EXIT_CODES = {
    "green": 0,
    "failed_test": 1,
    "canceled": 130,
    "time_ran_out": 4,
    "cannot_start": 1,
    "kept": 0,
    "dry_run": 0,
    "sweep": 0,
    "left_behind": 10,  # the last one: its topic stays on the broker
}


async def record() -> None:
    async with Kafka.start() as kafka:
        for name, code in EXIT_CODES.items():
            began = time.monotonic()
            async with Recorder.start(kafka) as recorder:
                events = await getattr(recorder, name)()
                shown = normalized(events, recorder.address, kafka)
            ended = events[-1]
            if not isinstance(ended, RunEnded | SweepEnded) or ended.exit_code != code:
                sys.exit(f"{name}: expected exit code {code}: {events}")
            lines = map(encode, shown)
            (DATA / f"{name}.jsonl").write_bytes(b"".join(lines))
            print(f"{name}: {len(events)} events in {time.monotonic() - began:.0f} s", file=sys.stderr)


def main(*arguments: str) -> None:
    DATA.mkdir(exist_ok=True)
    if arguments != ("--shown",):
        asyncio.run(record())
    write_shown()


if __name__ == "__main__":
    main(*sys.argv[1:])
