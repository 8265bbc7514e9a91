"""The parts of Argo CD's JSON that argorun reads, as typed values; the border where JSON ends.

Field names are Argo CD's own (pkg/apis/application/v1alpha1/types.go). What a run must put back exactly,
the spec, stays raw JSON.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from argorun.argocd.clock import seconds

Json = dict[str, Any]

RUN_INFO = "argorun-run"  # the name under which an operation's infos carry our run id
SETTLE = "/settle"  # what the run id of a settling operation ends in
# Of a field that may not be changed the API server repeats the whole new value, a pod's template say
# (source: apimachinery pkg/util/validation/field/errors.go, ErrorBody).
_REPEATED = re.compile(r": Invalid value: .*?(?=: field is immutable)", re.DOTALL)
_FILE = re.compile(r'error when (\w+) "/[^"]*": ')  # of the controller's own


def brief(message: str) -> str:
    """What Argo CD says of an object, without values and files of its own that tell nobody anything."""
    return _FILE.sub("", _REPEATED.sub("", message)) if "field is immutable" in message else message


class Camel(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A JSON object of Argo CD; unknown fields are ignored.

    Those that come by the thousand are no matter of the garbage collector's (gc=False): decoded from JSON,
    they are part of no cycle.
    """


class Info(Camel, frozen=True, gc=False):
    name: str = ""
    value: str = ""


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
        """The id that an argorun run gave it, the run's and perhaps more; empty for anyone else's."""
        return next((i.value for i in self.info or () if i.name == RUN_INFO), "")

    @property
    def run(self) -> str:
        """The argorun run that started it; empty for anyone else's."""
        return self.run_id.partition("/")[0]

    @property
    def settles(self) -> bool:
        """Whether it is a run's settling operation, not the one with its tests."""
        return self.run_id.endswith(SETTLE)


class Said(Camel, frozen=True):
    """What Argo CD says a message about."""

    message: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "message", brief(self.message))


class ResourceResult(Said, frozen=True, gc=False):
    """One entry of syncResult.resources: a hook where `hook_type` is set, else an applied resource."""

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


class OperationState(Said, frozen=True):
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
        """When it began, in seconds since the epoch; None where that is not known."""
        return seconds(self.started_at) if self.started_at else None

    @property
    def ended_at(self) -> float | None:
        """When it ended, in seconds since the epoch; None where it has not."""
        return seconds(self.finished_at) if self.finished_at else None


class OwnerReference(Camel, frozen=True):
    kind: str = ""
    name: str = ""


class Metadata(Camel, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class Sync(Camel, frozen=True):
    status: str = ""
    revision: str = ""


class Health(Camel, frozen=True, gc=False):
    status: str = ""
    message: str = ""


class ResourceStatus(Camel, frozen=True, gc=False):
    """One entry of status.resources: how a resource of the Application compares with Git."""

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
    spec: Json = {}
    operation: Operation | None = None
    status: Status = Status()

    @property
    def running(self) -> Operation | None:
        """The operation that holds the Application, taken up by the controller or not yet."""
        if self.operation is not None:
            return self.operation
        state = self.status.operation_state
        return state.operation if state and state.phase and not state.done else None

    @property
    def deleting(self) -> bool:
        """Whether the Application is being deleted, and with it all that it has made."""
        return self.metadata.deletion_timestamp is not None

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
        """The commit that is in the cluster; where none ever was, the one that Argo CD compares with.

        Not what it compares with: Git may have moved since. In status.history stands each sync of the whole
        Application (source: controller/sync.go, persistRevisionHistory); one that settles a run comes after.
        """
        state = self.status.operation_state
        if state is not None and state.operation.settles and state.phase == "Succeeded" and state.sync_result:
            return state.sync_result.revision
        noted = self.status.history or ()
        return noted[-1].revision if noted else self.status.sync.revision

    def operation_of(self, run_id: str) -> Operation:
        """The operation that carries this run id, running or over; an empty one where there is none."""
        state = self.state_of(run_id)
        if self.operation is not None and self.operation.run_id == run_id:
            return self.operation
        return state.operation if state is not None else Operation()

    def state_of(self, run_id: str) -> OperationState | None:
        """The state of the operation that carries this run id; None while it is not there."""
        state = self.status.operation_state
        return state if state is not None and state.operation.run_id == run_id else None

    def ended_at(self, run: str) -> float | None:
        """When the operation of this argorun run ended, in seconds since the epoch; None for any other's."""
        state = self.status.operation_state
        return state.ended_at if state is not None and state.operation.run == run else None


class IgnoreRule(Camel, frozen=True):
    """What a comparison leaves alone. An ApplicationSet's rules have no group and kind: they mean its own."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    json_pointers: list[str] | None = None
    jq_path_expressions: list[str] | None = None


class PreservedFields(Camel, frozen=True):
    annotations: list[str] | None = None


class ApplicationSetPolicy(Camel, frozen=True):
    applications_sync: str = "sync"


class ApplicationSetSpec(Camel, frozen=True):
    ignore_application_differences: list[IgnoreRule] | None = None
    preserved_fields: PreservedFields | None = None
    sync_policy: ApplicationSetPolicy | None = None


class ApplicationSet(Camel, frozen=True):
    metadata: Metadata = Metadata()
    spec: ApplicationSetSpec = ApplicationSetSpec()


class ManagedResource(Camel, frozen=True):
    """An object that an Application keeps; the states are JSON in strings, "null" where there is none."""

    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    target_state: str = ""  # as Git has it
    live_state: str = ""


class ManagedResources(Camel, frozen=True):
    items: list[ManagedResource] | None = None


class SyncWindow(Camel, frozen=True):
    """When an Application may be synced (kind allow) or not (deny)."""

    kind: str = ""
    schedule: str = ""
    duration: str = ""
    time_zone: str = ""  # only in the project, not in what is told of an Application
    manual_sync: bool = False


class SyncWindows(Camel, frozen=True):
    """An Application's windows, and whether a sync by hand is allowed now."""

    can_sync: bool = True
    active_windows: list[SyncWindow] | None = None
    assigned_windows: list[SyncWindow] | None = None


class ProjectSpec(Camel, frozen=True):
    sync_windows: list[SyncWindow] | None = None


class Project(Camel, frozen=True):
    spec: ProjectSpec = ProjectSpec()


class WatchEvent(Camel, frozen=True):
    type: str = ""
    application: Application = Application()


class Ref(Camel, frozen=True, gc=False):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Node(Camel, frozen=True, gc=False):
    """A live object in an Application's resource tree."""

    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    parent_refs: list[Ref] | None = None
    info: list[Info] | None = None
    health: Health | None = None
    created_at: str = ""

    @property
    def health_status(self) -> str:
        return self.health.status if self.health else ""

    @property
    def reason(self) -> str:
        """A pod's `Status Reason`: Running, Completed, ImagePullBackOff, …"""
        return next((i.value for i in self.info or () if i.name == "Status Reason"), "")

    @property
    def revision(self) -> int:
        """A ReplicaSet's revision of its Deployment, "Rev:3"; 0 where it has none."""
        told = next((i.value for i in self.info or () if i.name == "Revision"), "").removeprefix("Rev:")
        return int(told) if told.isdecimal() else 0

    @property
    def leaving(self) -> bool:
        """Whether a pod was told to stop and is in its grace period."""
        return self.reason == "Terminating"

    @property
    def ended(self) -> bool:
        """Whether a Job's pod has nothing more to do: it is neither running nor on its way out."""
        return self.health_status in ("Healthy", "Degraded") and not self.leaving


class TreeIndex:
    """A tree's nodes by what they are looked up by: one pass over them, made when it is first needed."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.uids: dict[str, Node] = {}
        self.names: dict[tuple[str, str, str], Node] = {}  # by kind, namespace and name: the first
        self.namesakes: dict[tuple[str, str, str], list[Node]] = {}  # those of other groups
        self.kinds: dict[str, list[Node]] = {}
        self.children: dict[str, list[Node]] = {}  # by their parent's uid
        for n in nodes:
            self.kinds.setdefault(n.kind, []).append(n)
            if n.uid:
                self.uids.setdefault(n.uid, n)
                key = n.kind, n.namespace, n.name
                if self.names.setdefault(key, n) is not n:
                    self.namesakes.setdefault(key, []).append(n)
            for parent in n.parent_refs or ():
                siblings = self.children.setdefault(parent.uid, [])
                if not siblings or siblings[-1] is not n:  # an owner that is named twice
                    siblings.append(n)


class Tree(Camel, frozen=True, dict=True):  # dict: the index is kept beside the fields
    """An Application's live objects, and how they hang together.

    Every look-up costs what it finds, whatever the tree's size. What is not there yet, and has no uid, is
    found only by its kind.
    """

    nodes: list[Node] | None = None

    @functools.cached_property
    def _index(self) -> TreeIndex:
        return TreeIndex(self.nodes or ())

    def find(self, kind: str, namespace: str, name: str, group: str | None = None) -> Node | None:
        """The live object of this name; of any group where none is given."""
        key = kind, namespace, name
        first = self._index.names.get(key)
        if first is None or group is None or first.group == group:
            return first
        return next((n for n in self._index.namesakes.get(key, ()) if n.group == group), None)

    def find_uid(self, uid: str) -> Node | None:
        """The live object with this uid."""
        return self._index.uids.get(uid)

    def children(self, uid: str) -> Sequence[Node]:
        """The objects whose owner has this uid, in the tree's order."""
        return self._index.children.get(uid, ())

    def of_kind(self, kind: str) -> Sequence[Node]:
        """Every object of a kind, in the tree's order."""
        return self._index.kinds.get(kind, ())

    def pods_under(self, uids: Iterable[str]) -> list[Node]:
        """The pods that descend from any of these objects, and those that are named, the oldest first."""
        index, below = self._index, dict.fromkeys(uids)
        waiting = list(below)
        while waiting:
            children = index.children.get(waiting.pop(), ())
            more = [n.uid for n in children if n.uid and n.uid not in below]
            below.update(dict.fromkeys(more))
            waiting += more
        pods = [n for uid in below if (n := index.uids.get(uid)) is not None and n.kind == "Pod"]
        return sorted(pods, key=lambda n: (n.created_at, n.name))


class ClusterEvent(Camel, frozen=True):
    """A Kubernetes event; Argo CD fills in count and last time where only `series` has them.

    Source: server/events/events.go, k8sEventToAPIEvent.
    """

    type: str = ""  # Normal, Warning
    reason: str = ""
    message: str = ""
    count: int = 0
    last_timestamp: str | None = None  # RFC 3339, whole seconds
    involved_object: Ref = Ref()


class ClusterEvents(Camel, frozen=True):
    items: list[ClusterEvent] | None = None


class Applications(Camel, frozen=True):
    """A list of Applications."""

    items: list[Application] | None = None


class Manifests(Camel, frozen=True):
    """What a source renders to, each object as JSON in a string."""

    manifests: list[str] | None = None


class ServerSettings(Camel, frozen=True):
    """What Argo CD tells of its settings to whoever is logged in."""

    controller_namespace: str = ""
    app_label_key: str = ""


class ServerVersion(Camel, frozen=True):
    version: str = msgspec.field(default="", name="Version")


class LogEntry(Camel, frozen=True, gc=False):
    content: str = ""
    time_stamp_str: str = ""
    pod_name: str = ""
    last: bool = False


class ErrorBody(Camel, frozen=True):
    """What Argo CD answers when it refuses: grpc-gateway's error."""

    error: str = ""
    message: str = ""
    code: int = 0


class StreamError(Camel, frozen=True):
    message: str = ""
    http_code: int = msgspec.field(default=0, name="http_code")
    grpc_code: int = msgspec.field(default=0, name="grpc_code")
