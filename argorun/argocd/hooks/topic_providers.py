"""Finds the rendered objects that provide a topic's name to tests and workloads. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from argorun.argocd.hooks.lint import CHECKSUM, ROLLING
from argorun.argocd.manifests.hooks import Place, hook_of, is_applied, is_hook, places, required
from argorun.argocd.manifests.keys import Key, by_key, key_of
from argorun.argocd.manifests.pod_references import pod_spec, references, sources
from argorun.argocd.parameters.kustomize import ROLLED
from argorun.argocd.types import Json

# Kubernetes' own groups: those without a dot, and those below k8s.io (kubernetes.io/docs, API Groups).
OWN_GROUP = re.compile(r"[a-z]*|.*\.k8s\.io")
# What only makes a topic, or gives a right to it: KafkaTopic, KafkaUser (Strimzi, Confluent, Banzai), Topic
# (Redpanda, Crossplane).
NO_READERS = (
    *("KafkaTopic", "KafkaUser", "Topic", "User"),
    *("KafkaACL", "ACL", "ConfluentRolebinding", "KafkaSchema", "Schema"),  # Aiven, Crossplane, Confluent
)
# What only makes other Applications, whose workloads are not this one's. Of the group argoproj.io.
MAKES_OTHERS = ("Application", "ApplicationSet", "AppProject")
# API groups of what only watches: alerts and autoscalers.
LOOKS_ON = ("monitoring.coreos.com", "operator.victoriametrics.com", "grafana.integreatly.org", "keda.sh")
RELOADER = "reloader.stakater.com"  # the annotations by which it restarts a workload's pods
# The words by which a pod is given its own labels and annotations (kubernetes.io/docs, Downward API).
DOWNWARD = ("metadata.labels", "metadata.annotations")


@dataclass(frozen=True)
class Reader:
    """A test, workload or custom resource that may use a topic: what it holds, and what it may read."""

    manifest: Json
    is_test: bool
    place: Place  # when the sync applies it; a test of several phases, the last time
    holds: tuple[Any, ...]  # the parts of its manifest that a test, a workload's pods or an operator reads
    text: str  # the same as JSON


@dataclass(frozen=True)
class TopicProvider:
    """An object that provides a topic's name to a test, to a workload, or to its own pods.

    With `late` it only does so for the next run: its reader is applied before it, and gets the former name.
    `keeps` is the workload whose pods, if it exists already, keep what they read at their start.
    """

    topic: str
    manifest: Json
    late: str | None = None  # the reader that is applied before it
    keeps: Json | None = None


def providers(
    topics: Sequence[str], manifests: Sequence[Json], jobs: Sequence[str], former: Sequence[Json] = ()
) -> list[TopicProvider]:
    """What provides each topic's name: tests, workloads, custom resources, and the ConfigMaps they read.

    A ConfigMap counts if something reads the key that holds the name. What does not count: argorun's own
    annotation, a hook that is no test (one that only makes the topic), a ConfigMap that nothing reads, an
    operator's topic resource. Argo CD hides a Secret's values: see `secrets_read`. `former` is what the
    source renders to without the run's values.
    """
    return list(_providers(topics, manifests, jobs, former))


def unreached(
    topics: Sequence[str],
    found: Iterable[TopicProvider],
    is_there: Callable[[Json], bool] = lambda manifest: True,
) -> list[str]:
    """The topics that no provider provides in time; `is_there`: whether a workload exists already."""
    in_time = (c for c in found if c.late is None and not (c.keeps is not None and is_there(c.keeps)))
    held = {provider.topic for provider in in_time}
    return [topic for topic in topics if topic not in held]


def _providers(
    topics: Sequence[str], manifests: Sequence[Json], jobs: Sequence[str], former: Sequence[Json]
) -> Iterator[TopicProvider]:
    scaled = _scaled(manifests)
    readers = [r for m in manifests if (r := _reader(m, jobs, scaled)) is not None]
    same = by_key((m for m in former if m.get("kind") in ROLLING), "")
    last = max((r for r in readers if r.is_test), key=lambda r: r.place, default=None)

    def after(reader: Reader) -> str | None:
        """The test that has run when this one is applied."""
        return _before(last, reader.place) if last is not None and not reader.is_test else None

    for reader in readers:
        for topic in topics:
            if topic in reader.text and any(_holds(part, topic) for part in reader.holds):
                keeps = reader.manifest if _rolls_nothing(reader.manifest) else None
                yield TopicProvider(topic, reader.manifest, after(reader), keeps)
    reads = _reads(readers)
    for source in manifests:
        if not (_is(source, "ConfigMap") and is_applied(source)):
            continue
        for reader, keys in _reading(source, reads):
            texts, place = _texts(source, keys), places(source)[0]
            held = [topic for topic in topics if any(topic in text for text in texts)]
            keeps = reader.manifest if held and _keeps(reader.manifest, source, same) else None
            for topic in held:
                yield TopicProvider(topic, source, _before(reader, place) or after(reader), keeps)


def _before(reader: Reader, place: Place) -> str | None:
    """The reader, where the sync applies it before this place."""
    return f"{_called(reader.manifest)} ({reader.place})" if reader.place < place else None


def applied_too_late(topic: str, found: Iterable[TopicProvider]) -> list[str]:
    """A sentence for each provider of a topic's name that the sync applies after its reader."""
    too_late = [c for c in found if c.topic == topic and c.late is not None]
    lines = (f"{_called(c.manifest)} ({places(c.manifest)[0]}) is applied after {c.late}" for c in too_late)
    return list(dict.fromkeys(lines))


def not_restarted(topic: str, found: Iterable[TopicProvider]) -> list[str]:
    """A sentence for each workload whose existing pods keep the former topic; and the fix."""
    keeping = [(c.manifest, c.keeps) for c in found if c.topic == topic and c.late is None and c.keeps]
    lines = [
        f"{_called(workload)} has OnDelete in its update strategy: the sync leaves its pods as they are"
        if source is workload
        else f"{_called(workload)} reads {_called(source)} at its start only, and the sync does not restart "
        f"it: its pods keep the former topic; {CHECKSUM}"
        for source, workload in keeping
    ]
    return list(dict.fromkeys(lines))


def _keeps(workload: Json, source: Json, former: Mapping[Key, Json]) -> bool:
    """Whether a workload's pods read this only at their start, and no change of it restarts them."""
    if workload.get("kind") not in ROLLING:
        return False
    read = [s for s in sources(pod_spec(workload)) if (s.kind, s.name) == (source["kind"], _name(source))]
    annotated = [_annotations(part) for part in (workload, *_templates(workload))]
    reloaded = any(RELOADER in word for annotations in annotated for word in annotations)
    if not read or reloaded or any(s.mounted for s in read):
        return False
    return _rolls_nothing(workload) or workload == former.get(key_of(workload, ""))


def _rolls_nothing(workload: Json) -> bool:
    """Whether a sync leaves a workload's pods as they are, whatever it changes in it."""
    spec = workload.get("spec")
    if workload.get("kind") not in ROLLING or not isinstance(spec, dict):
        return False
    strategy = spec.get("updateStrategy")
    return isinstance(strategy, dict) and strategy.get("type") == "OnDelete"


def _scaled(manifests: Iterable[Json]) -> set[tuple[str, str]]:
    """Kind and name of the workloads that something else scales."""
    specs = [m["spec"] for m in manifests if isinstance(m.get("spec"), dict)]
    targets = [s.get(word) for s in specs for word in ("scaleTargetRef", "workloadRef")]
    return {(str(t.get("kind", "Deployment")), str(t.get("name"))) for t in targets if isinstance(t, dict)}


def secrets_read(manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
    """The Secrets that a required test or a workload reads: Argo CD hides their values."""
    scaled = _scaled(manifests)
    reads = _reads([r for m in manifests if (r := _reader(m, jobs, scaled)) is not None])
    found = [m for m in manifests if _is(m, "Secret") and is_applied(m)]
    return sorted({_name(m) for m in found if any(keys for _, keys in _reading(m, reads))})


def holders(topic: str, manifests: Sequence[Json]) -> list[str]:
    """The objects that hold a topic's name anywhere, each as "Kind name"."""
    return [_called(m) for m in manifests if topic in _json(m) and _holds(m, topic)]


def _reader(manifest: Json, jobs: Sequence[str], scaled: Collection[tuple[str, str]]) -> Reader | None:
    parts = tuple(_parts(manifest, jobs, scaled))
    if not parts:
        return None
    return Reader(manifest, hook_of(manifest) is not None, places(manifest)[-1], parts, _json(parts))


def _parts(manifest: Json, jobs: Sequence[str], scaled: Collection[tuple[str, str]]) -> Iterator[Any]:
    """The parts of an object that count: what a test's or workload's pods get, a custom resource's spec.

    A workload without pods is no reader: one with 0 replicas that nothing scales, or a suspended one.
    """
    hook, spec = hook_of(manifest), manifest.get("spec")
    if hook is not None:
        if required([hook], jobs):
            yield from _given_to_pods(manifest)
        return
    if is_hook(manifest):
        return
    none = isinstance(spec, dict) and spec.get("replicas") == 0
    if none and (str(manifest.get("kind")), _name(manifest)) not in scaled:
        return
    if isinstance(spec, dict) and spec.get("suspend") is True:
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
    """Whether a part of a manifest holds the name somewhere; argorun's own annotation does not count."""
    if isinstance(value, dict):
        return any(topic in k or _holds(v, topic) for k, v in value.items() if k != ROLLED)
    if isinstance(value, list):
        return any(_holds(v, topic) for v in value)
    return isinstance(value, str) and topic in value


Reads = dict[tuple[str, str], list[tuple[Reader, Sequence[str] | None]]]
"""By kind and name of a ConfigMap or Secret: its readers, and which keys they read; None: all."""


def _reads(readers: Sequence[Reader]) -> Reads:
    """The ConfigMaps and Secrets that the readers read."""
    found: Reads = {}
    for r in readers:
        if '"configMap' in r.text or '"secret' in r.text:
            for ref in references(r.holds):
                found.setdefault((ref.kind, ref.name), []).append((r, ref.keys))
    return found


def _reading(source: Json, reads: Reads) -> Iterator[tuple[Reader, set[str]]]:
    """The readers of a ConfigMap or Secret, and which of its keys they read."""
    known, namespace = _data(source), _namespace(source)
    for reader, keys in reads.get((str(source.get("kind")), _name(source)), ()):
        where = _namespace(reader.manifest)
        if where == namespace or not (where and namespace):  # none: the Application's own
            yield reader, set(known) if keys is None else known.keys() & set(keys)


def _texts(configmap: Json, keys: set[str]) -> list[str]:
    """The values of these keys, and the keys themselves: a volume's files bear their names."""
    return [text for k, v in _data(configmap).items() if k in keys for text in (k, str(v))]


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
