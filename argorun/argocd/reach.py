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


def unreached(topics: Sequence[str], manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
    """The topics whose name is neither in a required test nor in what a test or a workload reads.

    A ConfigMap counts where something reads the key that holds the name. What does not count: argorun's own
    annotation, a hook that is no test (one that only makes the topic), a ConfigMap that nothing reads, an
    operator's topic resource. A Secret's values are hidden by Argo CD: see `hidden`.
    """
    readers = _readers(manifests, jobs)

    def held(topic: str) -> bool:
        return any(topic in r.text and any(_holds(part, topic) for part in r.holds) for r in readers)

    missing = [topic for topic in topics if not held(topic)]
    if not missing:
        return []
    reads = _reads(readers)
    maps = [m for m in manifests if _is(m, "ConfigMap") and _is_applied(m)]
    read = {text for m in maps for text in _texts(m, _keys_read(m, reads))}
    return [topic for topic in missing if not any(topic in text for text in read)]


def hidden(manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
    """The Secrets that a required test or a workload reads: Argo CD hides their values."""
    reads = _reads(_readers(manifests, jobs))
    found = [m for m in manifests if _is(m, "Secret") and _is_applied(m)]
    return sorted({_name(m) for m in found if _keys_read(m, reads)})


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


Reads = dict[tuple[str, str], list[tuple[str, Sequence[str] | None]]]
"""By kind and name of a ConfigMap or Secret: in which namespaces which of its keys are read; None: all."""


def _reads(readers: Sequence[Reader]) -> Reads:
    """All that the readers read."""
    found: Reads = {}
    for r in readers:
        if '"configMap' in r.text or '"secret' in r.text:
            for kind, name, keys in _references(r.holds):
                found.setdefault((kind, name), []).append((r.namespace, keys))
    return found


def _keys_read(source: Json, reads: Reads) -> set[str]:
    """The keys of a ConfigMap or Secret that anything reads."""
    known, namespace = _data(source), _namespace(source)
    read: set[str] = set()
    for where, keys in reads.get((str(source.get("kind")), _name(source)), ()):
        if where == namespace or not (where and namespace):  # none: the Application's own
            read |= known.keys() if keys is None else known.keys() & set(keys)
    return read


def _texts(configmap: Json, keys: set[str]) -> list[str]:
    """What these keys hold, and they themselves: a volume's files have their names."""
    return [text for k, v in _data(configmap).items() if k in keys for text in (k, str(v))]


def _references(value: Any) -> Iterator[tuple[str, str, Sequence[str] | None]]:
    """Each place that reads a ConfigMap or Secret, environment or volume: kind, name and keys (None: all)."""
    if isinstance(value, dict):
        for word, below in value.items():
            if isinstance(below, dict):
                yield from _reference(word, below)
            yield from _references(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _references(below)


def _reference(word: str, place: Json) -> Iterator[tuple[str, str, Sequence[str] | None]]:
    """One that stands under this word, by its shape (kubernetes.io/docs, Pod API)."""
    kind = {"configMap": "ConfigMap", "secret": "Secret"}.get(word.removesuffix("KeyRef").removesuffix("Ref"))
    name = place.get("name") or (place.get("secretName") if word == "secret" else None)
    if kind is None or not isinstance(name, str):
        return
    if word.endswith("KeyRef"):
        yield kind, name, (str(place.get("key", "")),)
    elif isinstance(items := place.get("items"), list) and items:
        yield kind, name, tuple(str(i.get("key", "")) for i in items if isinstance(i, dict))
    else:
        yield kind, name, None


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


def _data(manifest: Json) -> Json:
    tables = [manifest.get(field) for field in ("data", "stringData")]
    return {k: v for table in tables if isinstance(table, dict) for k, v in table.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
