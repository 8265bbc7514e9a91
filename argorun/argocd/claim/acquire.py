"""A run's hold on an Application: waited for, taken, checked, and given back.

PATCH is no lock: Argo CD writes the spec wholesale, and the last writer wins within about 0.1 s. So a claim
is a value *and* a record of it, read back after that time; and what a sync really took is only known from
the source that its operation captured.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import math
from collections.abc import Callable, Sequence

import msgspec

from argorun.argocd.claim import autosync, liveness, records, unvalidated
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import (
    DEADLINE_EXCEEDED,
    ApiError,
    Denied,
    InvalidResponse,
    Slow,
    Unreachable,
    worth_retrying,
)
from argorun.argocd.http.retry import RetryBudget, WaitBudget
from argorun.argocd.parameters import patch as parameters_patch
from argorun.argocd.parameters import spec as parameters_spec
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.parameters.spec import (
    claimed,
    holds,
    is_automated,
    restored,
    with_automated,
    without_automated,
)
from argorun.argocd.sync import operation
from argorun.argocd.types import SETTLE, Application, Json, Operation, OperationState, ResourceStatus
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed, UsageError

SETTLED_IN_TIME = 0.3  # seconds after which a concurrent PATCH shows: about 0.1 s was seen
BUSY_POLL = 5.0
# Seconds for which Synced is waited for: Argo CD's view of the cluster lags behind. Other things, one to be
# pruned say, may keep it from it; not so where it was Synced before.
LAGS, LAGS_FOR_SURE = 2.0, 10.0
LAST_LOOK = 5.0  # seconds


class Lost(Exception):
    """Someone else's change won over ours; its text is who that is, where it is known."""


class Reverted(Lost):
    """Our change was undone, and no run has left its record: an owner of the spec, most likely."""


class Taken(OperationFailed):
    """Another run holds the Application by now: nothing of it is ours to change.

    `stands`: our values were seen in it all the same.
    """

    def __init__(self, app: ApplicationName, holder: Record, *, stands: bool) -> None:
        super().__init__(f"{app.name} is held by run {holder.run} by now; nothing is changed")
        self.stands = stands


def outrun(error: ArgoCDFailed) -> bool:
    """Whether a patch was refused because others were writing: its `test` failed, or no write got through.

    (Source: Argo CD's server/application/application.go, Patch and updateApp.) Others are faults on the way.
    """
    text = error.text if isinstance(error, ApiError) and error.status == 500 else ""
    return "test failed" in text or "Too many conflicts" in text


class Claim:
    """Our values in one Application's parameters. `waiting` is told for whom we wait.

    `topics` are those of our values that are topics' names; `pinned`: the run syncs another commit than the
    Application's own.
    """

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        run_id: str,
        settings: Sequence[Setting],
        *,
        waiting: Callable[[str], None],
        warn: Callable[[str], None],
        topics: Sequence[str] = (),
        pinned: bool = False,
    ) -> None:
        self._client, self._app, self.run_id = client, app, run_id
        self._settings, self._topics, self._pinned = tuple(settings), tuple(topics), pinned
        self._waiting, self._warn = waiting, warn
        self.record: Record | None = None
        self.taken = (
            False  # another run was seen to hold the Application: there is nothing for a person to do
        )
        self.before: Application | None = None  # as it was before us, and before what a dead run left
        self._claimed_spec: Json = {}
        self._gone: Record | None = None  # what it was, once it is given back
        self._settling = ""  # the run id of the settling operation that was started on purpose
        # What it is about: its revision, its resources, and whether it prunes.
        self._settles: tuple[str | None, tuple[ResourceStatus, ...], bool] = (None, (), False)
        self._given_back = False  # but for the record, which stays until `release`
        self._kept: Record | None = None  # that record
        self._stood = False  # our values, until we gave them back

    # -- there --------------------------------------------------------------------------------------

    async def free(self, busy: WaitBudget | None = None) -> Application:
        """Wait until no operation runs and no live record stands; a dead run's may.

        What a dead run still has running is ended first. `busy` bounds the waiting for others, and nothing
        but that. Raises TimeoutError where it is over, ArgoCDFailed, AccessDenied.
        """
        busy = busy or WaitBudget(math.inf)
        while True:
            seen = await self._client.application(self._app)
            record = record_of(seen)
            if record is not None and (left := records.abandoned(record, seen, self._client.clock.now())):
                self._warn(f"run {record.run} is dead and left its operation running; it is ended")
                async with busy.spent():
                    await operation.end(self._client, self._app, left)
                continue
            reason = self._held(seen)
            if reason is None and (record is None or not await self._waits_for_its_tests(record, seen)):
                if not (late := self.end_may_arrive_for()):
                    return seen
                self._waiting(
                    "a request to end an operation that was never answered: it would end this run's"
                )
                async with busy.spent():
                    await asyncio.sleep(late)
                continue
            self._waiting(reason or f"run {record.run if record else ''}, whose tests still run")
            async with busy.spent():
                await self._change()

    async def _change(self) -> None:
        """Wait until the Application may have become free, or for a few seconds."""
        changes = operation.applications(self._client, self._app, poll=BUSY_POLL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_POLL), contextlib.aclosing(changes):
                async for _, seen in changes:
                    # The watch is trimmed to what tells whether somebody is at it.
                    if seen.running is None and RECORD not in (seen.metadata.annotations or {}):
                        break

    def _held(self, seen: Application) -> str | None:
        """Who is at the Application; None where nobody is."""
        if seen.running is not None:
            return operation.holder(seen)
        record = record_of(seen)
        if record is None or record.run == self.run_id:
            return None
        if records.live(record, seen, self._client.clock.now()):
            at = datetime.datetime.fromtimestamp(record.since, datetime.UTC).isoformat(timespec="seconds")
            started = f", started {at.replace('+00:00', 'Z')}" if record.since else ""
            return f"run {record.run}{started}, {'settling' if record.settling else 'about to sync'}"
        return None

    async def _waits_for_its_tests(self, record: Record, seen: Application) -> bool:
        return record.run != self.run_id and await liveness.is_live(self._client, self._app, record, seen)

    async def take(self, manifests: Sequence[Json], until: float) -> Application:
        """Put our values in, in one JSON patch with the record; gives back the Application as read back.

        Idempotent by what stands there, so a lost answer is looked after. Raises Lost where someone else
        was there first, UsageError where Argo CD cannot switch auto-sync off or takes no such values,
        ArgoCDFailed, AccessDenied.
        """
        patience = RetryBudget(self._client.retry_for)
        failed: ArgoCDFailed | Lost | None = None
        while True:
            seen = await self._client.application(self._app)
            await self._see_auto_sync_off(seen)
            if seen.status.sync.status != "Synced" and not self.stands(seen):
                # It may have been synced or settled just now: whether we settle hangs on this.
                lately = records.synced_lately(seen, self._client.clock.now())
                lags = lately and self._held(seen) is None
                seen = await self._compared(LAGS if lags else 0.0)
            if self.stands(seen):
                break
            if failed is not None:
                raise failed
            if self._held(seen) is not None:
                raise self._lost(seen)
            before = records.undone(seen, record_of(seen))
            spec, record = claimed(
                before,
                self._settings,
                manifests,
                self.run_id,
                until,
                topics=self._topics,
                pinned=self._pinned,
                since=self._client.clock.now(),
                begins_within=records.begins_within(self._client.rendering.seconds),
            )
            self.before, self.record, self._claimed_spec = before, record, spec
            # One that is held up on its way finds everything as it was, once our values are back: only the
            # version never comes again.
            version = seen.metadata.resource_version
            unless_written: Json = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
            try:
                await self._client.patch(
                    self._app, [unless_written, *parameters_patch.changes(seen, spec, record)]
                )
            except (ApiError, Unreachable, InvalidResponse) as e:
                if isinstance(e, ApiError) and e.status == 400:
                    # What renders without our values and not with them is no fault of Git's.
                    kind = UsageError if manifests else OperationFailed
                    raise kind(f"Argo CD does not accept the parameters: {e.text}") from None
                slow = isinstance(e, Slow)  # it may have been done all the same
                if getattr(e, "final", False) and not slow:
                    raise
                if slow or not patience.left:  # what was sent last is looked for once more
                    failed = Lost() if outrun(e) else e
                await asyncio.sleep(patience.pause(e))
        await asyncio.sleep(SETTLED_IN_TIME)
        seen = await self._client.application(self._app)
        await self._see_auto_sync_off(seen)
        if not self.stands(seen):
            raise self._lost(seen)
        return seen

    async def _see_auto_sync_off(self, seen: Application) -> None:
        """Give everything back, and raise UsageError, where Argo CD has dropped the switch of auto-sync."""
        record = record_of(seen)
        ours = record is not None and record.run == self.run_id and record.automated is not None
        if ours and autosync.was_dropped(seen):
            await self.let_go()
            raise autosync.refusal(self._app)

    def _lost(self, seen: Application) -> Lost:
        rival = operation.holder(seen) if seen.running is not None else self.rival(seen)
        return Lost(rival) if rival else Reverted()

    def rival(self, seen: Application) -> str:
        """The other run whose record the Application carries, in words; empty where there is none."""
        record = record_of(seen)
        return f"run {record.run}" if record is not None and record.run != self.run_id else ""

    async def check_held(self) -> Application:
        """The Application; raises Taken where another run holds it, ArgoCDFailed, AccessDenied."""
        seen = await self._client.application(self._app)
        self._check_held(seen)
        return seen

    def _check_held(self, seen: Application) -> None:
        record = record_of(seen)
        if record is not None and record.run != self.run_id:
            self.taken = True
            stands = self.record is not None and parameters_spec.stands(seen.spec, self.record)
            raise Taken(self._app, record, stands=stands)

    def stands(self, seen: Application) -> bool:
        """Whether our values are still in, with our record beside them."""
        record = record_of(seen)
        return (
            record is not None
            and record.run == self.run_id
            and not record.settling
            and not (record.automated is not None and seen.is_auto_synced)
            and holds(seen.spec.get("source"), self._settings)
        )

    # -- and back -----------------------------------------------------------------------------------

    async def give_back(self, *, settling: bool, until: float) -> bool:
        """Put back what was there, where our values still stand; True where they did.

        With `settling`, the record stays (as such) until `release`. Raises ArgoCDFailed, AccessDenied.
        """
        if self.record is None:
            return False
        settling = settling or self.record.automated is not None or self.end_may_arrive_for() > 0
        keep = msgspec.structs.replace(self.record, until=int(until), settling=True)
        stood = await self._give_back(self.record, keep if settling else None)
        self._given_back, self._kept, self._stood = True, keep, stood
        if not settling:
            self._gone, self.record = self.record, None
        return stood

    async def let_go(self) -> None:
        """Put everything back, before the workloads saw any of it; nothing where another run holds it.

        Raises ArgoCDFailed, AccessDenied.
        """
        with contextlib.suppress(Taken):
            await self.release()
        self.record = None

    async def stays(self) -> bool:
        """Whether what was given back still stands so; where not, give it back again, and say so.

        PATCH is no lock: a change that somebody sent at the same moment may have brought our values back.
        Where Argo CD does not answer, nothing says that it has. Raises ArgoCDFailed, AccessDenied.
        """
        if self._gone is None:
            return True
        try:
            async with asyncio.timeout(LAST_LOOK):
                seen = await self._client.application(self._app)
        except (TimeoutError, ArgoCDFailed, AccessDenied):
            return True
        if not parameters_spec.stands(seen.spec, self._gone):
            return True
        await self._give_back(self._gone, None, again=True)
        return False

    async def _give_back(self, record: Record, keep: Record | None, *, again: bool = False) -> bool:
        stood = released = False
        patience = RetryBudget(self._client.retry_for)
        while True:
            try:
                seen = await self.check_held()
            except Taken:
                if released:  # the next run begins at once
                    return stood
                raise
            stood = stood or parameters_spec.stands(seen.spec, record)
            spec, goal = self._goal(seen, record, keep)
            patch = parameters_patch.changes(seen, spec, goal)
            if not patch:
                if keep is None and goal is None and not is_automated(seen.spec, record):
                    self._warn(f"auto-sync of {self._app} was changed meanwhile; it stays as it is now")
                return stood
            if again:
                self._warn(
                    f"somebody's change at the same moment brought run {record.run}'s parameters back; "
                    "they are taken out again"
                )
            released = keep is None  # also where the answer is lost: no other begins while our record stands
            try:
                await self._write(patch, record, keep)
                again = True
            except (ApiError, Unreachable, InvalidResponse) as e:
                released = released and bool(worth_retrying(e))
                await patience.wait(e)

    def _goal(self, seen: Application, record: Record, keep: Record | None) -> tuple[Json, Record | None]:
        """The spec without what a record put in, and the record that is to stand beside it."""
        current = record_of(seen)
        mine = current is not None and current.run == record.run
        spec = restored(seen.spec, record)
        # The switch went there in one write with the record and the values: without both, it is another's.
        stood = self._stood or parameters_spec.stands(seen.spec, record)
        over = keep is None or keep.automated is None
        if over and (mine or (current is None and stood)):
            spec = with_automated(spec, record)
        # Another's record is not ours to remove, and the auto-sync that it keeps off not ours to switch on.
        return spec, keep if mine else current

    async def _write(self, patch: list[Json], record: Record, keep: Record | None) -> None:
        """Send the patch; where it does not pass validation (Git may be out of reach, rendering may take too
        long), write without any.

        See argorun.argocd.claim.unvalidated.
        """
        try:
            await self._client.patch(self._app, patch, harmless_late=True)  # it tests our own record
        except Slow:
            pass
        except ApiError as e:
            if e.status != 400 and e.code != DEADLINE_EXCEEDED:
                raise
        else:
            return

        def goal(seen: Application) -> tuple[Json, Record | None]:
            self._check_held(seen)
            return self._goal(seen, record, keep)

        try:
            await unvalidated.write(self._client, self._app, goal, self._warn)
        except unvalidated.Overwritten as e:
            raise OperationFailed(
                f"an edit of {self._app.name} at the same moment is lost: others write it time and again",
                f"the edit's spec: {json.dumps(e.edit.spec)}",
            ) from None

    def way_back(self) -> list[Json]:
        """The JSON patch that puts everything back, for a person to send by hand."""
        return self._by_hand(self._claimed_spec)

    def way_out(self) -> list[Json]:
        """The JSON patch that does what is still to `release`, for a person to send by hand."""
        if self.before is None or self.record is None or not self._given_back or self._gone is not None:
            return []  # `way_back` does it all, or it is done
        return self._by_hand(without_automated(self.before.spec, self._kept or self.record))

    def _by_hand(self, spec: Json) -> list[Json]:
        """The JSON patch from this spec, with our record beside it, to what was there before us.

        It tests what it touches: sent late, it overwrites nobody's change.
        """
        if self.before is None or self.record is None or self.taken:
            return []
        ours = msgspec.structs.replace(
            self.before,
            spec=spec,
            metadata=msgspec.structs.replace(
                self.before.metadata,
                annotations=(self.before.metadata.annotations or {})
                | {RECORD: msgspec.json.encode(self._kept or self.record).decode()},
            ),
        )
        return parameters_patch.changes(ours, self.before.spec, None)

    async def release(self) -> float:
        """Switch auto-sync back as it was and take the record away. Raises ArgoCDFailed, AccessDenied.

        While an end of an operation that we asked for may still arrive, the record stays, and is believed for
        so long, that no other run begins: gives back these seconds, 0 where the record is gone.
        """
        if self.record is None:
            return 0.0
        late = self.end_may_arrive_for()
        if not late:
            await self._give_back(self.record, None)
            self._gone = self.record
            return 0.0
        until = math.ceil(self._client.clock.now() + late)
        self._kept = msgspec.structs.replace(self.record, until=until, settling=True, automated=None)
        await self._give_back(self.record, self._kept)
        return late

    def end_may_arrive_for(self) -> float:
        """Seconds for which a DELETE of an operation that was never answered may end what runs then; or 0.

        It names no operation.
        """
        until = self._client.late_terminate_until()
        return 0.0 if until is None else max(0.0, until - asyncio.get_running_loop().time())

    # -- what comes late ----------------------------------------------------------------------------

    async def undo_late(self, until: float) -> bool:
        """Undo what takes effect until loop time `until` of what was never answered; True if any did.

        To be called once all is undone. Raises ArgoCDFailed, AccessDenied.
        """
        undone = False
        while True:
            seen = await self._client.application(self._app)
            if self._came(seen):
                await self._undo(seen)
                undone = True
                continue
            if asyncio.get_running_loop().time() >= until:
                return undone
            changes = operation.applications(self._client, self._app, poll=BUSY_POLL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until), contextlib.aclosing(changes):
                    async for _, change in changes:
                        if self._came(change):
                            break

    def _came(self, seen: Application) -> bool:
        """Whether an operation or a record of this run stands there, but for what we left on purpose.

        That is the settling that we started, and the record that stays until we let go.
        """
        record = record_of(seen)
        mine = record is not None and self._came_late(record)
        running = seen.running or Operation()
        return mine or (running.run == self.run_id and running.run_id != self._settling)

    def _came_late(self, record: Record) -> bool:
        """Whether a record is this run's, and not the one that stays on purpose: until it is let go."""
        return record.run == self.run_id and not (record.settling and self._gone is None)

    async def _undo(self, seen: Application) -> None:
        running, record = seen.running, record_of(seen)
        if running is not None and running.run == self.run_id:
            if running.settles:
                await self.settled(running.run_id)
            else:
                await operation.end(self._client, self._app, running.run_id)
        if record is not None and self._came_late(record):
            # Before it was let go, what auto-sync would sync now is not settled.
            await self._give_back(record, None if self._gone is not None else self._kept)

    # -- the workloads ------------------------------------------------------------------------------

    @property
    def was_synced(self) -> bool:
        """Whether the Application was Synced before runs came."""
        return self.before is not None and self.before.status.sync.status == "Synced"

    @property
    def automated(self) -> bool:
        """Whether auto-sync was on, and is to be so again."""
        return self.record is not None and self.record.automated is not None

    async def any_synced(self) -> list[ResourceStatus]:
        """One resource that a sync would leave as it is; none where the Application has none.

        Argo CD's auto-sync compares the spec with the *last* operation's source (source: alreadyAttemptedSync
        in controller/appcontroller.go): an operation with the former parameters must come before it is on.
        Raises OperationFailed where the Application has only resources that a sync would change.
        """
        seen = await self._client.application(self._app, refresh="normal")
        there = [r for r in seen.status.resources or () if not r.hook]
        synced = [r for r in there if r.status == "Synced"]
        if there and not synced:
            raise OperationFailed(
                f"no resource of {self._app.name} is Synced: a sync before auto-sync is on would change one"
            )
        return synced[:1]

    async def settle(
        self, revision: str | None, resources: Sequence[ResourceStatus], *, prune: bool = False
    ) -> str | None:
        """Start a partial sync, without hooks, that takes these workloads off our values; its run id.

        With `prune`, those among them that Git does not have are deleted. None where there are none. Some
        accounts may name no commit (source: Argo CD's setting
        application.sync.requireOverridePrivilegeForRevisionSync, 3.3): then the Application's own is synced,
        where it is the same. Raises OperationFailed where another operation came first, ArgoCDFailed,
        AccessDenied.
        """
        if not resources:
            return None
        run_id = self.run_id + SETTLE
        asked = revision
        while True:
            seen = await self.check_held()
            options = operation.settling_options(seen.spec)
            request = operation.body(run_id, asked, resources, prune=prune, options=options)
            try:
                await operation.start(self._client, self._app, run_id, request)
                self._settling, self._settles = run_id, (revision, tuple(resources), prune)
                return run_id
            except Denied:
                if asked is None or asked != seen.status.sync.revision:
                    raise
                asked = None
            except operation.Busy as e:
                if e.holder.run != self.run_id:
                    raise OperationFailed(f"the workloads could not be settled: {e} came first") from None
                await operation.end(
                    self._client, self._app, e.holder.run_id
                )  # one of this run's that came late

    async def settled(self, run_id: str, *, compared: bool = False) -> OperationState:
        """Wait until the settling operation is over, and with `compared` until that shows as Synced.

        Argo CD's view of the cluster lags behind the end of an operation. Where an operation of this run that
        came late took its place, that is ended and the settling begun anew. Raises OperationFailed,
        ArgoCDFailed.
        """
        try:
            state = await operation.follow(self._client, self._app, run_id, lambda _: None)
        except operation.Overtaken as e:
            if e.by.run != self.run_id:
                raise
            await operation.end(self._client, self._app, e.by.run_id)
            revision, resources, prune = self._settles
            again = await self.settle(revision, resources, prune=prune)
            assert again is not None
            return await self.settled(again, compared=compared)
        if state.phase != "Succeeded":
            raise OperationFailed(f"settling ended {state.phase}: {state.message}")
        if compared:
            await self._compared(LAGS_FOR_SURE if self.was_synced else LAGS)
        return state

    async def _compared(self, patience: float) -> Application:
        """The Application compared anew with the cluster: until it is Synced, or for so many seconds."""
        until = asyncio.get_running_loop().time() + patience
        while True:
            seen = await self._client.application(self._app, refresh="normal")
            if seen.status.sync.status == "Synced" or asyncio.get_running_loop().time() >= until:
                return seen
            await asyncio.sleep(0.3)
