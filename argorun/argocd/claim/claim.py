"""A run's claim on an Application: what it puts in, and what was there before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

import msgspec

from argorun.argocd.claim.original import original
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.parameters import patch as parameters_patch
from argorun.argocd.parameters import spec as parameters_spec
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.parameters.spec import holds, without_automated
from argorun.argocd.types import Application, Json, ResourceStatus
from argorun.emit import Warn
from argorun.errors import OperationFailed


class HeldByAnother(OperationFailed):
    """Another run holds the Application by now, and nothing in it may be changed.

    `stands`: this run's values were still seen in it.
    """

    def __init__(self, app: ApplicationName, holder: Record, *, stands: bool) -> None:
        super().__init__(f"{app.name} is now held by run {holder.run}; argorun changes nothing in it")
        self.stands = stands


@dataclass(frozen=True)
class SettlingSync:
    """A partial sync that takes workloads off the run's values, as it was asked for."""

    run_id: str  # the id that its operation carries
    revision: str | None
    resources: tuple[ResourceStatus, ...]
    prune: bool


@dataclass(eq=False)
class Claim:
    """The state of one run's claim on an Application, and what can be asked about it.

    `acquire` takes it, `restore` gives it back and releases it, `settling_sync` takes the workloads off its
    values, and `late_changes` undoes what took effect late.
    """

    client: Client
    app: ApplicationName
    run_id: str
    settings: Sequence[Setting]  # the parameters with this run's values
    _: KW_ONLY
    warn: Warn
    topics: Sequence[str] = ()  # those of the values that are names of topics
    pinned: bool = False  # the run syncs another commit than the Application's own

    # Since `acquire.take` tried to write them:
    record: Record | None = None  # None once everything is given back or let go
    before: Application | None = None  # as it was before this run, and before what a dead run left
    claimed_spec: Json = field(default_factory=dict)

    # Since `restore`:
    given_back: bool = False  # but for the record, which may stay until `restore.release`
    kept: Record | None = None  # that record
    stood: bool = False  # this run's values were still there when they were given back
    released: Record | None = None  # what the record was, once it is gone
    settling: SettlingSync | None = None  # the one that was started on purpose

    held_by_another: bool = False  # another run was seen to hold it: nobody may change anything

    @classmethod
    def of_record(
        cls,
        client: Client,
        app: ApplicationName,
        seen: Application,
        record: Record,
        warn: Warn,
    ) -> Claim:
        """The claim of a dead run that left this record in the Application, to give it back."""
        before = original(seen, record)
        return cls(client, app, record.run, (), warn=warn, record=record, before=before)

    # -- what was there before -----------------------------------------------------------------------

    @property
    def was_synced(self) -> bool:
        """Whether the Application was Synced before runs came."""
        return self.before is not None and self.before.status.sync.status == "Synced"

    @property
    def automated(self) -> bool:
        """Whether auto-sync was on, and is to be switched on again."""
        return self.record is not None and self.record.automated is not None

    # -- check ---------------------------------------------------------------------------------------

    def stands(self, seen: Application) -> bool:
        """Whether the run's values are still in, with its record beside them and auto-sync off."""
        record = record_of(seen)
        return (
            record is not None
            and record.run == self.run_id
            and not record.settling
            and not (record.automated is not None and seen.is_auto_synced)
            and holds(seen.spec.get("source"), self.settings)
        )

    def rival(self, seen: Application) -> str:
        """The other run whose record the Application carries, in words; empty if there is none."""
        record = record_of(seen)
        return f"run {record.run}" if record is not None and record.run != self.run_id else ""

    async def check_held(self) -> Application:
        """Read the Application. Raises HeldByAnother, ArgoCDFailed, AccessDenied."""
        seen = await self.client.application(self.app)
        self.check_holder(seen)
        return seen

    def check_holder(self, seen: Application) -> None:
        """Raise HeldByAnother, and remember it, if another run's record stands in the Application."""
        record = record_of(seen)
        if record is not None and record.run != self.run_id:
            self.held_by_another = True
            stands = self.record is not None and parameters_spec.stands(seen.spec, self.record)
            raise HeldByAnother(self.app, record, stands=stands)

    def end_may_arrive_for(self) -> float:
        """Seconds for which an unanswered request to end an operation may still end what runs then; or 0.

        The request names no operation, so it could end another run's.
        """
        until = self.client.late_terminate_until()
        return 0.0 if until is None else max(0.0, until - asyncio.get_running_loop().time())

    # -- for a person to send by hand ------------------------------------------------------------------

    def restoring_patch(self) -> list[Json]:
        """The JSON patch that puts everything back; empty if there is nothing to put back."""
        return self._patch_from(self.claimed_spec)

    def releasing_patch(self) -> list[Json]:
        """The JSON patch that does what `restore.release` still has to do; empty if that is nothing."""
        if self.before is None or self.record is None or not self.given_back or self.released is not None:
            return []  # `restoring_patch` does it all, or it is done
        return self._patch_from(without_automated(self.before.spec, self.kept or self.record))

    def _patch_from(self, spec: Json) -> list[Json]:
        """The JSON patch from this spec, with the run's record beside it, to the Application before the run.

        It tests what it touches: sent late, it overwrites nobody's change.
        """
        if self.before is None or self.record is None or self.held_by_another:
            return []
        annotations = (self.before.metadata.annotations or {}) | {
            RECORD: msgspec.json.encode(self.kept or self.record).decode()
        }
        metadata = msgspec.structs.replace(self.before.metadata, annotations=annotations)
        claimed = msgspec.structs.replace(self.before, spec=spec, metadata=metadata)
        return parameters_patch.changes(claimed, self.before.spec, None)
