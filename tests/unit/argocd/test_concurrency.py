"""Thousands of objects are not asked for all at once."""

from __future__ import annotations

import asyncio

import pytest

from argorun.argocd import concurrency
from tests.unit.virtual import run


def test_the_results_come_in_their_order_and_a_few_are_asked_for_at_a_time() -> None:
    now = most = 0

    async def one(n: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(1 / (n + 1))
        now -= 1
        return n

    assert run(concurrency.gather([one(n) for n in range(100)])) == list(range(100))
    assert most == concurrency.AT_ONCE


def test_the_first_error_ends_the_others() -> None:
    begun: list[int] = []

    async def one(n: int) -> None:
        begun.append(n)
        await asyncio.sleep(0)
        raise ValueError(n)

    with pytest.raises(ValueError, match="0"):
        run(concurrency.gather([one(n) for n in range(100)]))
    assert len(begun) < 100


def test_nothing_to_ask_for_is_nothing() -> None:
    assert run(concurrency.gather([])) == []
