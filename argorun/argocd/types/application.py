"""An Application: its metadata, spec and status."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from argorun.argocd.types.base import Camel, Health, Json, Metadata
from argorun.argocd.types.messages import cause
from argorun.argocd.types.operation import Operation, OperationState


class Sync(Camel, frozen=True):
    status: str = ""
    revision: str = ""


class ResourceStatus(Camel, frozen=True, gc=False):
    """One entry of status.resources: how one object of the Application compares with Git."""

    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    status: str = ""
    hook: bool = False
    requires_pruning: bool = False


class Condition(Camel, frozen=True):
    type: str = ""
    message: str = ""


class Deployed(Camel, frozen=True):
    """One entry of status.history: a sync of the whole Application that succeeded."""

    revision: str = ""


class Status(Camel, frozen=True):
    sync: Sync = Sync()
    history: list[Deployed] | None = None  # the newest last
    health: Health = Health()
    resources: list[ResourceStatus] | None = None
    operation_state: OperationState | None = None
    source_type: str = ""
    conditions: list[Condition] | None = None


class Application(Camel, frozen=True):
    metadata: Metadata = Metadata()
    spec: Json = msgspec.field(default_factory=dict)
    operation: Operation | None = None
    status: Status = Status()

    @property
    def running(self) -> Operation | None:
        """The operation that holds the Application, whether or not the controller has taken it up."""
        if self.operation is not None:
            return self.operation
        state = self.status.operation_state
        return state.operation if state and state.phase and not state.done else None

    @property
    def deleting(self) -> bool:
        """Whether the Application is being deleted, and with it every object it made."""
        return self.metadata.deletion_timestamp is not None

    @property
    def errors(self) -> list[str]:
        """Argo CD's error conditions: `ComparisonError: config/helm: app path does not exist`, each once.

        Source: IsError in Argo CD's types.go (docs/argocd-facts.md#error-conditions).
        """
        found = [c for c in self.status.conditions or () if c.type.endswith("Error")]
        return list(dict.fromkeys(f"{c.type}: {cause(c.message)}" for c in found))

    @property
    def project(self) -> str:
        return str(self.spec.get("project") or "default")

    @property
    def sync_options(self) -> Sequence[str]:
        return (self.spec.get("syncPolicy") or {}).get("syncOptions") or ()

    @property
    def is_auto_synced(self) -> bool:
        """Whether auto-sync is on (source: IsAutomatedSyncEnabled in Argo CD's types.go)."""
        automated = (self.spec.get("syncPolicy") or {}).get("automated")
        return automated is not None and automated.get("enabled") is not False

    @property
    def deployed(self) -> str:
        """The commit that is in the cluster; if nothing was ever synced, the one that Argo CD compares with.

        The two differ once Git has moved. status.history lists each sync of the whole Application (source:
        controller/sync.go, persistRevisionHistory; docs/argocd-facts.md#the-end-of-an-operation), but not the
        partial sync that settles a run.
        """
        state = self.status.operation_state
        if state is not None and state.operation.settles and state.phase == "Succeeded" and state.sync_result:
            return state.sync_result.revision
        history = self.status.history or ()
        return history[-1].revision if history else self.status.sync.revision

    def operation_of(self, run_id: str) -> Operation:
        """The operation that carries this run id, running or over; an empty one if there is none."""
        state = self.state_of(run_id)
        if self.operation is not None and self.operation.run_id == run_id:
            return self.operation
        return state.operation if state is not None else Operation()

    def state_of(self, run_id: str) -> OperationState | None:
        """The state of the operation that carries this run id; None if there is none yet."""
        state = self.status.operation_state
        return state if state is not None and state.operation.run_id == run_id else None

    def ended_at(self, run: str) -> float | None:
        """When this run's operation ended, in seconds since the epoch; None for any other operation."""
        state = self.status.operation_state
        return state.ended_at if state is not None and state.operation.run == run else None


class WatchEvent(Camel, frozen=True):
    type: str = ""
    application: Application = Application()


class Applications(Camel, frozen=True):
    """A list of Applications."""

    items: list[Application] | None = None
