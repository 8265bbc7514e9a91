"""Reconstructs the Application before a run, and the run's topics, from its record. Pure."""

from __future__ import annotations

import msgspec

from argorun.argocd.parameters.patch import changes
from argorun.argocd.parameters.record import RECORD, Record
from argorun.argocd.parameters.spec import restored, with_automated
from argorun.argocd.types import Application, Deployed, Json, Sync


def original(app: Application, record: Record | None) -> Application:
    """The Application as it was before the run that left this record: spec, annotations, sync status."""
    if record is None:
        return app
    annotations = {k: v for k, v in (app.metadata.annotations or {}).items() if k != RECORD}
    metadata = msgspec.structs.replace(app.metadata, annotations=annotations or None)
    spec, status = with_automated(restored(app.spec, record), record), app.status
    if record.synced is not None:
        sync = Sync(
            status="Synced" if record.synced else "OutOfSync",
            revision=record.revision or status.sync.revision,
        )
        if record.revision:  # it synced another commit than was deployed
            status = msgspec.structs.replace(status, history=[Deployed(record.revision)])
        # A resource that differs from Git now differs because of that run.
        resources = [
            msgspec.structs.replace(r, status="Synced" if record.synced else r.status)
            for r in status.resources or ()
        ]
        status = msgspec.structs.replace(status, sync=sync, resources=resources)
    return msgspec.structs.replace(app, metadata=metadata, spec=spec, status=status)


def patch_to_original(seen: Application, record: Record) -> list[Json]:
    """The JSON patch from the Application as seen to its original, for a person to send."""
    return changes(seen, original(seen, record).spec, None)


def topics_of(record: Record) -> list[str]:
    """The texts that name the run's topics: their names, or in an older record every value of the run."""
    return list(record.topics) or [*(v.value for v in record.helm), *record.kustomize]
