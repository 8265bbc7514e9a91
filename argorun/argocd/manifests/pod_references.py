"""The ConfigMaps and Secrets that an object's pods read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from argorun.argocd.types import Json


class Source(NamedTuple):
    """A ConfigMap or Secret that a pod reads; `mounted`: as files, which change while the pod runs."""

    kind: str
    name: str
    mounted: bool


class Reference(NamedTuple):
    """One place that names a ConfigMap or Secret, and which of its keys; None: all."""

    kind: str
    name: str
    keys: tuple[str, ...] | None


def sources(spec: Json) -> Iterator[Source]:
    """The ConfigMaps and Secrets that a pod's spec refers to, by environment or volume.

    A file that is mounted by its subPath does not change (source: kubernetes.io/docs, ConfigMaps).
    """
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    still = {m.get("name") for m in mounts if m.get("subPath") or m.get("subPathExpr")}
    still -= {m.get("name") for m in mounts if not (m.get("subPath") or m.get("subPathExpr"))}
    for container in containers:
        for entry in container.get("env") or ():
            yield from _read(entry.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")
        for entry in container.get("envFrom") or ():
            yield from _read(entry, "configMapRef", "secretRef")
    for volume in spec.get("volumes") or ():
        for part in [volume, *((volume.get("projected") or {}).get("sources") or ())]:
            yield from _read(part, "configMap", "secret", mounted=volume.get("name") not in still)


def _read(parent: Json, *words: str, mounted: bool = False) -> Iterator[Source]:
    for word in words:
        if isinstance(below := parent.get(word), dict) and (found := _reference(word, below)) is not None:
            yield Source(found.kind, found.name, mounted)


def references(value: Any) -> Iterator[Reference]:
    """The ConfigMaps and Secrets that any part of a manifest names as a pod's spec would."""
    if isinstance(value, dict):
        for word, below in value.items():
            if isinstance(below, dict) and (found := _reference(word, below)) is not None:
                yield found
            yield from references(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from references(below)


def _reference(word: str, below: Json) -> Reference | None:
    """What stands below this word, by its shape (kubernetes.io/docs, Pod API)."""
    kind = {"configMap": "ConfigMap", "secret": "Secret"}.get(word.removesuffix("KeyRef").removesuffix("Ref"))
    name = below.get("name") or (below.get("secretName") if word == "secret" else None)
    if kind is None or not isinstance(name, str):
        return None
    if word.endswith("KeyRef"):
        return Reference(kind, name, (str(below.get("key", "")),))
    if isinstance(items := below.get("items"), list) and items:
        return Reference(kind, name, tuple(str(i.get("key", "")) for i in items if isinstance(i, dict)))
    return Reference(kind, name, None)


def pod_spec(manifest: Json) -> Json:
    """The spec of the pods that an object creates; empty if it creates none."""
    spec = manifest.get("spec") or {}
    if manifest.get("kind") == "Pod":
        return dict(spec)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template") or job.get("template") or {}
    return dict(template.get("spec") or {}) if isinstance(template, dict) else {}
