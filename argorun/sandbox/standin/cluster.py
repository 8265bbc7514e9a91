"""The stand-in's Kubernetes: live objects, their controllers, their events; nothing survives `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from base64 import b64decode
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Protocol

from argorun.sandbox.standin.containers import Images
from argorun.sandbox.standin.objects import Json, Key, Pulse, key_of, new_uid, report, rfc3339
from argorun.sandbox.standin.patching import merge_patch
from argorun.sandbox.standin.pods import Pod
from argorun.sandbox.standin.timings import Timings
from argorun.sandbox.watchdog import Watchdog


class WorkloadController(Protocol):
    """Drives one workload, such as a Job; canceled when the workload is deleted."""

    def __call__(self, cluster: Cluster, obj: Json, /) -> Coroutine[Any, Any, None]: ...


class Cluster:
    """All live objects by key; workloads run as tasks of the loop that made it.

    `controllers` are those of the workloads, by API group and kind.
    """

    def __init__(
        self,
        dog: Watchdog,
        images: Images,
        timings: Timings,
        controllers: Mapping[tuple[str, str], WorkloadController],
        extra_env: dict[str, str] | None = None,
    ) -> None:
        self.dog, self.images, self.timings, self.controllers = dog, images, timings, controllers
        self.extra_env = extra_env or {}  # set in every container, over what its manifest says
        self.objects: dict[Key, Json] = {}
        self.applied: dict[Key, Json] = {}  # what was applied last, as `kubectl apply` remembers it
        self.owned: dict[str, list[Json]] = {}  # by their owner's UID
        self.pods: dict[str, Pod] = {}  # by UID
        self.events: list[Json] = []
        self.pulse = Pulse()  # beats on every change of any object
        self.clock: Callable[[], float] = time.time
        self.admit: Callable[[Json], str | None] = lambda obj: None  # why an object cannot be applied
        self._version = 1000
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def next_version(self) -> str:
        """The next resourceVersion."""
        self._version += 1
        return str(self._version)

    def touched(self, obj: Json) -> None:
        """An object changed in place."""
        obj["metadata"]["resourceVersion"] = self.next_version()
        self.pulse.beat()

    # -- objects --------------------------------------------------------------------------

    def refusal(self, obj: Json) -> str | None:
        """Why the API server would not take an object, or None."""
        if not obj.get("kind") or not obj.get("apiVersion"):
            return "error validating data: apiVersion and kind must be set"
        return self.admit(obj)

    def apply(self, manifest: Json, namespace: str, *, dry_run: bool = False) -> str:
        """Create or update an object; return what `kubectl apply` prints."""
        key = key_of(manifest, namespace)
        label = f"{key.kind.lower()}{'.' + key.group if key.group else ''}/{key.name}"
        live = self.objects.get(key)
        if live is None:
            if not dry_run:
                self.create(manifest, namespace)
            return f"{label} created"
        if self.applied.get(key) == manifest:
            return f"{label} unchanged"
        if dry_run:
            return f"{label} configured"
        self.applied[key] = copy.deepcopy(manifest)
        for field, value in copy.deepcopy(manifest).items():
            if field != "metadata":
                live[field] = value
        for field in ("labels", "annotations"):
            if field in manifest["metadata"]:
                live["metadata"][field] = dict(manifest["metadata"][field] or {})
        live["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
        self.touched(live)
        return f"{label} configured"

    def patch(self, key: Key, change: Json) -> Json:
        """Change a live object by a merge patch; one that changes nothing makes no new version."""
        live = self.objects[key]
        changed = merge_patch(live, change)
        if changed != live:
            for field in live.keys() - changed.keys():
                del live[field]
            live |= changed
            self.applied.pop(key, None)  # it is no longer what was applied
            self.touched(live)
        return live

    def create(self, manifest: Json, namespace: str, owner: Json | None = None) -> Json:
        """Add an object and start what drives it."""
        obj: Json = copy.deepcopy(manifest)
        key = key_of(obj, namespace)
        self.applied[key] = copy.deepcopy(manifest)
        meta = obj["metadata"]
        meta |= {"uid": new_uid(), "creationTimestamp": rfc3339(), "generation": 1}
        if key.namespace:
            meta["namespace"] = key.namespace
        if owner is not None:
            meta["ownerReferences"] = [_owner_reference(owner)]
            self.owned.setdefault(owner["metadata"]["uid"], []).append(obj)
        self.objects[key] = obj
        self.touched(obj)
        if key[:2] == ("", "Pod"):
            pod = self.pods[meta["uid"]] = Pod(self, obj)
            self.spawn(meta["uid"], pod.run())
        elif drive := self.controllers.get(key[:2]):
            self.spawn(meta["uid"], drive(self, obj))
        return obj

    def spawn(self, uid: str, work: Coroutine[Any, Any, None]) -> None:
        """Run work that belongs to an object until the object is deleted."""
        task = asyncio.create_task(work)
        tasks = self._tasks.setdefault(uid, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(report)

    def children(self, obj: Json) -> list[Json]:
        """The objects that an object owns."""
        return list(self.owned.get(obj["metadata"]["uid"], ()))

    def descendants(self, obj: Json) -> Iterator[Json]:
        """An object and everything below it."""
        yield obj
        for child in self.children(obj):
            yield from self.descendants(child)

    def delete(self, key: Key) -> bool:
        """Begin to delete an object and what it owns; False where there is none."""
        obj = self.objects.get(key)
        if obj is None:
            return False
        if "deletionTimestamp" not in obj["metadata"]:
            obj["metadata"]["deletionTimestamp"] = rfc3339()
            self.touched(obj)
            uid = obj["metadata"]["uid"]
            for task in () if uid in self.pods else tuple(self._tasks.get(uid, ())):
                task.cancel()
            self.spawn(f"deleting {uid}", self._finish_deletion(key, obj))
        return True

    async def _finish_deletion(self, key: Key, obj: Json) -> None:
        """Foreground deletion: children first, a pod after its grace period, then the object."""
        for child in self.children(obj):
            self.delete(key_of(child))
        if pod := self.pods.get(obj["metadata"]["uid"]):
            await pod.stop()
            await pod.done.wait()
        while self.children(obj):
            seen = self.pulse.count
            if self.children(obj):
                await self.pulse.wait(seen)
        if self.objects.get(key) is obj:
            del self.objects[key]
            for owner in obj["metadata"].get("ownerReferences", ()):
                siblings = self.owned[owner["uid"]]
                siblings[:] = [o for o in siblings if o is not obj]
            self.applied.pop(key, None)
            self.pods.pop(obj["metadata"]["uid"], None)
        self.pulse.beat()

    # -- what pods and people ask ---------------------------------------------------------

    def data_of(self, kind: str, namespace: str, name: str) -> dict[str, str] | None:
        """A ConfigMap's or Secret's data as text."""
        obj = self.objects.get(Key("", kind, namespace, name))
        if obj is None:
            return None
        data = {k: str(v) for k, v in (obj.get("data") or {}).items()}
        if kind == "Secret":
            data = {k: b64decode(v).decode() for k, v in data.items()} | (obj.get("stringData") or {})
        return data

    def event(self, obj: Json, kind: str, reason: str, message: str) -> None:
        """Record a Kubernetes event about an object."""
        meta, now = obj["metadata"], rfc3339()
        ref = {
            "kind": obj["kind"],
            "namespace": meta.get("namespace", ""),
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        }
        self.events.append(
            {
                "metadata": {
                    "name": f"{meta['name']}.{new_uid()[:8]}",
                    "namespace": meta.get("namespace", ""),
                },
                "involvedObject": ref | {"apiVersion": obj["apiVersion"]},
                "type": kind,
                "reason": reason,
                "message": message,
                "source": {},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "eventTime": None,
                "reportingComponent": "",
                "reportingInstance": "",
            }
        )

    async def stop(self) -> None:
        """End every process and every task, at once."""
        tasks = [task for tasks in self._tasks.values() for task in tasks]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def _owner_reference(owner: Json) -> Json:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
