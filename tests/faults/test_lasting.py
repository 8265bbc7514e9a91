"""Faults that last: a server that is away for a while, or for good, and a stream that falls silent.

Each fault runs beside the cells of the table; what goes wrong in it is raised in its own test.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from argorun.events import Step
from tests.faults import proxy
from tests.faults.brokers import CREATE_TOPICS, DELETE_TOPICS
from tests.faults.cells import EVER
from tests.faults.proxy import Rule
from tests.faults.runs import (
    HANGS,
    LINES,
    PASSES,
    Blow,
    KafkaRule,
    Outcome,
    Servers,
    StandInRuns,
    away,
    holds,
    once_it_runs,
)

LastingFault = Callable[[Servers, Path], Awaitable[None]]


def no_kafka(key: int, step: Step) -> Blow:
    """Kafka hangs up on every such request from this step on, without passing it on."""
    return Blow(KafkaRule(key, "drop", times=EVER), step)


async def argo_cd_that_is_away_for_ten_seconds_is_ridden_out(servers: Servers, folder: Path) -> None:
    gone, file = away(Step.CLEANUP), folder / "done"  # a step that comes too late to matter

    def back() -> None:
        gone.rule.times = 0
        file.touch()

    def for_ten_seconds() -> None:
        asyncio.get_running_loop().call_later(10, back)

    arm = once_it_runs(gone, for_ten_seconds)
    outcome = await servers.run([gone], holds(file), arm)
    assert gone.rule.met > 0
    assert (outcome.code, outcome.left, outcome.named) == (0, [], {}), str(outcome)
    assert (outcome.lines, outcome.complete) == (list(LINES), True), str(outcome)


async def when_argo_cd_does_not_come_back_the_commands_do_the_rest(servers: Servers, folder: Path) -> None:
    gone, runs = away(Step.CLEANUP), StandInRuns(servers, HANGS)
    await runs.deploy()
    outcome = await runs.run([gone], once_it_runs(gone), cleanup=30.0)
    assert outcome.code == 8, str(outcome)
    assert "cannot be reached" in outcome.title
    assert {"the run's operation", "the parameters", "the workloads' settings"} <= set(outcome.named)
    assert "an operation runs" in outcome.left
    assert not [left for left in outcome.left if left.startswith("topic")], "Kafka is there"
    gone.rule.times = 0
    await by_hand(runs, outcome)
    assert await runs.left() == []


async def manifests_that_are_never_shown_verify_nothing_and_nothing_is_synced(
    servers: Servers, folder: Path
) -> None:
    refused = Rule("GET", "/api/v1/applications/[^/]+/manifests", proxy.status(500), times=EVER)
    outcome = await servers.run([Blow(refused, Step.SYNC)], PASSES)
    assert refused.met == 2
    assert (outcome.code, outcome.left, outcome.named) == (2, [], {}), str(outcome)
    assert "with the run's values: broken proxy says 500" in outcome.title
    assert outcome.lines == [], "nothing was synced"


def undoing(runs: StandInRuns) -> Callable[[proxy.Exchange], Awaitable[None]]:
    """Somebody puts the parameters back to what they are now, just before the request is passed on."""
    former = copy.deepcopy(runs.app.doc["spec"]["source"]["helm"]["parameters"])

    async def undone(exchange: proxy.Exchange) -> None:
        change = {"op": "replace", "path": "/spec/source/helm/parameters", "value": former}
        await runs.ask("PATCH", "", {"patch": json.dumps([change]), "patchType": "json"})
        await exchange.relay()

    return undone


async def parameters_that_somebody_undoes_once_the_sync_has_them_are_not_taken_for_those_of_the_sync(
    servers: Servers, folder: Path
) -> None:
    """What is rendered by then is not what the operation applies, and would hide what that changes."""
    runs = StandInRuns(servers, PASSES)
    await runs.deploy()
    rendered = Rule("GET", "/api/v1/applications/[^/]+/manifests", undoing(runs), nth=2)
    outcome = await runs.run([Blow(rendered, Step.SYNC)])
    assert rendered.met == 1
    assert (outcome.code, outcome.left, outcome.named) == (0, [], {}), str(outcome)


async def parameters_that_somebody_undoes_before_the_sync_are_not_synced(
    servers: Servers, folder: Path
) -> None:
    """Reading what stands in the cluster takes a while: the hooks must not run on somebody else's topic."""
    runs = StandInRuns(servers, PASSES)
    await runs.deploy()
    looks = Rule("GET", "/api/v1/applications/[^/]+/resource-tree", undoing(runs))
    posts = Rule("POST", "/api/v1/applications/[^/]+/sync", proxy.Exchange.relay, times=EVER)
    outcome = await runs.run([Blow(looks, Step.SYNC), Blow(posts, Step.SYNC)])
    assert looks.met == 1
    assert (outcome.code, outcome.left, outcome.named) == (0, [], {}), str(outcome)
    assert posts.met == 2, "one for the tests, and one that settles"


async def by_hand(runs: StandInRuns, outcome: Outcome) -> None:
    """All that argorun says is to be done, in its order."""
    for command in outcome.named.values():
        await runs.by_hand(command)


async def kafka_goes_away_before_the_topic_is_made(servers: Servers, folder: Path) -> None:
    runs = StandInRuns(servers, PASSES)
    await runs.deploy()
    blows = [no_kafka(key, Step.TOPICS) for key in (CREATE_TOPICS, DELETE_TOPICS)]
    outcome = await runs.run(blows, cleanup=20.0)
    assert outcome.code == 7, str(outcome)
    assert outcome.left == [], "the request never arrived"
    (what,) = outcome.named
    assert what.startswith(f"topic {runs.name}_"), "whether it was made cannot be known"
    await by_hand(runs, outcome)


async def kafka_goes_away_before_the_clean_up(code: int, right: int, servers: Servers, folder: Path) -> None:
    runs = StandInRuns(servers, f"{PASSES}; exit {code}")
    await runs.deploy()
    outcome = await runs.run([no_kafka(DELETE_TOPICS, Step.CLEANUP)], cleanup=20.0)
    assert outcome.code == right, str(outcome)
    (topic,) = outcome.named
    assert outcome.left == [topic], "the rest is put back anyway"
    await by_hand(runs, outcome)
    assert await runs.left() == []


async def a_silent_watch_is_made_up_for_by_the_slow_read(servers: Servers, folder: Path) -> None:
    file = folder / "done"
    silent = Blow(Rule("GET", "/api/v1/stream/applications", proxy.stall, times=EVER), Step.FOLLOW)
    silent.rule.struck = file.touch
    outcome = await servers.run([silent], holds(file))
    assert (outcome.code, outcome.left, outcome.named) == (0, [], {}), str(outcome)
    assert (outcome.lines, outcome.complete) == (list(LINES), True), str(outcome)


async def a_rendering_that_does_not_end_is_not_needed_for_the_way_back(
    servers: Servers, folder: Path
) -> None:
    slow = Blow(Rule("PATCH", ".*", proxy.stall, times=EVER), Step.CLEANUP)
    outcome = await servers.run([slow])
    assert slow.rule.met > 0
    assert (outcome.code, outcome.left, outcome.named) == (0, [], {}), str(outcome)


async def a_rendering_that_does_not_end_is_not_called_unreachable(servers: Servers, folder: Path) -> None:
    slow = Blow(Rule("PATCH", ".*", proxy.stall), Step.PARAMETERS)
    outcome = await servers.run([slow])
    assert (outcome.code, outcome.left, outcome.named) == (8, [], {}), str(outcome)
    assert f"did not change Application {slow.rule.about} within 15 s (argocd.timeout)" in outcome.title


async def what_argo_cd_refuses_until_the_end(status: int, servers: Servers, folder: Path) -> None:
    runs = StandInRuns(servers, PASSES)
    await runs.deploy()
    refused = Blow(Rule("PATCH", ".*", proxy.status(status), times=EVER), Step.CLEANUP)
    outcome = await runs.run([refused], cleanup=30.0)
    assert outcome.code == 10, str(outcome)
    assert {"the parameters", "the workloads' settings"} <= set(outcome.named), str(outcome)
    refused.rule.times = 0
    await by_hand(runs, outcome)
    assert await runs.left() == []


SCENARIOS: dict[str, LastingFault] = {
    "argo-cd-away-for-ten-seconds": argo_cd_that_is_away_for_ten_seconds_is_ridden_out,
    "argo-cd-away-for-good": when_argo_cd_does_not_come_back_the_commands_do_the_rest,
    "kafka-away-before-the-topic-is-made": kafka_goes_away_before_the_topic_is_made,
    "kafka-away-in-the-clean-up-of-a-green-run": partial(kafka_goes_away_before_the_clean_up, 0, 10),
    "kafka-away-in-the-clean-up-of-a-red-run": partial(kafka_goes_away_before_the_clean_up, 1, 1),
    "manifests-never-shown": manifests_that_are_never_shown_verify_nothing_and_nothing_is_synced,
    "parameters-undone-once-the-sync-has-them": (
        parameters_that_somebody_undoes_once_the_sync_has_them_are_not_taken_for_those_of_the_sync
    ),
    "parameters-undone-before-the-sync": parameters_that_somebody_undoes_before_the_sync_are_not_synced,
    "a-silent-watch": a_silent_watch_is_made_up_for_by_the_slow_read,
    "a-rendering-that-does-not-end": a_rendering_that_does_not_end_is_not_called_unreachable,
    "a-rendering-that-does-not-end-in-the-clean-up": (
        a_rendering_that_does_not_end_is_not_needed_for_the_way_back
    ),
    "401-until-the-end": partial(what_argo_cd_refuses_until_the_end, 401),
    "403-until-the-end": partial(what_argo_cd_refuses_until_the_end, 403),
    "503-until-the-end": partial(what_argo_cd_refuses_until_the_end, 503),
}


@pytest.mark.full
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_fault_that_lasts(scenario: LastingFault, played: Callable[[], Outcome | None]) -> None:
    played()  # raises what went wrong
