"""A run's hold on an Application: waited for, taken, checked, and given back.

PATCH is no lock: Argo CD writes the spec wholesale, and the last writer wins within about 0.1 s. So a claim
is a value *and* a record of it, read back after that time; and what a sync really took is only known from
the source that its operation captured.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime
from collections.abc import Callable, Sequence

import msgspec

from argorun.argocd import autosync, operation, parameters, records
from argorun.argocd.answers import Nonsense, Refused, Unreachable
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.parameters import Record, Setting
from argorun.argocd.patience import Patience
from argorun.argocd.types import SETTLE, Application, Json, Operation, ResourceStatus
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed

SETTLED_IN_TIME = 0.3  # seconds after which a concurrent PATCH shows: about 0.1 s was seen
BUSY_POLL = 5.0
# Seconds for which Synced is waited for: Argo CD's view of the cluster lags behind. Other things, one to be
# pruned say, may keep it from it; not so where it was Synced before.
LAGS, LAGS_FOR_SURE = 2.0, 10.0
LAST_LOOK = 5.0  # seconds


class Lost(Exception):
    """Someone else's change won over ours."""


class Reverted(Lost):
    """Our change was undone, and no run has left its record: an owner of the spec, most likely."""


def outrun(error: ArgoCDFailed) -> bool:
    """Whether a patch was refused because others were writing: its `test` failed, or no write got through.

    (Source: Argo CD's server/application/application.go, Patch and updateApp.) Others are faults on the way.
    """
    text = error.text if isinstance(error, Refused) and error.status == 500 else ""
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
        notice: Callable[[str], None],
        topics: Sequence[str] = (),
        pinned: bool = False,
    ) -> None:
        self._client, self._app, self.run_id = client, app, run_id
        self._settings, self._topics, self._pinned = tuple(settings), tuple(topics), pinned
        self._waiting, self._notice = waiting, notice
        self.record: Record | None = None
        self.before: Application | None = None  # as it was before us, and before what a dead run left
        self._claimed_spec: Json = {}
        self._gone: Record | None = None  # what it was, once it is given back
        self._settling = ""  # the run id of the settling operation that was started on purpose
        self._settles_at: str | None = None  # its revision
        self._given_back = False  # but for the record, which stays until `release`
        self._kept: Record | None = None  # that record

    # -- there --------------------------------------------------------------------------------------

    async def free(self) -> Application:
        """Wait until no operation runs and no live record stands; `take` carries a dead one's original on.

        What a dead run still has running is ended first. The caller bounds the wait. Raises ArgoCDFailed,
        AccessDenied.
        """
        while True:
            seen = await self._client.application(self._app)
            record = parameters.record_of(seen)
            if record is not None and (left := records.abandoned(record, seen, self._client.clock.now())):
                self._notice(f"run {record.run} is dead and left its operation running; it is ended")
                await operation.end(self._client, self._app, left)
                continue
            reason = self._held(seen)
            if reason is None:
                if record is not None and record.run != self.run_id:
                    self._notice(f"run {record.run} left its parameters behind; they are taken out")
                return seen
            self._waiting(reason)
            await self._change()

    async def _change(self) -> None:
        """Wait until the Application may have become free, or for a few seconds."""
        changes = operation.applications(self._client, self._app, poll=BUSY_POLL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_POLL), contextlib.aclosing(changes):
                async for _, seen in changes:
                    # The watch is trimmed to what tells whether somebody is at it.
                    if seen.running is None and parameters.RECORD not in (seen.metadata.annotations or {}):
                        break

    def _held(self, seen: Application) -> str | None:
        """Who is at the Application; None where nobody is."""
        if seen.running is not None:
            return operation.holder(seen)
        record = parameters.record_of(seen)
        if record is None or record.run == self.run_id:
            return None
        if records.live(record, seen, self._client.clock.now()):
            at = datetime.datetime.fromtimestamp(record.since, datetime.UTC).isoformat(timespec="seconds")
            started = f", started {at.replace('+00:00', 'Z')}" if record.since else ""
            return f"run {record.run}{started}, {'settling' if record.settling else 'about to sync'}"
        return None

    async def take(self, manifests: Sequence[Json], until: float) -> Application:
        """Put our values in, in one JSON patch with the record; gives back the Application as read back.

        Idempotent by what stands there, so a lost answer is looked after. Raises Lost where someone else
        was there first, UsageError where Argo CD cannot switch auto-sync off, ArgoCDFailed, AccessDenied.
        """
        patience = Patience(self._client.patience)
        failed: ArgoCDFailed | Lost | None = None
        while True:
            seen = await self._client.application(self._app)
            await self._see_auto_sync_off(seen)
            if seen.status.sync.status != "Synced" and not self._ours(seen):
                # It may have been synced or settled just now: whether we settle hangs on this.
                lately = records.synced_lately(seen, self._client.clock.now())
                lags = lately and self._held(seen) is None
                seen = await self._compared(LAGS if lags else 0.0)
            if self._ours(seen):
                break
            if failed is not None:
                raise failed
            if self._held(seen) is not None:
                raise self._lost(seen)
            before = records.undone(seen, parameters.record_of(seen))
            spec, record = parameters.claimed(
                before,
                self._settings,
                manifests,
                self.run_id,
                until,
                topics=self._topics,
                pinned=self._pinned,
                since=self._client.clock.now(),
            )
            self.before, self.record, self._claimed_spec = before, record, spec
            # One that is held up on its way finds everything as it was, once our values are back: only the
            # version never comes again.
            version = seen.metadata.resource_version
            unless_written: Json = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
            try:
                await self._client.patch(self._app, [unless_written, *parameters.changes(seen, spec, record)])
            except (Refused, Unreachable, Nonsense) as e:
                if isinstance(e, Refused) and e.status == 400:
                    raise OperationFailed(f"Argo CD does not accept the parameters: {e.text}") from None
                if getattr(e, "final", False):
                    raise
                if not patience.left:  # what was sent last is looked for once more
                    failed = Lost() if outrun(e) else e
                await asyncio.sleep(patience.pause(e))
        await asyncio.sleep(SETTLED_IN_TIME)
        seen = await self._client.application(self._app)
        await self._see_auto_sync_off(seen)
        if not self._ours(seen):
            raise self._lost(seen)
        return seen

    async def _see_auto_sync_off(self, seen: Application) -> None:
        """Give everything back, and raise UsageError, where Argo CD has dropped the switch of auto-sync."""
        record = parameters.record_of(seen)
        ours = record is not None and record.run == self.run_id and record.automated is not None
        if ours and autosync.was_dropped(seen):
            await self.let_go()
            raise autosync.refusal(self._app)

    def _lost(self, seen: Application) -> Lost:
        return Lost() if seen.running is not None or self.is_others(seen) else Reverted()

    def is_others(self, seen: Application) -> bool:
        """Whether the Application carries another run's record."""
        record = parameters.record_of(seen)
        return record is not None and record.run != self.run_id

    async def stands(self) -> bool:
        """Whether our values are still in. Raises ArgoCDFailed, AccessDenied."""
        return self._ours(await self._client.application(self._app))

    def _ours(self, seen: Application) -> bool:
        record = parameters.record_of(seen)
        return (
            record is not None
            and record.run == self.run_id
            and not record.settling
            and not (record.automated is not None and seen.is_auto_synced)
            and parameters.holds(seen.spec.get("source"), self._settings)
        )

    # -- and back -----------------------------------------------------------------------------------

    async def give_back(self, *, settling: bool, until: float) -> bool:
        """Put back what was there, where our values still stand; True where they did.

        With `settling`, the record stays (as such) until `release`. Raises ArgoCDFailed, AccessDenied.
        """
        if self.record is None:
            return False
        settling = settling or self.record.automated is not None
        keep = msgspec.structs.replace(self.record, until=int(until), settling=True)
        stood = await self._give_back(self.record, keep if settling else None)
        self._given_back, self._kept = True, keep
        if not settling:
            self._gone, self.record = self.record, None
        return stood

    async def let_go(self) -> None:
        """Put everything back, before the workloads saw any of it. Raises ArgoCDFailed, AccessDenied."""
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
        if not parameters.stands(seen.spec, self._gone):
            return True
        await self._give_back(self._gone, None, again=True)
        return False

    async def _give_back(self, record: Record, keep: Record | None, *, again: bool = False) -> bool:
        stood = False
        patience = Patience(self._client.patience)
        while True:
            seen = await self._client.application(self._app)
            stood = stood or parameters.stands(seen.spec, record)
            spec, goal = self._goal(seen, record, keep)
            patch = parameters.changes(seen, spec, goal)
            if not patch:
                return stood
            if again:
                self._notice(
                    f"somebody's change at the same moment brought run {record.run}'s parameters back; "
                    "they are taken out again"
                )
            try:
                await self._write(patch, record, keep)
                again = True
            except (Refused, Unreachable, Nonsense) as e:
                await patience.wait(e)

    def _goal(self, seen: Application, record: Record, keep: Record | None) -> tuple[Json, Record | None]:
        """The spec without what a record put in, and the record that is to stand beside it."""
        current = parameters.record_of(seen)
        mine = current is not None and current.run == record.run
        spec = parameters.restored(seen.spec, record)
        if keep is None and (mine or current is None):
            spec = parameters.with_automated(spec, record)
        # Another's record is not ours to remove, and the auto-sync that it keeps off not ours to switch on.
        return spec, keep if mine else current

    async def _write(self, patch: list[Json], record: Record, keep: Record | None) -> None:
        """Send the patch; where it does not pass validation (Git may be out of reach), write without any.

        The annotation goes with the spec by a PUT of the whole Application (source: Update in Argo CD's
        server/application/application.go honours validate=false).
        """
        try:
            await self._client.patch(self._app, patch, harmless_late=True)  # it tests our own record
        except Refused as e:
            if e.status != 400:
                raise
        else:
            return
        raw = copy.deepcopy(await self._client.raw(self._app))  # the 400 may have taken its time
        spec, goal = self._goal(msgspec.convert(raw, Application), record, keep)
        annotations = raw["metadata"].setdefault("annotations", {})
        if goal is None:
            annotations.pop(parameters.RECORD, None)
        else:
            annotations[parameters.RECORD] = msgspec.json.encode(goal).decode()
        try:
            await self._client.replace(self._app, raw | {"spec": spec})
        except Refused:
            if raw["spec"] == spec:
                raise  # only the annotation is left, and nothing else takes it away
            await self._client.replace_spec(self._app, spec)

    def way_back(self) -> list[Json]:
        """The JSON patch that puts everything back, for a person to send by hand."""
        return self._by_hand(self._claimed_spec)

    def way_out(self) -> list[Json]:
        """The JSON patch that does what is still to `release`, for a person to send by hand."""
        if self.before is None or self.record is None or not self._given_back:
            return []  # `way_back` does it all
        return self._by_hand(parameters.without_automated(self.before.spec, self.record))

    def _by_hand(self, spec: Json) -> list[Json]:
        """The JSON patch from this spec, with our record beside it, to what was there before us.

        It tests what it touches: sent late, it overwrites nobody's change.
        """
        if self.before is None or self.record is None:
            return []
        ours = msgspec.structs.replace(
            self.before,
            spec=spec,
            metadata=msgspec.structs.replace(
                self.before.metadata,
                annotations=(self.before.metadata.annotations or {})
                | {parameters.RECORD: msgspec.json.encode(self._kept or self.record).decode()},
            ),
        )
        return parameters.changes(ours, self.before.spec, None)

    async def release(self) -> None:
        """Switch auto-sync back as it was and take the record away. Raises ArgoCDFailed, AccessDenied."""
        if self.record is not None:
            await self._give_back(self.record, None)
            self._gone = self.record

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
        """Whether an operation or a record of ours stands there, but for the settling that we started."""
        record = parameters.record_of(seen)
        mine = record is not None and record.run == self.run_id
        running = seen.running or Operation()
        return mine or (running.run == self.run_id and running.run_id != self._settling)

    async def _undo(self, seen: Application) -> None:
        running, record = seen.running, parameters.record_of(seen)
        if running is not None and running.run == self.run_id:
            if running.settles:
                await self.settled(running.run_id)
            else:
                await operation.end(self._client, self._app, running.run_id)
        if record is not None and record.run == self.run_id:
            await self._give_back(record, None)

    # -- the workloads ------------------------------------------------------------------------------

    @property
    def was_synced(self) -> bool:
        """Whether the Application was Synced before runs came: it is to be so again."""
        return self.before is not None and self.before.status.sync.status == "Synced"

    async def out_of_sync(self) -> list[ResourceStatus]:
        """The resources that differ from Git by now, compared anew, and did not before runs came.

        What our operation has changed counts in any case: Argo CD's view of the cluster lags behind its end.
        Raises OperationFailed where Argo CD cannot compare them (Git is out of reach), ArgoCDFailed,
        AccessDenied.
        """
        before = {
            (r.group, r.kind, r.namespace, r.name)
            for r in (self.before.status.resources if self.before else None) or ()
            if r.status == "OutOfSync"
        }
        seen = await self._client.application(self._app, refresh="normal")
        if seen.status.sync.status not in ("Synced", "OutOfSync"):
            why = "; ".join(c.message for c in seen.status.conditions or () if c.type == "ComparisonError")
            raise OperationFailed(
                f"Argo CD cannot compare {self._app.name} with Git: {why or seen.status.sync.status}"
            )
        state = seen.status.operation_state
        ours = operation.changed(state) if state is not None and state.operation.run == self.run_id else set()

        def concerns_us(r: ResourceStatus) -> bool:
            key = (r.group, r.kind, r.namespace, r.name)
            return key in ours or (r.status == "OutOfSync" and key not in before)

        listed = seen.status.resources or ()
        return [r for r in listed if concerns_us(r) and not r.hook and not r.requires_pruning]

    async def settle(self, revision: str | None, resources: Sequence[ResourceStatus]) -> str | None:
        """Start a partial sync, without hooks, that takes these workloads off our values; its run id.

        None where there are none. Raises OperationFailed where another operation came first, ArgoCDFailed,
        AccessDenied.
        """
        if not resources:
            return None
        run_id = self.run_id + SETTLE
        request = operation.body(run_id, revision, resources)
        while True:
            try:
                await operation.start(self._client, self._app, run_id, request)
                self._settling, self._settles_at = run_id, revision
                return run_id
            except operation.Busy as e:
                if e.holder.run != self.run_id:
                    raise OperationFailed(f"the workloads could not be settled: {e} came first") from None
                await operation.end(self._client, self._app, e.holder.run_id)  # one of ours that came late

    async def settled(self, run_id: str, *, compared: bool = False) -> None:
        """Wait until the settling operation is over, and with `compared` until that shows as Synced.

        Argo CD's view of the cluster lags behind the end of an operation. Where an operation of ours that
        came late took its place, that is ended and the settling begun anew. Raises OperationFailed,
        ArgoCDFailed.
        """
        try:
            state = await operation.follow(self._client, self._app, run_id, lambda _: None)
        except operation.Overtaken as e:
            if e.by.run != self.run_id:
                raise
            await operation.end(self._client, self._app, e.by.run_id)
            again = await self.settle(self._settles_at, await self.out_of_sync())
            if again is not None:
                await self.settled(again, compared=compared)
            return
        if state.phase != "Succeeded":
            raise OperationFailed(f"settling ended {state.phase}: {state.message}")
        if compared:
            await self._compared(LAGS_FOR_SURE if self.was_synced else LAGS)

    async def _compared(self, patience: float) -> Application:
        """The Application compared anew with the cluster: until it is Synced, or for so many seconds."""
        until = asyncio.get_running_loop().time() + patience
        while True:
            seen = await self._client.application(self._app, refresh="normal")
            if seen.status.sync.status == "Synced" or asyncio.get_running_loop().time() >= until:
                return seen
            await asyncio.sleep(0.3)
