"""Plans how to restore each object that a run's operation changed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from argorun.argocd.manifests.hooks import RUNNING, is_data_hook, is_hook
from argorun.argocd.manifests.keys import Key, by_key, find_node
from argorun.argocd.manifests.objects import content, topics_named
from argorun.argocd.manifests.sync_options import CONFIRM, is_kept, prune_option, sync_options
from argorun.argocd.settle.merge_patch import merge_patch, patch_back
from argorun.argocd.settle.snapshot import Snapshot
from argorun.argocd.types import Json, Tree


def rendered_differently(ours: Mapping[Key, Json], former: Mapping[Key, Json]) -> list[Key]:
    """The objects that render differently with the run's values and without; hooks that run are left out."""
    keys = dict.fromkeys([*ours, *former])
    return [
        k
        for k in keys
        if ours.get(k) != former.get(k)
        and not (k.kind in RUNNING and any(is_hook(m) for m in (ours.get(k), former.get(k)) if m is not None))
    ]


def to_confirm(
    ours: Mapping[Key, Json], former: Mapping[Key, Json], options: Collection[str] = ()
) -> list[Key]:
    """The objects whose pruning a sync with the run's values makes a person confirm."""
    return [k for k, m in former.items() if k not in ours and prune_option(m, options) == CONFIRM]


# Fields of the spec that nobody may change (source: kubernetes.io/docs, each kind's own page).
IMMUTABLE = {
    "Job": ("template", "selector"),
    "Deployment": ("selector",),
    "ReplicaSet": ("selector",),
    "DaemonSet": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
}


def differs_immutably(key: Key, ours: Json, former: Json, options: Collection[str] = ()) -> bool:
    """Whether no sync turns `ours` into `former`: an immutable field differs, and no option replaces it."""
    if "Force=true" in sync_options(former, options):
        return False
    if ours.get("immutable") is True:
        return any(ours.get(f) != former.get(f) for f in ("data", "binaryData", "stringData", "immutable"))
    was, then = ours.get("spec") or {}, former.get("spec") or {}
    return any(was.get(f) != then.get(f) for f in IMMUTABLE.get(key.kind, ()))


@dataclass(frozen=True)
class Rendering:
    """What a source renders to with the run's values."""

    objects: Mapping[Key, Json] = field(default_factory=dict)
    naming: tuple[Key, ...] = ()  # objects that name a topic
    data_hooks: tuple[Key, ...] = ()  # hooks other than Jobs and Pods
    generated: tuple[Key, ...] = ()  # data hooks that each sync creates under a new name

    @classmethod
    def of(cls, manifests: Iterable[Json], namespace: str, topics: Sequence[str]) -> Rendering:
        """The rendering of these manifests. It takes some 50 µs a manifest: call it in a thread."""
        objects = by_key(manifests, namespace)
        naming = tuple(k for k, m in objects.items() if topics_named(m, topics))
        hooks = tuple(k for k, m in objects.items() if is_data_hook(m))
        generated = tuple(k for k in hooks if not (objects[k].get("metadata") or {}).get("name"))
        return cls(objects, naming, hooks, generated)


@dataclass(frozen=True)
class Plan:
    """How each object that a run's operation changed is restored."""

    settle: tuple[Key, ...] = ()  # by a sync without hooks
    prune: tuple[Key, ...] = ()  # by the same sync: they exist only with the run's values
    # By a JSON merge patch: data hooks, and objects that Git has only with the run's values.
    patch: tuple[tuple[Key, Json], ...] = ()
    delete: tuple[Key, ...] = ()  # data hooks that exist only with the run's values
    stay: tuple[Key, ...] = ()  # new objects that no sync prunes or takes back
    foreign: tuple[Key, ...] = ()  # Git has them only with the run's values, and they existed before

    @property
    def alone(self) -> tuple[Key, ...]:
        """The objects that exist only because of the run."""
        return (*self.prune, *self.delete, *self.stay)

    @property
    def changed(self) -> tuple[Key, ...]:
        """Every object that the operation changed."""
        patched = (k for k, _ in self.patch)
        return (*self.settle, *self.prune, *patched, *self.delete, *self.stay, *self.foreign)


def plan_from_cluster(
    live: Mapping[Key, Json],
    ours: Mapping[Key, Json],
    former: Mapping[Key, Json],
    before: Snapshot,
    options: Collection[str] = (),
) -> Plan:
    """The plan for these live objects, given the renderings with the run's values and without.

    `options` are the Application's sync options. An object that the operation did not change is left alone.
    """
    settle, prune, delete, stay, foreign = list[Key](), list[Key](), list[Key](), list[Key](), list[Key]()
    patch = list[tuple[Key, Json]]()
    for key, now in live.items():
        if not before.changed(key, now):
            continue
        hook = is_data_hook(former.get(key) or ours.get(key) or now)
        if hook and key in before.contents:  # most are created anew by each sync
            patch.append((key, patch_back(content(now), content(ours.get(key, now)), before.contents[key])))
        elif hook and key in former:
            patch.append((key, merge_patch(ours.get(key, {}), former[key])))
        elif hook:
            (delete if before.is_new(now) else foreign).append(key)
        elif key in former:
            fixed = before.is_new(now) and differs_immutably(key, ours.get(key, now), former[key], options)
            (stay if fixed else settle).append(key)
        elif before.is_new(now):
            (stay if is_kept(now, options) else prune).append(key)
        elif key in ours and key in before.contents and key.kind != "Secret":
            patch.append((key, patch_back(content(now), content(ours[key]), before.contents[key])))
        elif key in ours:
            foreign.append(key)
    return Plan(tuple(settle), tuple(prune), tuple(patch), tuple(delete), tuple(stay), tuple(foreign))


def plan_from_renderings(
    ours: Mapping[Key, Json],
    former: Mapping[Key, Json],
    differ: Iterable[Key],
    before: Tree,
    options: Collection[str] = (),
) -> Plan:
    """The plan for the objects in `differ` by the renderings alone, in case the cluster cannot be read.

    An object that existed before is not deleted. Without a former rendering every object is synced.
    """
    differ = list(differ)
    keys = [k for k in differ if not is_hook(ours.get(k) or former[k])]
    new = {k for k in differ if former and find_node(before, k) is None}
    settle, prune, fixed, kept = list[Key](), list[Key](), list[Key](), list[Key]()
    for k in keys:
        if k in new and k not in former:
            (kept if is_kept(ours[k], options) else prune).append(k)
        elif k in new and differs_immutably(k, ours.get(k, {}), former[k], options):
            fixed.append(k)
        else:
            settle.append(k)
    # Argo CD hides a Secret's values; a hook without a name is a new object with each sync.
    hooks = [k for k in differ if k in ours and is_data_hook(ours[k]) and k.kind != "Secret"]
    hooks = [k for k in hooks if (ours[k].get("metadata") or {}).get("name")]
    patch = [(k, merge_patch(ours[k], former[k])) for k in hooks if k in former]
    delete = [k for k in hooks if k in new and k not in former]
    return Plan(tuple(settle), tuple(prune), tuple(patch), tuple(delete), (*fixed, *kept))
