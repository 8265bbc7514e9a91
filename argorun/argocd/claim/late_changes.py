"""Undoes requests of a run that took effect late, after they went unanswered."""

from __future__ import annotations

import asyncio
import contextlib

from argorun.argocd.claim import restore, settling_sync
from argorun.argocd.claim.claim import Claim
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.sync import operation
from argorun.argocd.types import Application, Operation

POLL = 5.0  # seconds between reads beside the watch


async def undo(claim: Claim, until: float) -> bool:
    """Undo what takes effect until loop time `until`; True if anything did.

    Call it once everything else is undone. Raises ArgoCDFailed, AccessDenied.
    """
    undone = False
    while True:
        seen = await claim.client.application(claim.app)
        if _shows(claim, seen):
            await _undo(claim, seen)
            undone = True
            continue
        if asyncio.get_running_loop().time() >= until:
            return undone
        changes = operation.applications(claim.client, claim.app, poll=POLL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until), contextlib.aclosing(changes):
                async for _, change in changes:
                    if _shows(claim, change):
                        break


def _shows(claim: Claim, seen: Application) -> bool:
    """Whether a record or an operation of this run stands there, other than those left on purpose.

    Those are the settling sync that was started, and the record that stays until it is released.
    """
    record = record_of(seen)
    if record is not None and _is_late(claim, record):
        return True
    running = seen.running or Operation()
    on_purpose = claim.settling is not None and running.run_id == claim.settling.run_id
    return running.run == claim.run_id and not on_purpose


def _is_late(claim: Claim, record: Record) -> bool:
    """Whether a record is this run's, and not the one that stays on purpose until it is released."""
    return record.run == claim.run_id and not (record.settling and claim.released is None)


async def _undo(claim: Claim, seen: Application) -> None:
    running, record = seen.running, record_of(seen)
    if running is not None and running.run == claim.run_id:
        if running.settles:
            await settling_sync.finish(claim, running.run_id)
        else:
            await operation.end(claim.client, claim.app, running.run_id)
    if record is not None and _is_late(claim, record):
        # Before the release, auto-sync stays off: what it would sync has not settled.
        await restore.put_back(claim, record, None if claim.released is not None else claim.kept)
