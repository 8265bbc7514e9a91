"""What a dead run left in an Application: whether it is dead, and how its operation is ended."""

from __future__ import annotations

from argorun.argocd import operation
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.parameters import Record
from argorun.argocd.types import Application


def abandoned(seen: Application, record: Record, now: float) -> bool:
    """Whether an operation runs that nobody will end any more: its own run's time has passed.

    A run ends its operation before the time in its record, so whoever still has one running after it was
    killed. An operation that does not carry the record's run id is never ours to end.
    """
    return now >= record.until and seen.running is not None and seen.running.run == record.run


async def end(client: Client, app: ApplicationName, record: Record) -> bool:
    """End the operation of a dead run; False where none of its runs. Raises ArgoCDFailed, AccessDenied."""
    seen = await client.application(app)
    if seen.running is None or seen.running.run != record.run:
        return False
    return await operation.end(client, app, seen.running.run_id)
