"""An operation of an Application: what it syncs, its state and its results."""

from __future__ import annotations

import re

import msgspec

from argorun.argocd.clock import seconds
from argorun.argocd.types.base import Camel, Info, Json
from argorun.argocd.types.messages import plain

RUN_INFO = "argorun-run"  # the name under which an operation's infos carry the run id
SETTLE = "/settle"  # what the run id of a settling operation ends in
# The API server repeats the whole new value of an immutable field, such as a pod's template
# (source: apimachinery pkg/util/validation/field/errors.go, ErrorBody).
_REPEATED = re.compile(r": Invalid value: .*?(?=: field is immutable)", re.DOTALL)
_FILE = re.compile(r'error when (\w+) "/[^"]*": ')  # a file of the controller's own


def _brief(message: str) -> str:
    """A message of Argo CD without repeated values, the controller's own file names and gRPC's layers."""
    message = plain(message) if "rpc error" in message else message
    return _FILE.sub("", _REPEATED.sub("", message)) if "field is immutable" in message else message


class SyncOperation(Camel, frozen=True):
    revision: str = ""
    source: Json | None = None
    resources: list[Json] | None = None


class Initiator(Camel, frozen=True):
    username: str = ""
    automated: bool = False


class Operation(Camel, frozen=True):
    sync: SyncOperation | None = None
    info: list[Info] | None = None
    initiated_by: Initiator = Initiator()

    @property
    def run_id(self) -> str:
        """The id that an argorun run gave it: the run's id, perhaps with a suffix; empty for any other."""
        return next((i.value for i in self.info or () if i.name == RUN_INFO), "")

    @property
    def run(self) -> str:
        """The id of the argorun run that started it; empty for any other operation."""
        return self.run_id.partition("/")[0]

    @property
    def settles(self) -> bool:
        """Whether it is a run's settling operation, not the one that runs its tests."""
        return self.run_id.endswith(SETTLE)


class WithMessage(Camel, frozen=True):
    """A part of an operation that carries a message."""

    message: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "message", _brief(self.message))


class ResourceResult(WithMessage, frozen=True, gc=False):
    """One entry of syncResult.resources: a hook if `hook_type` is set, else an applied resource."""

    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    status: str = ""
    hook_type: str = ""
    hook_phase: str = ""
    sync_phase: str = ""


class SyncResult(Camel, frozen=True):
    resources: list[ResourceResult] | None = None
    revision: str = ""
    source: Json | None = None


class OperationState(WithMessage, frozen=True):
    operation: Operation = Operation()
    phase: str = ""
    started_at: str = ""
    finished_at: str | None = None
    sync_result: SyncResult | None = None

    @property
    def done(self) -> bool:
        return self.phase in ("Succeeded", "Failed", "Error")

    @property
    def began_at(self) -> float | None:
        """When it began, in seconds since the epoch; None if that is not known."""
        return seconds(self.started_at) if self.started_at else None

    @property
    def ended_at(self) -> float | None:
        """When it ended, in seconds since the epoch; None while it runs."""
        return seconds(self.finished_at) if self.finished_at else None
