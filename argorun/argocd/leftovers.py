"""What a dead run left in an Application, and how it is undone as the run's own clean-up would have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from argorun.argocd import operation, parameters, records
from argorun.argocd.claim import Claim
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.parameters import Record
from argorun.argocd.types import Application, Json


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
    for i, p in enumerate((source.get("helm") or {}).get("parameters") or ()):
        yield Place(f"helm: {p.get('name')}", f"{at}/helm/parameters/{i}", p, str(p.get("value", "")))
    for i, p in enumerate((source.get("kustomize") or {}).get("patches") or ()):
        yield Place(f"kustomize patch {i}", f"{at}/kustomize/patches/{i}", p, str(p.get("patch", "")))


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


async def undo(
    client: Client, app: ApplicationName, dead: Record, limit: float, notice: Callable[[str], None]
) -> list[str]:
    """Undo what a dead run left; gives back what was done, nothing where somebody was faster.

    In the order of a run's own clean-up: its operation is ended, the parameters are put back, the workloads
    settle where the Application was Synced before, auto-sync is switched on again and the record removed. The
    record stands until then, so that it can be done again; `limit` is for how long it is believed, in
    seconds. Raises OperationFailed, ArgoCDFailed, AccessDenied.
    """
    did = []
    seen = await client.application(app)
    if seen.running is not None and seen.running.run == dead.run:
        if await operation.end(client, app, seen.running.run_id):
            did.append(f"operation of run {dead.run} ended")
        seen = await client.application(app)
    record = parameters.record_of(seen)
    if record is None or record.run != dead.run:
        return did
    claim = Claim(client, app, record.run, (), waiting=lambda _: None, notice=notice)
    claim.record, claim.before = record, records.undone(seen, record)
    settles = claim.was_synced or record.automated is not None
    if await claim.give_back(settling=settles, until=client.clock.now() + limit):
        did.append("parameters put back")
    if not settles:
        return [*did, "record removed"]
    if not await _still_there(client, app, record):
        return did
    on_again = record.automated is not None
    try:
        started = await claim.settle(record.revision or deployed(seen), await claim.out_of_sync())
        if started is not None:
            # Switched on beside a sync that still runs, auto-sync starts one more after it (seen).
            await claim.settled(started, compared=on_again)
            did.append("workloads settled on what they had before")
    finally:
        await claim.release()
    await claim.stays()
    if on_again:
        did.append("auto-sync switched on again")
    return [*did, "record removed"]


async def _still_there(client: Client, app: ApplicationName, record: Record) -> bool:
    """Whether nobody has taken the Application meanwhile: a run that comes carries the original on itself."""
    current = parameters.record_of(await client.application(app))
    return current is not None and current.run == record.run


def deployed(seen: Application) -> str | None:
    """What the last operation synced: settling with it brings in nothing that was committed since."""
    state = seen.status.operation_state
    return (state.sync_result.revision if state is not None and state.sync_result else "") or None
