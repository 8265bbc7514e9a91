"""Stores an Application: spec, status, a version per change, and its watchers."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import re
from typing import Protocol

from argorun.sandbox.standin import helm
from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.faults import INVALID, PRECONDITION, UNKNOWN, ApiError
from argorun.sandbox.standin.health import health_of
from argorun.sandbox.standin.objects import Json, Key, Pulse, new_uid, rfc3339
from argorun.sandbox.standin.patching import normalized

REFRESH = "argocd.argoproj.io/refresh"
HYDRATE = "argocd.argoproj.io/hydrate"
OWN_NAMESPACE = "argocd"  # where Argo CD itself is
BUFFER = 1000  # events a watcher may be behind before it loses some, as in Argo CD


class RenderError(Exception):
    """The source cannot be rendered."""


def policy_object(project: str, namespace: str, name: str) -> str:
    """An Application's name in the RBAC policy."""
    return f"{project}/{name}" if namespace in ("", OWN_NAMESPACE) else f"{project}/{namespace}/{name}"


class Render(Protocol):
    """The repo server's part: renders a source to manifests, or raises RenderError."""

    def __call__(self, source: Json, /) -> list[Json]: ...


class Application:
    """One Application resource. Everything that changes it ends in `save`."""

    def __init__(
        self, cluster: Cluster, render: Render, name: str, spec: Json, metadata: Json | None = None
    ) -> None:
        self.cluster, self.render = cluster, render
        self.name = name
        self.pulse = Pulse()
        self.watchers: set[asyncio.Queue[Json]] = set()
        self.doc: Json = {
            "metadata": {
                "name": name,
                "namespace": OWN_NAMESPACE,
                "uid": new_uid(),
                "generation": 0,
                "creationTimestamp": rfc3339(),
                **(metadata or {}),
            },
            "spec": normalized(spec),
            "status": {"sync": {"status": "Unknown"}, "health": {"status": "Missing"}, "summary": {}},
        }
        self.save()

    @property
    def spec(self) -> Json:
        """The spec as it is stored."""
        spec: Json = self.doc["spec"]
        return spec

    @property
    def source(self) -> Json:
        """The single source, or the first one of several."""
        source: Json = self.spec.get("source") or (self.spec.get("sources") or [{}])[0]
        return source

    @property
    def project(self) -> str:
        """The AppProject's name."""
        return str(self.spec.get("project") or "default")

    @property
    def policy_object(self) -> str:
        """Its name in the RBAC policy."""
        return policy_object(self.project, self.doc["metadata"]["namespace"], self.name)

    @property
    def namespace(self) -> str:
        """The namespace of its resources."""
        return str(self.spec["destination"].get("namespace") or "default")

    @property
    def operation_state(self) -> Json | None:
        """status.operationState."""
        state: Json | None = self.doc["status"].get("operationState")
        return state

    @property
    def version(self) -> int:
        """The resourceVersion."""
        return int(self.doc["metadata"]["resourceVersion"])

    def snapshot(self) -> Json:
        """The Application as it is stored, and as PATCH and POST answer it."""
        return copy.deepcopy(self.doc)

    def with_health(self) -> Json:
        """The Application as GET and the watch answer it: with its resources' health, from the tree."""
        doc = self.snapshot()
        for entry in doc["status"].get("resources", []):
            key = Key(entry.get("group", ""), entry["kind"], entry.get("namespace", ""), entry["name"])
            live = self.cluster.objects.get(key)
            health = health_of(live) if live is not None else {"status": "Missing"}
            entry |= {"health": health} if health else {}
        return doc

    def save(self, event: str = "MODIFIED") -> None:
        """Store a change: increase the version and send it to every watcher."""
        meta = self.doc["metadata"]
        meta["generation"] += 1
        meta["resourceVersion"] = self.cluster.next_version()
        change = {"type": event, "application": self.with_health()}
        for queue in self.watchers:
            if not queue.full():
                queue.put_nowait(change)
        self.pulse.beat()

    # -- what the API changes -------------------------------------------------------------

    def update(self, changed: Json, *, validate: bool = True) -> None:
        """Take over spec, labels, annotations and finalizers of a changed document."""
        if changed.get("metadata", {}).get("name") != self.name:
            raise ApiError(INVALID, "resource name may not be changed")
        spec = changed.get("spec")
        if not isinstance(spec, dict) or "destination" not in spec:
            text = f"application destination spec for {self.name} is invalid"
            raise ApiError(INVALID, f"{text}: Destination server missing from app spec")
        if validate:
            self.validate(spec)
        self._check_labels(changed["metadata"].get("labels") or {})
        self.doc["spec"] = normalized(spec)
        for field in ("labels", "annotations", "finalizers"):
            self.doc["metadata"].pop(field, None)
            if value := changed["metadata"].get(field):
                self.doc["metadata"][field] = value
        self.save()

    def _check_labels(self, labels: dict[str, str]) -> None:
        """Refuse what Kubernetes refuses: a key that is no qualified name."""
        for key in labels:
            if not re.fullmatch(r"([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", key):
                why = f'metadata.labels: Invalid value: "{key}": name part must consist of …'
                raise ApiError(INVALID, f'Application.argoproj.io "{self.name}" is invalid: {why}')

    def validate(self, spec: Json) -> None:
        """Render every source; 400 where one cannot be."""
        for source in spec.get("sources") or [spec.get("source") or {}]:
            kinds = [k for k in ("kustomize", "helm", "directory", "plugin") if source.get(k) is not None]
            if len(kinds) > 1:
                both = f"multiple application sources defined: {','.join(k.title() for k in kinds)}"
                why = f"error validating the repo: error verifying source type: {both}"
                raise ApiError(UNKNOWN, f"error validating and normalizing app: {why}")
            try:
                self._render(normalized({"source": source})["source"])
            except RenderError as error:
                why = f"rpc error: code = Unknown desc = {error}"
                text = f"Unable to generate manifests in {source.get('path', '')}: {why}"
                message = f"application spec for {self.name} is invalid: InvalidSpecError: {text}"
                raise ApiError(INVALID, message) from None

    def _render(self, source: Json) -> None:
        """Render a source, what its files in Git make of it; RenderError where Helm would refuse it."""
        self.render(copy.deepcopy(source))
        if getattr(self.render, "source_type", "") == "Helm":
            merged = getattr(self.render, "merged", copy.deepcopy)(source)
            if why := helm.refusal(self.name, self.namespace, merged):
                raise RenderError(why)

    async def refresh(self, kind: str) -> None:
        """Ask for a comparison and wait for it: an annotation that the controller takes off again."""
        annotations = self.doc["metadata"].setdefault("annotations", {})
        annotations[REFRESH] = kind
        annotations |= {HYDRATE: kind, f"{HYDRATE}-timestamp": rfc3339()}  # Argo CD leaves these two behind
        self.save()
        while True:
            seen = self.pulse.count
            if REFRESH not in self.doc["metadata"].get("annotations", {}):
                return
            await self.pulse.wait(seen)

    def end_refresh(self) -> None:
        """Remove the request for a comparison."""
        annotations = self.doc["metadata"].get("annotations", {})
        if annotations.pop(REFRESH, None) is not None:
            self.save()

    def resolve(self, revision: str) -> str:
        """The commit that a revision names, as the renderer's `resolve` says it, if it has one."""
        try:
            return str(getattr(self.render, "resolve", resolved)(revision))
        except RenderError as error:
            text = f"error resolving repo revision: rpc error: code = Unknown desc = {error}"
            raise ApiError(PRECONDITION, text) from None

    def start(self, request: Json, user: str) -> None:
        """POST /sync: set the operation and clear the last one's state."""
        if "deletionTimestamp" in self.doc["metadata"]:
            raise ApiError(PRECONDITION, "application is deleting")
        policy = self.spec.get("syncPolicy") or {}
        wanted, target = request.get("revision") or "", self.source.get("targetRevision") or "HEAD"
        automated = policy.get("automated")
        automatic = automated is not None and automated.get("enabled") is not False
        if automatic and wanted not in ("", target) and not request.get("dryRun"):
            raise ApiError(PRECONDITION, f"Cannot sync to {wanted}: auto-sync currently set to {target}")
        if self.doc.get("operation") is not None:
            raise ApiError(PRECONDITION, "another operation is already in progress")
        sync: Json = {"revision": self.resolve(wanted or target)}
        for field in ("prune", "dryRun", "resources", "manifests"):
            if request.get(field):
                sync[field] = request[field]
        if request.get("strategy"):
            sync["syncStrategy"] = request["strategy"]
        options = request.get("syncOptions")
        if items := (policy.get("syncOptions") if options is None else options.get("items")):
            sync["syncOptions"] = items
        sync["source"] = copy.deepcopy(self.source)
        operation: Json = {"sync": sync, "initiatedBy": {"username": user} if user else {}}
        if request.get("infos"):
            operation["info"] = request["infos"]
        retry = request.get("retryStrategy")
        retry = policy.get("retry") if retry is None else retry
        operation["retry"] = {k: v for k, v in (retry or {}).items() if v not in (0, None, False)}
        self.doc["operation"] = operation
        self.doc["status"].pop("operationState", None)
        self.save()

    def terminate(self) -> None:
        """DELETE /operation: ask the running operation to end."""
        state = self.operation_state
        if self.doc.get("operation") is None or state is None:
            raise ApiError(INVALID, "Unable to terminate operation. No operation is in progress")
        state["phase"] = "Terminating"
        self.save()


def resolved(revision: str) -> str:
    """The commit that a revision names: itself, if it looks like one."""
    return (
        revision if re.fullmatch(r"[0-9a-f]{40}", revision) else hashlib.sha1(revision.encode()).hexdigest()
    )
