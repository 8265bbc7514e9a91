"""A slow rendering has its time, and a clean-up keeps some for a way without one."""

from __future__ import annotations

import asyncio

import pytest

from argorun.argocd.http.retry import HURRIED, RenderLimit, WaitBudget
from tests.unit.virtual import run


def test_a_rendering_has_a_third_of_what_is_left_of_the_clean_up() -> None:
    async def main() -> list[float]:
        now = asyncio.get_running_loop().time()
        limit, shown = RenderLimit(90.0), []
        shown.append(limit.seconds)
        limit.clean_up_until(now + 600)
        shown.append(limit.seconds)
        limit.clean_up_until(now + 60)
        shown.append(limit.seconds)
        await asyncio.sleep(30)
        shown.append(limit.seconds)
        await asyncio.sleep(60)
        return [*shown, limit.seconds]

    assert run(main()) == pytest.approx([90, 90, 20, 10, 0])


async def given_up_after(limit: RenderLimit) -> float:
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with limit.kept():
            await asyncio.Event().wait()
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(("at", "seconds"), [(10.0, 10.0 + HURRIED), (29.5, 30.0)])
def test_a_hurry_also_shortens_what_is_under_way(at: float, seconds: float) -> None:
    async def main() -> tuple[float, float]:
        limit = RenderLimit(30.0)
        asyncio.get_running_loop().call_later(at, limit.hurry)
        return await given_up_after(limit), await given_up_after(limit)

    assert run(main()) == pytest.approx((seconds, HURRIED), abs=0.01)


def test_a_hurry_that_comes_just_when_a_limit_is_over_changes_nothing() -> None:
    """A signal's handler goes on to cancel the steps: nothing may be raised in it."""

    async def main() -> None:
        limit = RenderLimit(1.0)

        async def hurried_at_its_end() -> None:
            async with limit.kept():
                try:
                    await asyncio.Event().wait()
                finally:
                    limit.hurry()

        with pytest.raises(TimeoutError):
            await hurried_at_its_end()

    run(main())


def test_all_waits_together_have_the_allowance() -> None:
    async def waits(allowance: WaitBudget) -> None:
        while True:
            async with allowance.spent():
                await asyncio.sleep(4)
            await asyncio.sleep(100)  # what is not waiting does not count

    async def main() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await waits(WaitBudget(10.0))
        return asyncio.get_running_loop().time() - began

    assert run(main()) == pytest.approx(210, abs=0.01)
