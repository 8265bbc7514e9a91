"""Whole runs with faults, on a stand-in for Argo CD and a real Kafka behind proxies."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import re
import secrets
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka.admin import AdminClient

from argorun import events
from argorun.argocd.parameters.record import RECORD
from argorun.config.model import ApplicationRef, ArgoCD, Config, Parameter, Timeouts, Topic
from argorun.events import Event, HookStatus, Step
from argorun.reporters.dispatcher import Dispatcher
from argorun.run.supervisor import execute
from argorun.sandbox.standin import StandIn, Timings
from tests.faults import brokers
from tests.faults.brokers import Broker
from tests.faults.proxy import Proxy, Rule, reset

Json = dict[str, Any]
LINES = ("one", "two", "three")
TOPIC = "{topic}"  # in a manifest: the Helm parameter kafka.topic
TIMINGS = Timings(job_batch=2.0)  # so that runs do nudge
SETTLED = 90.0  # seconds for what a cell waits for after its run; no test depends on it


@dataclass
class KafkaRule:
    """Does `fault` (see brokers.Proxy) to Kafka requests with this API key about this cell's topics."""

    key: int
    fault: str
    nth: int = 1
    times: int | None = 1
    about: str = ""
    armed: bool = True
    met: int = 0
    struck: Callable[[], object] = lambda: None
    _seen: int = field(default=0, repr=False)

    def __call__(self, key: int, frame: bytes) -> str:
        if not self.armed or (self.key, True) != (key, self.about.encode() in frame):
            return ""
        self._seen += 1
        if self._seen < self.nth or (self.times is not None and self._seen >= self.nth + self.times):
            return ""
        self.met += 1
        self.struck()
        return self.fault


@dataclass(frozen=True)
class Blow:
    """A rule, and the step of the run from which on it holds; None: from the start."""

    rule: Rule | KafkaRule
    step: Step | None = None
    until: Step | None = None  # the step that ends it


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what was left of it."""

    code: int
    left: list[str]  # what is not as it was; empty where nothing is left
    named: dict[str, str]  # what argorun says is left, and the command that does it by hand
    lines: list[str]  # of the test Job's log
    complete: bool  # what argorun says of the log
    met: list[int]  # how often each blow struck
    title: str

    def __str__(self) -> str:
        return f"exit {self.code} ({self.title}); left {self.left}; named {self.named}; log {self.lines}"


class Watcher:
    """A reporter that keeps the events and arms the blows as their steps begin."""

    name = "events"

    def __init__(self, blows: Sequence[Blow], then: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self._blows, self._then = blows, then
        for blow in blows:
            blow.rule.armed = blow.step is None

    def report(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, events.StepStarted):
            for blow in self._blows:
                if event.step == blow.step:
                    blow.rule.armed = True
                if event.step == blow.until:
                    blow.rule.armed = False
        if self._then is not None:
            self._then(event)

    def close(self) -> None:
        pass


def away(step: Step | None = None) -> Blow:
    """Argo CD cannot be reached from this step on."""
    return Blow(Rule("*", r"/api/.*", reset, times=None), step)


def is_running(event: Event) -> bool:
    return isinstance(event, events.HookChanged) and event.status is HookStatus.RUNNING


def once_it_runs(blow: Blow, after: Callable[[], None] = lambda: None) -> Callable[[Event], None]:
    """Let it strike when the test Job runs."""
    blow.rule.armed = False

    def arm(event: Event) -> None:
        if is_running(event) and not blow.rule.armed:
            blow.rule.armed = True
            after()

    return arm


def manifests(script: str) -> list[Json]:
    """A ConfigMap with the topic's name, which is to be settled afterwards, and the test Job."""
    env = [{"name": "TOPIC", "value": TOPIC}]
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script], "env": env}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"topic": TOPIC}},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "checks", "annotations": {"argocd.argoproj.io/hook": "PostSync"}},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        },
    ]


def chart(script: str) -> Callable[[Json], list[Json]]:
    """The stand-in's renderer of them."""
    text = json.dumps(manifests(script))

    def render(source: Json) -> list[Json]:
        given = {p["name"]: p.get("value", "") for p in source.get("helm", {}).get("parameters", [])}
        rendered: list[Json] = json.loads(text.replace(TOPIC, given.get("kafka.topic", "none")))
        return rendered

    render.source_type = "Helm"  # type: ignore[attr-defined]
    return render


PASSES = "; ".join(f"echo {line}" for line in LINES)
FAILS = f"{PASSES}; exit 1"
HANGS = f"{PASSES}; trap 'exit 0' TERM; while :; do sleep 0.1; done"


def holds(file: Path, code: int = 0) -> str:
    """A Job that passes, or fails, once there is this file."""
    first, *rest = (f"echo {line}" for line in LINES)
    return f"{first}; until [ -e {file} ]; do sleep 0.05; done; {'; '.join(rest)}; exit {code}"


class Servers:
    """The servers; use `Servers.open`. Every run has an Application and a topic prefix of its own."""

    def __init__(self, standin: StandIn, proxy: Proxy, kafka: brokers.Proxy, broker: Broker) -> None:
        self.standin, self.proxy, self.kafka, self.broker = standin, proxy, kafka, broker
        quiet = {"bootstrap.servers": broker.plain, "allow.auto.create.topics": False, "log_level": 0}
        self.admin = AdminClient(quiet)
        self.http = httpx.AsyncClient(
            base_url=standin.url,
            headers={"Authorization": f"Bearer {standin.token}"},
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path, broker: Broker) -> AsyncIterator[Servers]:
        """Start the stand-in and both proxies; the broker runs already."""
        (folder / "images" / "busybox").mkdir(parents=True)
        kafka = brokers.Proxy()
        async with (
            StandIn.start(images=[folder / "images"], timings=TIMINGS) as standin,
            Proxy(standin.url).up() as proxy,
            kafka.before(broker),
        ):
            servers = cls(standin, proxy, kafka, broker)
            async with servers.http:
                yield servers

    # -- one run -------------------------------------------------------------------------------------

    async def run(
        self,
        blows: Sequence[Blow] = (),
        script: str = PASSES,
        then: Callable[[Event], None] | None = None,
        **timeouts: float,
    ) -> Outcome:
        """One whole run under these blows."""
        runs = StandInRuns(self, script)
        await runs.deploy()
        return await runs.run(blows, then, **timeouts)

    async def topics(self, prefix: str) -> list[str]:
        listed = await asyncio.to_thread(self.admin.list_topics, timeout=30)
        return sorted(t for t in listed.topics if t.startswith(prefix))


class FaultRuns:
    """Runs on one Application, behind the proxies."""

    def __init__(self, proxy: Proxy, kafka: brokers.Proxy, name: str, prefix: str) -> None:
        self.proxy, self.kafka, self.name, self.prefix = proxy, kafka, name, prefix

    def config(self, **timeouts: float) -> Config:
        """What a run on it needs to know."""
        raise NotImplementedError

    async def left(self) -> list[str]:
        """What a run has left behind: nothing, if all is well."""
        raise NotImplementedError

    async def run(
        self, blows: Sequence[Blow] = (), then: Callable[[Event], None] | None = None, **timeouts: float
    ) -> Outcome:
        """argorun, from its Config to its exit code, as `argorun run` calls it."""
        for blow in blows:
            if isinstance(blow.rule, Rule):
                blow.rule.about = self.name
                self.proxy.rules.append(blow.rule)
            else:
                blow.rule.about = self.prefix
                self.kafka.rules.append(blow.rule)
        watcher = Watcher(blows, then)
        code = await execute(self.config(**timeouts), Dispatcher([watcher]))
        await self.proxy.delivered(self.name)
        await self.kafka.delivered(self.prefix)
        return await self.outcome(code, watcher, blows)

    async def outcome(self, code: int, watcher: Watcher, blows: Sequence[Blow]) -> Outcome:
        lines = [text for e in watcher.events if isinstance(e, events.LogLines) for text in e.texts]
        ends = [e.complete for e in watcher.events if isinstance(e, events.LogEnded)]
        verdicts = [e for e in watcher.events if isinstance(e, events.Verdict)]
        return Outcome(
            code=code,
            left=await self.left(),
            named={e.what: e.command for e in watcher.events if isinstance(e, events.LeftBehind)},
            lines=lines,
            complete=ends == [True],
            met=[blow.rule.met for blow in blows],
            title=f"{verdicts[-1].title}: {verdicts[-1].reason}" if verdicts else "",
        )


class StandInRuns(FaultRuns):
    """Runs on an Application of the stand-in."""

    def __init__(self, servers: Servers, script: str) -> None:
        name = f"app-{secrets.token_hex(4)}"
        super().__init__(servers.proxy, servers.kafka, name, name)
        self.servers = servers
        self.path = f"/api/v1/applications/{name}"
        source = {
            "repoURL": "https://git.invalid/app",
            "path": "chart",
            "targetRevision": "main",
            "helm": {"parameters": [{"name": "kafka.topic", "value": "none"}]},
        }
        self.app = servers.standin.add(name, chart(script), source, namespace=name)
        self._before: Json = {}

    async def ask(self, method: str, path: str = "", body: Json | None = None, **query: str) -> Json:
        headers = {} if method == "GET" else {"Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        answer = await self.servers.http.request(
            method, self.path + path, params=query, headers=headers, content=content
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found

    async def until(self, fits: Callable[[Json], bool]) -> Json:
        async with asyncio.timeout(SETTLED):
            while True:
                seen = self.app.pulse.count
                if fits(self.app.doc):
                    return self.app.doc
                await self.app.pulse.wait(seen)

    async def deploy(self) -> None:
        """Sync it without its hooks: it is Synced afterwards."""
        await self.ask("POST", "/sync", {"strategy": {"apply": {}}})
        await self.until(lambda a: "operation" not in a and a["status"]["sync"]["status"] == "Synced")
        self._before = copy.deepcopy(self.app.spec)

    def config(self, **timeouts: float) -> Config:
        return Config(
            application=ApplicationRef(name=self.name),
            argocd=ArgoCD(
                server=self.servers.proxy.server,
                token=self.servers.standin.token,
                plaintext=True,
                timeout=15.0,
            ),
            kafka={"bootstrap.servers": self.servers.broker.proxied},
            topics=(Topic(prefix=self.name, parameters=(Parameter(helm="kafka.topic"),)),),
            timeouts=Timeouts(**{"run": 120.0, "busy": 60.0, "cleanup": 90.0} | timeouts),
        )

    async def left(self) -> list[str]:
        app = copy.deepcopy(self.app.doc)
        state = app["status"].get("operationState", {})
        left = [f"topic {t}" for t in await self.servers.topics(self.name)]
        if "operation" in app or state.get("phase") in ("Running", "Terminating"):
            left.append("an operation runs")
        if app["spec"] != self._before:
            left.append(f"the spec is {app['spec']}, was {self._before}")
        if RECORD in app["metadata"].get("annotations", {}):
            left.append("the record")
        compared = await self.ask("GET", refresh="normal")
        if compared["status"]["sync"]["status"] != "Synced":
            left.append("the workloads are not settled")
        return left

    async def by_hand(self, command: str) -> None:
        """Do what argorun says is to be done, as the argocd and kafka-topics programs would."""
        for part in re.split(r"; (?=argocd |kafka-topics )", command):
            await self._by_hand(shlex.split(part))

    async def _by_hand(self, words: list[str]) -> None:
        match words:
            case ["argocd", "app", "terminate-op", name]:
                assert name == self.name
                with contextlib.suppress(AssertionError):  # it may have ended by itself
                    await self.ask("DELETE", "/operation")
            case ["argocd", "app", "wait", name, "--operation"]:
                assert name == self.name
                await self.until(lambda a: "operation" not in a)
            case ["argocd", "app", "patch", name, "--type", "json", "--patch", patch]:
                assert name == self.name
                await self.ask("PATCH", "", {"patch": patch, "patchType": "json"})
            case ["argocd", "app", "sync", name, "--strategy", "apply"]:
                assert name == self.name
                await self.ask("POST", "/sync", {"strategy": {"apply": {}}})
                await self.until(lambda a: "operation" not in a)
            case ["argocd", "app", "sync", name, *words] if words[::2] == ["--resource"] * (len(words) // 2):
                assert name == self.name
                resources = [re.fullmatch(r"(.*):(.*):(.*)/(.*)", word) for word in words[1::2]]
                keys = ("group", "kind", "namespace", "name")
                listed = [dict(zip(keys, r.groups(), strict=True)) for r in resources if r is not None]
                await self.ask("POST", "/sync", {"resources": listed})
                await self.until(lambda a: "operation" not in a)
            case ["argocd", "app", "get", name, *_]:
                assert name == self.name
            case ["kafka-topics", "--bootstrap-server", server, "--delete", "--if-exists", "--topic", topic]:
                assert server == self.servers.broker.proxied
                for name in await self.servers.topics(""):
                    if re.fullmatch(topic, name):
                        done = self.servers.admin.delete_topics([name])[name]
                        await asyncio.to_thread(done.result, 30)
            case _:
                raise AssertionError(f"nobody can do this by hand: {words}")
