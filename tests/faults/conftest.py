"""Plays the cells that were asked for, many at a time, before the first of them is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import brokers
from tests.faults.brokers import Broker
from tests.faults.cells import CELLS, Cell, Place
from tests.faults.stage import FAILS, HANGS, PASSES, Outcome, Stage, holds

AT_ONCE = 24  # most of them wait for something
LONGEST = 240.0  # seconds after which a cell that hangs is ended; no cell depends on it


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome | BaseException]:
    """How each of the selected cells ended."""
    names = [i.callspec.params["cell"].name for i in request.session.items if is_cell(i)]  # type: ignore[attr-defined]
    folder = tmp_path_factory.mktemp("stage")
    return asyncio.run(play(broker, folder, [CELLS[n] for n in names]))


def is_cell(item: pytest.Item) -> bool:
    return "cell" in getattr(getattr(item, "callspec", None), "params", {})


async def play(broker: Broker, folder: Path, cells: list[Cell]) -> dict[str, Outcome | BaseException]:
    limit = asyncio.Semaphore(AT_ONCE)
    async with Stage.open(folder, broker) as stage:

        async def one(cell: Cell) -> Outcome:
            async with limit, asyncio.timeout(LONGEST):
                return await play_cell(stage, folder, cell)

        ended = await asyncio.gather(*(one(c) for c in cells), return_exceptions=True)
    return {cell.name: outcome for cell, outcome in zip(cells, ended, strict=True)}


async def play_cell(stage: Stage, folder: Path, cell: Cell) -> Outcome:
    """One cell; the Job in it does not end before the fault has struck, where that is in its time."""
    blows = cell.place.blows(cell.fault)
    file = folder / cell.name
    blows[0].rule.struck = file.touch
    script = FAILS if cell.fails else PASSES
    if isinstance(cell.place, Place):
        if cell.place.hangs is not None:
            script = HANGS
        elif cell.place.name in ("watch", "tree-stream", "log", "pod", "backstop"):
            script = holds(file, 1 if cell.fails else 0)
    return await stage.play(blows, script)
