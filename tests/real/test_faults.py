"""A selection of tests/faults' table on a real Argo CD, Kubernetes and Kafka, through the same proxies."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from argorun.config.model import ApplicationRef, ArgoCD, Config, Parameter, Timeouts, Topic
from argorun.events import Step
from argorun.run import sync
from tests.faults import brokers
from tests.faults.brokers import Broker
from tests.faults.cells import CELLS, Cell, Place
from tests.faults.proxy import Proxy
from tests.faults.runs import FAILS, LINES, PASSES, FaultRuns, Outcome, away, once_it_runs
from tests.real import support
from tests.real.cluster import Stack

AT_ONCE = 4
HANGS = "echo one; sleep 600"
CHOSEN = (
    "preflight-503",
    "manifests-500",
    "patch-lost-reply",
    "patch-silence",
    "patch-403",
    "patch-late",
    "sync-lost-reply",
    "sync-silence",
    "sync-403",
    "sync-late",
    "watch-cut",
    "log-cut",
    "terminate-lost-reply",
    "restore-lost-reply",
    "restore-403",
    "put-lost-reply",
    "compare-half-json",
    "settle-lost-reply",
    "settle-late",
    "release-lost-reply",
    "release-429",
    "kafka-create-lost-reply",
    "kafka-create-reset-and-late",
    "kafka-delete-lost-reply",
)


class RealRuns(FaultRuns):
    """An Application of the real Argo CD, and topics on a broker of our own, which has a proxy before it."""

    def __init__(self, proxy: Proxy, kafka: brokers.Proxy, bench: support.Bench, broker: Broker) -> None:
        super().__init__(proxy, kafka, bench.app.name, f"t{secrets.token_hex(4)}")
        self._bench, self._broker, self._before = bench, broker, bench.before()
        self._admin = AdminClient({"bootstrap.servers": broker.plain, "allow.auto.create.topics": False})

    def config(self, **timeouts: float) -> Config:
        return Config(
            application=ApplicationRef(name=self.name),
            argocd=ArgoCD(
                server=self.proxy.server, token=self._bench.stack.token, plaintext=True, timeout=15.0
            ),
            kafka={"bootstrap.servers": self._broker.proxied},
            topics=(Topic(prefix=self.prefix, parameters=(Parameter(helm="kafka.topic"),)),),
            timeouts=Timeouts(**{"run": 180.0, "busy": 60.0, "cleanup": 90.0} | timeouts),
        )

    async def left(self) -> list[str]:
        return await asyncio.to_thread(self._left)

    def _left(self) -> list[str]:
        topics = self._admin.list_topics(timeout=30).topics
        left = [f"topic {t}" for t in topics if t.startswith(self.prefix)]
        try:
            support.nothing_left(self._bench, self._before)
        except AssertionError as e:
            left.append(str(e))
        return left


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.broker(tmp_path_factory.mktemp("kafka")) as own:
        yield own


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, stack: Stack, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome | BaseException]:
    """How each of the selected cells ended."""
    items = [i for i in request.session.items if i.function is test_a_fault_in_a_step]  # type: ignore[attr-defined]
    cells = [CELLS[i.callspec.params["name"]] for i in items]  # type: ignore[attr-defined]
    folder = tmp_path_factory.mktemp("faults")
    return asyncio.run(play(stack, broker, folder, cells))


@contextlib.asynccontextmanager
async def proxies(stack: Stack, broker: Broker) -> AsyncIterator[tuple[Proxy, brokers.Proxy]]:
    verify = ssl.create_default_context(cafile=str(stack.ca) if stack.ca else None)
    kafka = brokers.Proxy()
    async with Proxy(f"https://{stack.server}", verify).up() as proxy, kafka.before(broker):
        yield proxy, kafka


async def play(
    stack: Stack, broker: Broker, folder: Path, cells: list[Cell]
) -> dict[str, Outcome | BaseException]:
    limit = asyncio.Semaphore(AT_ONCE)
    async with proxies(stack, broker) as (proxy, kafka):

        async def one(cell: Cell) -> Outcome:
            async with limit, asyncio.timeout(400):
                with contextlib.ExitStack() as opened:
                    bench = await asyncio.to_thread(opened.enter_context, made(stack, folder, cell))
                    try:
                        return await RealRuns(proxy, kafka, bench, broker).run(cell.place.blows(cell.fault))
                    finally:
                        await asyncio.to_thread(opened.close)

        ended = await asyncio.gather(*(one(c) for c in cells), return_exceptions=True)
    return {cell.name: outcome for cell, outcome in zip(cells, ended, strict=True)}


def made(stack: Stack, folder: Path, cell: Cell) -> contextlib.AbstractContextManager[support.Bench]:
    hangs = isinstance(cell.place, Place) and cell.place.hangs is not None
    script = HANGS if hangs else FAILS if cell.fails else PASSES
    place = folder / cell.name
    place.mkdir()
    return support.bench(stack, place, support.scripted(), always={"test": script}, name="fault")


@pytest.mark.parametrize("name", CHOSEN)
def test_a_fault_in_a_step(name: str, outcomes: dict[str, Outcome | BaseException]) -> None:
    cell, outcome = CELLS[name], outcomes[name]
    if isinstance(outcome, BaseException):
        raise outcome
    assert min(outcome.met) > 0, f"the fault never struck: {outcome}"
    assert (outcome.code, outcome.left, outcome.named) == (cell.code, [], {}), str(outcome)
    if cell.logged:
        assert (outcome.lines, outcome.complete) == (list(LINES), True), str(outcome)


def test_when_argo_cd_does_not_come_back_the_commands_do_the_rest(
    stack: Stack, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "RIDE_OUT", 5.0)  # instead of a minute

    async def played(bench: support.Bench) -> tuple[RealRuns, Outcome]:
        async with proxies(stack, broker) as (proxy, kafka):
            runs, gone = RealRuns(proxy, kafka, bench, broker), away(Step.CLEANUP)
            return runs, await runs.run([gone], once_it_runs(gone), cleanup=30.0)

    with support.bench(stack, tmp_path, support.scripted(), always={"test": HANGS}, name="away") as bench:
        runs, outcome = asyncio.run(played(bench))
        assert outcome.code == 8, str(outcome)
        assert len(outcome.left) == 1, str(outcome)
        assert list(outcome.named)[:3] == ["the run's operation", "the parameters", "the workloads' settings"]
        for command in outcome.named.values():
            bench.by_hand(command)
            bench.app.wait_idle()
        assert asyncio.run(runs.left()) == []
