"""An Application's resource tree: its live objects, and an index of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from argorun.argocd.types.base import Camel, Health, Info


class Ref(Camel, frozen=True, gc=False):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Node(Camel, frozen=True, gc=False):
    """A live object in an Application's resource tree."""

    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    parent_refs: list[Ref] | None = None
    info: list[Info] | None = None
    images: list[str] | None = None
    health: Health | None = None
    created_at: str = ""

    @property
    def health_status(self) -> str:
        return self.health.status if self.health else ""

    @property
    def reason(self) -> str:
        """A pod's `Status Reason`: Running, Completed, ImagePullBackOff, …"""
        return next((i.value for i in self.info or () if i.name == "Status Reason"), "")

    @property
    def revision(self) -> int:
        """Which revision of its Deployment a ReplicaSet is, from "Rev:3"; 0 if it says none."""
        text = next((i.value for i in self.info or () if i.name == "Revision"), "").removeprefix("Rev:")
        return int(text) if text.isdecimal() else 0

    @property
    def leaving(self) -> bool:
        """Whether a pod is being deleted and is in its grace period."""
        return self.reason == "Terminating"

    @property
    def ended(self) -> bool:
        """Whether a Job's pod is over: it is neither running nor in its grace period."""
        return self.health_status in ("Healthy", "Degraded") and not self.leaving


class TreeIndex:
    """A tree's nodes by their look-up keys, built in one pass when it is first needed."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.uids: dict[str, Node] = {}
        self.names: dict[tuple[str, str, str], Node] = {}  # by kind, namespace and name: the first
        self.namesakes: dict[tuple[str, str, str], list[Node]] = {}  # the same, of other groups
        self.kinds: dict[str, list[Node]] = {}
        self.children: dict[str, list[Node]] = {}  # by their parent's uid
        for n in nodes:
            self.kinds.setdefault(n.kind, []).append(n)
            if n.uid:
                self.uids.setdefault(n.uid, n)
                key = n.kind, n.namespace, n.name
                if self.names.setdefault(key, n) is not n:
                    self.namesakes.setdefault(key, []).append(n)
            for parent in n.parent_refs or ():
                siblings = self.children.setdefault(parent.uid, [])
                if not siblings or siblings[-1] is not n:  # an owner may be listed twice
                    siblings.append(n)


class Tree(Camel, frozen=True, dict=True):  # dict: the index is kept beside the fields
    """An Application's live objects and their owners.

    A look-up costs as much as it finds, whatever the tree's size. An object that does not exist yet has no
    uid, and is found only by its kind.
    """

    nodes: list[Node] | None = None

    @functools.cached_property
    def _index(self) -> TreeIndex:
        return TreeIndex(self.nodes or ())

    def find(self, kind: str, namespace: str, name: str, group: str | None = None) -> Node | None:
        """The live object of this name; of any group if none is given."""
        key = kind, namespace, name
        first = self._index.names.get(key)
        if first is None or group is None or first.group == group:
            return first
        return next((n for n in self._index.namesakes.get(key, ()) if n.group == group), None)

    def find_uid(self, uid: str) -> Node | None:
        """The live object with this uid."""
        return self._index.uids.get(uid)

    def children(self, uid: str) -> Sequence[Node]:
        """The objects whose owner has this uid, in the tree's order."""
        return self._index.children.get(uid, ())

    def of_kind(self, kind: str) -> Sequence[Node]:
        """Every object of a kind, in the tree's order."""
        return self._index.kinds.get(kind, ())

    def pods_under(self, uids: Iterable[str]) -> list[Node]:
        """The pods among these objects and their descendants, the oldest first."""
        index, below = self._index, dict.fromkeys(uids)
        waiting = list(below)
        while waiting:
            children = index.children.get(waiting.pop(), ())
            more = [n.uid for n in children if n.uid and n.uid not in below]
            below.update(dict.fromkeys(more))
            waiting += more
        pods = [n for uid in below if (n := index.uids.get(uid)) is not None and n.kind == "Pod"]
        return sorted(pods, key=lambda n: (n.created_at, n.name))
