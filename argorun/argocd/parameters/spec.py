"""Puts a run's values into an Application's spec and takes them out again. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from typing import Any

from argorun.argocd import normal_form
from argorun.argocd.parameters import kustomize
from argorun.argocd.parameters.helm import (
    Helm,
    effective,
    helm_parameters,
    is_value,
    put,
    untyped,
    without_ours,
)
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.parameters.patch import get
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.types import Application, Json
from argorun.errors import UsageError
from argorun.redact.secrets import in_address, is_parameter

Setting = Helm | Kustomize


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


def secrets(app: Application) -> list[str]:
    """The Helm parameters' values that are secret by name, and passwords in their addresses.

    Those that a former run put away count, too.
    """
    record = record_of(app)
    away = [h.original for h in record.helm if h.original] if record else []
    values = [(str(p.get("name", "")), str(p.get("value", ""))) for p in [*helm_parameters(app.spec), *away]]
    named = [value for name, value in values if is_parameter(name)]
    return named + [secret for _, v in values if "://" in v for secret in in_address(v)]


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


def kustomize_texts(spec: Json) -> list[str]:
    return [str(p.get("patch", "")) for p in get(spec, ("source", "kustomize", "patches")) or ()]
