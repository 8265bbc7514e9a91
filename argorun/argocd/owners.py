"""Finds the owner of an Application's spec, and whether it would revert a run's changes.

An ApplicationSet names itself in `metadata.ownerReferences`. An Application that keeps others in Git
("app of apps") does not: its children have its tracking id, or its name in a label.
See docs/argocd-facts.md#owners-of-an-application.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from argorun.argocd import normal_form
from argorun.argocd.client import INSTANCE, Client, policy_object
from argorun.argocd.http.errors import ApiError, Denied, policy_line
from argorun.argocd.managed_resource import managed, state
from argorun.argocd.manifests import ignore_differences, json_pointer
from argorun.argocd.manifests.ignore_differences import RESPECT
from argorun.argocd.manifests.keys import Key
from argorun.argocd.manifests.objects import TRACKING
from argorun.argocd.parameters.helm import helm_parameters
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.record import RECORD, record_of
from argorun.argocd.parameters.spec import claimed, restored, with_automated
from argorun.argocd.types import Application, ApplicationSet, IgnoreRule, Json, Metadata
from argorun.config.model import ApplicationRef
from argorun.errors import AccessDenied, ArgoCDFailed, UsageError

FORCE = "--force-owned runs anyway"
RECORDED = "/metadata/annotations/" + RECORD.replace("/", "~1")
PARAMETERS = "/spec/source/helm/parameters"
NEVER_UPDATES = ("create-only", "create-delete")


@dataclass(frozen=True)
class Owner:
    """An ApplicationSet or Application that also writes the Application's spec."""

    name: str  # "ApplicationSet weather", "Application apps"
    error: UsageError | None = None  # why no run may change the spec
    warning: str = ""  # what a person should know who runs it nevertheless


async def check(
    client: Client, seen: Application, after: Application, warn: Callable[[str], None], *, force: bool
) -> str:
    """The name of this Application's owner; empty if it has none.

    `after` is the Application as a run would change it, see `changed`. Raises UsageError (2) if the owner
    would revert that, and ArgoCDFailed if that is unknown; with `force` both are only a warning.
    """
    try:
        owner = await find(client, seen, after)
    except ArgoCDFailed as e:
        if not force:
            raise
        warn(f"cannot tell whether something else undoes the parameters of {seen.metadata.name}: {e.message}")
        return ""
    if owner is None:
        return ""
    if owner.error is not None and not force:
        raise owner.error
    if owner.error is not None:
        warn(f"{owner.error.message}: it may undo the parameters at any moment, and the run with them")
    elif owner.warning:
        warn(owner.warning)
    return owner.name


async def find(client: Client, seen: Application, after: Application) -> Owner | None:
    """The owner, with the error if it would revert a run's changes. Raises ArgoCDFailed."""
    for reference in seen.metadata.owner_references or ():
        if reference.kind == "ApplicationSet":
            return await of_application_set(client, seen, after, reference.name)
    parent = parent_of(seen.metadata, client.instance_label)
    return await of_parent(client, seen, after, parent) if parent is not None else None


def changed(
    app: Application, settings: Sequence[Setting], manifests: Sequence[Json]
) -> tuple[Application, Application]:
    """The Application without what a dead run has left in its spec, and as the next run would change it."""
    left = record_of(app)
    if left is not None:
        spec = with_automated(restored(app.spec, left), left)
        app = msgspec.structs.replace(app, spec=spec)
    spec, record = claimed(app, settings, manifests, "", 0)
    annotations = (app.metadata.annotations or {}) | {RECORD: msgspec.json.encode(record).decode()}
    metadata = msgspec.structs.replace(app.metadata, annotations=annotations)
    return app, msgspec.structs.replace(app, spec=spec, metadata=metadata)


def reverted(seen: Application, after: Application, rules: Sequence[IgnoreRule]) -> list[str]:
    """The changes of a run, as pointers, that an owner with these ignore rules would revert."""
    old, new = (ignore_differences.without(document(app), rules) for app in (seen, after))

    def value(thing: Json, pointer: str) -> object:
        found = json_pointer.at(thing, json_pointer.steps(pointer))
        return None if found in ([], {}, None) else found  # Argo CD drops what is empty

    return [p for p in touched() if value(old, p) != value(new, p)]


def touched() -> list[str]:
    """What a run may change, as pointers into the Application."""
    parameters = dict.fromkeys("/spec/" + "/".join(kind.PATH) for kind in KINDS.values())
    return [*parameters, RECORDED, "/spec/syncPolicy/automated/enabled"]


def document(app: Application) -> Json:
    """The part of an Application that an owner compares."""
    spec = normal_form.normalize(app.spec)
    return {"metadata": {"annotations": dict(app.metadata.annotations or {})}, "spec": spec}


# -- an ApplicationSet ---------------------------------------------------------------------------------


async def of_application_set(client: Client, seen: Application, after: Application, name: str) -> Owner:
    """The ApplicationSet as owner (source: applicationset/controllers/applicationset_controller.go).

    See docs/argocd-facts.md#applicationsets.
    """
    who, app = f"ApplicationSet {name}", seen.metadata.name
    try:
        owner = await client.application_set(name, seen.metadata.namespace)
    except (Denied, ApiError) as e:
        if isinstance(e, ApiError) and e.status != 500:  # a namespace that is not permitted is a 500
            raise
        named = re.search(r"applicationsets, get, ([^,\s]+)", e.text)
        subject = named[1] if named else await _policy_object(client, seen, name)
        line = policy_line(client.grantee, "applicationsets", "get", subject)
        return Owner(
            who,
            UsageError(
                f"Application {app} belongs to {who}, which argorun cannot read",
                f"add to Argo CD's policy.csv:\n{line}\n{FORCE}",
                reason=e.message,
            ),
        )
    policy = owner.spec.sync_policy
    if policy is not None and policy.applications_sync in NEVER_UPDATES:
        return Owner(who)
    rules = rules_of(owner, seen.metadata)
    lost = reverted(seen, after, rules)
    if not lost:
        return Owner(who)
    return Owner(
        who,
        UsageError(
            f"Application {app} belongs to {who}, which would undo what argorun changes in it",
            f"add this to {who}, or use a separate Application for tests; {FORCE}\n"
            + application_set_snippet(app, reverted(seen, after, ())),
            reason=reason(lost, rules, seen, after),
        ),
    )


async def _policy_object(client: Client, seen: Application, name: str) -> str:
    """What Argo CD's policy calls the ApplicationSet: it is in the Application's namespace."""
    own = ""
    with contextlib.suppress(ArgoCDFailed, AccessDenied):
        own = (await client.server_settings()).controller_namespace
    return policy_object(seen.project, seen.metadata.namespace, name, own or seen.metadata.namespace)


def rules_of(owner: ApplicationSet, app: Metadata) -> list[IgnoreRule]:
    """The ApplicationSet's ignore rules for this Application; a preserved annotation is one."""
    kept = (owner.spec.preserved_fields and owner.spec.preserved_fields.annotations) or ()
    rules = [*(owner.spec.ignore_application_differences or ()), IgnoreRule(json_pointers=[RECORDED])]
    if RECORD not in kept:
        rules.pop()
    own = [
        msgspec.structs.replace(r, group=ignore_differences.GROUP, kind=ignore_differences.KIND)
        for r in rules
    ]
    return ignore_differences.matching(own, app.name, app.namespace)


def application_set_snippet(app: str, pointers: Sequence[str]) -> str:
    """The YAML that keeps an ApplicationSet from reverting a run's changes."""
    return "\n".join(
        [
            "spec:",
            "  ignoreApplicationDifferences:",
            f"    - name: {app}",
            "      jsonPointers:",
            *(f"        - {p}" for p in pointers),
        ]
    )


# -- an Application that keeps this one in Git ---------------------------------------------------------


def parent_of(app: Metadata, label: str = INSTANCE) -> ApplicationRef | None:
    """The Application that may have made this one: by its tracking id, or else by its instance label.

    A tracking id of another object was copied with it and says nothing. An Application outside of Argo CD's
    own namespace is called NAMESPACE_NAME (source: util/argo/resource_tracking.go, ParseAppInstanceValue;
    Application.InstanceName).
    """
    parts = (app.annotations or {}).get(TRACKING, "").split(":")
    if len(parts) == 3 and parts[1:] == [
        f"{ignore_differences.GROUP}/{ignore_differences.KIND}",
        f"{app.namespace}/{app.name}",
    ]:
        instance = parts[0]
    else:
        instance = (app.labels or {}).get(label, "")
    namespace, _, name = instance.rpartition("_")
    if not name or (name == app.name and namespace in ("", app.namespace)):
        return None
    return ApplicationRef(name=name, namespace=namespace or None)


async def of_parent(
    client: Client, seen: Application, after: Application, parent: ApplicationRef
) -> Owner | None:
    """The parent Application as owner; None if there is none, or if it no longer has this one in Git.

    Argo CD compares only the fields that Git has (a three-way merge): what Git does not name is no
    difference, and no sync removes it (seen; docs/argocd-facts.md#parent-applications).
    """
    who, app = f"Application {parent}", seen.metadata.name
    try:
        above = await client.application(parent)
        key = Key(ignore_differences.GROUP, ignore_differences.KIND, seen.metadata.namespace, app)
        kept = await managed(client, parent, key)
        target = state(kept.target_state, f"show what {parent.name} keeps") if kept is not None else None
    except (Denied, ApiError) as e:
        if TRACKING not in (seen.metadata.annotations or {}):
            return None  # the label is often a chart's own
        return Owner(
            who,
            warning=f"{app} is part of {who}, which cannot be read ({e.text}): it may undo the parameters "
            f"during the run if it heals itself",
        )
    if target is None:
        return None
    policy = above.spec.get("syncPolicy") or {}
    rules = ignore_differences.matching(
        ignore_differences.respected(above.spec, f"show {who}"), app, seen.metadata.namespace
    )
    in_git = [
        p for p in reverted(seen, after, ()) if json_pointer.at(target, json_pointer.steps(p)) is not None
    ]
    lost = [p for p in reverted(seen, after, rules) if p in in_git]
    if not lost:
        return Owner(who)
    # To Argo CD, a key in a list's element that Git does not name is no difference either; to kubectl's apply
    # it is (source: gitops-engine's pkg/diff, threeWayMergePatch, RemoveMapFields; seen on the real server).
    listed = json_pointer.at(target, json_pointer.steps(PARAMETERS)) or []
    sees = not is_only_forced(lost, rules, seen, after) or any("forceString" in p for p in listed)
    if not (heals(policy.get("automated")) and sees):
        undoes = f"{app} is part of {who}: a sync of that one during the run would undo {', '.join(lost)}"
        return Owner(who, warning="; ".join([undoes, *reason(lost, rules, seen, after).splitlines()[1:]]))
    return Owner(
        who,
        UsageError(
            f"Application {app} is part of {who}, which heals itself and would undo what argorun changes",
            f"add this to {who}, or use a separate Application for tests; {FORCE}\n"
            + parent_snippet(app, in_git),
            reason=reason(lost, rules, seen, after),
        ),
    )


def heals(automated: Json | None) -> bool:
    """Whether an Application with this `syncPolicy.automated` reverts others' changes."""
    if automated is None or automated.get("enabled") is False:
        return False
    return automated.get("selfHeal") is True


def parent_snippet(app: str, pointers: Sequence[str]) -> str:
    """The YAML that keeps a self-healing parent from reverting a run's changes."""
    return "\n".join(
        [
            "spec:",
            "  ignoreDifferences:",
            f"    - group: {ignore_differences.GROUP}",
            f"      kind: {ignore_differences.KIND}",
            f"      name: {app}",
            "      jsonPointers:",
            *(f"        - {p}" for p in pointers),
            "  syncPolicy:",
            "    syncOptions:",
            f"      - {RESPECT}",
        ]
    )


def reason(lost: Sequence[str], rules: Sequence[IgnoreRule], seen: Application, after: Application) -> str:
    """What would be reverted, and which of the owner's rules may have been meant to prevent it."""
    lines = [f"it does not leave alone: {', '.join(lost)}"]
    if PARAMETERS in lost and PARAMETERS not in reverted(unforced(seen), unforced(after), rules):
        lines.append(
            "its rule covers only the parameter's .value, not its .forceString: argorun sets both, so that "
            "Helm takes a topic's name as a string"
        )
    lines += [f"not understood by argorun: {e}" for e in ignore_differences.not_understood(rules)]
    return "\n".join(lines)


def is_only_forced(
    lost: Sequence[str], rules: Sequence[IgnoreRule], seen: Application, after: Application
) -> bool:
    """Whether nothing but a parameter's `forceString` would be reverted."""
    return bool(lost) and not set(lost) & set(reverted(unforced(seen), unforced(after), rules))


def unforced(app: Application) -> Application:
    """The Application without any parameter's `forceString`."""
    source = app.spec.get("source") or {}
    bare = [{k: v for k, v in p.items() if k != "forceString"} for p in helm_parameters(app.spec)]
    helm = (source.get("helm") or {}) | {"parameters": bare}
    return msgspec.structs.replace(app, spec=app.spec | {"source": source | {"helm": helm}})
