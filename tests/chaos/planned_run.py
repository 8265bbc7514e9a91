"""One run in this process, on stand-ins for Argo CD and Kafka, with a plan carried out on it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import time
from collections import Counter, deque
from pathlib import Path

import httpx
import msgspec

from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD
from argorun.argocd.parameters.spec import claimed
from argorun.argocd.rest_client import RestClient
from argorun.argocd.types import RUN_INFO, Application
from argorun.config.model import ApplicationRef, ArgoCD, Config, Parameter, Timeouts, Topic
from argorun.errors import ArgorunError
from argorun.events import Event, LeftBehind, Verdict
from argorun.kafka.retry import Limits
from argorun.kafka.topics import Topics
from argorun.reporters.dispatcher import Dispatcher
from argorun.run.steps import Run
from argorun.run.supervisor import Supervisor
from argorun.signals import Interrupts
from tests.chaos.ground import App, Ground
from tests.chaos.plans import Deed, How, Kind, Plan, Status
from tests.contract.manifests import Json
from tests.unit.kafka.standin import Broker

LIMITS = Limits(
    preflight=1.0, down=0.5, request=0.3, create=3.0, usable=3.0, delete=3.0, gone=3.0, groups=1.0,
    absent=0.05, late=0.5, pause=0.01, longest_pause=0.1,
)  # fmt: skip
FOREIGN = ("orders", "weather_updates", "weather_updates_1700000000_0badcafe", "weather_updates_x")
DEAD = "weather_updates_1600000000_deadbeef"  # what a killed run had put in


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a run came to, and what was there before and after it."""

    code: int
    events: list[Event]
    app: App
    broker: Broker
    expected: Json  # the spec with everybody else's changes and nothing of the run's
    foreign: list[str]  # run ids of operations that others started
    finished: list[Json]  # every operation's last state, whoever started it
    ran_on: list[str]  # the topic of every test run
    signals: list[int]

    @property
    def left(self) -> list[LeftBehind]:
        return [e for e in self.events if isinstance(e, LeftBehind)]

    @property
    def verdict(self) -> Verdict | None:
        return next((e for e in self.events if isinstance(e, Verdict)), None)


class Recorder:
    """A reporter that keeps the events and counts the moments."""

    name = "events"

    def __init__(self, planned: PlannedRun) -> None:
        self.events: list[Event] = []
        self._planned = planned

    def report(self, event: Event) -> None:
        self.events.append(event)
        self._planned.moment()

    def close(self) -> None: ...


class Flaky(httpx.AsyncBaseTransport):
    """httpx's own transport, with the plan's faults."""

    def __init__(self, real: httpx.AsyncBaseTransport, planned: PlannedRun) -> None:
        self._real, self._planned = real, planned
        self._count: Counter[Kind] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kind = kind_of(request)
        nth = self._count[kind]
        self._count[kind] += 1
        self._planned.moment()
        how = next((b.how for b in self._planned.plan.broken if (b.kind, b.nth) == (kind, nth)), None)
        if isinstance(how, Status):
            body = {"error": "as planned", "message": "as planned", "code": 2}
            return httpx.Response(how.code, json=body, request=request)
        if how is How.REFUSED:
            raise httpx.ConnectError("refused, as planned", request=request)
        answer = await self._real.handle_async_request(request)
        if how is How.LATE:
            await asyncio.sleep(0.3)
        if how in (How.UNANSWERED, How.NONSENSE):
            await answer.aclose()
            if how is How.NONSENSE:
                return httpx.Response(200, content=b'{"metadata": {', request=request)
            raise httpx.ReadError("reset, as planned", request=request)
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()


def kind_of(request: httpx.Request) -> Kind:
    path, method = request.url.path, request.method
    if "/stream/" in path:
        return Kind.WATCH
    for end, kind in (("/sync", Kind.SYNC), ("/operation", Kind.END), ("/logs", Kind.LOGS)):
        if path.endswith(end):
            return kind
    if path.endswith("/resource-tree"):
        return Kind.TREE
    if path.count("/") == 4:
        return {"GET": Kind.GET, "PATCH": Kind.PATCH}.get(method, Kind.REST)
    return Kind.REST


class PlannedRun:
    """One run with its plan; use `run_plan`."""

    def __init__(self, ground: Ground, plan: Plan, log: Path) -> None:
        test, prepare = plan.tests.value
        self.ground, self.plan, self._log = ground, plan, log
        self.app = ground.application(f"echo $TOPIC >> {log}; echo {ground.standin.token}; {test}", prepare)
        self.expected = self.app.before
        self._now = 0
        self._strikes = deque(sorted(plan.strikes, key=lambda s: s.moment))
        self._interrupts: Interrupts | None = None
        self.signals: list[int] = []
        self.broker = Broker()
        for name in FOREIGN:
            self.broker.make(name)
        for act, fault in plan.kafka:
            self.broker.faults.setdefault(act, deque()).append(fault)
        self.foreign: list[str] = []
        self.finished: list[Json] = []
        self._watch_operations()
        if plan.dead_record:
            self._leave_a_record()

    # -- others -----------------------------------------------------------------------------------------

    def moment(self) -> None:
        """One more moment has come: whoever waits for it acts, in the servers' thread or on the run."""
        while self._strikes and self._strikes[0].moment <= self._now:
            deed = self._strikes.popleft().deed
            if isinstance(deed.value, str):
                self.ground.ask(lambda deed=deed: self._act(deed))  # type: ignore[misc]
            elif self._interrupts is not None:
                self.signals.append(deed.value)
                asyncio.get_running_loop().call_soon(self._interrupts.receive, deed.value)
        self._now += 1

    def _act(self, deed: Deed) -> None:
        app = self.ground.standin.apps[self.app.name]
        match deed:
            case Deed.OTHER_PARAMETER:
                self._set(app.spec, "other", "theirs")
            case Deed.OUR_PARAMETER:
                self._set(app.spec, "kafka.topic", "theirs")
            case Deed.OTHER_FIELD:
                for spec in (app.spec, self.expected):
                    spec["revisionHistoryLimit"] = 7
            case Deed.SYNC if app.doc.get("operation") is None:
                self.foreign.append(f"foreign-{len(self.foreign)}")
                request = {"infos": [{"name": RUN_INFO + "-not", "value": self.foreign[-1]}]}
                app.start(request | {"strategy": {"apply": {}}}, "somebody")
                return
            case Deed.TERMINATE if app.doc.get("operation") is not None and app.operation_state is not None:
                app.terminate()
                self.foreign.clear()  # theirs may have been the one
                return
        app.save()

    def _set(self, spec: Json, name: str, value: str) -> None:
        for changed in (spec, self.expected):
            for p in changed["source"]["helm"]["parameters"]:
                if p["name"] == name:
                    p["value"] = value

    def _leave_a_record(self) -> None:
        """As a run that was killed while its operation ran: its value stands, its time has passed."""

        def leave() -> None:
            app = self.ground.standin.apps[self.app.name]
            seen = Application(spec=app.spec)
            setting = Helm("kafka.topic", DEAD)
            spec, record = claimed(seen, [setting], [], "dead", time.time() - 5)
            app.doc["spec"] = spec
            app.doc["metadata"]["annotations"] = {RECORD: msgspec.json.encode(record).decode()}
            app.save()

        self.ground.ask(leave)

    def _watch_operations(self) -> None:
        """Keep the last state of every operation."""

        def watch() -> None:
            app = self.ground.standin.apps[self.app.name]
            save = app.save

            def saved(event: str = "MODIFIED") -> None:
                state = app.operation_state
                if state is not None and "finishedAt" in state:
                    known = [(s["operation"].get("info"), s["startedAt"]) for s in self.finished]
                    if (state["operation"].get("info"), state["startedAt"]) not in known:
                        self.finished.append(json.loads(json.dumps(state)))
                save(event)

            app.save = saved  # type: ignore[method-assign]

        self.ground.ask(watch)

    # -- the runs ---------------------------------------------------------------------------------------

    def config(self, prefix: str) -> Config:
        standin = self.ground.standin
        return Config(
            application=ApplicationRef(name=self.app.name),
            argocd=ArgoCD(server=standin.server, token=standin.token, plaintext=True),
            kafka={"bootstrap.servers": "broker:9092"},
            topics=(Topic(prefix=prefix, parameters=(Parameter(helm="kafka.topic"),)),),
            timeouts=Timeouts(run=2.0 if self.plan.hasty else 20.0, busy=10.0, cleanup=10.0),
            secrets=(standin.token,),
        )

    async def run(self) -> tuple[int, list[Event]]:
        """The run with its plan, and its rival without one."""
        rival = asyncio.create_task(self._rival()) if self.plan.rival else None
        config, recorder = self.config("weather_updates"), Recorder(self)
        dispatcher = Dispatcher([recorder], config.secrets)
        network = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
        async with (
            RestClient(config.argocd, retry_for=2.0, transport=Flaky(network, self)) as client,
            Topics(config.kafka, limits=LIMITS, admin=self.broker) as topics,
        ):
            run = Run(config, dispatcher, client, topics)
            self._interrupts = Interrupts()
            code = await Supervisor(run, dispatcher, self._interrupts).supervise()
            self._interrupts = None
        if rival is not None:
            await rival
        return code, recorder.events

    async def _rival(self) -> None:
        config = self.config("rival")
        async with (
            RestClient(config.argocd) as client,
            Topics(config.kafka, limits=LIMITS, admin=self.broker) as topics,
        ):
            run = Run(config, lambda _: None, client, topics)
            with contextlib.suppress(ArgorunError):
                await run.steps()
            await run.clean_up()


def run_plan(ground: Ground, plan: Plan, log: Path) -> Seen:
    """Carry the plan out, and return all that is to be judged."""
    log.write_text("", encoding="utf-8")
    planned = PlannedRun(ground, plan, log)
    code, events = asyncio.run(planned.run())
    ran_on = log.read_text(encoding="utf-8").split()
    return Seen(
        code, events, planned.app, planned.broker, planned.expected, planned.foreign, planned.finished,
        ran_on, planned.signals,
    )  # fmt: skip
