"""What an object holds: its content, its version, and topics that it names."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable

from argorun.argocd.manifests.keys import Key, key_of_listed
from argorun.argocd.types import Json, Tree

TRACKING = "argocd.argoproj.io/tracking-id"  # "weather:batch/Job:tests/checks"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SERVER_SIDE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


def annotations_of(manifest: Json) -> Json:
    """An object's annotations; empty if it has none."""
    annotations: Json = (manifest.get("metadata") or {}).get("annotations") or {}
    return annotations


def content(manifest: Json) -> Json:
    """A copy of a live object without its status and without what the API server and kubectl add."""
    kept = copy.deepcopy({k: v for k, v in manifest.items() if k != "status"})
    metadata = kept.get("metadata") or {}
    for name in SERVER_SIDE:
        metadata.pop(name, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop(LAST_APPLIED, None)
    if not annotations:
        metadata.pop("annotations", None)
    return kept


def resource_version(live: Json) -> str:
    """A live object's resourceVersion, which is new after each change."""
    return str((live.get("metadata") or {}).get("resourceVersion", ""))


def spellings(topic: str) -> tuple[str, ...]:
    """A topic's name, and its forms where Kubernetes does not accept it: `-` for `_`, and lower case."""
    safe = topic.replace("_", "-")
    return tuple(dict.fromkeys((topic, safe, safe.lower())))


def topics_named(thing: Json, topics: Iterable[str]) -> list[str]:
    """The topics whose names the object's `content` holds, in any of their spellings."""
    text = json.dumps(content(thing), ensure_ascii=False)
    return [t for t in topics if any(s in text for s in spellings(t))]


def kept_claims(live: Json, tree: Tree) -> list[Key]:
    """The volume claims that Kubernetes keeps when this live StatefulSet is deleted; none for other kinds.

    Source: kubernetes.io/docs, StatefulSets, PersistentVolumeClaim retention.
    """
    policy = (live.get("spec") or {}).get("persistentVolumeClaimRetentionPolicy") or {}
    if live.get("kind") != "StatefulSet" or policy.get("whenDeleted") == "Delete":
        return []
    uid = (live.get("metadata") or {}).get("uid")
    claims = tree.of_kind("PersistentVolumeClaim")
    return [key_of_listed(n) for n in claims if any(r.uid == uid for r in n.parent_refs or ())]
