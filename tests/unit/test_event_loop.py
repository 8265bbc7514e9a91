"""The loop's end waits for nothing that hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from argorun import event_loop

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    with event_loop.opened() as loop:
        return loop.run_until_complete(main)


def test_a_call_that_hangs_in_a_thread_holds_up_neither_the_others_nor_the_end() -> None:
    hangs = threading.Event()

    async def main() -> int:
        left = [asyncio.create_task(asyncio.to_thread(hangs.wait)) for _ in range(100)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in left)
        return await asyncio.to_thread(lambda: 7)

    assert run(main()) == 7  # else this test hangs
    hangs.set()


def test_an_error_in_a_thread_is_raised_where_it_is_awaited() -> None:
    def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        run(asyncio.to_thread(fails))


def test_a_task_that_never_stops_does_not_hold_up_the_end() -> None:
    code = """
import asyncio
from argorun import event_loop
async def never_stops():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
async def main():
    task = asyncio.create_task(never_stops())
    await asyncio.sleep(0)
    return 'ended'
with event_loop.opened() as loop:
    print(loop.run_until_complete(main()))
import os, sys
sys.stdout.flush()
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "ended\n")


def test_a_connection_that_hangs_while_it_is_closed_does_not_hold_up_the_end() -> None:
    closed: list[str] = []

    class Connection:
        async def __aenter__(self) -> Connection:
            return self

        async def __aexit__(self, *_: object) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                closed.append("canceled in the end")

    async def main() -> str:
        async with event_loop.connections(lambda: 0.0) as stack:
            await stack.enter_async_context(Connection())
        return "ended"

    assert run(main()) == "ended"
    assert closed == ["canceled in the end"]
