"""Builders of objects, as Git has them or live."""

from __future__ import annotations

from typing import Any

from argorun.argocd.manifests.keys import Key, key_of
from argorun.argocd.manifests.objects import content
from argorun.argocd.settle.snapshot import Snapshot
from tests.unit.argocd.gopatch import Json

TOPIC = "weather_1700000000_0a1b2c3d"
SAFE = "weather-1700000000-0a1b2c3d"
HOOK = {"argocd.argoproj.io/hook": "PreSync"}


def thing(
    kind: str = "ConfigMap",
    name: str = "x",
    value: str = "former",
    uid: str = "",
    version: str = "",
    api: str = "v1",
    **annotations: str,
) -> Json:
    """An object, live where it has a uid."""
    metadata: Json = {"name": name, "namespace": "n"}
    metadata |= {"uid": uid, "resourceVersion": version} if uid else {}
    metadata |= (
        {"annotations": {k.replace("__", "/"): v for k, v in annotations.items()}} if annotations else {}
    )
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "data": {"topic": value}}


def hooked(kind: str = "ConfigMap", name: str = "x", value: str = "former", **more: Any) -> Json:
    made = thing(kind, name, value, **more)
    made["metadata"].setdefault("annotations", {}).update(HOOK)
    return made


X = Key("", "ConfigMap", "n", "x")


def was(*objects: Json) -> Snapshot:
    """These were live before, and their contents read."""
    versions = {o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in objects}
    return Snapshot(versions, {key_of(o, "n"): content(o) for o in objects})


OURS = thing(value=TOPIC)
FORMER = thing(value="former")
