"""Gives an Application back as it was before the run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math

import msgspec

from argorun.argocd.claim import unvalidated
from argorun.argocd.claim.claim import Claim, HeldByAnother
from argorun.argocd.http.errors import (
    DEADLINE_EXCEEDED,
    ApiError,
    InvalidResponse,
    Slow,
    Unreachable,
    worth_retrying,
)
from argorun.argocd.http.retry import RetryBudget
from argorun.argocd.parameters import patch as parameters_patch
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.parameters.spec import is_automated, restored, stands, with_automated
from argorun.argocd.types import Application, Json
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed
from argorun.kinds import NoticeKind

LAST_LOOK = 5.0  # seconds


async def give_back(claim: Claim, *, settling: bool, until: float) -> bool:
    """Put back what was there before, if the run's values still stand; True if they did.

    With `settling`, the record stays, marked as settling, until `release`; `until` is the time in it, in
    seconds since the epoch. Raises HeldByAnother, ArgoCDFailed, AccessDenied.
    """
    if claim.record is None:
        return False
    settling = settling or claim.automated or claim.end_may_arrive_for() > 0
    kept = msgspec.structs.replace(claim.record, until=int(until), settling=True)
    stood = await put_back(claim, claim.record, kept if settling else None)
    claim.given_back, claim.kept, claim.stood = True, kept, stood
    if not settling:
        claim.released, claim.record = claim.record, None
    return stood


async def release(claim: Claim) -> float:
    """Switch auto-sync on again, if it was on, and take the record away.

    While an end of an operation that the run asked for may still arrive, the record stays and keeps other
    runs from beginning: returns for how many seconds, 0 if the record is gone. Raises HeldByAnother,
    ArgoCDFailed, AccessDenied.
    """
    if claim.record is None:
        return 0.0
    late = claim.end_may_arrive_for()
    if not late:
        await put_back(claim, claim.record, None)
        claim.released = claim.record
        return 0.0
    until = math.ceil(claim.client.clock.now() + late)
    claim.kept = msgspec.structs.replace(claim.record, until=until, settling=True, automated=None)
    await put_back(claim, claim.record, claim.kept)
    return late


async def let_go(claim: Claim) -> None:
    """Put everything back before any workload used it, unless another run holds the Application.

    Raises ArgoCDFailed, AccessDenied.
    """
    with contextlib.suppress(HeldByAnother):
        await release(claim)
    claim.record = None


async def verify(claim: Claim) -> bool:
    """Whether what was released is still back; if not, put it back once more, with a warning.

    PATCH is no lock: a change that somebody sent at the same moment may have brought the run's values back.
    An Application that cannot be read counts as unchanged. Raises ArgoCDFailed, AccessDenied.
    """
    if claim.released is None:
        return True
    try:
        async with asyncio.timeout(LAST_LOOK):
            seen = await claim.client.application(claim.app)
    except (TimeoutError, ArgoCDFailed, AccessDenied):
        return True
    if not stands(seen.spec, claim.released):
        return True
    await put_back(claim, claim.released, None, again=True)
    return False


async def put_back(claim: Claim, record: Record, keep: Record | None, *, again: bool = False) -> bool:
    """Take out what this record put in, until nothing of it stands; True if its values were seen.

    `keep` is the record that stays, None if none does. With `again`, it was all put back before. Raises
    HeldByAnother, ArgoCDFailed, AccessDenied.
    """
    stood = released = False
    budget = RetryBudget(claim.client.retry_for)
    while True:
        try:
            seen = await claim.check_held()
        except HeldByAnother:
            if released:  # the next run begins at once
                return stood
            raise
        stood = stood or stands(seen.spec, record)
        spec, goal = _goal(claim, seen, record, keep)
        patch = parameters_patch.changes(seen, spec, goal)
        if not patch:
            if keep is None and goal is None and not is_automated(seen.spec, record):
                text = f"auto-sync of {claim.app} was changed meanwhile; it stays as it is now"
                claim.warn(text, NoticeKind.CHANGED)
            return stood
        if again:
            claim.warn(
                f"somebody's change at the same moment brought run {record.run}'s parameters back; "
                "argorun removes them again",
                NoticeKind.CHANGED,
            )
        released = keep is None  # even if the answer is lost: no other run begins while the record stands
        try:
            await _write(claim, patch, record, keep)
            again = True
        except (ApiError, Unreachable, InvalidResponse) as e:
            released = released and bool(worth_retrying(e))
            await budget.wait(e)


def _goal(claim: Claim, seen: Application, record: Record, keep: Record | None) -> tuple[Json, Record | None]:
    """The spec without what the record put in, and the record that is to stand beside it."""
    current = record_of(seen)
    mine = current is not None and current.run == record.run
    spec = restored(seen.spec, record)
    # The switch was written together with the record and the values: without both, it is somebody else's.
    stood = claim.stood or stands(seen.spec, record)
    over = keep is None or keep.automated is None
    if over and (mine or (current is None and stood)):
        spec = with_automated(spec, record)
    # Another run's record stays, and so does auto-sync, which that run keeps off.
    return spec, keep if mine else current


async def _write(claim: Claim, patch: list[Json], record: Record, keep: Record | None) -> None:
    """Send the patch; if it does not pass validation, write without any (see `unvalidated`).

    Validation renders: it fails if Git cannot be reached, or if rendering takes too long.
    """
    try:
        # Arriving late it does no harm: it tests the run's own record.
        await claim.client.patch(claim.app, patch, harmless_late=True)
    except Slow:
        pass
    except ApiError as e:
        if e.status != 400 and e.code != DEADLINE_EXCEEDED:
            raise
    else:
        return

    def goal(seen: Application) -> tuple[Json, Record | None]:
        claim.check_holder(seen)
        return _goal(claim, seen, record, keep)

    try:
        await unvalidated.write(claim.client, claim.app, goal, claim.warn)
    except unvalidated.Overwritten as e:
        raise OperationFailed(
            f"an edit of {claim.app.name} at the same moment is lost: others keep writing it",
            f"the edit's spec: {json.dumps(e.edit.spec)}",
        ) from None
