"""The ConfigMaps and Secrets that an object's pods read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from argorun.argocd.types import Json


class Source(NamedTuple):
    """A ConfigMap or Secret that a pod reads; `mounted`: as files, which change while the pod runs."""

    kind: str
    name: str
    mounted: bool


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
            value = entry.get("valueFrom") or {}
            yield from _named(value.get("configMapKeyRef"), value.get("secretKeyRef"))
        for entry in container.get("envFrom") or ():
            yield from _named(entry.get("configMapRef"), entry.get("secretRef"))
    for volume in spec.get("volumes") or ():
        for part in [volume, *((volume.get("projected") or {}).get("sources") or ())]:
            secret = part.get("secret") or {}
            named = {"name": secret.get("secretName") or secret.get("name")}
            yield from _named(part.get("configMap"), named, mounted=volume.get("name") not in still)


def _named(configmap: Json | None, secret: Json | None, *, mounted: bool = False) -> Iterator[Source]:
    for kind, ref in (("ConfigMap", configmap), ("Secret", secret)):
        if ref and ref.get("name"):
            yield Source(kind, str(ref["name"]), mounted)


def pod_spec(manifest: Json) -> Json:
    """The spec of the pods that an object creates; empty if it creates none."""
    spec = manifest.get("spec") or {}
    if manifest.get("kind") == "Pod":
        return dict(spec)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template") or job.get("template") or {}
    return dict(template.get("spec") or {}) if isinstance(template, dict) else {}
