"""A run's record once the run is gone: whether it is dead, and what was there before it. Pure."""

from __future__ import annotations

import msgspec

from argorun.argocd.parameters.patch import changes
from argorun.argocd.parameters.record import RECORD, Record
from argorun.argocd.parameters.spec import restored, stands, with_automated
from argorun.argocd.types import Application, Deployed, Json, Sync

GRACE_AFTER_END = 90.0  # seconds a record outlives its operation: its run reads the rest of the logs
# Seconds in which a record's operation must show: some requests that render come before it, each of which may
# take argocd.timeout, RENDERS seconds where nobody has set it.
GRACE_BEFORE, RENDERS = 240.0, 90.0
LAG = 30.0  # seconds in which a comparison may be behind; clocks differ, and it costs little


def live(record: Record, app: Application, now: float) -> bool:
    """Whether the run that left a record may still be at it; `now` is Argo CD's time, as the record's are.

    Dead is a record whose time has passed, whose operation ended a while ago or never began, or whose topic
    no longer stands in the spec. While its operation runs, somebody may be following it, whatever the spec
    says.
    """
    if now >= record.until:
        return False
    if record.settling or (app.running is not None and app.running.run == record.run):
        return True
    ended = app.ended_at(record.run)
    if ended is not None and now - ended > GRACE_AFTER_END:
        return False
    if ended is None and record.since and now - record.since > (record.begins_within or GRACE_BEFORE):
        return False
    return stands(app.spec, record)


def begins_within(timeout: float) -> float:
    """For how many seconds a run may be about to begin, with this argocd.timeout; 0: for the usual time."""
    return GRACE_BEFORE * timeout / RENDERS if timeout > RENDERS else 0.0


def may_wait(record: Record, app: Application, now: float) -> bool:
    """Whether its run is only taken for dead because its operation ended a while ago."""
    return now < record.until and app.ended_at(record.run) is not None and stands(app.spec, record)


def synced_lately(app: Application, now: float) -> bool:
    """Whether a sync that should leave the Application Synced has just succeeded.

    For some seconds Argo CD may compare it with the cluster as it was before (seen: OutOfSync 0.7 s after the
    end). A run's own sync is another matter: it leaves the workloads on that run's topic.
    """
    state = app.status.operation_state
    if state is None or state.phase != "Succeeded" or state.ended_at is None:
        return False
    tests = state.operation.run and not state.operation.settles
    return not tests and abs(now - state.ended_at) < LAG


def abandoned(record: Record, app: Application, now: float) -> str:
    """The id of an operation that nobody will end; empty where none such runs.

    A run ends its operation before the time in its record: whoever still has one running then was killed. An
    operation that does not carry the record's run id is never ours to end.
    """
    running = app.running
    return running.run_id if now >= record.until and running is not None and running.run == record.run else ""


def values(record: Record) -> list[str]:
    """Where a record says which topics it is about: by name, or, an older one, in what the run had put in."""
    return list(record.topics) or [*(v.value for v in record.helm), *record.kustomize]


def undone(app: Application, record: Record | None) -> Application:
    """The Application as it was before the run that left this record: spec, annotations, sync status."""
    if record is None:
        return app
    annotations = {k: v for k, v in (app.metadata.annotations or {}).items() if k != RECORD}
    metadata = msgspec.structs.replace(app.metadata, annotations=annotations or None)
    spec, status = (
        with_automated(restored(app.spec, record), record),
        app.status,
    )
    if record.synced is not None:
        sync = Sync(
            status="Synced" if record.synced else "OutOfSync",
            revision=record.revision or status.sync.revision,
        )
        if record.revision:  # it synced another commit than was deployed
            status = msgspec.structs.replace(status, history=[Deployed(record.revision)])
        # What differs from Git by now does so because of that run.
        resources = [
            msgspec.structs.replace(r, status="Synced" if record.synced else r.status)
            for r in status.resources or ()
        ]
        status = msgspec.structs.replace(status, sync=sync, resources=resources)
    return msgspec.structs.replace(app, metadata=metadata, spec=spec, status=status)


def way_back(seen: Application, record: Record) -> list[Json]:
    """The JSON patch that puts back what the record says, for a person to send by hand."""
    return changes(seen, undone(seen, record).spec, None)
