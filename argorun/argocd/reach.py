"""Where a topic's name gets to: whether the rendered manifests hand it to a test. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from argorun.argocd.parameters import ROLLED
from argorun.argocd.rendered import Place, hook_of, is_applied, is_hook, places, required
from argorun.argocd.types import Json

# Kubernetes' own groups: those without a dot, and those below k8s.io (kubernetes.io/docs, API Groups).
OWN_GROUP = re.compile(r"[a-z]*|.*\.k8s\.io")
# What only makes a topic, or gives a right to it: KafkaTopic, KafkaUser (Strimzi, Confluent, Banzai), Topic
# (Redpanda, Crossplane). And what only looks at one: alerts, and autoscalers.
NO_READERS = ("KafkaTopic", "KafkaUser", "Topic")
# What only makes other Applications: their workloads are out of this one's sight.
MAKES_OTHERS = ("Application", "ApplicationSet", "AppProject")  # of the group argoproj.io
LOOKS_ON = ("monitoring.coreos.com", "keda.sh")  # groups
# The words by which a pod is given its own labels and annotations (kubernetes.io/docs, Downward API).
DOWNWARD = ("metadata.labels", "metadata.annotations")


@dataclass(frozen=True)
class Reader:
    """A test, a workload or a custom resource: what it holds itself, and where it may read more."""

    manifest: Json
    is_test: bool
    place: Place  # when the sync applies it; a test of several phases, the last time
    holds: tuple[Any, ...]  # the parts of its manifest that a test, a workload's pods or an operator reads
    text: str  # the same as JSON


@dataclass(frozen=True)
class Carrier:
    """An object that hands a topic's name to a test, to a workload, or to the pods of its own.

    With `late` it does so for the next run: that is what has been applied, with the former name, by then.
    """

    topic: str
    manifest: Json
    late: str | None = None  # who comes before it


def carriers(topics: Sequence[str], manifests: Sequence[Json], jobs: Sequence[str]) -> list[Carrier]:
    """What carries each topic's name: tests, workloads, custom resources, and the ConfigMaps they read.

    A ConfigMap counts where something reads the key that holds the name. What does not count: argorun's own
    annotation, a hook that is no test (one that only makes the topic), a ConfigMap that nothing reads, an
    operator's topic resource. A Secret's values are hidden by Argo CD: see `hidden`.
    """
    return list(_carriers(topics, manifests, jobs))


def unreached(topics: Sequence[str], found: Iterable[Carrier]) -> list[str]:
    """The topics that nothing carries to a test in time."""
    held = {carrier.topic for carrier in found if carrier.late is None}
    return [topic for topic in topics if topic not in held]


def _carriers(topics: Sequence[str], manifests: Sequence[Json], jobs: Sequence[str]) -> Iterator[Carrier]:
    readers = [r for m in manifests if (r := _reader(m, jobs)) is not None]
    last = max((r for r in readers if r.is_test), key=lambda r: r.place, default=None)

    def after(reader: Reader) -> str | None:
        """The test that has run when this one is applied."""
        return _before(last, reader.place) if last is not None and not reader.is_test else None

    for reader in readers:
        for topic in topics:
            if topic in reader.text and any(_holds(part, topic) for part in reader.holds):
                yield Carrier(topic, reader.manifest, after(reader))
    reads = _reads(readers)
    for source in manifests:
        if not (_is(source, "ConfigMap") and is_applied(source)):
            continue
        for reader, keys in _reading(source, reads):
            texts, place = _texts(source, keys), places(source)[0]
            for topic in topics:
                if any(topic in text for text in texts):
                    yield Carrier(topic, source, _before(reader, place) or after(reader))


def _before(reader: Reader, place: Place) -> str | None:
    """The reader, where the sync applies it before this place."""
    return f"{_called(reader.manifest)} ({reader.place})" if reader.place < place else None


def late(topic: str, found: Iterable[Carrier]) -> list[str]:
    """What would carry a topic's name if the sync did not apply it too late, and what it comes after."""
    too_late = [c for c in found if c.topic == topic and c.late is not None]
    told = (f"{_called(c.manifest)} ({places(c.manifest)[0]}) is applied after {c.late}" for c in too_late)
    return list(dict.fromkeys(told))


def hidden(manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
    """The Secrets that a required test or a workload reads: Argo CD hides their values."""
    reads = _reads([r for m in manifests if (r := _reader(m, jobs)) is not None])
    found = [m for m in manifests if _is(m, "Secret") and is_applied(m)]
    return sorted({_name(m) for m in found if any(keys for _, keys in _reading(m, reads))})


def holders(topic: str, manifests: Sequence[Json]) -> list[str]:
    """The objects that hold a topic's name anywhere, each as `Kind name`."""
    return [_called(m) for m in manifests if topic in _json(m) and _holds(m, topic)]


def _reader(manifest: Json, jobs: Sequence[str]) -> Reader | None:
    parts = tuple(_parts(manifest, jobs))
    if not parts:
        return None
    return Reader(manifest, hook_of(manifest) is not None, places(manifest)[-1], parts, _json(parts))


def _parts(manifest: Json, jobs: Sequence[str]) -> Iterator[Any]:
    """What of an object counts: what the pods of a test or a workload are given, a custom resource's spec.

    No pod, no reader: a workload that is scaled to none, or suspended.
    """
    hook, spec = hook_of(manifest), manifest.get("spec")
    if hook is not None:
        if required([hook], jobs):
            yield from _given_to_pods(manifest)
        return
    if is_hook(_annotations(manifest)):
        return
    if isinstance(spec, dict) and (spec.get("replicas") == 0 or spec.get("suspend") is True):
        return
    if OWN_GROUP.fullmatch(_group(manifest)):
        yield from _given_to_pods(manifest)
    elif _group(manifest) == "argoproj.io" and manifest.get("kind") in MAKES_OTHERS:
        return
    elif manifest.get("kind") not in NO_READERS and _group(manifest) not in LOOKS_ON:
        yield {k: v for k, v in manifest.items() if k != "metadata"}


def _given_to_pods(manifest: Json) -> Iterator[Any]:
    """The pod templates' specs; their labels and annotations where the pods read these."""
    for template in _templates(manifest):
        spec = template["spec"]
        yield spec
        if any(word in _json(spec) for word in DOWNWARD):
            yield template.get("metadata") or {}


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


Reads = dict[tuple[str, str], list[tuple[Reader, Sequence[str] | None]]]
"""By kind and name of a ConfigMap or Secret: who reads which of its keys; None: all."""


def _reads(readers: Sequence[Reader]) -> Reads:
    """All that the readers read."""
    found: Reads = {}
    for r in readers:
        if '"configMap' in r.text or '"secret' in r.text:
            for kind, name, keys in _references(r.holds):
                found.setdefault((kind, name), []).append((r, keys))
    return found


def _reading(source: Json, reads: Reads) -> Iterator[tuple[Reader, set[str]]]:
    """Who reads a ConfigMap or Secret, and which of its keys."""
    known, namespace = _data(source), _namespace(source)
    for reader, keys in reads.get((str(source.get("kind")), _name(source)), ()):
        where = _namespace(reader.manifest)
        if where == namespace or not (where and namespace):  # none: the Application's own
            yield reader, set(known) if keys is None else known.keys() & set(keys)


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


def _annotations(manifest: Json) -> Json:
    return (manifest.get("metadata") or {}).get("annotations") or {}


def _is(manifest: Json, kind: str) -> bool:
    return manifest.get("kind") == kind and _group(manifest) == ""


def _group(manifest: Json) -> str:
    return str(manifest.get("apiVersion", "")).rpartition("/")[0]


def _called(manifest: Json) -> str:
    return f"{manifest.get('kind')} {_name(manifest)}"


def _name(manifest: Json) -> str:
    return str((manifest.get("metadata") or {}).get("name", ""))


def _namespace(manifest: Json) -> str:
    return str((manifest.get("metadata") or {}).get("namespace") or "")


def _data(manifest: Json) -> Json:
    tables = [manifest.get(field) for field in ("data", "stringData")]
    return {k: v for table in tables if isinstance(table, dict) for k, v in table.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
