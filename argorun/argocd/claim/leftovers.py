"""Undoes what a dead run left in an Application, as its own clean-up would have."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from argorun.argocd.claim import restore, settling_sync
from argorun.argocd.claim.claim import Claim, HeldByAnother
from argorun.argocd.claim.original import topics_of
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters import spec as parameters_spec
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.parameters.spec import is_automated
from argorun.argocd.settle.pod_users import Exposure, PodUsers
from argorun.argocd.settle.remains import Remains
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.sync import operation
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application
from argorun.emit import Warn
from argorun.kinds import NoticeKind, Subject

OBJECTS_GO = 10.0  # seconds to wait for objects that are being deleted
PODS_GO = 45.0  # seconds to wait for pods on a dead run's topics: a rollout, a grace period


@dataclass(frozen=True)
class Leftover:
    """An Application that a dead run left as it had changed it."""

    app: ApplicationName
    seen: Application
    record: Record

    @property
    def runs(self) -> bool:
        """Whether the run's operation still runs."""
        return self.seen.running is not None and self.seen.running.run == self.record.run

    def __str__(self) -> str:
        return f"Application {self.app}"


@dataclass
class UndoResult:
    """What was undone, with the words for it, and the objects that are not back."""

    did: dict[Subject, str] = field(default_factory=dict)
    left: list[Remains] = field(default_factory=list)


async def undo(client: Client, app: ApplicationName, dead: Record, limit: float, warn: Warn) -> UndoResult:
    """Undo what a dead run left; nothing, or nothing more, if somebody else is faster.

    In the order of a run's own clean-up: end its operation, put the parameters back, settle what it changed,
    switch auto-sync on again and remove the record. The record stands until then, for `limit` seconds, so
    that all this can be done again. Raises OperationFailed, ArgoCDFailed, AccessDenied.
    """
    done = UndoResult()
    with contextlib.suppress(HeldByAnother):  # the run that took it carries the original on
        await _undo(client, app, dead, limit, warn, done)
    return done


async def _undo(
    client: Client,
    app: ApplicationName,
    dead: Record,
    limit: float,
    warn: Warn,
    done: UndoResult,
) -> None:
    seen = await client.application(app)
    if seen.running is not None and seen.running.run == dead.run:
        if await operation.end(client, app, seen.running.run_id):
            done.did[Subject.OPERATION] = f"operation of run {dead.run} ended"
        seen = await client.application(app)
    record = record_of(seen)
    if record is None or record.run != dead.run:
        return
    claim = Claim.of_record(client, app, seen, record, warn)
    settlement = Settlement(client, app, topics_of(record))
    stands = parameters_spec.stands(seen.spec, record)
    await settlement.reconstruct(seen, record.since, deployed(seen), stands=stands, synced=claim.was_synced)
    if await restore.give_back(claim, settling=True, until=client.clock.now() + limit):
        done.did[Subject.PARAMETERS] = "parameters put back"
    if record_of(await claim.check_held()) is None:
        return
    on_again = record.automated is not None
    put_back_at = await _settle(claim, settlement, record.revision or deployed(seen), done)
    kept = await restore.release(claim)
    await restore.verify(claim)
    if on_again and is_automated((await client.application(app)).spec, record):
        done.did[Subject.AUTO_SYNC] = "auto-sync switched on again"
    if kept:
        warn(
            f"a request to end the operation of run {dead.run} was never answered: its record stays, and no "
            f"run may begin on {app} for {kept:.0f} s",
            NoticeKind.KILLED_RUN,
        )
    else:
        done.did[Subject.RECORD] = "record removed"
    put_back_at = put_back_at or client.clock.now()
    done.left += await _remaining_pods(client, app, record, settlement, put_back_at)


async def _settle(
    claim: Claim, settlement: Settlement, revision: str | None, done: UndoResult
) -> float | None:
    """Settle what the run changed; return when the sync for it began, None if there was none.

    It is in seconds since the epoch, by the cluster's clock. If the settling fails, the record stays, and
    auto-sync stays off.
    """
    plan = await settlement.plan(revision)
    if plan.patch:
        await claim.check_held()
        done.left += await settlement.apply_patches(plan)
    resources = settlement.resources_to_sync(plan)
    if not resources and claim.automated:
        resources = await settling_sync.unchanged_resource(claim)
    started, began_at = await settling_sync.start(claim, revision, resources, prune=bool(plan.prune)), None
    if started is not None:
        # Switched on beside a sync that still runs, auto-sync starts one more after it (seen).
        began_at = (await settling_sync.finish(claim, started, compared=claim.automated)).began_at
    known = {r.key for r in done.left}
    done.left += [r for r in await settlement.find_remains(OBJECTS_GO) if r.key not in known]
    if settlement.changed and not done.left:
        done.did[Subject.WORKLOADS] = "workloads settled on what they had before"
    return began_at


async def _remaining_pods(
    client: Client, app: ApplicationName, dead: Record, settlement: Settlement, until: float
) -> list[Remains]:
    """The pods that may still use the topics once a rollout has had its time."""
    sources, uncertain = settlement.topic_sources(), settlement.uncertain_sources()
    exposure = Exposure(topics_of(dead), sources, dead.since, until, uncertain)
    users, live = PodUsers(client, app, exposure, (), settlement.pod_owners()), LiveTree(client, app)
    end = asyncio.get_running_loop().time() + PODS_GO
    still = await users.find(await live.read())
    async with live.kept():
        while still and asyncio.get_running_loop().time() < end:
            await live.changed(live.version, timeout=1.0)
            still = await users.find(await live.read())
    pods = [(Key("", "Pod", u.pod.namespace, u.pod.name), u.why) for u in still]
    return [Remains(key, f"it still runs: {why}", delete=True) for key, why in pods]


def deployed(seen: Application) -> str | None:
    """The commit that the last operation synced: settling at it brings in nothing newer."""
    state = seen.status.operation_state
    return (state.sync_result.revision if state is not None and state.sync_result else "") or None
