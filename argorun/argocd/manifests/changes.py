"""What a run's operation changed in the cluster, told from manifests and live objects. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from argorun.argocd.clock import seconds
from argorun.argocd.manifests.hooks import RUNNING, hook_phases, is_hook
from argorun.argocd.types import Json, ManagedResource, Node, ResourceResult, ResourceStatus, Tree

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
SERVER_SIDE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
CONFIRM = "Prune=confirm"
KEPT = ("Prune=false", CONFIRM)  # what Argo CD does not prune, or not without a person
CLOCKS = 300.0  # seconds by which the cluster's clock may be behind Argo CD's


class Key(NamedTuple):
    """A Kubernetes object's identity; `namespace` is empty for a cluster-scoped one."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def key_of(manifest: Json, namespace: str) -> Key:
    """The identity of a rendered or live object; a rendered one without a namespace gets this one."""
    group, _, _ = str(manifest.get("apiVersion", "")).rpartition("/")
    metadata = manifest.get("metadata") or {}
    name = metadata.get("name") or metadata.get("generateName")
    return Key(
        group, str(manifest.get("kind", "")), str(metadata.get("namespace") or namespace), str(name or "")
    )


def key_of_listed(listed: Node | ResourceStatus | ResourceResult | ManagedResource) -> Key:
    """The identity of an object as Argo CD lists it: in its tree, in a status, in an operation."""
    return Key(listed.group, listed.kind, listed.namespace, listed.name)


def by_key(manifests: Iterable[Json], namespace: str) -> dict[Key, Json]:
    """Rendered objects by identity."""
    return {key_of(m, namespace): m for m in manifests}


def find(tree: Tree, key: Key) -> Node | None:
    """The live object of a rendered one: a cluster-scoped object has no namespace when it is live."""
    found = tree.find(key.kind, key.namespace, key.name, key.group)
    return found or tree.find(key.kind, "", key.name, key.group)


def is_data_hook(manifest: Json) -> bool:
    """Whether an object is a hook that holds data, a ConfigMap say: no sync without hooks puts it back."""
    annotations = (manifest.get("metadata") or {}).get("annotations") or {}
    return bool(hook_phases(annotations)) and manifest.get("kind") not in RUNNING


def content(manifest: Json) -> Json:
    """A live object without what the API server and kubectl note in it, and without its status."""
    kept = copy.deepcopy({k: v for k, v in manifest.items() if k != "status"})
    metadata = kept.get("metadata") or {}
    for name in SERVER_SIDE:
        metadata.pop(name, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop(LAST_APPLIED, None)
    if not annotations:
        metadata.pop("annotations", None)
    return kept


def version(live: Json) -> str:
    """A live object's resourceVersion: another one with each change."""
    return str((live.get("metadata") or {}).get("resourceVersion", ""))


def spellings(topic: str) -> tuple[str, ...]:
    """A topic's name, and how it is written where Kubernetes does not take it: `_` as `-`."""
    safe = topic.replace("_", "-")
    return tuple(dict.fromkeys((topic, safe, safe.lower())))


def named(thing: Json, topics: Iterable[str]) -> list[str]:
    """The topics whose names an object holds, in either spelling; see `content` for what is not looked at."""
    text = json.dumps(content(thing), ensure_ascii=False)
    return [t for t in topics if any(s in text for s in spellings(t))]


def differing(ours: Mapping[Key, Json], former: Mapping[Key, Json]) -> list[Key]:
    """The objects that render differently with a run's values and without; hooks that run are left out."""
    keys = dict.fromkeys([*ours, *former])
    return [
        k
        for k in keys
        if ours.get(k) != former.get(k)
        and not (k.kind in RUNNING and any(is_hook(m) for m in (ours.get(k), former.get(k)) if m is not None))
    ]


def kept_claims(live: Json, tree: Tree) -> list[Key]:
    """The volume claims that Kubernetes keeps when this StatefulSet is deleted.

    Source: kubernetes.io/docs, StatefulSets, PersistentVolumeClaim retention.
    """
    policy = (live.get("spec") or {}).get("persistentVolumeClaimRetentionPolicy") or {}
    if live.get("kind") != "StatefulSet" or policy.get("whenDeleted") == "Delete":
        return []
    uid = (live.get("metadata") or {}).get("uid")
    claims = tree.of_kind("PersistentVolumeClaim")
    return [key_of_listed(n) for n in claims if any(r.uid == uid for r in n.parent_refs or ())]


def is_kept(manifest: Json, options: Collection[str] = ()) -> bool:
    """Whether Argo CD does not prune an object by itself."""
    return prune_option(manifest, options) in KEPT


def prune_option(manifest: Json, options: Collection[str]) -> str:
    """An object's own `Prune` option, or else the Application's; empty where neither has one."""
    return next((o for o in sync_options(manifest, options) if o.startswith("Prune=")), "")


def sync_options(manifest: Json, options: Collection[str]) -> list[str]:
    """An object's own sync options, and then the Application's."""
    annotations = (manifest.get("metadata") or {}).get("annotations") or {}
    return [*(o.strip() for o in str(annotations.get(SYNC_OPTIONS, "")).split(",")), *options]


def to_confirm(
    ours: Mapping[Key, Json], former: Mapping[Key, Json], options: Collection[str] = ()
) -> list[Key]:
    """The objects that a sync with a run's values has a person confirm: they are in `former` alone."""
    return [k for k, m in former.items() if k not in ours and prune_option(m, options) == CONFIRM]


# What Kubernetes lets nobody change (source: kubernetes.io/docs, each kind's own page).
FIXED = {
    "Job": ("template", "selector"),
    "Deployment": ("selector",),
    "ReplicaSet": ("selector",),
    "DaemonSet": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
}


def is_fixed(key: Key, ours: Json, former: Json, options: Collection[str] = ()) -> bool:
    """Whether a sync cannot make `former` of `ours`: what differs is immutable, and it is not replaced."""
    if "Force=true" in sync_options(former, options):
        return False
    if ours.get("immutable") is True:
        return any(ours.get(f) != former.get(f) for f in ("data", "binaryData", "stringData", "immutable"))
    was, then = ours.get("spec") or {}, former.get("spec") or {}
    return any(was.get(f) != then.get(f) for f in FIXED.get(key.kind, ()))


def merge_patch(now: Json, then: Json) -> Json:
    """The JSON merge patch (RFC 7396) from one object to another."""
    patch: Json = {}
    for name in dict.fromkeys([*now, *then]):
        old, new = now.get(name), then.get(name)
        if old == new:
            continue
        patch[name] = merge_patch(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return patch


def put_back(now: Json, ours: Json, before: Json) -> Json:
    """The JSON merge patch that makes `before` of `now`, but for what is not as our sync has put it there.

    Others have changed that since, or the API server has put it in. A merge patch replaces a list as a whole.
    """
    then: Json = _taken_back(now, ours, before)
    return merge_patch(now, then)


def _taken_back(now: Any, ours: Any, before: Any) -> Any:
    """What a value should be; None stands for one that is not there."""
    if now in (ours, before):
        return before
    if isinstance(now, dict) and isinstance(before, dict):
        put = ours if isinstance(ours, dict) else {}
        names = dict.fromkeys([*now, *before])
        then = {n: _taken_back(now.get(n), put.get(n), before.get(n)) for n in names}
        return {n: value for n, value in then.items() if value is not None}
    lists = [v for v in (now, ours, before) if isinstance(v, list)]
    if len(lists) == 3 and len({len(v) for v in lists}) == 1:
        return [_taken_back(*items) for items in zip(*lists, strict=True)]
    return now


@dataclass(frozen=True)
class Rendering:
    """What a source renders to with a run's values."""

    objects: Mapping[Key, Json] = field(default_factory=dict)
    naming: tuple[Key, ...] = ()  # those that name a topic
    data_hooks: tuple[Key, ...] = ()
    generated: tuple[Key, ...] = ()  # those of them that each sync makes anew, under another name

    @classmethod
    def of(cls, manifests: Iterable[Json], namespace: str, topics: Sequence[str]) -> Rendering:
        """Some 50 µs a manifest: where there are thousands, for a thread of its own."""
        objects = by_key(manifests, namespace)
        naming = tuple(k for k, m in objects.items() if named(m, topics))
        hooks = tuple(k for k, m in objects.items() if is_data_hook(m))
        generated = tuple(k for k in hooks if not (objects[k].get("metadata") or {}).get("name"))
        return cls(objects, naming, hooks, generated)


@dataclass(frozen=True)
class Before:
    """The Application's live objects before a run's operation."""

    versions: Mapping[str, str] = field(default_factory=dict)  # resourceVersion by uid
    contents: Mapping[Key, Json] = field(default_factory=dict)  # of those that may be changed, see `content`
    since: float = (
        0.0  # in place of `versions`: what was created from then on is new; seconds since the epoch
    )
    noted: float = 0.0  # when `versions` were read: what was created before is not new

    @classmethod
    def of(cls, tree: Tree, contents: Mapping[Key, Json], noted: float = 0.0) -> Before:
        versions = {n.uid: n.resource_version for n in tree.nodes or () if n.uid}
        return cls(versions, contents, noted=noted)

    def changed(self, key: Key, live: Json) -> bool:
        """Whether an object is another one than before, by its uid, or its version and content."""
        metadata = live.get("metadata") or {}
        uid = str(metadata.get("uid", ""))
        if uid not in self.versions:
            return True
        if self.versions[uid] and self.versions[uid] == metadata.get("resourceVersion"):
            return False
        # What a Secret holds is hidden: it looks the same whatever it is.
        return key.kind == "Secret" or key not in self.contents or self.contents[key] != content(live)

    def is_new(self, live: Json) -> bool:
        """Whether an object was not there before."""
        metadata = live.get("metadata") or {}
        if self.since:
            created = str(metadata.get("creationTimestamp", ""))
            return bool(created) and seconds(created) >= self.since
        # One that was not in the tree before may have stood there all the same.
        return str(metadata.get("uid", "")) not in self.versions and not self._is_older(metadata)

    def _is_older(self, metadata: Json) -> bool:
        created = str(metadata.get("creationTimestamp") or "")
        return bool(created and self.noted) and seconds(created) < self.noted - CLOCKS


@dataclass(frozen=True)
class Plan:
    """How each object that a run's operation changed goes back."""

    settle: tuple[Key, ...] = ()  # by a sync without hooks
    prune: tuple[Key, ...] = ()  # by the same sync: they exist only with the run's values
    # Hooks that hold data, and what Git has only with the run's values; each with its JSON merge patch.
    patch: tuple[tuple[Key, Json], ...] = ()
    delete: tuple[Key, ...] = ()  # hooks that hold data and exist only with the run's values
    stay: tuple[Key, ...] = ()  # new ones that no sync takes away, or takes back
    foreign: tuple[Key, ...] = ()  # they were there before, and Git has them only with the run's values

    @property
    def alone(self) -> tuple[Key, ...]:
        """Those that are there only because of the run."""
        return (*self.prune, *self.delete, *self.stay)

    @property
    def changed(self) -> tuple[Key, ...]:
        """Every object that the operation changed."""
        patched = (k for k, _ in self.patch)
        return (*self.settle, *self.prune, *patched, *self.delete, *self.stay, *self.foreign)


def plan(
    live: Mapping[Key, Json],
    ours: Mapping[Key, Json],
    former: Mapping[Key, Json],
    before: Before,
    options: Collection[str] = (),
) -> Plan:
    """How the objects in `live` go back that differ between `ours` and `former`, the two renderings.

    `options` are the Application's sync options. An object that the operation did not change is left alone.
    """
    settle, prune, delete, stay, foreign = list[Key](), list[Key](), list[Key](), list[Key](), list[Key]()
    patch = list[tuple[Key, Json]]()
    for key, now in live.items():
        if not before.changed(key, now):
            continue
        hook = is_data_hook(former.get(key) or ours.get(key) or now)
        if hook and key in before.contents:  # most are made anew for each sync
            patch.append((key, put_back(content(now), content(ours.get(key, now)), before.contents[key])))
        elif hook and key in former:
            patch.append((key, merge_patch(ours.get(key, {}), former[key])))
        elif hook:
            (delete if before.is_new(now) else foreign).append(key)
        elif key in former:
            fixed = before.is_new(now) and is_fixed(key, ours.get(key, now), former[key], options)
            (stay if fixed else settle).append(key)
        elif before.is_new(now):
            (stay if is_kept(now, options) else prune).append(key)
        elif key in ours and key in before.contents and key.kind != "Secret":
            patch.append((key, put_back(content(now), content(ours[key]), before.contents[key])))
        elif key in ours:
            foreign.append(key)
    return Plan(tuple(settle), tuple(prune), tuple(patch), tuple(delete), tuple(stay), tuple(foreign))


def rendered_plan(
    ours: Mapping[Key, Json],
    former: Mapping[Key, Json],
    differ: Iterable[Key],
    before: Tree,
    options: Collection[str] = (),
) -> Plan:
    """The plan for what differs as far as the renderings tell it: for a person, where nobody could look.

    What stood there before is not deleted. Without a former rendering all is synced.
    """
    differ = list(differ)
    keys = [k for k in differ if not is_hook(ours.get(k) or former[k])]
    new = {k for k in differ if former and find(before, k) is None}
    settle, prune, fixed, kept = list[Key](), list[Key](), list[Key](), list[Key]()
    for k in keys:
        if k in new and k not in former:
            (kept if is_kept(ours[k], options) else prune).append(k)
        elif k in new and is_fixed(k, ours.get(k, {}), former[k], options):
            fixed.append(k)
        else:
            settle.append(k)
    # Of a Secret nobody is shown what it holds; one without a name is another one with each sync.
    hooks = [k for k in differ if k in ours and is_data_hook(ours[k]) and k.kind != "Secret"]
    hooks = [k for k in hooks if (ours[k].get("metadata") or {}).get("name")]
    patch = [(k, merge_patch(ours[k], former[k])) for k in hooks if k in former]
    delete = [k for k in hooks if k in new and k not in former]
    return Plan(tuple(settle), tuple(prune), tuple(patch), tuple(delete), (*fixed, *kept))


def applied(results: Sequence[ResourceResult]) -> set[Key]:
    """What an operation says it has applied, hooks left out."""
    return {key_of_listed(r) for r in results if not r.hook_type}
