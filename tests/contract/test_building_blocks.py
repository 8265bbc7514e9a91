"""argorun's own parts, one after the other as a run uses them: claim, sync, logs, give back, settle."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from argorun.argocd.claim import acquire, restore, settling_sync
from argorun.argocd.claim.acquire import Lost
from argorun.argocd.claim.claim import Claim
from argorun.argocd.client import Client
from argorun.argocd.hooks.ownership import Rendered
from argorun.argocd.logs.container import Container, Listener
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.parameters.record import RECORD
from argorun.argocd.parameters.spec import holds
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.sync import operation
from argorun.argocd.sync.nudge import nudge
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node
from tests.contract.manifests import TOPIC, configmap, container, deployment, from_configmap, job
from tests.contract.recordings import FOREVER
from tests.contract.targets import App, Target

Json = dict[str, Any]
READ = from_configmap("settings", "topic")
LINES = 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo "$i $TOPIC"; done'


class Told(Listener):
    """What the logs tell."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.texts: list[str] = []
        self.ends: list[tuple[str, int, bool, str]] = []

    def appeared(self, job: Node) -> None:
        self.jobs.append(job.name)

    def stranger(self, job: Node, whose: str) -> None:
        raise AssertionError(f"{job.name} is of {whose}")

    def lines(self, container: Container, stamps: list[str], texts: list[str]) -> None:
        self.texts += texts

    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None:
        self.ends.append((container.job, lines, complete, reason))


def a_claim(client: Client, app: App, run: str, *settings: Setting) -> Claim:
    return Claim(client, app.ref, run, settings, warn=lambda *_: None)


async def run_once(client: Client, app: App, setting: Setting, run: str) -> tuple[Told, str]:
    """A run, from the claim to the settled workloads; what was told, and the phase."""
    live, told = LiveTree(client, app.ref), Told()
    claim = a_claim(client, app, run, setting)
    await acquire.wait_until_free(claim, lambda _: None)
    former = await client.manifests(app.ref)
    taken = await acquire.take(claim, former, time.time() + 60)
    assert holds(taken.spec["source"], [setting])
    ours = await client.manifests(app.ref)
    settlement = Settlement(client, app.ref, [run])
    assert await settlement.take_snapshot(taken, await live.read(), ours, former) == []
    async with live.kept():
        before = {n.uid for n in live.tree.nodes or ()}
        rendered = Rendered(ours, app.namespace, [run])
        logs = JobLogs(client, app.ref, live, before, lambda _, name: name == "checks", told, rendered, run)
        seen = await operation.start(client, app.ref, run, operation.body(run))
        took = await operation.captured(client, app.ref, run, seen)
        assert holds(took.source, [setting])
        nudging = asyncio.create_task(nudge(client, app.ref, live, logs.jobs))
        state = await operation.follow(client, app.ref, run, lambda s: logs.operation_started(s.started_at))
        nudging.cancel()
        await logs.finish(20, 60)
    await restore.give_back(claim, settling=True, until=time.time() + 60)
    plan = await settlement.plan(None)
    rolls = {"web"} if isinstance(setting, Kustomize) else set()  # an annotation there rolls its pods
    assert {k.name for k in plan.changed} == {"settings"} | rolls
    assert await settlement.apply_patches(plan) == []
    settling = await settling_sync.start(claim, None, settlement.resources_to_sync(plan))
    assert settling is not None
    await settling_sync.finish(claim, settling)
    assert await settlement.find_remains(0) == []
    await restore.release(claim)
    return told, state.phase


@pytest.mark.parametrize("form", ["helm", "kustomize"])
async def test_a_run_leaves_the_application_as_it_was(argocd: Target, form: str) -> None:
    manifests = (
        configmap("settings", topic=TOPIC if form == "helm" else "none"),
        deployment("web", FOREVER, READ),
        job("checks", container(LINES, env=READ), hook="PostSync"),
    )
    with argocd.application("blocks", *manifests, form=form) as app:
        app.sync(strategy={"apply": {}})
        assert app.ended()["phase"] == "Succeeded"
        before = app.until(lambda a: a["status"]["sync"]["status"] == "Synced", refresh=True)
        async with app.client() as client:
            for run in ("run-1", "run-2"):
                setting: Setting = (
                    Helm("kafka.topic", run) if form == "helm" else Kustomize("settings", "topic", run)
                )
                told, phase = await run_once(client, app, setting, run)
                assert phase == "Succeeded"
                assert told.jobs == ["checks"]
                assert told.texts == [f"{i} {run}" for i in range(1, 201)]
                assert told.ends == [("checks", 200, True, "")]
            after = await client.application(app.ref)
        assert after.spec == before["spec"]
        assert RECORD not in (after.metadata.annotations or {})
        # Argo CD's view of the cluster lags behind the end of an operation.
        app.until(lambda a: a["status"]["sync"]["status"] == "Synced", refresh=True)


async def test_of_two_claims_the_second_is_lost(argocd: Target) -> None:
    with argocd.application("claims", configmap("settings", topic=TOPIC)) as app:
        before = app.get()["spec"]
        async with app.client() as client:
            ours = a_claim(client, app, "ours", Helm("kafka.topic", "ours"))
            theirs = a_claim(client, app, "theirs", Helm("kafka.topic", "theirs"))
            await acquire.take(ours, [], time.time() + 60)
            with pytest.raises(Lost):
                await acquire.take(theirs, [], time.time() + 60)
            await restore.give_back(ours, settling=False, until=time.time() + 60)
            await acquire.take(theirs, [], time.time() + 60)
            await restore.let_go(theirs)
        assert app.get()["spec"] == before


async def test_a_claim_is_given_back_while_the_source_cannot_be_rendered(argocd: Target) -> None:
    with argocd.application("broken", configmap("settings", topic=TOPIC)) as app:
        async with app.client() as client:
            claim = a_claim(client, app, "ours", Helm("kafka.topic", "ours"))
            await acquire.take(claim, [], time.time() + 60)
            spec = (await client.application(app.ref)).spec
            spec["source"]["path"] = "nope"
            await client.replace_spec(app.ref, spec)
            await restore.give_back(claim, settling=False, until=time.time() + 60)
            after = await client.application(app.ref)
        assert "helm" not in after.spec["source"]
        assert RECORD not in (after.metadata.annotations or {})
