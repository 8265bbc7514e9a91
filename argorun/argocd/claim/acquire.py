"""Waits until an Application is free, and takes it for a run.

PATCH is no lock: Argo CD writes the spec wholesale, and of two patches within about 0.1 s the last one wins
(docs/argocd-facts.md#patch-is-no-lock). So a claim is a value *and* a record of it, read back after that
time. Only the source that an operation captured shows what a sync really used
(docs/argocd-facts.md#the-captured-source).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import math
from collections.abc import Callable, Sequence

from argorun.argocd.claim import autosync, liveness, restore, sync_status
from argorun.argocd.claim.claim import Claim
from argorun.argocd.claim.original import original
from argorun.argocd.http.errors import ApiError, InvalidResponse, Slow, Unreachable
from argorun.argocd.http.retry import RetryBudget, WaitBudget
from argorun.argocd.parameters import patch as parameters_patch
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.parameters.spec import claimed
from argorun.argocd.sync import operation
from argorun.argocd.types import Application, Json
from argorun.argocd.types.messages import cause
from argorun.errors import ArgoCDFailed, OperationFailed, UsageError
from argorun.kinds import NoticeKind

CONFLICT_SHOWS = 0.3  # seconds after which a concurrent PATCH shows: about 0.1 s was seen
BUSY_POLL = 5.0
LATE_END = "an unanswered request to end an operation, which could still end this run's"


class Lost(Exception):
    """Somebody else's change won over this run's; the text names whose, if that is known."""


class Reverted(Lost):
    """The change was undone and no run left its record: most likely by an owner of the spec."""


# -- wait until it is free -------------------------------------------------------------------------------


async def wait_until_free(
    claim: Claim, waiting: Callable[[str], None], busy: WaitBudget | None = None
) -> Application:
    """Wait until no operation runs and no live run's record stands; a dead run's record may.

    An operation that a dead run left running is ended. `waiting` is called with what is waited for; `busy`
    bounds the waiting for others, and nothing else. Raises TimeoutError once it is used up, ArgoCDFailed,
    AccessDenied.
    """
    client, busy = claim.client, busy or WaitBudget(math.inf)
    while True:
        seen = await client.application(claim.app)
        record = record_of(seen)
        if record is not None and (left := liveness.abandoned_operation(record, seen, client.clock.now())):
            text = f"run {record.run} is dead and left its operation running; argorun ends it"
            claim.warn(text, NoticeKind.KILLED_RUN)
            async with busy.spent():
                await operation.end(client, claim.app, left)
            continue
        reason = _holder(claim, seen)
        if reason is None and (record is None or not await _is_testing(claim, record, seen)):
            if not (late := claim.end_may_arrive_for()):
                return seen
            waiting(LATE_END)
            async with busy.spent():
                await asyncio.sleep(late)
            continue
        waiting(reason or f"run {record.run if record else ''}, whose tests still run")
        async with busy.spent():
            await _change(claim)


def _holder(claim: Claim, seen: Application) -> str | None:
    """The operation or the live run that holds the Application, in words; None if there is none."""
    if seen.running is not None:
        return operation.holder(seen)
    record = record_of(seen)
    if record is None or record.run == claim.run_id:
        return None
    if liveness.is_alive(record, seen, claim.client.clock.now()):
        at = datetime.datetime.fromtimestamp(record.since, datetime.UTC).isoformat(timespec="seconds")
        started = f", started {at.replace('+00:00', 'Z')}" if record.since else ""
        return f"run {record.run}{started}, {'settling' if record.settling else 'about to sync'}"
    return None


async def _is_testing(claim: Claim, record: Record, seen: Application) -> bool:
    return record.run != claim.run_id and await liveness.is_alive_or_testing(
        claim.client, claim.app, record, seen
    )


async def _change(claim: Claim) -> None:
    """Wait until the Application may have become free, or for a few seconds."""
    changes = operation.applications(claim.client, claim.app, poll=BUSY_POLL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BUSY_POLL), contextlib.aclosing(changes):
            async for _, seen in changes:
                # The watch shows only the fields that say whether somebody holds it.
                if seen.running is None and RECORD not in (seen.metadata.annotations or {}):
                    break


# -- take it ---------------------------------------------------------------------------------------------


async def take(claim: Claim, manifests: Sequence[Json], until: float) -> Application:
    """Put the run's values in, in one JSON patch with the record; return the Application as read back.

    `manifests` is what the source renders to without the values, `until` the time in the record, in seconds
    since the epoch. After a lost answer the Application is read to see whether it took. Raises Lost if
    somebody else was faster, UsageError if Argo CD cannot switch auto-sync off or accepts no such values,
    ArgoCDFailed, AccessDenied.
    """
    budget = RetryBudget(claim.client.retry_for)
    failed: ArgoCDFailed | Lost | None = None
    while True:
        seen = await _read(claim)
        if claim.stands(seen):
            break
        if failed is not None:
            raise failed
        if _holder(claim, seen) is not None:
            raise _lost(claim, seen)
        try:
            await _patch(claim, seen, manifests, until)
        except (ApiError, Unreachable, InvalidResponse) as e:
            if isinstance(e, ApiError) and e.status == 400:
                # If the source renders without the values and not with them, Git is not the cause.
                kind = UsageError if manifests else OperationFailed
                raise kind(f"Argo CD does not accept the parameters: {cause(e.text)}") from None
            slow = isinstance(e, Slow)  # the patch may have been applied
            if getattr(e, "final", False) and not slow:
                raise
            if slow or not budget.left:  # look once more for the last patch
                failed = Lost() if outrun(e) else e
            await asyncio.sleep(budget.pause(e))
    await asyncio.sleep(CONFLICT_SHOWS)
    seen = await claim.client.application(claim.app)
    await _check_auto_sync_is_off(claim, seen)
    if not claim.stands(seen):
        raise _lost(claim, seen)
    return seen


async def _read(claim: Claim) -> Application:
    """The Application, with a sync status that can be relied on: whether the run settles depends on it."""
    seen = await claim.client.application(claim.app)
    await _check_auto_sync_is_off(claim, seen)
    if seen.status.sync.status == "Synced" or claim.stands(seen):
        return seen
    lately = sync_status.synced_lately(seen, claim.client.clock.now())  # by a sync or a settling
    behind = lately and _holder(claim, seen) is None
    return await sync_status.until_synced(claim.client, claim.app, sync_status.WAIT if behind else 0.0)


async def _patch(claim: Claim, seen: Application, manifests: Sequence[Json], until: float) -> None:
    """Send the values and the record, for the Application as it was seen."""
    client = claim.client
    before = original(seen, record_of(seen))
    spec, record = claimed(
        before,
        claim.settings,
        manifests,
        claim.run_id,
        until,
        topics=claim.topics,
        pinned=claim.pinned,
        since=client.clock.now(),
        begins_within=liveness.begins_within(client.rendering.seconds),
    )
    claim.before, claim.record, claim.claimed_spec = before, record, spec
    # A patch that arrives late, once the original values are back, would find them all as it expects: only
    # the version never comes again (docs/argocd-facts.md#patch-validates).
    version = seen.metadata.resource_version
    unless_written: Json = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    await client.patch(claim.app, [unless_written, *parameters_patch.changes(seen, spec, record)])


def outrun(error: ArgoCDFailed) -> bool:
    """Whether a patch was refused because others were writing: its `test` failed, or no write got through.

    Source: Argo CD's server/application/application.go, Patch and updateApp
    (docs/argocd-facts.md#patch-an-application).
    """
    text = error.text if isinstance(error, ApiError) and error.status == 500 else ""
    return "test failed" in text or "Too many conflicts" in text


async def _check_auto_sync_is_off(claim: Claim, seen: Application) -> None:
    """Give everything back, and raise UsageError, if Argo CD dropped the switch of auto-sync."""
    record = record_of(seen)
    ours = record is not None and record.run == claim.run_id and record.automated is not None
    if ours and autosync.was_dropped(seen):
        await restore.let_go(claim)
        raise autosync.refusal(claim.app)


def _lost(claim: Claim, seen: Application) -> Lost:
    rival = operation.holder(seen) if seen.running is not None else claim.rival(seen)
    return Lost(rival) if rival else Reverted()
