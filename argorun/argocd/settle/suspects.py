"""Which objects a run's operation may have changed, besides those that render differently. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from argorun.argocd.manifests import ignore_differences
from argorun.argocd.manifests.hooks import RUNNING, is_data_hook, is_hook
from argorun.argocd.manifests.keys import Key, find_node, key_of_listed
from argorun.argocd.manifests.objects import spellings
from argorun.argocd.settle.plan import Rendering
from argorun.argocd.settle.snapshot import Snapshot
from argorun.argocd.types import Application, Json, Tree

SECRET, CONFIGMAP = ("", "Secret"), ("", "ConfigMap")  # the first two parts of a key


def unsynced(seen: Application, ours: Rendering, former: Mapping[Key, Json]) -> list[Key]:
    """The Secrets, whose values are hidden, that Argo CD calls OutOfSync; without a rendering, any object."""
    objects = ours.objects
    out_of_sync = [r for r in seen.status.resources or () if r.status == "OutOfSync" and not r.hook]
    asked = [r for r in out_of_sync if (r.group, r.kind) == SECRET or not objects]
    pruned = {key_of_listed(r): r.requires_pruning for r in asked}
    return [k for k, extra in pruned.items() if k in former or (extra and (k in objects or not objects))]


def without_a_rendering(tree: Tree, topics: Sequence[str], former: Mapping[Key, Json]) -> list[Key]:
    """Data hooks, and objects named like a topic: where to look if the run's values render nothing."""
    spelled = [s for topic in topics for s in spellings(topic)]
    nodes = [n for n in tree.nodes or () if not n.parent_refs and n.kind not in RUNNING]
    named = [key_of_listed(n) for n in nodes if any(s in n.name for s in spelled)]
    return [*(k for k, m in former.items() if is_data_hook(m)), *named]


def generated_hooks(tree: Tree, ours: Rendering, before: Snapshot) -> list[Key]:
    """Data hooks that were created under a new name, which begins with the rendered generateName."""
    return [
        key_of_listed(n)
        for k in ours.generated
        for n in tree.of_kind(k.kind)
        if (n.group, n.namespace) == (k.group, k.namespace)
        and n.name.startswith(k.name)
        and n.uid not in before.versions
    ]


def rewritten_secrets(
    seen: Application, tree: Tree, ours: Rendering, former: Mapping[Key, Json], before: Snapshot
) -> list[Key]:
    """Secrets that changed since, and that Argo CD does not compare as a whole (ignoreDifferences).

    Raises InvalidResponse.
    """
    rules = ignore_differences.written(seen.spec, f"show {seen.metadata.name}")
    return [
        k
        for k, m in ours.objects.items()
        if k[:2] == SECRET
        and k in former
        and not is_hook(m)
        and ignore_differences.matching(rules, k.name, k.namespace, k.group, k.kind)
        and (node := find_node(tree, k)) is not None
        and before.versions.get(node.uid) != node.resource_version
    ]
