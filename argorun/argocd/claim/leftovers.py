"""What a dead run left in an Application, and how it is undone as the run's own clean-up would have."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from argorun.argocd.claim import records
from argorun.argocd.claim.acquire import Claim, Taken
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.manifests.changes import Key
from argorun.argocd.parameters import spec as parameters_spec
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.parameters.spec import is_automated
from argorun.argocd.settle.pod_users import Held, PodUsers
from argorun.argocd.settle.settlement import Remains, Settlement
from argorun.argocd.sync import operation
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application, Json

LEAVES = 10.0  # seconds for which an object that is being deleted is waited for
PODS_LEAVE = (
    45.0  # seconds for which the pods on a dead run's topics are waited for: a rollout, a grace period
)


@dataclass(frozen=True)
class Leftover:
    """An Application that a dead run left as it had made it."""

    app: ApplicationName
    seen: Application
    record: Record

    @property
    def runs(self) -> bool:
        """Whether its operation still runs."""
        return self.seen.running is not None and self.seen.running.run == self.record.run

    def __str__(self) -> str:
        return f"Application {self.app}"


# -- where a topic's name may stand ----------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A Helm parameter's value, or a Kustomize patch, in an Application's spec."""

    what: str
    pointer: str  # as in a JSON patch
    element: Json
    text: str


def places(spec: Json) -> list[Place]:
    """Every place of a spec where a run may have put a topic's name, of all its sources."""
    found = list(_places(spec.get("source") or {}, "/spec/source"))
    for i, source in enumerate(spec.get("sources") or ()):
        found += _places(source, f"/spec/sources/{i}")
    return found


def _places(source: Json, at: str) -> Iterator[Place]:
    for kind in KINDS.values():
        for e in kind.elements(source):
            yield Place(e.what, at + e.pointer, e.value, e.text)


def without(found: Iterable[Place]) -> list[Json]:
    """The JSON patch that takes these places out; the last first, as each moves what is behind it."""
    return [
        operation
        for p in reversed(list(found))
        for operation in (
            {"op": "test", "path": p.pointer, "value": p.element},
            {"op": "remove", "path": p.pointer},
        )
    ]


# -- and back ------------------------------------------------------------------------------------------


@dataclass
class Undone:
    """What was undone of what a dead run left, and which objects are not back."""

    did: list[str] = field(default_factory=list)
    left: list[Remains] = field(default_factory=list)


async def undo(
    client: Client, app: ApplicationName, dead: Record, limit: float, warn: Callable[[str], None]
) -> Undone:
    """Undo what a dead run left; nothing, or nothing more, where somebody was faster.

    In the order of a run's own clean-up: its operation is ended, the parameters are put back, what it changed
    settles, auto-sync is switched on again and the record removed. The record stands until then, so that it
    can be done again; `limit` is for how long it is believed, in seconds. Raises OperationFailed,
    ArgoCDFailed, AccessDenied.
    """
    done = Undone()
    with contextlib.suppress(Taken):  # a run that comes carries the original on itself
        await _undo(client, app, dead, limit, warn, done)
    return done


async def _undo(
    client: Client,
    app: ApplicationName,
    dead: Record,
    limit: float,
    warn: Callable[[str], None],
    done: Undone,
) -> None:
    seen = await client.application(app)
    if seen.running is not None and seen.running.run == dead.run:
        if await operation.end(client, app, seen.running.run_id):
            done.did.append(f"operation of run {dead.run} ended")
        seen = await client.application(app)
    record = record_of(seen)
    if record is None or record.run != dead.run:
        return
    claim = Claim(client, app, record.run, (), waiting=lambda _: None, warn=warn)
    claim.record, claim.before = record, records.undone(seen, record)
    settlement = Settlement(client, app, records.values(record))
    stands = parameters_spec.stands(seen.spec, record)
    await settlement.note_dead(seen, record.since, deployed(seen), stands=stands, synced=claim.was_synced)
    if await claim.give_back(settling=True, until=client.clock.now() + limit):
        done.did.append("parameters put back")
    if record_of(await claim.check_held()) is None:
        return
    on_again = record.automated is not None
    put_back_at = await _settle(claim, settlement, record.revision or deployed(seen), done)
    kept = await claim.release()
    await claim.stays()
    if on_again and is_automated((await client.application(app)).spec, record):
        done.did.append("auto-sync switched on again")
    if kept:
        warn(
            f"a request to end the operation of run {dead.run} was never answered: its record stays, and no "
            f"run may begin on {app} for {kept:.0f} s"
        )
    else:
        done.did.append("record removed")
    put_back_at = put_back_at or client.clock.now()
    done.left += await _pods_that_stay(client, app, record, settlement, put_back_at)


async def _settle(claim: Claim, settlement: Settlement, revision: str | None, done: Undone) -> float | None:
    """Take back what the run changed; gives back when a sync that did it began, by the cluster's clock.

    Where that fails the record stays, and auto-sync off.
    """
    plan = await settlement.plan(revision)
    if plan.patch:
        await claim.check_held()
        done.left += await settlement.put_hooks_back(plan)
    resources = settlement.resources(plan)
    if not resources and claim.automated:
        resources = await claim.any_synced()
    started, began_at = await claim.settle(revision, resources, prune=bool(plan.prune)), None
    if started is not None:
        # Switched on beside a sync that still runs, auto-sync starts one more after it (seen).
        began_at = (await claim.settled(started, compared=claim.automated)).began_at
    known = {r.key for r in done.left}
    done.left += [r for r in await settlement.look(LEAVES) if r.key not in known]
    if settlement.changed and not done.left:
        done.did.append("workloads settled on what they had before")
    return began_at


async def _pods_that_stay(
    client: Client, app: ApplicationName, dead: Record, settlement: Settlement, until: float
) -> list[Remains]:
    """The pods that may still use the topics once a rollout has had its time."""
    held = Held(records.values(dead), settlement.sources(), dead.since, until, settlement.perhaps())
    users, live = PodUsers(client, app, held, (), settlement.with_pods()), LiveTree(client, app)
    end = asyncio.get_running_loop().time() + PODS_LEAVE
    still = await users.of(await live.read())
    async with live.kept():
        while still and asyncio.get_running_loop().time() < end:
            await live.changed(live.version, timeout=1.0)
            still = await users.of(await live.read())
    pods = [(Key("", "Pod", u.pod.namespace, u.pod.name), u.why) for u in still]
    return [Remains(key, f"it still runs: {why}", delete=True) for key, why in pods]


def deployed(seen: Application) -> str | None:
    """What the last operation synced: settling with it brings in nothing that was committed since."""
    state = seen.status.operation_state
    return (state.sync_result.revision if state is not None and state.sync_result else "") or None
