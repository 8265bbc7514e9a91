"""Records the live objects before the operation, to tell what it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from argorun.argocd.clock import seconds
from argorun.argocd.manifests.keys import Key
from argorun.argocd.manifests.objects import content
from argorun.argocd.types import Json, Tree

CLOCK_SKEW = 300.0  # seconds by which the cluster's clock may be behind Argo CD's


@dataclass(frozen=True)
class Snapshot:
    """The Application's live objects before a run's operation.

    Of a run that died only the time is known when it began, `since`.
    """

    versions: Mapping[str, str] = field(default_factory=dict)  # resourceVersion by uid
    contents: Mapping[Key, Json] = field(default_factory=dict)  # of those that the operation may change
    # In seconds since the epoch. In place of `versions`: an object created from then on is new.
    since: float = 0.0
    taken_at: float = 0.0  # when `versions` were read: an object created before is not new

    @classmethod
    def of(cls, tree: Tree, contents: Mapping[Key, Json], taken_at: float = 0.0) -> Snapshot:
        """The snapshot of a tree that was read at `taken_at`, and of the contents that were read."""
        versions = {n.uid: n.resource_version for n in tree.nodes or () if n.uid}
        return cls(versions, contents, taken_at=taken_at)

    def changed(self, key: Key, live: Json) -> bool:
        """Whether an object changed since: another uid, or another version and content."""
        metadata = live.get("metadata") or {}
        uid = str(metadata.get("uid", ""))
        if uid not in self.versions:
            return True
        if self.versions[uid] and self.versions[uid] == metadata.get("resourceVersion"):
            return False
        # Argo CD hides a Secret's values: it looks the same whatever they are.
        return key.kind == "Secret" or key not in self.contents or self.contents[key] != content(live)

    def is_new(self, live: Json) -> bool:
        """Whether an object was made since."""
        metadata = live.get("metadata") or {}
        if self.since:
            created = str(metadata.get("creationTimestamp", ""))
            return bool(created) and seconds(created) >= self.since
        # The tree need not have listed every object that existed.
        return str(metadata.get("uid", "")) not in self.versions and not self._is_older(metadata)

    def _is_older(self, metadata: Json) -> bool:
        created = str(metadata.get("creationTimestamp") or "")
        return bool(created and self.taken_at) and seconds(created) < self.taken_at - CLOCK_SKEW
