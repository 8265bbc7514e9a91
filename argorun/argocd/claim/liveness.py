"""Decides whether the run that wrote a record is still running."""

from __future__ import annotations

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.manifests.hooks import RUNNING
from argorun.argocd.manifests.keys import find_node, key_of_listed
from argorun.argocd.parameters.record import Record
from argorun.argocd.parameters.spec import stands
from argorun.argocd.sync import operation
from argorun.argocd.types import Application

GRACE_AFTER_END = 90.0  # seconds a record outlives its operation: its run reads the rest of the logs
# Seconds within which the operation of a record must show. Some requests that render come before it, each of
# which may take argocd.timeout, by default USUAL_TIMEOUT seconds.
GRACE_BEFORE = 240.0
USUAL_TIMEOUT = 90.0


def is_alive(record: Record, app: Application, now: float) -> bool:
    """Whether the run that left a record may be alive; `now` is Argo CD's time, as in the record. Pure.

    A record is dead if its time has passed, if its operation ended a while ago or never began, or if none of
    its topics stands in the spec. While its operation runs, a process may follow it, whatever the spec says.
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


async def is_alive_or_testing(
    client: Client, app: ApplicationName, record: Record, seen: Application
) -> bool:
    """Whether the run is alive by its record, or its tests still run in the cluster.

    Argo CD can take a test for ended that is not, such as a suspended Job: its run waits for it long after
    the operation ended. Raises ArgoCDFailed, AccessDenied.
    """
    now = client.clock.now()
    if is_alive(record, seen, now):
        return True
    state = seen.status.operation_state
    if state is None or not may_be_testing(record, seen, now):
        return False
    tree = await client.tree(app)
    tests = [key_of_listed(h) for h in operation.hooks(state) if h.kind in RUNNING]
    found = [node for key in tests if (node := find_node(tree, key)) is not None]
    # A Job that was suspended and resumed is Healthy while it runs (seen in 3.6); its pods are not.
    return any(not node.ended for node in [*found, *tree.pods_under({node.uid for node in found})])


def may_be_testing(record: Record, app: Application, now: float) -> bool:
    """Whether only the end of its operation, a while ago, makes a record look dead."""
    return now < record.until and app.ended_at(record.run) is not None and stands(app.spec, record)


def begins_within(timeout: float) -> float:
    """Seconds within which a run's operation begins, given argocd.timeout; 0 for the usual time."""
    return GRACE_BEFORE * timeout / USUAL_TIMEOUT if timeout > USUAL_TIMEOUT else 0.0


def abandoned_operation(record: Record, app: Application, now: float) -> str:
    """The id of a dead run's operation that still runs, empty if there is none.

    A run ends its operation before the time in its record: if one runs later, its run was killed. An
    operation without the record's run id belongs to somebody else.
    """
    running = app.running
    return running.run_id if now >= record.until and running is not None and running.run == record.run else ""
