"""Kustomize: which rendered object a name means, and the patches that reach it. Pure.

`namePrefix` and `nameSuffix` are put on after `patches`, and generators add a hash after both. A patch's
target matches an object's original name or the one it has by then, as an anchored regular expression
(sources: kustomize's api/internal/target, configureBuiltinTransformers; api/resmap, Select; api/hasher).
Where the outermost kustomization.yaml has an affix, only the rendered names can tell: all of them have it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from argorun.argocd.manifests.pod_references import pod_spec, sources
from argorun.argocd.types import Json
from argorun.errors import UsageError

ROLLED = "argorun.dev/topics"  # the pod template annotation that rolls a workload's pods
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")  # of a generated ConfigMap or Secret
NEVER_RENAMED = ("CustomResourceDefinition", "APIService", "Namespace")

WON_OVER = (
    "a .argocd-source.yaml or .argocd-source-APP.yaml in Git may win over the Application's settings: "
    "take kustomize.patches out of it"
)
HOW = (
    "write the ConfigMap's name in full, as it is rendered, or as its source has it, without what namePrefix "
    "and nameSuffix add: the other of the two may tell it better from other objects"
)

Affix = tuple[str, str]  # what stands before a name and behind it


@dataclass(frozen=True)
class Kustomize:
    """A ConfigMap's key, changed by `spec.source.kustomize.patches`, and the value it gets.

    The ConfigMap's name is as its source has it, or as it is rendered.
    """

    configmap: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"kustomize: ConfigMap {self.configmap}, key {self.key}"


def check_rendered(app: str, settings: Sequence[Kustomize], manifests: Sequence[Json], spec: Json) -> None:
    """Raise UsageError (2) where it is not one ConfigMap's key in what the source renders to."""
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
                f"it has: {', '.join(known)}" if known else "it has none at all",
            )
        keys = sorted(k for m in named for k in m.get("data") or {})
        raise UsageError(
            f"ConfigMap {setting.configmap} of Application {app} has no key {setting.key}",
            f"it has: {', '.join(keys)}" if keys else "it is empty",
        )


def check_taken(app: str, settings: Sequence[Kustomize], manifests: Sequence[Json], spec: Json) -> None:
    """Raise UsageError (2) where our patches, once they are in, missed what they are for, or reached more."""
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
    """The topics in the annotation by which a run of argorun has rolled a workload."""
    template = (manifest.get("spec") or {}).get("template") if manifest.get("kind") in WORKLOADS else None
    annotations = ((template or {}).get("metadata") or {}).get("annotations") or {}
    return [v for v in str(annotations.get(ROLLED, "")).split(",") if v]


def value(setting: Kustomize, manifests: Sequence[Json], spec: Json) -> str | None:
    """What a ConfigMap's key renders to; None where it is not there."""
    found = Names(spec, manifests).configmaps(setting.configmap, setting.key)
    return str(found[0]["data"][setting.key]) if found else None


def rendered_name(manifest: Json) -> str:
    return str((manifest.get("metadata") or {}).get("name", ""))


def base_name(manifest: Json) -> str:
    """A rendered object's name without a generator's hash."""
    name = rendered_name(manifest)
    return HASH.sub("", name) if manifest.get("kind") in ("ConfigMap", "Secret") else name


class Names:
    """The names of what a source renders to. `spec` is the Application's."""

    def __init__(self, spec: Json, manifests: Sequence[Json]) -> None:
        options = (spec.get("source") or {}).get("kustomize") or {}
        self._set: Affix = (options.get("namePrefix") or "", options.get("nameSuffix") or "")
        self._manifests = manifests
        self._of_kind: dict[str, set[str]] = {}  # base names
        for m in manifests:
            self._of_kind.setdefault(str(m.get("kind")), set()).add(base_name(m))
        self._taken: dict[tuple[object, ...], Counter[str]] = {}
        names = [base_name(m) for m in manifests if m.get("kind") not in NEVER_RENAMED and rendered_name(m)]
        self._shared: Affix = (common_prefix(names), common_suffix(names))

    def configmaps(self, name: str, key: str | None = None) -> list[Json]:
        """The ConfigMaps, with this key where one is given, that may be meant by a name.

        A person may write the name as the source has it, or as it is rendered. More than one base name among
        them: it is ambiguous.
        """
        ranked: dict[int, list[Json]] = {}
        for m in self._manifests:
            has_key = key is None or key in (m.get("data") or {})
            if m.get("kind") == "ConfigMap" and has_key and (affix := self._affix(m, name)) is not None:
                ranked.setdefault(0 if self._outermost(affix) else 1, []).append(m)
        return ranked[min(ranked)] if ranked else []

    def target(self, manifest: Json, name: str = "", hints: Iterable[Affix] = ()) -> str:
        """The regular expression by which a patch reaches a rendered object; see `candidates`."""
        return quoted(self.candidates(manifest, name, hints))

    def candidates(self, manifest: Json, name: str = "", hints: Iterable[Affix] = ()) -> list[str]:
        """The names that a rendered object may have when the patches are applied.

        `name` is what a person calls it; `hints` are the affixes of objects that are called by less than
        their rendered names.
        """
        rendered = base_name(manifest)
        if name and name not in (rendered, rendered_name(manifest)):
            return [name]
        hints = list(hints)
        before, behind = zip(*hints, strict=True) if hints else ((), ())
        prefixes = self._prefixes(before)
        suffixes = self._suffixes(behind)
        found = dict.fromkeys(c for p in prefixes for x in suffixes if (c := stripped(rendered, p, x)))
        kind = str(manifest.get("kind"))
        if hints or any(self._set):
            own = Counter({stripped(rendered, p, x) for p in prefixes for x in suffixes})
            taken = self._bare(kind, tuple(prefixes), tuple(suffixes)) - own
        else:  # most likely there is no affix at all
            others = self._of_kind.get(kind, set())
            taken = Counter(
                c for c in found if c != rendered and any(o != rendered and c in o for o in others)
            )
        return [c for c in found if c not in taken] or [rendered]

    def _bare(self, kind: str, prefixes: tuple[str, ...], suffixes: tuple[str, ...]) -> Counter[str]:
        """Of how many objects of a kind this may be the name without an affix, counted once for all."""
        key = kind, prefixes, suffixes
        if key not in self._taken:
            names = self._of_kind.get(kind, set())
            bare = ({stripped(n, p, x) for p in prefixes for x in suffixes} for n in names)
            self._taken[key] = Counter(b for each in bare for b in each)
        return self._taken[key]

    def hint(self, manifest: Json, name: str) -> Affix | None:
        """The affix of an object that is called by less than its rendered name; None where it is not."""
        affix = self._affix(manifest, name)
        return affix if affix and any(affix) else None

    def _affix(self, manifest: Json, name: str) -> Affix | None:
        """What surrounds this name in an object's; None where it cannot be what is meant by it."""
        if name == rendered_name(manifest):
            return ("", "")
        found = [a for a in splits(base_name(manifest), name) if self._outermost(a) or apart(a)]
        return min(found, key=lambda a: (not self._outermost(a), len(a[0])), default=None)

    def _outermost(self, affix: Affix) -> bool:
        """Whether it may be the outermost kustomization's alone, or none at all."""
        inside = affix[0] in self._prefixes() and affix[1] in self._suffixes()
        return inside or affix == ("", "")

    def _prefixes(self, hints: Iterable[str] = ()) -> list[str]:
        """What the outermost kustomization may have put before every name."""
        return [self._set[0]] if self._set[0] else cuts(common_prefix([self._shared[0], *hints]))

    def _suffixes(self, hints: Iterable[str] = ()) -> list[str]:
        if self._set[1]:
            return [self._set[1]]
        return [s[::-1] for s in cuts(common_suffix([self._shared[1], *hints])[::-1])]


def reads_configmap(workload: Json, configmap: str) -> bool:
    """Whether a workload's pods read this ConfigMap, by environment or volume."""
    return any((s.kind, s.name) == ("ConfigMap", configmap) for s in sources(pod_spec(workload)))


# -- names ---------------------------------------------------------------------------------------------


def splits(whole: str, name: str) -> Iterator[Affix]:
    """What stands before and behind a name wherever it occurs; the whole name included."""
    at = whole.find(name)
    while at != -1:
        before, behind = whole[:at], whole[at + len(name) :]
        yield before, behind
        at = whole.find(name, at + 1)


def apart(affix: Affix) -> bool:
    """Whether separators set it off from the name."""
    before, behind = affix
    return not (before and before[-1].isalnum()) and not (behind and behind[0].isalnum())


def cuts(shared: str) -> list[str]:
    """The prefixes after which a name may begin: none, up to each separator, and all of it."""
    ends = [i for i, sign in enumerate(shared, 1) if not sign.isalnum() or i == len(shared)]
    return ["", *(shared[:i] for i in ends)]


def stripped(name: str, prefix: str, suffix: str) -> str:
    """A name without its affix; empty where it has not got it, or too little is left."""
    if not (name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)):
        return ""
    bare = name[len(prefix) : len(name) - len(suffix)]
    return bare if bare[0].isalnum() and bare[-1].isalnum() else ""


def common_prefix(names: Sequence[str]) -> str:
    if not names:
        return ""
    low, high = min(names), max(names)  # whatever these two share, the names between them share
    return low[: next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]


def common_suffix(names: Sequence[str]) -> str:
    return common_prefix([n[::-1] for n in names])[::-1]


def quoted(names: Iterable[str]) -> str:
    return "|".join(n.replace(".", r"\.") for n in names)
