"""The undos in the Application: its operation, its parameters, and what the sync changed."""

from __future__ import annotations

import asyncio
import time

from argorun import recovery
from argorun.argocd import normal_form
from argorun.argocd.claim import late_changes, restore, settling_sync
from argorun.argocd.claim.claim import Claim, HeldByAnother
from argorun.argocd.client import Client
from argorun.argocd.http.errors import Denied
from argorun.argocd.manifests.keys import Key, key_of_listed
from argorun.argocd.parameters.spec import stands, without_automated
from argorun.argocd.settle.remains import LIVES_ON, Remains
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.sync import operation
from argorun.argocd.types import Application
from argorun.config.model import Config
from argorun.emit import Emitter
from argorun.errors import OperationFailed
from argorun.events import SettlingContinues
from argorun.kinds import NoticeKind, Subject
from argorun.run.state import RunState
from argorun.run.undo.stack import Act, UndoStack

LEAVES = 20.0  # seconds for which an object that is being deleted is waited for
RELEASE = 2.0  # seconds to release an Application whose settling took too long
HELD = 4.0  # seconds for which auto-sync stays off even in a hurry, while settling comes to its end


class ApplicationUndos:
    """What a run did in its Application, and how each of it is undone.

    Each act raises ArgoCDFailed, AccessDenied or OperationFailed where it cannot be done; the command beside
    it is what a person runs in its place.
    """

    def __init__(
        self, config: Config, client: Client, undo: UndoStack, state: RunState, emitter: Emitter
    ) -> None:
        self._config, self._app = config, config.application
        self._client, self._undo, self._state, self._emitter = client, undo, state, emitter
        self._others: list[str] = []  # of the spec, what somebody changed during the run
        self._left: set[Key] = set()  # objects that were emitted as left behind
        self._gone = False  # the Application was deleted
        self._named_what_lives_on = False
        self.settling_continues = False  # nobody waits for the end of the sync that settles the workloads
        self.put_back_at: float | None = None  # when what the pods read was put back

    # -- an Application that is deleted --------------------------------------------------------------

    async def is_gone(self) -> bool:
        """Whether the Application, which was there, is so no longer. Raises ArgoCDFailed, AccessDenied."""
        before = self._state.claim.before
        if not self._gone and before is not None:
            self._gone = await self._client.is_gone(self._app, before.project)
        return self._gone

    def unless_gone(self, act: Act, *, also_while_deleting: bool = False) -> Act:
        """The act, skipped if the Application is deleted: then nothing is left to undo in it.

        It is also skipped if another run took the Application before this run's sync and removed this run's
        values.
        """

        async def unless_gone() -> str | None:
            if self._state.deleting and not also_while_deleting:
                return None
            try:
                if not self._gone:
                    return await act()
            except Denied:
                if not await self.is_gone():
                    raise
            except HeldByAnother as e:
                if e.stands or self._state.posted:
                    raise
                return None
            self._leave_what_lives_on()
            return None

        return unless_gone

    def _leave_what_lives_on(self) -> None:
        """Emit the objects that outlive the deleted Application: only a person can remove them now."""
        if self._state.deleting or self._named_what_lives_on:
            return
        self._named_what_lives_on = True
        logs, changed = self._state.logs, self._changed
        for remains in changed.left_by_deletion() if changed is not None else ():
            self._leave_object(remains)
        for job in logs.jobs() if logs is not None else ():
            self._undo.leave(
                f"Job {job.name}",
                LIVES_ON,
                recovery.delete_job(job),
                Subject.RESOURCE,
                job.name,
                namespace=job.namespace,
                resource=key_of_listed(job).resource,
            )

    # -- the operation --------------------------------------------------------------------------------

    async def end_operation(self) -> str | None:
        """End the run's operation, and wait until it is over."""
        if self._state.logs is not None:
            await self._state.logs.close()
        await self._client.wait_for_in_flight()
        ended = await operation.end(self._client, self._app, self._state.operation, self._emitter.info)
        return "the run's operation ended" if ended else None

    def end_command(self) -> str:
        """Empty if no operation was started: one that runs is somebody else's."""
        return recovery.end_operation(self._app) if self._state.logs is not None else ""

    # -- the parameters -------------------------------------------------------------------------------

    async def restore(self) -> str | None:
        """Put back the parameters that still hold the run's values."""
        await self._client.wait_for_in_flight()
        until = self._client.clock.now() + self._config.timeouts.cleanup
        settles = self.to_settle is not None
        stood = await restore.give_back(self._state.claim, settling=settles, until=until)
        return "parameters put back" if stood else None

    def restore_command(self) -> str:
        return recovery.patch(self._app, self._state.claim.restoring_patch())

    async def restore_again(self) -> str | None:
        """Check once more at the end: a concurrent change may have brought the run's values back."""
        return None if await restore.verify(self._state.claim) else "parameters put back once more"

    # -- what the operation changed -------------------------------------------------------------------

    @property
    def _changed(self) -> Settlement | None:
        """What the run's operation may have changed; None where none was started."""
        return self._state.settlement if self._state.posted else None

    @property
    def to_settle(self) -> Settlement | None:
        """What the operation may have changed, where that is to go back; else None.

        With auto-sync on it always is: left on the run's values, it would be synced again, hooks and all.
        """
        record = self._state.claim.record
        if record is None or not (self._config.settle or record.automated is not None):
            return None
        return self._changed

    async def settle(self) -> str | None:
        """Take back what the operation changed, switch auto-sync on again, and remove the run's record."""
        claim, changed = self._state.claim, self.to_settle
        if claim.record is None:
            return None
        if changed is None:
            await self._release(claim)
            return None
        over, limit = False, None
        try:
            over = await self._take_back(claim, changed)
        except asyncio.CancelledError:
            limit = RELEASE  # the time for this is over
            raise
        finally:
            # Switched on before the settling is over, auto-sync would run the hooks on the former topic.
            if not self._undo.abandoned and (over or not claim.automated):
                async with asyncio.timeout(limit):
                    await self._release(claim)
        if not over and claim.automated:
            raise OperationFailed("the settling sync has not ended, and auto-sync stays off until it has")
        if not over:
            self.settling_continues = True
            self._emitter.emit(SettlingContinues(time=time.time(), application=str(self._app)))
            return "a sync that settles the workloads was started; it continues by itself"
        if not await self._is_settled(changed):
            return None
        on = f"what {self._app} says now" if self._others else "what they had before"
        return f"workloads settled on {on}"

    def settle_command(self) -> str:
        patch = recovery.patch(self._app, self._state.claim.releasing_patch())
        changed = None if self._state.claim.held_by_another else self.to_settle
        settle = recovery.restore_objects(self._app, changed.recovery_plan) if changed is not None else ""
        return "; ".join(filter(None, (settle, patch)))

    async def _release(self, claim: Claim) -> None:
        """Release the Application once no request of this run to end an operation can still arrive.

        Such a request names no operation: late, it would end another run's
        (docs/argocd-facts.md#ending-an-operation).
        """
        late = claim.end_may_arrive_for()
        if late and late <= self._undo.time_left() and not self._undo.hurried:
            await self._undo.unless_hurried(asyncio.sleep(late))
        left = await restore.release(claim)
        if not left:
            return
        why = f"a request to end its operation was never answered; no run may begin for {left:.0f} s"
        command = recovery.patch(self._app, claim.releasing_patch())
        self._undo.leave("the run's record", why, command, Subject.RECORD, str(self._app))

    async def _take_back(self, claim: Claim, changed: Settlement) -> bool:
        """Take back what the operation changed; False where a hurry left no time to see it done."""
        seen = await claim.check_held()
        if claim.record is not None and stands(seen.spec, claim.record):
            # Compared with these, nothing has changed.
            raise OperationFailed("the run's parameters are still in the Application")
        self._warn_of_others_changes(claim, seen)
        pinned = self._config.revision is not None
        revision = claim.before.deployed if pinned and claim.before else self._state.revision
        plan = await changed.plan(revision or None)
        if plan.patch:
            await claim.check_held()
            for remains in await changed.apply_patches(plan):
                self._leave_object(remains)
        resources = changed.resources_to_sync(plan)
        if not resources and claim.automated:
            resources = await settling_sync.unchanged_resource(claim)
        started = await settling_sync.start(claim, revision or None, resources, prune=bool(plan.prune))
        if started is None:
            return True
        settled = self._until_settled(claim, started)
        return await self._undo.unless_hurried(settled, HELD if claim.automated else 0)

    def _warn_of_others_changes(self, claim: Claim, seen: Application) -> None:
        """Warn of what differs in the spec once the parameters are back: it is others' change, and stays."""
        if claim.before is None or claim.record is None:
            return
        former = without_automated(claim.before.spec, claim.record)
        self._others = normal_form.differing(former, seen.spec)
        if self._others:
            what = ", ".join(self._others)
            text = f"somebody changed {what} of {self._app} during the run: it stays as it is now"
            self._emitter.warn_once(text, NoticeKind.CHANGED)

    async def _until_settled(self, claim: Claim, started: str) -> None:
        state = await settling_sync.finish(claim, started, compared=claim.automated)
        self.put_back_at = state.began_at

    async def pods_read_topics_until(self) -> float:
        """When the settling sync, which takes the topics out of what pods read, began; now if it has not.

        In seconds since the epoch. In a hurry nobody has waited for that sync. Raises ArgoCDFailed,
        AccessDenied.
        """
        settling = self._state.claim.settling
        if self.put_back_at is None and settling is not None:
            state = (await self._client.application(self._app)).status.operation_state
            if state is not None and state.operation.run_id == settling.run_id:
                self.put_back_at = state.began_at
        return self.put_back_at or self._client.clock.now()

    async def _is_settled(self, changed: Settlement) -> bool:
        """Whether nothing that the operation changed names a topic; each object that does is emitted.

        An object that a settling sync is about to restore, whose end nobody waits for, is not left behind.
        """
        settling = await self._still_settling()
        # What was left is emitted already: it is not waited for again.
        patience = 0.0 if self._left or settling else max(0.0, min(LEAVES, self._undo.time_left()))
        left = [remains for remains in await changed.find_remains(patience) if remains.key not in settling]
        for remains in left:
            self._leave_object(remains)
        return bool(changed.changed) and not left

    async def _still_settling(self) -> set[Key]:
        """The objects of the settling sync that continues by itself, as long as it is not over."""
        settling = self._state.claim.settling
        if not self.settling_continues or settling is None:
            return set()
        running = (await self._client.application(self._app)).running
        if running is None or running.run_id != settling.run_id:
            return set()
        return {key_of_listed(resource) for resource in settling.resources}

    async def check_settled(self) -> str | None:
        """Check once more at the end: an object may have come late, or was not waited for."""
        if (changed := self.to_settle) is not None:
            await self._is_settled(changed)
        return None

    def check_settled_command(self) -> str:
        """The command to check by hand; empty at an immediate stop, which prints those of the other undos."""
        unseen = self._changed is not None and not self._undo.abandoned
        return f"argocd app get {self._app} --output tree" if unseen else ""

    def _leave_object(self, remains: Remains) -> None:
        if remains.key not in self._left:
            self._left.add(remains.key)
            # A sync, or a patch, would be one in the middle of the other run.
            later = "; another run holds the Application now: check again when it is over"
            taken = self._state.claim.held_by_another
            command = "" if taken else recovery.restore_object(self._app, remains)
            self._undo.leave(
                str(remains.key),
                f"{remains.why}{later if taken else ''}",
                command,
                Subject.RESOURCE,
                remains.key.name,
                namespace=remains.key.namespace,
                resource=remains.key.resource,
            )

    # -- what comes late ------------------------------------------------------------------------------

    async def undo_late(self) -> str | None:
        """Wait for unanswered changes that may still take effect, and undo those that do."""
        until = self._client.late_change_until()
        if until is None:
            return None
        soon = asyncio.get_running_loop().time() + self._config.timeouts.cleanup / 3
        undone = await late_changes.undo(self._state.claim, min(until, soon))
        if undone and (changed := self.to_settle) is not None:
            await self._take_back(self._state.claim, changed)
        return "what took effect late was undone" if undone else None

    def undo_late_command(self) -> str:
        return f"argocd app get {self._app}" if self._client.late_change_until() is not None else ""
