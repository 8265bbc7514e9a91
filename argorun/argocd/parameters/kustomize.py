"""The Kustomize kind: a ConfigMap's key, set by `spec.source.kustomize.patches`. Pure.

A pod reads its environment only at its start. So beside the patch that sets the key there is one for each
workload that reads it, which changes an annotation of its pods: they are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from argorun.argocd.manifests.hooks import RUNNING
from argorun.argocd.manifests.pod_references import pod_spec, sources
from argorun.argocd.parameters import topic_like
from argorun.argocd.parameters.kind import Candidate, Element
from argorun.argocd.parameters.kustomize_names import (
    Affix,
    Names,
    apart,
    base_name,
    quoted,
    rendered_name,
    splits,
)
from argorun.argocd.parameters.paths import get, put_or_drop
from argorun.argocd.parameters.record import Record
from argorun.argocd.types import Json
from argorun.config.model import ConfigMapKey
from argorun.errors import UsageError
from argorun.humanize import did_you_mean

SOURCE_TYPE = "Kustomize"
PATH: tuple[str, ...] = ("source", "kustomize", "patches")
NEEDS_MANIFESTS = True  # they say what a patch must match
ADDS_OBJECTS = False  # Kustomize has no conditions

ROLLED = "argorun.dev/topics"  # the pod template annotation that rolls a workload's pods
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")

WON_OVER = (
    "a .argocd-source.yaml or .argocd-source-APP.yaml in Git may win over the Application's settings: "
    "remove kustomize.patches from it"
)
HOW = (
    "write the ConfigMap's name as it is rendered, or as in its source, without namePrefix and nameSuffix: "
    "try the form that you did not use, which may distinguish it from other objects"
)


@dataclass(frozen=True)
class Kustomize:
    """A ConfigMap's key, changed by `spec.source.kustomize.patches`, and the value it gets.

    The ConfigMap's name is as its source has it, or as it is rendered.
    """

    kind: ClassVar[str] = "kustomize"
    note: ClassVar[str] = ""
    configmap: str
    key: str
    value: str

    @property
    def name(self) -> str:
        return self.configmap

    def __str__(self) -> str:
        return f"kustomize: ConfigMap {self.configmap}, key {self.key}"


def for_topic(place: ConfigMapKey, topic: str) -> Kustomize:
    return Kustomize(place.configmap, place.key, topic)


def check_rendered(app: str, settings: Sequence[Kustomize], manifests: Sequence[Json], spec: Json) -> None:
    """Raise UsageError (2) if a setting means no key, or several, of what the source renders to."""
    names = Names(spec, manifests)
    for setting in settings:
        found = names.configmaps(setting.configmap, setting.key)
        meant = sorted({base_name(m) for m in found})
        if len(meant) == 1:
            continue
        if meant:
            raise UsageError(
                f"ConfigMap {setting.configmap} of Application {app} may be any of {', '.join(meant)}",
                "write the name of the one that is meant in full, as it is rendered",
            )
        named = names.configmaps(setting.configmap)
        if not named:
            known = sorted(rendered_name(m) for m in manifests if m.get("kind") == "ConfigMap")
            raise UsageError(
                f"Application {app} renders no ConfigMap {setting.configmap}",
                _instead(setting.configmap, known) if known else "it has none at all",
            )
        keys = sorted(k for m in named for k in m.get("data") or {})
        raise UsageError(
            f"ConfigMap {setting.configmap} of Application {app} has no key {setting.key}",
            _instead(setting.key, keys) if keys else "it is empty",
        )


def _instead(name: str, known: Sequence[str]) -> str:
    """What there is in place of a name, and which may have been meant."""
    return " ".join(filter(None, [did_you_mean(name, known), f"it has: {', '.join(known)}"]))


def apply(spec: Json, settings: Sequence[Kustomize], manifests: Sequence[Json]) -> list[str]:
    """Returns the patches' texts."""
    made = patches(settings, manifests, spec)
    options = spec["source"].get("kustomize") or {}
    spec["source"]["kustomize"] = options | {"patches": [*(options.get("patches") or ()), *made]}
    return [p["patch"] for p in made]


def check_taken(app: str, settings: Sequence[Kustomize], manifests: Sequence[Json], spec: Json) -> None:
    """Raise UsageError (2) if our patches missed what they are for, or reached more."""
    check_rendered(app, settings, manifests, spec)
    names = Names(spec, manifests)
    meant = {id(m) for s in settings for m in names.configmaps(s.configmap, s.key)}
    for s in settings:
        found = names.configmaps(s.configmap, s.key)
        values = [m["data"][s.key] for m in found]
        if any(value != s.value for value in values):
            text = f"Application {app} does not take the value of {s}: it renders to {values}"
            raise UsageError(text, WON_OVER)
        reach = names.candidates(found[0], s.configmap)
        for m in manifests:
            # Others may have it by a replacement; their names have nothing to do with the patch's target.
            has = m.get("kind") == "ConfigMap" and (m.get("data") or {}).get(s.key) == s.value
            alike = (apart(a) for name in reach for a in splits(base_name(m), name))
            if has and id(m) not in meant and any(alike):
                text = f"the value of {s} reaches ConfigMap {rendered_name(m)} of Application {app}, too"
                raise UsageError(text, HOW)
    topics = {s.value for s in settings}
    readers = {id(m): wanted for m, wanted in rolled(settings, names, manifests)}
    for m in manifests:
        has, wanted = rolled_by(m), readers.get(id(m), [])
        if has != wanted and (wanted or topics & set(has)):
            missed = "does not reach" if wanted else "also reaches"
            what = f"{m['kind']} {rendered_name(m)} of Application {app}"
            raise UsageError(f"the patch that rolls the pods on the topic {missed} {what}", HOW)


def holds(spec: Json, settings: Sequence[Kustomize]) -> bool:
    texts = " ".join(patch_texts(spec))
    return all(json.dumps(s.value) in texts for s in settings)


def stands(spec: Json, record: Record) -> bool:
    texts = patch_texts(spec)
    if record.topics:
        joined = " ".join(texts)
        return any(json.dumps(t) in joined for t in record.topics)
    return any(text in record.kustomize for text in texts)


def restore(spec: Json, record: Record) -> None:
    options = get(spec, PATH[:-1])
    if options is not None and record.kustomize:
        kept = [p for p in options.get("patches") or () if p.get("patch") not in record.kustomize]
        put_or_drop(options, "patches", kept)
        put_or_drop(spec["source"], "kustomize", options)


def original_value(setting: Kustomize, spec: Json, manifests: Sequence[Json]) -> str | None:
    """What the ConfigMap's key renders to."""
    found = Names(spec, manifests).configmaps(setting.configmap, setting.key)
    return str(found[0]["data"][setting.key]) if found else None


def secrets(spec: Json, record: Record) -> list[str]:
    """None are known: a ConfigMap is no place for them."""
    return []


def candidates(spec: Json, manifests: Sequence[Json], values: Mapping[str, str]) -> list[Candidate]:
    """By the names of the rendered ConfigMaps' keys; a ConfigMap that nothing reads is unlikely."""
    found: dict[tuple[str, str], Candidate] = {}
    for m in manifests:
        data = m.get("data") if m.get("kind") == "ConfigMap" else None
        name, readers = base_name(m), _readers(m, manifests) if data else ""
        for key, value in data.items() if isinstance(data, dict) else ():
            if like := topic_like.likeness(f"{name}/{key}", str(value)):
                place = ConfigMapKey(configmap=name, key=key)
                like = like if readers else topic_like.POSSIBLE
                seen = f"read by {readers or 'nothing'}"
                found[name, key] = Candidate(place, f"{name}/{key}", str(value), seen, like)
    return list(found.values())


def _readers(configmap: Json, manifests: Sequence[Json]) -> str:
    """The objects whose pods read a ConfigMap."""
    name, kinds = rendered_name(configmap), (*WORKLOADS, *RUNNING, "CronJob")
    read = [m for m in manifests if m.get("kind") in kinds and reads_configmap(m, name)]
    return ", ".join(f"{m['kind']} {rendered_name(m)}" for m in read)


def typed(text: str) -> ConfigMapKey:
    configmap, sign, key = text.partition("/")
    if not (sign and configmap and key) or "/" in key:
        raise UsageError(
            f"'{text}' names no ConfigMap's key", "write CONFIGMAP/KEY, as in topic-config/topic_name"
        )
    return ConfigMapKey(configmap=configmap, key=key)


def elements(source: Json) -> Iterator[Element]:
    for i, p in enumerate((source.get("kustomize") or {}).get("patches") or ()):
        yield Element(f"kustomize patch {i}", f"/kustomize/patches/{i}", p, str(p.get("patch", "")))


def patch_texts(spec: Json) -> list[str]:
    """The texts of all the patches of a spec."""
    return [str(p.get("patch", "")) for p in get(spec, PATH) or ()]


# -- the patches ----------------------------------------------------------------------------------------


def patches(settings: Sequence[Kustomize], manifests: Sequence[Json], spec: Json) -> list[Json]:
    """The `kustomize.patches` that put the values in and roll the pods of the workloads that read them."""
    names = Names(spec, manifests)
    made: list[Json] = []
    hints: list[Affix] = []
    for s in settings:
        found = names.configmaps(s.configmap, s.key)
        hints += [h for m in found if (h := names.hint(m, s.configmap)) is not None]
        name = names.target(found[0], s.configmap) if found else quoted([s.configmap])
        pointer = "/data/" + s.key.replace("~", "~0").replace("/", "~1")
        text = json.dumps([{"op": "replace", "path": pointer, "value": s.value}])
        made.append({"target": {"version": "v1", "kind": "ConfigMap", "name": name}, "patch": text})
    for m, values in rolled(settings, names, manifests):
        group, _, version = str(m["apiVersion"]).rpartition("/")
        template = {"metadata": {"annotations": {ROLLED: ",".join(values)}}}
        body = {"apiVersion": m["apiVersion"], "kind": m["kind"], "metadata": {"name": rendered_name(m)}}
        target = {"group": group, "version": version, "kind": m["kind"], "name": names.target(m, hints=hints)}
        made.append({"target": target, "patch": json.dumps(body | {"spec": {"template": template}})})
    return made


def rolled(
    settings: Sequence[Kustomize], names: Names, manifests: Sequence[Json]
) -> Iterator[tuple[Json, list[str]]]:
    """The workloads that read the settings' ConfigMaps, with the values that they read.

    A generated ConfigMap rolls them by itself: its name is another with each value.
    """
    read = [
        (rendered_name(m), s.value)
        for s in settings
        for m in names.configmaps(s.configmap, s.key)
        if rendered_name(m) == base_name(m)
    ]
    for m in manifests:
        if m.get("kind") in WORKLOADS:
            values = list(dict.fromkeys(value for name, value in read if reads_configmap(m, name)))
            if values:
                yield m, values


def rolled_by(manifest: Json) -> list[str]:
    """The topics in the annotation by which a run has rolled a workload."""
    template = (manifest.get("spec") or {}).get("template") if manifest.get("kind") in WORKLOADS else None
    annotations = ((template or {}).get("metadata") or {}).get("annotations") or {}
    return [v for v in str(annotations.get(ROLLED, "")).split(",") if v]


def reads_configmap(workload: Json, configmap: str) -> bool:
    """Whether a workload's pods read this ConfigMap, by environment or volume."""
    return any((s.kind, s.name) == ("ConfigMap", configmap) for s in sources(pod_spec(workload)))
