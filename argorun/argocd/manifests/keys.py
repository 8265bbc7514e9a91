"""The identity of a Kubernetes object, rendered, live, or as Argo CD lists it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from argorun.argocd.types import Json, ManagedResource, Node, ResourceResult, ResourceStatus, Tree


class Key(NamedTuple):
    """A Kubernetes object's identity; `namespace` is empty for a cluster-scoped one."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def resource(self) -> str:
        """Its kind as kubectl takes it: `Pod`, `Deployment.apps`."""
        return f"{self.kind}.{self.group}".rstrip(".")


def key_of(manifest: Json, namespace: str) -> Key:
    """The identity of a rendered or live object; `namespace` is for a rendered one that has none."""
    group, _, _ = str(manifest.get("apiVersion", "")).rpartition("/")
    metadata = manifest.get("metadata") or {}
    name = metadata.get("name") or metadata.get("generateName")
    return Key(
        group, str(manifest.get("kind", "")), str(metadata.get("namespace") or namespace), str(name or "")
    )


def key_of_listed(listed: Node | ResourceStatus | ResourceResult | ManagedResource) -> Key:
    """The identity of an object that Argo CD lists: in its tree, in a status, in an operation."""
    return Key(listed.group, listed.kind, listed.namespace, listed.name)


def by_key(manifests: Iterable[Json], namespace: str) -> dict[Key, Json]:
    """Rendered objects by identity."""
    return {key_of(m, namespace): m for m in manifests}


def find_node(tree: Tree, key: Key) -> Node | None:
    """The live object of a rendered one in the tree, None if there is none.

    A cluster-scoped object has no namespace once it is live.
    """
    found = tree.find(key.kind, key.namespace, key.name, key.group)
    return found or tree.find(key.kind, "", key.name, key.group)


def applied(results: Sequence[ResourceResult]) -> set[Key]:
    """The objects that an operation lists as applied, without hooks."""
    return {key_of_listed(r) for r in results if not r.hook_type}
