"""The application controller: compares, updates the status and runs operations."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterable

from argorun.sandbox.standin.application import Application, RenderError
from argorun.sandbox.standin.health import health_of, worst
from argorun.sandbox.standin.objects import Json, Key, annotation, group_version, images_of, key_of, rfc3339
from argorun.sandbox.standin.sync import Sync
from argorun.sandbox.standin.tasks import Task, is_hook, make_tasks, phases_of, wave_of

TRACKING = "argocd.argoproj.io/tracking-id"


class Controller:
    """Drives one Application; `run` never ends by itself."""

    def __init__(self, app: Application) -> None:
        self.app, self.cluster = app, app.cluster
        self._told: Json | None = None  # the operationState as it was saved last
        self._wanted: set[Key] = set()  # what the source rendered to when it was compared last

    async def run(self) -> None:
        """Keep the status up to date and run operations as they come."""
        self.reconcile()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._operate())

    # -- comparing ------------------------------------------------------------------------

    def targets(self, source: Json, *, placed: bool = True) -> list[Json]:
        """A source's manifests with the tracking id that Argo CD adds, and the namespace if `placed`."""
        found = []
        for manifest in self.app.render(copy.deepcopy(source)):
            obj = copy.deepcopy(manifest)
            key = key_of(obj, self.app.namespace)
            meta = obj.setdefault("metadata", {})
            if placed and key.namespace:
                meta["namespace"] = key.namespace
            tracking = f"{self.app.name}:{key.group}/{key.kind}:{key.namespace}/{key.name}"
            meta["annotations"] = {**(meta.get("annotations") or {}), TRACKING: tracking}
            found.append(obj)
        return found

    def live(self) -> list[Json]:
        """The live objects that the Application made, and those under a name that it renders, hooks included.

        (Argo CD: gitops-engine's pkg/cache/cluster.go, GetManagedLiveObjs.)
        """
        return [
            obj
            for key, obj in self.cluster.objects.items()
            if "ownerReferences" not in obj["metadata"] and (self._is_mine(obj) or key in self._wanted)
        ]

    def _is_mine(self, obj: Json) -> bool:
        return application_of(obj) == self.app.name

    def surplus(self, targets: Iterable[Json]) -> list[Json]:
        """Live objects that are no longer wanted."""
        wanted = {key_of(target) for target in targets}
        mine = [obj for obj in self.live() if self._is_mine(obj)]
        return [obj for obj in mine if not is_hook(obj) and key_of(obj) not in wanted]

    def reconcile(self) -> None:
        """Compare what is wanted with what is there, and write it into the status."""
        app, status = self.app, copy.deepcopy(self.app.doc["status"])
        compared = {
            "source": copy.deepcopy(app.source),
            "destination": copy.deepcopy(app.spec["destination"]),
        }
        conditions: list[tuple[str, str]] = []
        rendered = True
        try:
            targets = self.targets(app.source)
        except RenderError as error:
            message = f"Failed to load target state: failed to generate manifest for source 1 of 1: {error}"
            conditions.append(("ComparisonError", message))
            rendered = False
            status["sync"] = {"status": "Unknown", "comparedTo": compared}
        else:
            self._wanted = {key_of(target) for target in targets}
            conditions += [("SharedResourceWarning", message) for message in self._shared()]
            resources = self._resources(targets)
            status["resources"] = resources
            out = any(r.get("status") == "OutOfSync" for r in resources)
            status["sync"] = {
                "status": "OutOfSync" if out else "Synced",
                "comparedTo": compared,
                "revision": app.resolve(app.source.get("targetRevision") or "HEAD"),
            }
            status["health"] = self._health(targets, status["health"])
            images = {image for obj in self.live() if not is_hook(obj) for image in images_of(obj)}
            status["summary"] = {"images": sorted(images)} if images else {}
        _set_conditions(status, conditions)
        status["sourceType"] = source_type(app) if rendered else ""  # (controller/state.go, CompareAppState)
        status |= {"controllerNamespace": "argocd", "resourceHealthSource": "appTree", "sourceHydrator": {}}
        before = {k: v for k, v in app.doc["status"].items() if k != "reconciledAt"}
        if before != {k: v for k, v in status.items() if k != "reconciledAt"}:
            status["reconciledAt"] = rfc3339()
            if app.operation_state is not None:
                status["operationState"] = app.operation_state  # the very object: an operation writes to it
            app.doc["status"] = status
            app.save()

    def _shared(self) -> list[str]:
        """The warnings about live objects that another Application tracks."""
        others = [(obj, application_of(obj)) for obj in self.live()]
        return [
            f"{obj['kind']}/{obj['metadata']['name']} is part of applications argocd/{self.app.name} "
            f"and {other.replace('_', '/')}"
            for obj, other in others
            if other not in ("", self.app.name)
        ]

    def missing(self) -> list[Json]:
        """What is wanted and not there."""
        try:
            targets = self.targets(self.app.source)
        except RenderError:
            return []
        return [t for t in targets if not is_hook(t) and key_of(t) not in self.cluster.objects]

    def _resources(self, targets: list[Json]) -> list[Json]:
        """status.resources: what is wanted and what is there; hooks only where they live."""
        wanted = {key_of(t): t for t in targets if phases_of(t) and not is_hook(t)}
        live = {key_of(obj): obj for obj in self.live()}
        found = []
        for key in sorted({*wanted, *live}):
            target = wanted.get(key)
            obj = target or live[key]
            entry: Json = {"group": key.group} if key.group else {}
            entry |= {"version": group_version(obj)[1], "kind": key.kind}
            entry |= {"namespace": key.namespace} if key.namespace else {}
            entry["name"] = key.name
            if is_hook(obj):
                entry["hook"] = True
            else:
                same = target is not None and key in live and self.cluster.applied.get(key) == target
                entry["status"] = "Synced" if same else "OutOfSync"
            entry |= {"requiresPruning": True} if target is None and self._is_mine(obj) else {}
            entry |= {"syncWave": wave} if (wave := wave_of(obj)) else {}
            found.append(entry)
        return found

    def _health(self, targets: list[Json], before: Json) -> Json:
        """status.health, with the time of its last change."""
        found: list[Json | None] = []
        for target in targets:
            if phases_of(target) and not is_hook(target):
                live = self.cluster.objects.get(key_of(target))
                found.append(health_of(live) if live is not None else {"status": "Missing"})
        status = worst(found)
        changed = before.get("lastTransitionTime") if before.get("status") == status else None
        return {"status": status, "lastTransitionTime": changed or rfc3339()}

    async def _watch(self) -> None:
        """Reconcile when the spec was changed, a refresh was requested, or an object changed."""
        while True:
            seen = self.app.pulse.count, self.cluster.pulse.count
            self.reconcile()
            self.app.end_refresh()
            await first(self.app.pulse.wait(seen[0]), self.cluster.pulse.wait(seen[1]))

    # -- operations -----------------------------------------------------------------------

    async def _operate(self) -> None:
        while True:
            seen = self.app.pulse.count
            if self.app.doc.get("operation") is None:
                await self.app.pulse.wait(seen)
                continue
            await asyncio.sleep(self.cluster.timings.pick_up)
            await self._carry_out()

    async def _carry_out(self) -> None:
        """One operation, its retries included."""
        app = self.app
        operation = copy.deepcopy(app.doc["operation"])
        state: Json = {"operation": operation, "phase": "Running", "startedAt": rfc3339()}
        while True:
            app.doc["status"]["operationState"] = state
            self._write(state, "Running", state.get("message", ""))
            await self._attempt(state)
            retry, count = operation["retry"], state.get("retryCount", 0)
            limit = retry.get("limit", 0)
            if state["phase"] == "Succeeded" or state.pop("terminated", False) or 0 <= limit <= count:
                break
            delay = _backoff(retry, count)
            state |= {"finishedAt": rfc3339(), "retryCount": count + 1}
            text = f"{state['message']}. Retrying attempt #{count + 1} at {rfc3339()}."
            self._write(state, "Running", text)
            if await self._terminating_within(delay):
                self._write(state, "Failed", "Operation terminated")
                break
            del state["finishedAt"], state["syncResult"]
            state["message"] = f"Retrying operation. Attempt #{count + 1}"
        self._finish(state)

    async def _attempt(self, state: Json) -> None:
        """Run the sync once; leaves the ended phase and message in `state`, not yet written."""
        app, wanted = self.app, state["operation"]["sync"]
        source = wanted.get("source") or app.source
        state["syncResult"] = {"revision": wanted["revision"], "source": copy.deepcopy(source)}
        try:
            targets = self.targets({**source, "targetRevision": wanted["revision"]})
        except RenderError as error:
            state |= {"phase": "Error", "message": f"ComparisonError: Failed to load target state: {error}"}
            return
        only = wanted.get("resources") or []
        if "apply" in (wanted.get("syncStrategy") or {}):
            targets = [t for t in targets if not is_hook(t)]
        started = int(self.cluster.clock())
        surplus = self.surplus(targets)
        tasks = make_tasks(
            targets, surplus, app.namespace, revision=wanted["revision"], started=started, only=only
        )
        dry = bool(wanted.get("dryRun"))
        if "CreateNamespace=true" in wanted.get("syncOptions", ()) and not dry:
            await self._create_namespace(state)
        sync = Sync(self.cluster, tasks, app.namespace, prune=bool(wanted.get("prune")), dry_run=dry)
        before_all = state["syncResult"].get("resources", [])
        while True:
            seen, before = app.pulse.count, self._managed()
            if state["phase"] == "Terminating":
                sync.terminate()
                state["terminated"] = True
            else:
                await sync.step()
            if results := before_all + sync.results():
                state["syncResult"]["resources"] = results
            if sync.phase != "Running":
                state |= {"phase": sync.phase, "message": sync.message}
                return
            if state["phase"] != "Terminating":
                self._write(state, "Running", sync.message)
                await self._wake(seen, before)

    async def _create_namespace(self, state: Json) -> None:
        """A wave before all others, where the namespace is missing; its result stays Running (seen)."""
        name = self.app.namespace
        manifest: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        if key_of(manifest) in self.cluster.objects:
            return
        task = Task("PreSync", key_of(manifest), manifest)
        task.set("Synced", "Running", self.cluster.apply(manifest, name))
        state["syncResult"]["resources"] = [task.result()]
        self._write(state, "Running", f"waiting for healthy state of {task.key}")
        await asyncio.sleep(self.cluster.timings.wave_delay)

    async def _wake(self, seen: int, before: dict[Key, str]) -> None:
        """Wait as the operation queue does: any write to the Application is looked at at once, changed
        objects after the batch delay (controller/appcontroller.go: AddRateLimited and AddAfter)."""

        async def batch() -> None:
            while True:
                count = self.cluster.pulse.count
                if self._managed() != before:
                    return await asyncio.sleep(self.cluster.timings.job_batch)
                await self.cluster.pulse.wait(count)

        await first(batch(), self.app.pulse.wait(seen))

    def _managed(self) -> dict[Key, str]:
        return {key_of(obj): obj["metadata"]["resourceVersion"] for obj in self.live()}

    async def _terminating_within(self, seconds: float) -> bool:
        end = asyncio.get_running_loop().time() + seconds
        state = self.app.operation_state
        while state is not None and state["phase"] != "Terminating":
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await first(asyncio.sleep(left), self.app.pulse.wait(self.app.pulse.count))
        return True

    def _write(self, state: Json, phase: str, message: str) -> None:
        """Put the state into the status; no save where nothing changed."""
        state["phase"] = phase
        state["message"] = message
        if not message:
            del state["message"]
        self.app.doc["status"]["operationState"] = state
        if self._told != state:
            self._told = copy.deepcopy(state)
            self.app.save()

    def _finish(self, state: Json) -> None:
        """The final phase, the history and the clearing of the operation, in one write."""
        app, wanted = self.app, state["operation"]["sync"]
        if (count := state.get("retryCount")) and state["phase"] != "Succeeded":
            state["message"] += f" (retried {count} times)."
        state["finishedAt"] = rfc3339()
        app.doc["status"]["operationState"] = copy.deepcopy(state)
        app.doc.pop("operation", None)
        if state["phase"] == "Succeeded" and not wanted.get("dryRun") and not wanted.get("resources"):
            history = app.doc["status"].setdefault("history", [])
            history.append(
                {
                    "revision": wanted["revision"],
                    "deployedAt": rfc3339(),
                    "id": history[-1]["id"] + 1 if history else 0,
                    "source": copy.deepcopy(wanted["source"]),
                    "deployStartedAt": state["startedAt"],
                    "initiatedBy": state["operation"]["initiatedBy"],
                }
            )
            del history[:-10]
        app.save()


def application_of(obj: Json) -> str:
    """The Application that an object is tracked to, by its tracking id."""
    return annotation(obj, TRACKING).partition(":")[0]


def _set_conditions(status: Json, conditions: list[tuple[str, str]]) -> None:
    """Replace status.conditions; what was said before keeps its time."""
    before = {(c["type"], c["message"]): c["lastTransitionTime"] for c in status.pop("conditions", ())}
    if conditions:
        status["conditions"] = [
            {"type": kind, "message": text, "lastTransitionTime": before.get((kind, text)) or rfc3339()}
            for kind, text in conditions
        ]


async def first(*waits: object) -> None:
    """Return when the first of several waits is over; the others are canceled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def source_type(app: Application) -> str:
    """Helm, Kustomize, Plugin or Directory: what the renderer says it is, else by the source's own fields."""
    if source_type := getattr(app.render, "source_type", ""):
        return str(source_type)
    for field, name in (("helm", "Helm"), ("kustomize", "Kustomize"), ("plugin", "Plugin")):
        if field in app.source:
            return name
    return "Helm" if app.source.get("chart") else "Directory"


def _backoff(retry: Json, count: int) -> float:
    backoff = retry.get("backoff") or {}
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

    def seconds(text: str) -> float:
        return sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ms|s|m|h)", text))

    first_delay = seconds(str(backoff.get("duration") or "5s"))
    most = seconds(str(backoff.get("maxDuration") or "3m"))
    return float(min(first_delay * float(backoff.get("factor") or 2) ** count, most))
