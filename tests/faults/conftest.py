"""Plays the cells and the scenarios many at a time, while one test after the other looks at its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.canceled import connections_cancelled
from tests.faults import brokers
from tests.faults.brokers import Broker
from tests.faults.cells import Cell, Place
from tests.faults.runs import FAILS, HANGS, PASSES, Outcome, Servers, holds
from tests.processes import part

Act = Callable[[Servers, Path], Awaitable[Outcome | None]]
AT_ONCE = 12  # most of them wait for something; more, and on a slow machine they wait for each other
LONGEST = 240.0  # seconds after which a cell that hangs is ended; no cell depends on it
TOOK = pytest.StashKey[float]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in filter(is_played, items):
        item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))  # see tests/canceled.py


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Among the slowest are listed those that took long, not those that were waited for first."""
    report = yield
    if call.when == "call" and TOOK in item.stash:
        report.duration = item.stash[TOOK]
    return report


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


class Part:
    """Cells and scenarios, all of which begin at once, `AT_ONCE` at a time and in their order.

    They are played whenever a test waits for the end of one; in this thread, as argorun hears signals.
    """

    def __init__(
        self, servers: Servers, loop: asyncio.AbstractEventLoop, folder: Path, acts: Mapping[str, Act]
    ) -> None:
        self._servers, self._loop, self._folder = servers, loop, folder
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._took: dict[str, float] = {}
        self._plays = {name: loop.create_task(self._play(name, act)) for name, act in acts.items()}

    async def _play(self, name: str, act: Act) -> Outcome | None:
        place = self._folder / name
        place.mkdir()
        async with self._limit:
            began = time.monotonic()
            try:
                async with asyncio.timeout(LONGEST):
                    return await act(self._servers, place)
            finally:
                self._took[name] = time.monotonic() - began

    def wait(self, name: str) -> float:
        """Play until this one has ended; the seconds that it took by itself."""
        self._loop.run_until_complete(asyncio.wait([self._plays[name]]))
        return self._took[name]

    def outcome(self, name: str) -> Outcome | None:
        """How it ended; raises what went wrong."""
        return self._plays[name].result()

    @property
    def over(self) -> bool:
        return all(play.done() for play in self._plays.values())


@contextlib.contextmanager
def opened(loop: asyncio.AbstractEventLoop, folder: Path, broker: Broker) -> Iterator[Servers]:
    """The servers, on a loop that runs now and then; opened and closed in one task."""
    opens, closes = loop.create_future(), asyncio.Event()

    async def up() -> None:
        async with Servers.open(folder, broker) as servers:
            opens.set_result(servers)
            await closes.wait()

    opening = loop.create_task(up())
    loop.run_until_complete(asyncio.wait([opening, opens], return_when=asyncio.FIRST_COMPLETED))
    if opening.done():
        opening.result()
    yield opens.result()
    closes.set()
    loop.run_until_complete(opening)


@pytest.fixture(scope="session")
def part_of(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[pytest.Item], Part]]:
    """The part that a test belongs to; it begins when the first of its tests is run."""
    folder, parts = tmp_path_factory.mktemp("servers"), dict[str, Part]()
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(asyncio.Runner()).get_loop()
        servers = stack.enter_context(opened(loop, folder, broker))

        def its_part(item: pytest.Item) -> Part:
            name = part(item.nodeid)
            if name not in parts:
                mine = [i for i in item.session.items if is_played(i) and part(i.nodeid) == name]
                parts[name] = Part(servers, loop, folder, dict(map(act_of, mine)))
            return parts[name]

        yield its_part
        with connections_cancelled():
            stack.close()


@pytest.fixture
def played(
    request: pytest.FixtureRequest, part_of: Callable[[pytest.Item], Part]
) -> Iterator[Callable[[], Outcome | None]]:
    """How the cell or the scenario of a test ended."""
    part, name = part_of(request.node), request.node.callspec.id

    def outcome() -> Outcome | None:
        request.node.stash[TOOK] = part.wait(name)
        return part.outcome(name)

    yield outcome
    if part.over:
        with connections_cancelled():
            pass  # so that no later test is blamed for what is left to the collector


def is_played(item: pytest.Item) -> bool:
    return "played" in getattr(item, "fixturenames", ())


def act_of(item: pytest.Item) -> tuple[str, Act]:
    """What a test looks at, by its name."""
    assert isinstance(item, pytest.Function)
    call = item.callspec
    act: Any = call.params.get("scenario")
    return call.id, act or functools.partial(run_cell, call.params["cell"])


async def run_cell(cell: Cell, servers: Servers, folder: Path) -> Outcome:
    """One cell; the Job in it does not end before the fault has struck, where that is in its time."""
    blows = cell.place.blows(cell.fault)
    file = folder / "struck"
    blows[0].rule.struck = file.touch
    script = FAILS if cell.fails else PASSES
    if isinstance(cell.place, Place):
        if cell.place.hangs is not None:
            script = HANGS
        elif cell.place.name in ("watch", "tree-stream", "log", "pod", "job", "backstop"):
            script = holds(file, 1 if cell.fails else 0)
    return await servers.run(blows, script)
