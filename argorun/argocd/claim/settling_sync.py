"""The sync without hooks that takes the workloads off a run's values."""

from __future__ import annotations

from collections.abc import Sequence

from argorun.argocd.claim import sync_status
from argorun.argocd.claim.claim import Claim, SettlingSync
from argorun.argocd.http.errors import Denied
from argorun.argocd.sync import operation
from argorun.argocd.types import SETTLE, OperationState, ResourceStatus
from argorun.errors import OperationFailed


async def unchanged_resource(claim: Claim) -> list[ResourceStatus]:
    """One resource that a sync leaves as it is; none if the Application has no resources.

    Argo CD's auto-sync compares the spec with the *last* operation's source (source: alreadyAttemptedSync in
    controller/appcontroller.go; docs/argocd-facts.md#auto-sync): an operation with the former parameters must
    come before it is switched on.
    Raises OperationFailed if a sync would change every resource, ArgoCDFailed, AccessDenied.
    """
    seen = await claim.client.application(claim.app, refresh="normal")
    there = [r for r in seen.status.resources or () if not r.hook]
    synced = [r for r in there if r.status == "Synced"]
    if there and not synced:
        raise OperationFailed(
            f"no resource of {claim.app.name} is Synced: the sync that goes before switching auto-sync on "
            "would change one"
        )
    return synced[:1]


async def start(
    claim: Claim, revision: str | None, resources: Sequence[ResourceStatus], *, prune: bool = False
) -> str | None:
    """Start a partial sync, without hooks, of these resources; return its run id, None if there are none.

    A partial sync runs no hooks (docs/argocd-facts.md#partial-syncs). With `prune`, those that Git does not
    have are deleted. Some accounts may name no commit (source: Argo CD's setting
    application.sync.requireOverridePrivilegeForRevisionSync, 3.3): then the Application's own is synced if it
    is the same. Raises OperationFailed if another operation came first, HeldByAnother, ArgoCDFailed,
    AccessDenied.
    """
    if not resources:
        return None
    run_id = claim.run_id + SETTLE
    asked = revision
    while True:
        seen = await claim.check_held()
        options = operation.settling_options(seen.spec)
        request = operation.body(run_id, asked, resources, prune=prune, options=options)
        try:
            await operation.start(claim.client, claim.app, run_id, request)
        except Denied:
            if asked is None or asked != seen.status.sync.revision:
                raise
            asked = None
        except operation.Busy as e:
            if e.holder.run != claim.run_id:
                raise OperationFailed(f"the workloads could not be settled: {e} came first") from None
            # One of this run's operations that started late.
            await operation.end(claim.client, claim.app, e.holder.run_id)
        else:
            claim.settling = SettlingSync(run_id, revision, tuple(resources), prune)
            return run_id


async def finish(claim: Claim, run_id: str, *, compared: bool = False) -> OperationState:
    """Wait until the settling sync is over, and with `compared` until the Application shows as Synced.

    Argo CD's view of the cluster lags behind the end of an operation
    (docs/argocd-facts.md#a-comparison-lags). If one of this run's operations that started late took its
    place, that one is ended and the settling sync is started anew. Raises OperationFailed, ArgoCDFailed,
    AccessDenied.
    """
    client, app = claim.client, claim.app
    try:
        state = await operation.follow(client, app, run_id, lambda _: None)
    except operation.Overtaken as e:
        if e.by.run != claim.run_id:
            raise
        await operation.end(client, app, e.by.run_id)
        assert claim.settling is not None
        asked = claim.settling
        again = await start(claim, asked.revision, asked.resources, prune=asked.prune)
        assert again is not None
        return await finish(claim, again, compared=compared)
    if state.phase != "Succeeded":
        raise OperationFailed(f"the settling sync ended {state.phase}: {state.message}")
    if compared:
        seconds = sync_status.WAIT_IF_IT_WAS_SYNCED if claim.was_synced else sync_status.WAIT
        await sync_status.until_synced(client, app, seconds)
    return state
