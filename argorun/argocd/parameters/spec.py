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
from argorun.argocd import normal_form
from argorun.argocd.parameters import kustomize
from argorun.argocd.parameters.kustomize import ROLLED as ROLLED
from argorun.argocd.parameters.kustomize import Kustomize as Kustomize
from argorun.argocd.types import Application, Json
from argorun.errors import UsageError

RECORD = "argorun.dev/run"  # the annotation that holds the record


@dataclass(frozen=True)
class Helm:
    """A Helm parameter (`spec.source.helm.parameters`) and the value it gets.

    `string`: Helm is to take it as a string (`forceString`); else an element that is there keeps its own.
    """

    name: str
    value: str
    string: bool = False

    def __str__(self) -> str:
        return f"helm: {self.name}"


Setting = Helm | Kustomize


class HelmValue(msgspec.Struct, frozen=True):
    """A Helm parameter we set; `original` is the list's element that stood there, None where none did.

    Where others in the list have its name and its value, `alike` is how many, and `at` its place among them.
    """

    name: str
    value: str
    original: Json | None = None
    at: int | msgspec.UnsetType = msgspec.UNSET  # unset, it is not written: records stay as they were
    alike: int | msgspec.UnsetType = msgspec.UNSET


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
    begins_within: int = 0  # seconds, where rendering may take longer than usual


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


def check_rendered(
    app: str, settings: Iterable[Setting], manifests: Sequence[Json], spec: Json | None = None
) -> None:
    """Raise UsageError (2) where a ConfigMap's key is not in what the source renders to."""
    kustomize.check_rendered(app, kustomized(settings), manifests, spec or {})


def check_taken(
    app: str, settings: Iterable[Setting], manifests: Sequence[Json], spec: Json | None = None
) -> None:
    """Raise UsageError (2) where a ConfigMap's key does not render to our value, once it is in."""
    kustomize.check_taken(app, kustomized(settings), manifests, spec or {})


def kustomized(settings: Iterable[Setting]) -> list[Kustomize]:
    return [s for s in settings if isinstance(s, Kustomize)]


def original_value(app: Application, setting: Setting, manifests: Sequence[Json]) -> str | None:
    """What a setting is now; None where it is not set."""
    if isinstance(setting, Kustomize):
        return kustomize.value(setting, manifests, app.spec)
    elements = helm_parameters(app.spec)
    at = effective(elements, setting.name)
    return None if at is None else str(elements[at].get("value", ""))


def effective(elements: Sequence[Json], name: str) -> int | None:
    """Which of a list's elements of this name Helm goes by; None where there is none.

    It is the last one, and one with `forceString` before those without: Argo CD gives them to Helm as
    `--set-string` and `--set`, each name once (source: helmTemplate in its
    reposerver/repository/repository.go), and Helm takes `--set-string` last.
    """
    named = [i for i, p in enumerate(elements) if p.get("name") == name]
    forced = [i for i in named if elements[i].get("forceString")]
    return max(forced or named, default=None)


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
    begins_within: float = 0,
) -> tuple[Json, Record]:
    """The spec with our values in it and auto-sync off, and the record of what was there.

    `topics` are those of the values that are topics' names; `pinned`: another commit will be synced; `since`
    and `until` are in seconds since the epoch.
    """
    spec = copy.deepcopy(app.spec)
    source = spec.get("source") or {}
    elements = helm_parameters(spec)
    values = [put(elements, s) for s in settings if isinstance(s, Helm)]
    if values:
        source["helm"] = (source.get("helm") or {}) | {"parameters": elements}
    patches = kustomize.patches(kustomized(settings), manifests, app.spec)
    if patches:
        options = source.get("kustomize") or {}
        source["kustomize"] = options | {"patches": [*(options.get("patches") or ()), *patches]}
    spec["source"] = source
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
        revision=app.deployed if pinned else "",
        topics=tuple(topics),
        since=int(since),
        begins_within=int(begins_within),
    )
    return without_automated(spec, record), record


def put(elements: list[Json], setting: Helm) -> HelmValue:
    """Put a value into a list of parameters; what is to be remembered of it."""
    at = effective(elements, setting.name)
    original = None if at is None else elements[at]
    ours: Json = (original or {"name": setting.name}) | {"value": setting.value}
    if setting.string:
        ours["forceString"] = True
    if at is None:
        at = len(elements)
    elements[at : at + 1] = [normal_form.parameter(ours)]
    same = [i for i, p in enumerate(elements) if is_value(p, setting.name, setting.value)]
    alike = (same.index(at), len(same) - 1) if len(same) > 1 else ()
    return HelmValue(setting.name, setting.value, original, *alike)


def is_value(element: Json, name: str, value: str) -> bool:
    """Whether an element sets this parameter to this value; Argo CD leaves an empty one out."""
    return (element.get("name") or "", element.get("value") or "") == (name, value)


def holds(source: Json | None, settings: Iterable[Setting]) -> bool:
    """Whether a source, an operation's captured one say, has all our values as we want them taken."""
    spec = {"source": source or {}}
    elements = helm_parameters(spec)
    patches = " ".join(kustomize_texts(spec))

    def held(s: Setting) -> bool:
        if isinstance(s, Kustomize):
            return json.dumps(s.value) in patches
        at = effective(elements, s.name)
        forced = at is not None and (not s.string or bool(elements[at].get("forceString")))
        return at is not None and forced and is_value(elements[at], s.name, s.value)

    return all(held(s) for s in settings)


# -- and back ------------------------------------------------------------------------------------------


def restored(spec: Json, record: Record) -> Json:
    """The spec with what was there before, wherever our value still stands; auto-sync is left alone."""
    spec = copy.deepcopy(spec)
    source = spec.get("source") or {}
    helm, options = source.get("helm"), source.get("kustomize")
    if helm is not None and record.helm:
        kept = without_ours(helm_parameters(spec), record.helm)
        put_or_drop(helm, "parameters", untyped(kept, [v for v in record.helm if v.value in record.topics]))
        put_or_drop(source, "helm", helm)
    if options is not None and record.kustomize:
        kept = [p for p in options.get("patches") or () if p.get("patch") not in record.kustomize]
        put_or_drop(options, "patches", kept)
        put_or_drop(source, "kustomize", options)
    return spec


def without_ours(elements: Sequence[Json], ours: Iterable[HelmValue]) -> list[Json]:
    """The parameters with what was there in place of our values, as far as those are still there."""
    kept: list[Json | None] = list(elements)
    for v in ours:
        found = [i for i, p in enumerate(elements) if is_value(p, v.name, v.value)]
        if len(found) > (v.alike or 0):  # the others were there before us
            kept[found[-1 if v.at is msgspec.UNSET else v.at]] = v.original
    return [p for p in kept if p is not None]


def untyped(elements: Sequence[Json], topics: Iterable[HelmValue]) -> list[Json]:
    """The parameters without our `forceString` where somebody else has put another value to it meanwhile."""
    ours = {v.name for v in topics if v.original is not None and not v.original.get("forceString")}
    return [
        {k: v for k, v in p.items() if k != "forceString"} if p.get("name") in ours else p for p in elements
    ]


def with_automated(spec: Json, record: Record) -> Json:
    """The spec with auto-sync as it was, where it is still switched off as we left it."""
    if record.automated is None:
        return spec
    spec = copy.deepcopy(spec)
    policy = spec.get("syncPolicy") or {}
    left = normal_form.automated(record.automated | {"enabled": False})
    if normal_form.automated(policy.get("automated")) == left:
        policy["automated"] = record.automated
    return spec


def is_automated(spec: Json, record: Record) -> bool:
    """Whether auto-sync is as it was before the run that left this record, where that has switched it."""
    now = normal_form.automated((spec.get("syncPolicy") or {}).get("automated"))
    return record.automated is None or now == normal_form.automated(record.automated)


def without_automated(spec: Json, record: Record) -> Json:
    """The spec with auto-sync switched off, where the record says that it was on."""
    if record.automated is None:
        return spec
    spec = copy.deepcopy(spec)
    spec["syncPolicy"]["automated"] = record.automated | {"enabled": False}
    return spec


def put_or_drop(parent: Json, key: str, value: Any) -> None:
    """Argo CD drops what is empty when it normalizes a spec, and so do we."""
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
    elements = helm_parameters(spec)
    if any(sum(is_value(p, v.name, v.value) for p in elements) > (v.alike or 0) for v in record.helm):
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
    before, goal = normal_form.normalize(app.spec), normal_form.normalize(spec)
    for path in touched:
        if get(before, path) == get(goal, path):
            continue
        if not (get(before, path[:-1]) and get(goal, path[:-1])):
            path = path[:-1]
        operations += change("/spec/" + "/".join(path), get(app.spec, path), get(goal, path))
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
    return [p or {} for p in get(spec, ("source", "helm", "parameters")) or ()]


def kustomize_texts(spec: Json) -> list[str]:
    return [str(p.get("patch", "")) for p in get(spec, ("source", "kustomize", "patches")) or ()]
