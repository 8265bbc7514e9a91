"""Puts a run's values into an Application's spec and takes them out again. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

from argorun.argocd import normal_form
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kinds import KINDS, by_kind
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.types import Application, Json
from argorun.config.model import PARAMETER_FORMS
from argorun.errors import UsageError


def check_source(app: Application, settings: Iterable[Setting]) -> None:
    """Raise UsageError (2) if the Application's source cannot take these settings."""
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
    source_type = app.status.source_type
    if not source_type:
        raise not_rendered(app)
    taken = [name for name, kind in KINDS.items() if source_type == kind.SOURCE_TYPE]
    if not taken:
        supported = dict.fromkeys(f"a {kind.SOURCE_TYPE}" for kind in KINDS.values())
        raise UsageError(
            f"Application {name} has a {source_type.lower()} source, which takes no parameters",
            f"argorun needs {' or '.join(supported)} source",
        )
    for kind in sorted({s.kind for s in settings} - set(taken)):
        raise UsageError(
            f"Application {name} has a {source_type} source, which takes no {kind.title()} parameter",
            f"write the parameter as {' or '.join(PARAMETER_FORMS[t] for t in taken)}",
        )


def not_rendered(app: Application) -> UsageError:
    """The error for an Application whose source type Argo CD does not know: it has not rendered it.

    All of Argo CD's error conditions are in it.
    """
    name, source = app.metadata.name, app.spec.get("source") or {}
    if not app.errors:
        return UsageError(
            f"Argo CD has not rendered Application {name} yet", "try again, or look at it in Argo CD"
        )
    given = ((k, str(source.get(k) or "")) for k in ("repoURL", "path", "chart", "targetRevision"))
    shown = ", ".join(f"{k}: {v}" for k, v in given if v and "@" not in v)  # it may hold a password
    return UsageError(
        f"Argo CD cannot render Application {name}: {'; '.join(app.errors)}",
        f"fix its source in Argo CD ({shown})" if shown else "fix its source in Argo CD",
    )


def check_rendered(
    app: str, settings: Iterable[Setting], manifests: Sequence[Json], spec: Json | None = None
) -> None:
    """Raise UsageError (2) if what the source renders to has no place for a setting."""
    for kind, ours in by_kind(settings).items():
        KINDS[kind].check_rendered(app, ours, manifests, spec or {})


def check_taken(
    app: str, settings: Iterable[Setting], manifests: Sequence[Json], spec: Json | None = None
) -> None:
    """Raise UsageError (2) if the source, with our values in, does not render to them."""
    for kind, ours in by_kind(settings).items():
        KINDS[kind].check_taken(app, ours, manifests, spec or {})


def original_value(app: Application, setting: Setting, manifests: Sequence[Json]) -> str | None:
    """The value at a setting's place now; None if it is not set."""
    return KINDS[setting.kind].original_value(setting, app.spec, manifests)


def secrets(app: Application) -> list[str]:
    """The secrets among the parameters' values, also among those that a former run has put away."""
    record = record_of(app) or Record(run="", until=0)
    return [secret for kind in KINDS.values() for secret in kind.secrets(app.spec, record)]


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
    spec["source"] = spec.get("source") or {}
    values = {kind: KINDS[kind].apply(spec, ours, manifests) for kind, ours in by_kind(settings).items()}
    automated = (spec.get("syncPolicy") or {}).get("automated")
    if automated is not None and automated.get("enabled") is False:
        automated = None  # it is off already
    record = Record(
        run=run_id,
        until=int(until),
        helm=tuple(values.pop("helm", ())),
        kustomize=tuple(values.pop("kustomize", ())),
        automated=automated,
        synced=app.status.sync.status == "Synced",
        revision=app.deployed if pinned else "",
        topics=tuple(topics),
        since=int(since),
        begins_within=int(begins_within),
        others=values,
    )
    return without_automated(spec, record), record


def holds(source: Json | None, settings: Iterable[Setting]) -> bool:
    """Whether a source, for example an operation's, has all our values, and they count there."""
    spec = {"source": source or {}}
    return all(KINDS[kind].holds(spec, ours) for kind, ours in by_kind(settings).items())


def restored(spec: Json, record: Record) -> Json:
    """The spec with the originals in place of our values, wherever those stand; auto-sync is left alone."""
    spec = copy.deepcopy(spec)
    for kind in KINDS.values():
        kind.restore(spec, record)
    return spec


def with_automated(spec: Json, record: Record) -> Json:
    """The spec with auto-sync as it was, if it is still switched off as we left it."""
    if record.automated is None:
        return spec
    spec = copy.deepcopy(spec)
    policy = spec.get("syncPolicy") or {}
    left = normal_form.automated(record.automated | {"enabled": False})
    if normal_form.automated(policy.get("automated")) == left:
        policy["automated"] = record.automated
    return spec


def is_automated(spec: Json, record: Record) -> bool:
    """Whether auto-sync is as it was before the run that left this record."""
    now = normal_form.automated((spec.get("syncPolicy") or {}).get("automated"))
    return record.automated is None or now == normal_form.automated(record.automated)


def without_automated(spec: Json, record: Record) -> Json:
    """The spec with auto-sync switched off, if the record says that it was on."""
    if record.automated is None:
        return spec
    spec = copy.deepcopy(spec)
    spec["syncPolicy"]["automated"] = record.automated | {"enabled": False}
    return spec


def stands(spec: Json, record: Record) -> bool:
    """Whether a topic of a record is still in the spec; of an older one, which names none, any value."""
    return any(kind.stands(spec, record) for kind in KINDS.values())
