"""Plays the cells that were asked for, many at a time, before the first of them is looked at."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.cancelled import connections_cancelled
from tests.faults import brokers
from tests.faults.brokers import Broker
from tests.faults.cells import CELLS, Cell, Place
from tests.faults.stage import FAILS, HANGS, PASSES, Outcome, Stage, holds

Act = Callable[[Stage, Path], Awaitable[Outcome | None]]
AT_ONCE = 12  # most of them wait for something; more, and on a slow machine they wait for each other
LONGEST = 240.0  # seconds after which a cell that hangs is ended; no cell depends on it


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome | BaseException | None]:
    """How each of the selected cells and scenarios ended, by its name."""
    acts: dict[str, Act] = {}
    for item in request.session.items:
        if (call := getattr(item, "callspec", None)) is not None:
            if "cell" in call.params:
                acts[call.id] = functools.partial(play_cell, call.params["cell"])
            elif "scenario" in call.params:
                acts[call.id] = call.params["scenario"]
    with connections_cancelled():
        return asyncio.run(play(broker, tmp_path_factory.mktemp("stage"), acts))


async def play(
    broker: Broker, folder: Path, acts: dict[str, Act]
) -> dict[str, Outcome | BaseException | None]:
    limit = asyncio.Semaphore(AT_ONCE)
    async with Stage.open(folder, broker) as stage:

        async def one(name: str) -> Outcome | None:
            async with limit, asyncio.timeout(LONGEST):
                place = folder / name
                place.mkdir()
                return await acts[name](stage, place)

        # The scenarios last longest: they come first.
        names = sorted(acts, key=lambda name: name in CELLS)
        ended = await asyncio.gather(*map(one, names), return_exceptions=True)
    return dict(zip(names, ended, strict=True))


async def play_cell(cell: Cell, stage: Stage, folder: Path) -> Outcome:
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
    return await stage.play(blows, script)
