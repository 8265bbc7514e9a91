"""An Application's parameters: where a value goes in its spec, how it gets there and back. Pure.

A run leaves a *record* in an annotation of the Application while its values stand in the spec: who, until
when, which values and what was there before, so that whoever comes next can put it back.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from argorun import secrecy
from argorun.argocd.types import Application, Json
from argorun.errors import UsageError

RECORD = "argorun.dev/run"  # the annotation that holds the record
ROLLED = "argorun.dev/topics"  # the pod template annotation that rolls a workload's pods
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Helm:
    """A Helm parameter (`spec.source.helm.parameters`) and the value it gets."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"helm: {self.name}"


@dataclass(frozen=True)
class Kustomize:
    """A ConfigMap's key, changed by `spec.source.kustomize.patches`, and the value it gets."""

    configmap: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"kustomize: ConfigMap {self.configmap}, key {self.key}"


Setting = Helm | Kustomize


class HelmValue(msgspec.Struct, frozen=True):
    """A Helm parameter we set; `original` is the list's element that stood there, None where none did."""

    name: str
    value: str
    original: Json | None = None


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run did to an Application's spec, and what it was before. Times are seconds since the epoch."""

    run: str
    until: int
    helm: tuple[HelmValue, ...] = ()
    kustomize: tuple[str, ...] = ()  # the patches' texts: each holds a topic's name, so each is unique
    automated: Json | None = None  # spec.syncPolicy.automated as it was, where it was switched off
    settling: bool = False  # the values are back already; the workloads are on their way
    synced: bool | None = None  # whether the Application was Synced before runs came; None: an older record
    revision: str = ""  # what it was synced to then, where the run synced another commit (`--revision`)
    topics: tuple[str, ...] = ()  # those of the values that are topics' names
    since: int = 0  # when it was put there; its operation follows within seconds


class NewerRecord(msgspec.Struct, frozen=True):
    """What a record of any argorun says."""

    run: str
    until: int


# -- may this Application be run? ----------------------------------------------------------------------


def check_source(app: Application, settings: Iterable[Setting]) -> None:
    """Raise UsageError (2) where the Application's source cannot take these settings."""
    name, spec = app.metadata.name, app.spec
    if app.metadata.deletion_timestamp:
        raise UsageError(f"Application {name} is being deleted")
    if spec.get("sources"):
        raise UsageError(
            f"Application {name} has several sources (spec.sources), which argorun does not support yet",
            "use a dedicated Application with one spec.source",
        )
    if spec.get("sourceHydrator"):
        raise UsageError(f"Application {name} uses a source hydrator: Argo CD ignores its parameters")
    kinds = {"helm" if isinstance(s, Helm) else "kustomize" for s in settings}
    source_type = app.status.source_type.lower()
    if source_type not in ("helm", "kustomize"):
        raise UsageError(
            f"Application {name} has a {source_type or 'still unknown'} source, which takes no parameters",
            "argorun needs a Helm or a Kustomize source"
            + ("" if source_type else "; Argo CD has not rendered it yet: look at its conditions"),
        )
    for kind in sorted(kinds - {source_type}):
        other = "{kustomize: {configmap: NAME, key: KEY}}" if source_type == "kustomize" else "{helm: NAME}"
        raise UsageError(
            f"Application {name} has a {source_type.title()} source, which takes no {kind.title()} parameter",
            f"write the parameter as {other}",
        )


def check_rendered(app: str, settings: Iterable[Setting], manifests: Sequence[Json]) -> None:
    """Raise UsageError (2) where a ConfigMap's key is not in what the source renders to."""
    for setting in settings:
        if not isinstance(setting, Kustomize):
            continue
        named = [m for m in manifests if m.get("kind") == "ConfigMap" and called(m, setting.configmap)]
        if not named:
            known = sorted(str(m["metadata"]["name"]) for m in manifests if m.get("kind") == "ConfigMap")
            raise UsageError(
                f"Application {app} renders no ConfigMap {setting.configmap}",
                f"it has: {', '.join(known)}" if known else "it has none at all",
            )
        keys = sorted(k for m in named for k in m.get("data") or {})
        if setting.key not in keys:
            raise UsageError(
                f"ConfigMap {setting.configmap} of Application {app} has no key {setting.key}",
                f"it has: {', '.join(keys)}" if keys else "it is empty",
            )


def check_taken(app: str, settings: Iterable[Setting], manifests: Sequence[Json]) -> None:
    """Raise UsageError (2) where a ConfigMap's key does not render to our value, once it is in."""
    for setting in settings:
        if isinstance(setting, Kustomize):
            values = [
                (m.get("data") or {}).get(setting.key)
                for m in manifests
                if m.get("kind") == "ConfigMap" and called(m, setting.configmap)
            ]
            if setting.value not in values:
                raise UsageError(
                    f"Application {app} does not take the value of {setting}: it renders to {values}",
                    "a .argocd-source.yaml or .argocd-source-APP.yaml in Git may win over the Application's "
                    "settings: take kustomize.patches out of it",
                )


def called(manifest: Json, name: str) -> bool:
    """Whether a rendered object is the one that the sources call `name` (a generator adds a hash)."""
    rendered = str(manifest.get("metadata", {}).get("name", ""))
    return rendered == name or (rendered.rpartition("-")[0] == name and len(rendered) == len(name) + 11)


def original_value(app: Application, setting: Setting, manifests: Sequence[Json]) -> str | None:
    """What a setting is now; None where it is not set."""
    if isinstance(setting, Helm):
        last_first = reversed(helm_parameters(app.spec))
        element = next((p for p in last_first if p.get("name") == setting.name), None)
        return None if element is None else str(element.get("value", ""))
    for m in manifests:
        if m.get("kind") == "ConfigMap" and called(m, setting.configmap):
            value = (m.get("data") or {}).get(setting.key)
            return None if value is None else str(value)
    return None


def secrets(app: Application) -> list[str]:
    """The Helm parameters' values that are secret by name, and passwords in their addresses.

    Those that a former run put away count, too.
    """
    record = record_of(app)
    away = [h.original for h in record.helm if h.original] if record else []
    values = [(str(p.get("name", "")), str(p.get("value", ""))) for p in [*helm_parameters(app.spec), *away]]
    named = [value for name, value in values if secrecy.is_parameter(name)]
    return named + [secret for _, v in values if "://" in v for secret in secrecy.in_address(v)]


# -- there ---------------------------------------------------------------------------------------------


def kustomize_patches(settings: Sequence[Setting], manifests: Sequence[Json]) -> list[Json]:
    """The `kustomize.patches` that put the values in and roll the pods of the workloads that read them."""
    ours = [s for s in settings if isinstance(s, Kustomize)]
    patches: list[Json] = []
    for s in ours:
        pointer = "/data/" + s.key.replace("~", "~0").replace("/", "~1")
        text = json.dumps([{"op": "replace", "path": pointer, "value": s.value}])
        patches.append({"target": {"version": "v1", "kind": "ConfigMap", "name": s.configmap}, "patch": text})
    for m in manifests:
        read = [s.value for s in ours if m.get("kind") in WORKLOADS and reads_configmap(m, s.configmap)]
        if read:
            group, _, version = str(m["apiVersion"]).rpartition("/")
            name = m["metadata"]["name"]
            template = {"metadata": {"annotations": {ROLLED: ",".join(dict.fromkeys(read))}}}
            body = {"apiVersion": m["apiVersion"], "kind": m["kind"], "metadata": {"name": name}}
            target = {"group": group, "version": version, "kind": m["kind"], "name": name}
            patches.append({"target": target, "patch": json.dumps(body | {"spec": {"template": template}})})
    return patches


def reads_configmap(workload: Json, configmap: str) -> bool:
    """Whether a workload's pods read this ConfigMap, by environment or volume."""
    pod = workload.get("spec", {}).get("template", {}).get("spec", {})
    refs: list[Any] = []
    for container in [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]:
        refs += [(e.get("valueFrom") or {}).get("configMapKeyRef") for e in container.get("env") or ()]
        refs += [e.get("configMapRef") for e in container.get("envFrom") or ()]
    for volume in pod.get("volumes") or ():
        refs.append(volume.get("configMap"))
        refs += [s.get("configMap") for s in (volume.get("projected") or {}).get("sources") or ()]
    return any(r and r.get("name") == configmap for r in refs)


def claimed(
    app: Application,
    settings: Sequence[Setting],
    manifests: Sequence[Json],
    run_id: str,
    until: float,
    *,
    topics: Sequence[str] = (),
    pinned: bool = False,
    since: float = 0,
) -> tuple[Json, Record]:
    """The spec with our values in it and auto-sync off, and the record of what was there.

    `topics` are those of the values that are topics' names; `pinned`: another commit will be synced; `since`
    and `until` are in seconds since the epoch.
    """
    spec = copy.deepcopy(app.spec)
    values: list[HelmValue] = []
    source = spec.setdefault("source", {})
    for s in settings:
        if isinstance(s, Helm):
            parameters = source.setdefault("helm", {}).setdefault("parameters", [])
            # Where a name is listed twice, Argo CD takes the last one (reposerver/repository, helmTemplate).
            at = max((i for i, p in enumerate(parameters) if p.get("name") == s.name), default=None)
            values.append(HelmValue(s.name, s.value, None if at is None else parameters[at]))
            if at is None:
                parameters.append({"name": s.name, "value": s.value})
            else:
                parameters[at] = parameters[at] | {"value": s.value}
    patches = kustomize_patches(settings, manifests)
    if patches:
        kustomize = source.setdefault("kustomize", {})
        kustomize["patches"] = [*(kustomize.get("patches") or ()), *patches]
    automated = (spec.get("syncPolicy") or {}).get("automated")
    if automated is not None and automated.get("enabled") is False:
        automated = None  # it is off already
    record = Record(
        run=run_id,
        until=int(until),
        helm=tuple(values),
        kustomize=tuple(p["patch"] for p in patches),
        automated=automated,
        synced=app.status.sync.status == "Synced",
        revision=app.status.sync.revision if pinned else "",
        topics=tuple(topics),
        since=int(since),
    )
    return without_automated(spec, record), record


def holds(source: Json | None, settings: Iterable[Setting]) -> bool:
    """Whether a source, an operation's captured one say, has all our values."""
    spec = {"source": source or {}}
    parameters = {p.get("name"): p.get("value") for p in helm_parameters(spec)}
    patches = " ".join(kustomize_texts(spec))
    return all(
        parameters.get(s.name) == s.value if isinstance(s, Helm) else json.dumps(s.value) in patches
        for s in settings
    )


# -- and back ------------------------------------------------------------------------------------------


def restored(spec: Json, record: Record) -> Json:
    """The spec with what was there before, wherever our value still stands; auto-sync is left alone."""
    spec = copy.deepcopy(spec)
    source = spec.get("source") or {}
    helm, kustomize = source.get("helm"), source.get("kustomize")
    if helm is not None and record.helm:
        ours = {(v.name, v.value): v for v in record.helm}
        kept: list[Json] = []
        for p in helm.get("parameters") or ():
            value = ours.get((p.get("name"), p.get("value")))
            if value is None:
                kept.append(p)
            elif value.original is not None:
                kept.append(value.original)
        put_or_drop(helm, "parameters", kept)
        put_or_drop(source, "helm", helm)
    if kustomize is not None and record.kustomize:
        kept = [p for p in kustomize.get("patches") or () if p.get("patch") not in record.kustomize]
        put_or_drop(kustomize, "patches", kept)
        put_or_drop(source, "kustomize", kustomize)
    return spec


def with_automated(spec: Json, record: Record) -> Json:
    """The spec with auto-sync as it was, where it is still switched off as we left it."""
    if record.automated is None:
        return spec
    spec = copy.deepcopy(spec)
    policy = spec.get("syncPolicy") or {}
    if policy.get("automated") == record.automated | {"enabled": False}:
        policy["automated"] = record.automated
    return spec


def without_automated(spec: Json, record: Record) -> Json:
    """The spec with auto-sync switched off, where the record says that it was on."""
    if record.automated is None:
        return spec
    spec = copy.deepcopy(spec)
    spec["syncPolicy"]["automated"] = record.automated | {"enabled": False}
    return spec


def put_or_drop(parent: Json, key: str, value: Any) -> None:
    """Argo CD drops what is empty when it normalises a spec, and so do we."""
    if value:
        parent[key] = value
    else:
        parent.pop(key, None)


def stands(spec: Json, record: Record) -> bool:
    """Whether a topic of a record is still in the spec; of an older one, which names none, any value."""
    if record.topics:
        values = [str(p.get("value")) for p in helm_parameters(spec)]
        texts = " ".join(kustomize_texts(spec))
        return any(t in values or json.dumps(t) in texts for t in record.topics)
    pairs = {(p.get("name"), p.get("value")) for p in helm_parameters(spec)}
    if any((v.name, v.value) in pairs for v in record.helm):
        return True
    return any(text in record.kustomize for text in kustomize_texts(spec))


def record_of(app: Application) -> Record | None:
    """The record that the Application carries.

    One that only a newer argorun can read is believed for as long as it says; what is no record at all counts
    as dead and empty.
    """
    text = (app.metadata.annotations or {}).get(RECORD)
    if text is None:
        return None
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(text, type=Record)
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        newer = msgspec.json.decode(text, type=NewerRecord)
        return Record(newer.run, newer.until, settling=True)
    return Record(run="unreadable", until=0)


# -- as a JSON patch -----------------------------------------------------------------------------------


def changes(app: Application, spec: Json, record: Record | None) -> list[Json]:
    """The JSON patch from the Application as read to this spec and record, with a `test` on all it touches.

    A `test` against null holds where the path is missing; `add` needs its parent (both seen on the real
    server).
    """
    operations: list[Json] = []
    touched: tuple[tuple[str, ...], ...] = (
        ("source", "helm", "parameters"),
        ("source", "kustomize", "patches"),
        ("syncPolicy", "automated"),
    )
    for path in touched:
        if not (get(app.spec, path[:-1]) and get(spec, path[:-1])):
            path = path[:-1]
        old, new = get(app.spec, path), get(spec, path)
        if old != new:
            operations += change("/spec/" + "/".join(path), old, new)
    annotations = app.metadata.annotations
    old_text = (annotations or {}).get(RECORD)
    new_text = None if record is None else msgspec.json.encode(record).decode()
    pointer = "/metadata/annotations/" + RECORD.replace("/", "~1")
    if old_text != new_text:
        if not annotations:
            operations = change("/metadata/annotations", annotations, {RECORD: new_text}) + operations
        else:
            operations = change(pointer, old_text, new_text) + operations
    return operations


def change(pointer: str, old: Any, new: Any) -> list[Json]:
    test: Json = {"op": "test", "path": pointer, "value": old}
    if new is None:
        return [test, {"op": "remove", "path": pointer}]
    return [test, {"op": "add" if old is None else "replace", "path": pointer, "value": new}]


def get(spec: Json, path: Iterable[str]) -> Any:
    value: Any = spec
    for key in path:
        value = (value or {}).get(key)
    return value


def helm_parameters(spec: Json) -> list[Json]:
    return list(get(spec, ("source", "helm", "parameters")) or ())


def kustomize_texts(spec: Json) -> list[str]:
    return [str(p.get("patch", "")) for p in get(spec, ("source", "kustomize", "patches")) or ()]
