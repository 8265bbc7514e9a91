"""Many things are done at the same time, and none keeps the others from being done."""

from __future__ import annotations

import asyncio

import pytest

from argorun.attempt import AT_ONCE, for_each
from argorun.errors import ArgorunError, KafkaFailed
from tests.unit.virtual import run


def test_for_each_acts_on_each_in_order() -> None:
    done: list[int] = []

    async def act(n: int) -> None:
        done.append(n)

    run(for_each(range(30), act, lambda n, error: None))
    assert done == list(range(30))


@pytest.mark.parametrize(
    "error", [OSError("no more processes"), ValueError("oops"), KafkaFailed("no"), asyncio.CancelledError()]
)
def test_for_each_goes_on_after_any_error(error: BaseException) -> None:
    done: list[int] = []
    failed: dict[int, ArgorunError] = {}

    async def act(n: int) -> None:
        if n < 2 * AT_ONCE:
            raise error
        await asyncio.sleep(0)
        done.append(n)

    run(for_each(range(30), act, lambda n, e: failed.update({n: e})))
    assert (done, list(failed)) == (list(range(2 * AT_ONCE, 30)), list(range(2 * AT_ONCE)))
