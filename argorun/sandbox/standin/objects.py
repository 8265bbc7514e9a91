"""Shared helpers of the stand-in: JSON objects, keys, times, a pulse to wait for."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import uuid
from typing import Any, NamedTuple

Json = dict[str, Any]
"""A Kubernetes object or a part of one, as JSON."""


class Key(NamedTuple):
    """What identifies a live object."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.group}/{self.kind}/{self.name}"


class Pulse:
    """Wakes all waiting tasks when something changes; loses no beat between two waits."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Wake the waiting tasks."""
        self.count += 1
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seen: int) -> int:
        """Wait until there was a beat after `seen` (a former `count`); return the count now."""
        while self.count == seen:
            await self._event.wait()
        return self.count


def report(task: asyncio.Task[None]) -> None:
    """A done callback: a task of the stand-in that broke must not go unnoticed."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logging.getLogger("argorun.sandbox").error("the stand-in broke", exc_info=error)


def rfc3339(seconds: float | None = None) -> str:
    """Whole seconds, as Kubernetes writes its times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if seconds is None else seconds))


def rfc3339_nano(stamp: int) -> str:
    """Nanoseconds since the epoch as Go's RFC3339Nano has them: without trailing zeros."""
    seconds, nanos = divmod(stamp, 1_000_000_000)
    fraction = f"{nanos:09d}".rstrip("0")
    head = _second(seconds)
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"


@functools.lru_cache(maxsize=1024)  # a log has many lines a second
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def new_uid() -> str:
    """A UID as the API server gives it."""
    return str(uuid.uuid4())


def group_version(obj: Json) -> tuple[str, str]:
    """The API group ("" for the core) and version of an object."""
    group, _, version = str(obj.get("apiVersion", "v1")).rpartition("/")
    return group, version


CLUSTER_SCOPED = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume"}
)


def key_of(obj: Json, namespace: str = "") -> Key:
    """The key of an object; `namespace` is for one that names none."""
    meta = obj.get("metadata", {})
    where = "" if obj["kind"] in CLUSTER_SCOPED else meta.get("namespace") or namespace
    return Key(group_version(obj)[0], obj["kind"], where, meta.get("name", ""))


def annotation(obj: Json, name: str) -> str:
    """An annotation's value, or "" where there is none."""
    return str((obj.get("metadata", {}).get("annotations") or {}).get(name, ""))


HIDDEN = "++++++++"


def without_secrets(obj: Json) -> Json:
    """An object as Argo CD shows it: what a Secret holds is hidden (its util/argo/diff: HideSecretData)."""
    if (group_version(obj)[0], obj.get("kind")) != ("", "Secret"):
        return obj
    names = [*(obj.get("data") or {}), *(obj.get("stringData") or {})]
    shown = {k: v for k, v in obj.items() if k != "stringData"}
    return shown | ({"data": dict.fromkeys(names, HIDDEN)} if names else {})


def images_of(obj: Json) -> list[str]:
    """The images an object's containers run, as syncResult names them."""
    spec = obj.get("spec") or {}
    pod = spec.get("template", {}).get("spec", spec) if isinstance(spec, dict) else {}
    containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
    return [str(c["image"]) for c in containers if "image" in c]
