"""Argo CD is nudged when a hook's Job has ended, never before; told not to, argorun sends none."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from typing import Any

import pytest

from argorun.argocd.client import ApplicationName
from argorun.argocd.rest_client import RestClient
from argorun.argocd.sync.nudge import nudge
from argorun.config.load import load
from argorun.config.model import Flags
from argorun.reporters.dispatcher import Dispatcher
from argorun.run import follow
from argorun.run.supervisor import execute
from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, scripted


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("nudge"), scripted(), name="nudge") as made:
        made.scripts(pre="sleep 3", test="sleep 3")
        yield made


def ended(bench: Bench) -> set[str]:
    """The Jobs that have ended, by Kubernetes' own word; each run makes new ones."""
    return {
        j["metadata"]["uid"]
        for j in bench.stack.objects("jobs", bench.app.namespace)
        if any(c["type"] in ("Complete", "Failed") for c in j["status"].get("conditions", ()))
    }


def run(bench: Bench, monkeypatch: pytest.MonkeyPatch, **flags: bool) -> list[set[str]]:
    """A run in this process; for each nudge for a hook, the Jobs of the run that had ended by then.

    The refreshes that wake the controller for an operation that it has missed are sent with --no-nudge, too.
    """
    nudges: list[set[str]] = []
    before = ended(bench)
    send, for_hooks, in_follow = RestClient.nudge, nudge, contextvars.ContextVar("in_follow", default=False)

    async def counted(self: RestClient, app: ApplicationName) -> None:
        if in_follow.get():
            nudges.append(await asyncio.to_thread(ended, bench) - before)
        await send(self, app)

    async def followed(*args: Any) -> None:
        in_follow.set(True)
        await for_hooks(*args)

    monkeypatch.setattr(RestClient, "nudge", counted)
    monkeypatch.setattr(follow, "nudge", followed)
    config = load(Flags(file=bench.config(), **flags), bench.environment(), bench.folder)
    with bench.as_it_was():
        assert asyncio.run(execute(config, Dispatcher([]))) == 0
    return nudges


def test_a_nudge_is_sent_for_a_job_that_has_ended_and_few_are_enough(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    nudges = run(bench, monkeypatch)
    assert nudges, "a Job's end takes Argo CD up to five seconds"
    assert all(nudges), "none while both Jobs still run"
    assert len(nudges) <= 2 * 2, "once more for each, where the first had no effect in time"


def test_told_not_to_nudge_the_run_ends_anyway(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(bench, monkeypatch, no_nudge=True) == []
