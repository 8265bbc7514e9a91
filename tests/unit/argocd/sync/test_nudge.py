"""A finished Job is noticed at once: a refresh is sent when it helps, and not again and again for nothing."""

from __future__ import annotations

import asyncio

import pytest

from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.sync import nudge as module
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Health, Node, Tree
from tests.unit.argocd.fakes import APP, DOWN
from tests.unit.scenario import Scenario
from tests.unit.virtual import run


class EndedJobs(Scenario):
    """The Jobs that the operation calls running, and when Argo CD was asked to look again."""

    def __init__(self, health: str | None = "Healthy") -> None:
        super().__init__()
        self.live = LiveTree(self.argocd.client, APP)
        self.jobs: list[Node] = []
        self.refreshed: list[float] = []
        self.job("a", health)

    def job(self, uid: str, health: str | None) -> None:
        node = Node(kind="Job", name=uid, uid=uid, health=None if health is None else Health(status=health))
        self.jobs = [*(j for j in self.jobs if j.uid != uid), node]

    async def tree_changes(self) -> None:
        await self.live.put(Tree())

    async def nudging(self, seconds: float) -> bool:
        """Nudge for so long; whether it has ended by itself."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(99):
            self.argocd.meets("refresh", lambda _: self.refreshed.append(loop.time() - began))
        nudging = asyncio.create_task(module.nudge(self.argocd.client, APP, self.live, lambda: self.jobs))
        await asyncio.sleep(seconds)
        ended = nudging.done()
        nudging.cancel()
        await asyncio.wait({nudging})
        return ended


@pytest.mark.parametrize("health", ["Progressing", "Suspended", "Missing", "", None])
def test_while_a_job_runs_nothing_is_sent(health: str | None) -> None:
    scenario = EndedJobs(health)
    assert run(scenario.nudging(60)) is False
    assert scenario.argocd.calls == []


@pytest.mark.parametrize("health", ["Healthy", "Degraded"])
def test_an_ended_job_that_the_operation_calls_running_is_nudged_at_once_and_once_more_at_most(
    health: str,
) -> None:
    scenario = EndedJobs(health)
    assert run(scenario.nudging(60)) is False
    assert scenario.refreshed == [0.0, 3.5]
    assert set(scenario.argocd.calls) == {"refresh"}


def test_a_job_that_ends_is_seen_when_the_tree_changes() -> None:
    scenario = EndedJobs("Progressing")

    async def ends() -> None:
        nudging = asyncio.create_task(scenario.nudging(4.5))
        await asyncio.sleep(3)
        scenario.job("a", "Healthy")
        await scenario.tree_changes()
        await nudging

    run(ends())
    assert scenario.refreshed == [3.0]


def test_once_the_operation_has_noticed_no_more_is_sent() -> None:
    scenario = EndedJobs()

    async def notices() -> None:
        nudging = asyncio.create_task(scenario.nudging(30))
        await asyncio.sleep(1.5)
        scenario.jobs = []
        await nudging

    run(notices())
    assert scenario.refreshed == [0.0]


def test_many_jobs_that_end_at_about_the_same_time_make_no_more_than_one_refresh_a_second() -> None:
    scenario = EndedJobs()
    scenario.jobs = []

    async def busy() -> None:
        nudging = asyncio.create_task(scenario.nudging(2.9))
        for i in range(25):
            scenario.job(f"job {i}", "Healthy")
            await scenario.tree_changes()
            await asyncio.sleep(0.1)
        await nudging

    run(busy())
    assert scenario.refreshed == [0.0, 1.0, 2.0]


def test_changes_of_the_tree_alone_make_no_refresh() -> None:
    scenario = EndedJobs()

    async def busy() -> None:
        nudging = asyncio.create_task(scenario.nudging(3.4))
        for _ in range(30):
            await asyncio.sleep(0.1)
            await scenario.tree_changes()
        await nudging

    run(busy())
    assert scenario.refreshed == [0.0]


def test_the_next_job_has_its_own_two() -> None:
    scenario = EndedJobs()

    async def next_one() -> None:
        nudging = asyncio.create_task(scenario.nudging(60))
        await asyncio.sleep(20)
        scenario.job("b", "Healthy")
        await scenario.tree_changes()
        await nudging

    run(next_one())
    assert scenario.refreshed == [0.0, 3.5, 20.0, 23.5]


@pytest.mark.parametrize("fault", [DOWN, ApiError("show", 500, 13, "x")])
def test_a_refresh_that_fails_is_no_matter(fault: Exception) -> None:
    scenario = EndedJobs()
    scenario.argocd.meets("refresh", fault)
    assert run(scenario.nudging(60)) is False
    assert scenario.refreshed == [3.5]


def test_where_a_refresh_is_not_allowed_it_is_left_to_argo_cd() -> None:
    scenario = EndedJobs()
    scenario.argocd.meets("refresh", Denied("show", 403, "permission denied", ""))
    assert run(scenario.nudging(60)) is True
    assert scenario.argocd.calls == ["refresh"]
