"""Where a topic's name gets to: whether the rendered manifests hand it to a test. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from argorun.argocd.parameters import ROLLED
from argorun.argocd.rendered import hook_of, hook_phases, is_hook, required
from argorun.argocd.types import Json

# Kubernetes' own groups: those without a dot, and those below k8s.io (kubernetes.io/docs, API Groups).
OWN_GROUP = re.compile(r"[a-z]*|.*\.k8s\.io")
# What only makes a topic: KafkaTopic (Strimzi, Confluent, Banzai), Topic (Redpanda, Crossplane).
TOPIC_KINDS = ("KafkaTopic", "Topic")


@dataclass(frozen=True)
class Reader:
    """A test, a workload or a custom resource: what it holds itself, and where it may read more."""

    namespace: str
    holds: tuple[Any, ...]  # the parts of its manifest that a test, a workload's pods or an operator reads
    text: str  # the same as JSON


@dataclass(frozen=True)
class Reference:
    """One place of a pod's spec that reads a ConfigMap or Secret; `keys` are those it reads, None: all."""

    kind: str
    name: str
    keys: tuple[str, ...] | None = None

    def reads(self, kind: str, name: str, key: str) -> bool:
        return (self.kind, self.name) == (kind, name) and (self.keys is None or key in self.keys)


def unreached(topics: Sequence[str], manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
    """The topics whose name is neither in a required test nor in what a test or a workload reads.

    A ConfigMap counts where something reads the key that holds the name. What does not count: argorun's own
    annotation, a hook that is no test (one that only makes the topic), a ConfigMap that nothing reads, an
    operator's topic resource. A Secret's values are hidden by Argo CD: see `hidden`.
    """
    readers = _readers(manifests, jobs)
    texts = [(m, _json(m)) for m in manifests if _is(m, "ConfigMap") and _is_applied(m)]
    missing = []
    for topic in topics:
        own = any(topic in r.text and any(_holds(part, topic) for part in r.holds) for r in readers)
        if not own and not any(topic in text and _is_read(m, topic, readers) for m, text in texts):
            missing.append(topic)
    return missing


def hidden(manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
    """The Secrets that a required test or a workload reads: Argo CD hides their values."""
    readers = _readers(manifests, jobs)
    found = [m for m in manifests if _is(m, "Secret") and _is_applied(m)]
    return sorted({_name(m) for m in found if _reading(m, _data(m, "data", "stringData"), readers)})


def holders(topic: str, manifests: Sequence[Json]) -> list[str]:
    """The objects that hold a topic's name anywhere, each as `Kind name`."""
    return [f"{m.get('kind')} {_name(m)}" for m in manifests if topic in _json(m) and _holds(m, topic)]


def _readers(manifests: Sequence[Json], jobs: Sequence[str]) -> list[Reader]:
    made = []
    for m in manifests:
        if parts := tuple(_parts(m, jobs)):
            made.append(Reader(_namespace(m), parts, _json(parts)))
    return made


def _parts(manifest: Json, jobs: Sequence[str]) -> Iterator[Any]:
    """What of an object counts: all of a test, a workload's pod templates, a custom resource's spec."""
    hook = hook_of(manifest)
    if hook is not None:
        if required([hook], jobs):
            yield manifest
        return
    if is_hook(_annotations(manifest)):
        return
    if OWN_GROUP.fullmatch(_group(manifest)):
        yield from _templates(manifest)
    elif manifest.get("kind") not in TOPIC_KINDS:
        yield {k: v for k, v in manifest.items() if k != "metadata"}


def _templates(value: Any) -> Iterator[Json]:
    """The pod templates in an object, a bare Pod itself: whatever has a spec with containers."""
    if isinstance(value, dict):
        spec = value.get("spec")
        if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
            yield value
            return
        for below in value.values():
            yield from _templates(below)
    elif isinstance(value, list):
        for below in value:
            yield from _templates(below)


def _holds(value: Any, topic: str) -> bool:
    """Whether a part of a manifest holds the name somewhere; argorun's own annotation says nothing."""
    if isinstance(value, dict):
        return any(topic in k or _holds(v, topic) for k, v in value.items() if k != ROLLED)
    if isinstance(value, list):
        return any(_holds(v, topic) for v in value)
    return isinstance(value, str) and topic in value


def _is_read(configmap: Json, topic: str, readers: Sequence[Reader]) -> bool:
    """Whether something reads a key of this ConfigMap that holds the name."""
    keys = [k for k, v in _data(configmap, "data").items() if topic in k or topic in str(v)]
    return _reading(configmap, keys, readers)


def _reading(source: Json, keys: Sequence[str] | Json, readers: Sequence[Reader]) -> bool:
    """Whether any reader reads one of these keys of a ConfigMap or Secret."""
    name, kind, namespace = _name(source), str(source.get("kind")), _namespace(source)
    return any(
        reference.reads(kind, name, key)
        for r in readers
        if name in r.text and (r.namespace == namespace or not (r.namespace and namespace))
        for reference in _references(r.holds)
        for key in keys
    )


def _references(value: Any) -> Iterator[Reference]:
    """Each place that reads a ConfigMap or Secret: environment, volumes, projected volumes."""
    if isinstance(value, dict):
        for word, below in value.items():
            if isinstance(below, dict):
                yield from _reference(word, below)
            yield from _references(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _references(below)


def _reference(word: str, place: Json) -> Iterator[Reference]:
    """One that stands under this word, by its shape (kubernetes.io/docs, Pod API)."""
    kind = {"configMap": "ConfigMap", "secret": "Secret"}.get(word.removesuffix("KeyRef").removesuffix("Ref"))
    name = place.get("name") or (place.get("secretName") if word == "secret" else None)
    if kind is None or not isinstance(name, str):
        return
    if word.endswith("KeyRef"):
        yield Reference(kind, name, (str(place.get("key", "")),))
    elif isinstance(items := place.get("items"), list) and items:
        yield Reference(kind, name, tuple(str(i.get("key", "")) for i in items if isinstance(i, dict)))
    else:
        yield Reference(kind, name)


def _is_applied(manifest: Json) -> bool:
    """Whether a sync makes it, as a hook or for good."""
    annotations = _annotations(manifest)
    return bool(hook_phases(annotations)) or not is_hook(annotations)


def _annotations(manifest: Json) -> Json:
    return (manifest.get("metadata") or {}).get("annotations") or {}


def _is(manifest: Json, kind: str) -> bool:
    return manifest.get("kind") == kind and _group(manifest) == ""


def _group(manifest: Json) -> str:
    return str(manifest.get("apiVersion", "")).rpartition("/")[0]


def _name(manifest: Json) -> str:
    return str((manifest.get("metadata") or {}).get("name", ""))


def _namespace(manifest: Json) -> str:
    return str((manifest.get("metadata") or {}).get("namespace") or "")


def _data(manifest: Json, *fields: str) -> Json:
    tables = [manifest.get(field) for field in fields]
    return {k: v for table in tables if isinstance(table, dict) for k, v in table.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
