"""An Argo CD in memory, with the client's methods: for what is decided above HTTP."""

from __future__ import annotations

import asyncio
import collections
import copy
import email.utils
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from argorun.argocd.client import INSTANCE, Client
from argorun.argocd.clock import Clock, stamp
from argorun.argocd.http.errors import ApiError, Unreachable
from argorun.argocd.http.retry import RenderLimit
from argorun.argocd.manifests.keys import Key, by_key, key_of
from argorun.argocd.parameters.helm import helm_parameters
from argorun.argocd.types import (
    RUN_INFO,
    Application,
    ApplicationSet,
    ClusterEvent,
    LogEntry,
    ManagedResource,
    Node,
    Project,
    ServerSettings,
    SyncWindows,
    Tree,
    UserInfo,
)
from argorun.config.model import ApplicationRef
from tests.unit.argocd.gopatch import Json, PatchFailed, applied

APP = ApplicationRef(name="weather")
IN_PROGRESS = "another operation is already in progress"
DOWN = Unreachable("Argo CD cannot be reached")


class Visited(list[Node]):
    """Nodes that count how often one of them is come by."""

    visits = 0

    def __iter__(self) -> Iterator[Node]:
        for each in super().__iter__():
            self.visits += 1
            yield each


@dataclass
class Lost:
    """The request does its work, and its answer is lost."""

    error: Exception = DOWN


Fault = Exception | Lost | Callable[["FakeArgoCD"], object] | None


class FakeArgoCD:
    """One Application. `calls` are the requests in their order; a fault is met once, in the order given."""

    def __init__(self, spec: Json | None = None, annotations: Json | None = None) -> None:
        self.retry_for = 10.0
        self.rendering = RenderLimit(90.0)
        self.clock = Clock()
        self.time: Callable[[], float] = time.time  # Argo CD's own clock, in its answers' Date
        self.version_answer = "v3.6.1"
        self.helm_answer = ""  # how Argo CD calls Helm
        self.user_answer = UserInfo(logged_in=True, username="ci", iss="argocd")
        self.values_answer: dict[str, str] | None = None  # the chart's; None: it may not say
        self.namespace_answer, self.instance_label = "argocd", INSTANCE
        self.grantee = "role:argorun"
        self.calls: list[str] = []
        self.patches: list[list[Json]] = []
        self.syncs: list[Json] = []
        self.changes: asyncio.Queue[Exception | Application | None] = asyncio.Queue()
        self._faults: dict[str, collections.deque[Fault]] = collections.defaultdict(collections.deque)
        self.sync_windows_answer = SyncWindows()
        self.project_answer = Project()
        self.application_sets: dict[tuple[str, str], ApplicationSet] = {}
        self.kept: list[ManagedResource] = []  # what an Application above keeps
        self.source: list[Json] = []  # what Git renders to; TOPIC in it is the Helm parameter kafka.topic
        self.objects: dict[Key, Json] = {}  # what is live, by key; see `made`
        self.listed = True  # whether its token sees the Application in the list
        self.held = False  # the controller takes no operation up
        self.gone = False  # there is no such Application
        self.forbidden: set[tuple[str, str, str]] = set()  # action, resource, object
        self.answers = True  # it has answered lately
        self.late: float | None = None  # until when the end of an operation may still arrive
        self.resource_patches: list[tuple[str, Json]] = []  # of live objects: the name, and the merge patch
        self._version = 0  # of live objects
        metadata: Json = {"name": "weather", "resourceVersion": "1"}
        metadata |= {"annotations": annotations} if annotations else {}
        self.document: Json = {
            "metadata": metadata,
            "spec": spec or {"source": {"repoURL": "git"}},
            "status": {"sync": {"status": "Synced"}, "sourceType": "Helm"},
        }

    @property
    def client(self) -> Client:
        """The same as what the product takes; mypy compares each method with the real client's."""
        return self

    @property
    def spec(self) -> Json:
        return cast(Json, self.document["spec"])

    def meets(self, method: str, *faults: Fault) -> None:
        """The next calls of this method meet these, one each; a function is somebody's act just before."""
        self._faults[method].extend(faults)

    def written(self) -> None:
        """Something was stored: a version that never comes again."""
        metadata = self.document["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)

    def seen(self) -> Application:
        return msgspec.convert(copy.deepcopy(self.document), Application)

    # -- what the controller and others do -----------------------------------------------------------

    def runs(self, run_id: str = "", phase: str | None = "Running", message: str = "", **more: Any) -> None:
        """An operation with this run id, as the controller keeps it; phase None: it has not looked yet."""
        operation: Json = {"sync": {"source": self.spec.get("source")}, "initiatedBy": {"username": "bob"}}
        if run_id:
            operation["info"] = [{"name": RUN_INFO, "value": run_id}]
        self.document.pop("operation", None)
        self.document["status"].pop("operationState", None)
        if phase in (None, "Running", "Terminating"):
            self.document["operation"] = operation
        if phase is not None:
            state = {
                "operation": operation,
                "phase": phase,
                "message": message,
                "startedAt": "2024-01-01T00:00:00Z",
            }
            self.document["status"]["operationState"] = state | more

    def picks_up(self) -> None:
        self.document["status"]["operationState"] = {
            "operation": self.document["operation"],
            "phase": "Running",
            "startedAt": "2024-01-01T00:00:00Z",
        }

    def ends(self, phase: str = "Succeeded", message: str = "") -> None:
        self.document.pop("operation", None)
        self.document["status"]["operationState"] |= {"phase": phase, "message": message}

    def carries_out(self) -> None:
        """Do in the cluster what the operation that was asked for last is to do, hooks left out."""
        body, rendered = self.syncs[-1], by_key(self.renders(), "n")
        for r in body.get("resources", ()):
            key = Key(r["group"], r["kind"], r["namespace"], r["name"])
            if key in rendered:
                self.made(rendered[key])
            elif body.get("prune"):
                self.objects.pop(key, None)

    async def controls(self) -> None:
        """A controller: operations are taken up, carried out and ended, until this is canceled."""
        while True:
            await asyncio.sleep(0.05)
            state = self.document["status"].get("operationState")
            if state is not None and state["phase"] == "Terminating":
                self.ends("Failed", "Operation terminated")
            elif "operation" in self.document and state is None and not self.held:
                self.picks_up()
                self.carries_out()
                self.ends()
                self.send_change()

    def send_change(self) -> None:
        """The watch stream sends the Application as it stands."""
        self.changes.put_nowait(self.seen())

    def renders(self) -> list[Json]:
        """What the source renders to with the parameters as they stand."""
        found = {p["name"]: p.get("value", "") for p in helm_parameters(self.spec)}
        rendered = json.dumps(self.source).replace("TOPIC", found.get("kafka.topic", "none"))
        return cast(list[Json], json.loads(rendered))

    def made(self, manifest: Json, **metadata: Any) -> Json:
        """An object that is live from now on, or is changed to this: its uid stays, its version never."""
        key = key_of(manifest, "n")
        former = (self.objects.get(key) or {}).get("metadata") or {}
        self._version += 1
        noted = {
            "uid": former.get("uid") or f"uid-{self._version}",
            "creationTimestamp": former.get("creationTimestamp") or stamp(self.time()),
            "resourceVersion": str(self._version),
            "namespace": key.namespace,
        }
        live = copy.deepcopy(manifest)
        live["metadata"] = {**live.get("metadata", {}), **noted, **metadata}
        self.objects[key] = live
        return live

    # -- the client's methods --------------------------------------------------------------------------

    async def _do(self, method: str, act: Callable[[], Any]) -> Any:
        self.calls.append(method)
        sent = self.clock.sent()
        await asyncio.sleep(0)
        self.clock.answered({"date": email.utils.formatdate(self.time(), usegmt=True)}, sent)
        faults = self._faults[method]
        fault = faults.popleft() if faults else None
        if isinstance(fault, Exception):
            raise fault
        if callable(fault):
            fault(self)
        result = act()
        if isinstance(fault, Lost):
            raise fault.error
        return result

    async def application(self, app: object, *, refresh: str | None = None) -> Application:
        return cast(Application, await self._do("refresh" if refresh else "application", self.seen))

    async def nudge(self, app: object) -> None:
        await self._do("refresh", self.seen)

    async def sync_windows(self, app: object) -> SyncWindows:
        answer = self.sync_windows_answer
        return cast(SyncWindows, await self._do("sync_windows", lambda: answer))

    async def project(self, name: str) -> Project:
        return cast(Project, await self._do("project", lambda: self.project_answer))

    async def application_set(self, name: str, namespace: str) -> ApplicationSet:
        wanted = (name, namespace)
        return cast(ApplicationSet, await self._do(f"set {wanted}", lambda: self.application_sets[wanted]))

    async def version(self) -> str:
        return cast(str, await self._do("version", lambda: self.version_answer))

    async def user_info(self) -> UserInfo:
        return cast(UserInfo, await self._do("userinfo", lambda: self.user_answer))

    async def chart_values(self, app: object, seen: Application) -> dict[str, str] | None:
        return cast("dict[str, str] | None", await self._do("chart_values", lambda: self.values_answer))

    async def helm_command(self, app: object, revision: str | None = None, helm: Json | None = None) -> str:
        return cast(str, await self._do("helm_command", lambda: self.helm_answer))

    async def server_settings(self) -> ServerSettings:
        settings = ServerSettings(
            controller_namespace=self.namespace_answer, app_label_key=self.instance_label
        )
        return cast(ServerSettings, await self._do("settings", lambda: settings))

    async def managed(self, app: object, **filters: str) -> list[ManagedResource]:
        def act() -> list[ManagedResource]:
            return [m for m in self.kept if all(getattr(m, k) == v for k, v in filters.items())]

        return cast(list[ManagedResource], await self._do("managed", act))

    async def applications(self) -> list[Application]:
        def act() -> list[Application]:
            if not self.listed:
                return []
            listed = {"metadata": self.document["metadata"], "spec": self.spec}  # trimmed, as the client asks
            return [msgspec.convert(copy.deepcopy(listed), Application)]

        return cast(list[Application], await self._do("applications", act))

    async def wait_for_in_flight(self) -> None:
        pass

    def has_answered(self, within: float) -> bool:
        return self.answers

    def late_change_until(self) -> float | None:
        return None

    def late_terminate_until(self) -> float | None:
        return self.late

    async def is_gone(self, app: object, project: str) -> bool:
        return self.gone

    async def can_i(self, action: str, resource: str, subject: str) -> bool:
        return (action, resource, subject) not in self.forbidden

    async def raw(self, app: object) -> Json:
        return cast(Json, await self._do("raw", lambda: copy.deepcopy(self.document)))

    async def patch(self, app: object, operations: list[Json], *, harmless_late: bool = False) -> Application:
        def act() -> Application:
            self.patches.append(operations)
            try:
                self.document = applied(self.document, operations)
            except PatchFailed as e:
                raise ApiError("change", 500, 2, f"error applying patch: {e}") from None
            self.written()
            return self.seen()

        return cast(Application, await self._do("patch", act))

    async def replace(self, app: object, application: Json) -> None:
        def act() -> None:
            version = self.document["metadata"]["resourceVersion"]
            self.document = copy.deepcopy(application)
            self.document["metadata"]["resourceVersion"] = version
            self.written()

        await self._do("replace", act)

    async def replace_spec(self, app: object, spec: Json) -> None:
        def act() -> None:
            self.document["spec"] = copy.deepcopy(spec)
            self.written()

        await self._do("replace_spec", act)

    async def manifests(self, app: object, revision: str | None = None) -> list[Json]:
        return cast(list[Json], await self._do("manifests", self.renders))

    async def tree(self, app: object) -> Tree:
        def act() -> Tree:
            return msgspec.convert({"nodes": [node(m) for m in self.objects.values()]}, Tree)

        return cast(Tree, await self._do("tree", act))

    async def watch_tree(self, app: object) -> AsyncGenerator[Tree]:
        """One that never says anything."""
        await asyncio.Event().wait()
        yield Tree()

    async def live(self, app: object, group: str, version: str, kind: str, namespace: str, name: str) -> Json:
        def act() -> Json:
            key = Key(group, kind, namespace, name)
            if key not in self.objects:
                raise ApiError(
                    f"show {kind} {name}", 400, 3, f"{kind} {name} not found as part of application"
                )
            return copy.deepcopy(self.objects[key])

        return cast(Json, await self._do(f"live {name}", act))

    async def events(self, app: object, node: Node) -> list[ClusterEvent]:
        return []

    async def logs(
        self, app: object, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        """Nothing was written."""
        nothing: list[list[LogEntry]] = []
        for entries in nothing:
            yield entries

    async def patch_resource(
        self, app: object, group: str, version: str, kind: str, namespace: str, name: str, patch: Json
    ) -> None:
        def act() -> None:
            key = Key(group, kind, namespace, name)
            if key not in self.objects:
                raise ApiError(f"change {kind} {name}", 400, 3, f"{kind} {name} not found")
            self.resource_patches.append((name, patch))
            self.made(merged(self.objects[key], patch))

        await self._do(f"patch {name}", act)

    async def sync(self, app: object, body: Json) -> Application:
        def act() -> Application:
            if "operation" in self.document:
                raise ApiError("sync", 400, 9, IN_PROGRESS)
            self.syncs.append(body)
            self.document["operation"] = {"sync": {"source": self.spec["source"]}, "info": body["infos"]}
            self.document["status"].pop("operationState", None)
            return self.seen()

        return cast(Application, await self._do("sync", act))

    async def terminate(self, app: object) -> None:
        def act() -> None:
            if self.document["status"].get("operationState", {}).get("phase") != "Running":
                text = "Unable to terminate operation. No operation is in progress"
                raise ApiError("end the operation", 400, 3, text)
            self.document["status"]["operationState"]["phase"] = "Terminating"

        await self._do("terminate", act)

    async def watch(self, app: object, fields: str) -> AsyncGenerator[Application]:
        """What `send_change` put there; an exception breaks the stream, None ends it."""
        self.calls.append("watch")
        while (change := await self.changes.get()) is not None:
            if isinstance(change, Exception):
                raise change
            yield change


def merged(thing: Json, patch: Json) -> Json:
    """An object after a JSON merge patch (RFC 7396)."""
    result = dict(thing)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def node(manifest: Json) -> Json:
    """A live object as the resource tree has it."""
    metadata, key = manifest["metadata"], key_of(manifest, "")
    parents = [
        {"kind": o["kind"], "name": o["name"], "uid": o["uid"]} for o in metadata.get("ownerReferences", ())
    ]
    return {
        "group": key.group,
        "version": str(manifest["apiVersion"]).rpartition("/")[2],
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "createdAt": metadata["creationTimestamp"],
        **({"parentRefs": parents} if parents else {}),
    }
