"""Finds the pods that may still use a run's topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.clock import seconds
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key, find_node
from argorun.argocd.manifests.pod_references import pod_spec, sources
from argorun.argocd.settle.live_objects import GONE
from argorun.argocd.types import Json, Node, Tree

GRACE = 30.0  # seconds from SIGTERM to SIGKILL, unless a pod says otherwise (kubernetes.io/docs, Pods)
OVER = ("Succeeded", "Failed")  # phases of a pod whose containers have all ended


@dataclass(frozen=True)
class Exposure:
    """Where pods could read the topics' names, and when.

    Times are whole seconds since the epoch, by the cluster's clock. `until` is when the operation that takes
    the names out began: it writes ConfigMaps and Secrets first, and pods that it rolls start after that.
    """

    topics: Sequence[str]
    sources: Collection[Key]  # the ConfigMaps and Secrets that held the names
    since: float
    until: float
    uncertain: Collection[Key] = ()  # Secrets among the sources, whose values Argo CD hides

    def why_used(self, pod: Json, *, only_itself: bool = False) -> str:
        """Why a live pod may use a topic; empty if it does not, or has ended.

        A pod that read a name at its start keeps it until its container starts again. With `only_itself`,
        what it reads does not count. An uncertain Secret counts only if a container started with it: many
        charts create another certificate with each rendering, which pods mount all along.
        """
        status = pod.get("status") or {}
        if status.get("phase") in OVER:
            return ""
        spec = pod.get("spec") or {}
        metadata = pod.get("metadata") or {}  # a pod may read its own labels and annotations
        text = json.dumps([spec, metadata.get("labels"), metadata.get("annotations")], ensure_ascii=False)
        if any(t in text for t in self.topics):
            return "its own manifest names the topic"
        if only_itself:
            return ""
        created = metadata.get("creationTimestamp")
        early = not created or seconds(created) < self.until
        for source in sources(spec):
            key = Key("", source.kind, str(metadata.get("namespace") or ""), source.name)
            if key in self.sources:
                named = "may have named" if key in self.uncertain else "named"
                if source.mounted and early and key not in self.uncertain:
                    return f"it mounts {source.kind} {source.name}, which {named} the topic"
                if any(self._within(t) for t in container_starts(status)):
                    return f"it was started with {source.kind} {source.name}, which {named} the topic"
        return ""

    def _within(self, started: float) -> bool:
        return self.since <= started < self.until


def container_starts(status: Json) -> Iterator[float]:
    """When a pod's running containers started, in seconds since the epoch."""
    for c in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        at = ((c.get("state") or {}).get("running") or {}).get("startedAt")
        if at:
            yield seconds(at)


def readers(manifests: Mapping[Key, Json], read: Collection[Key]) -> list[Key]:
    """The rendered objects whose pods read one of these ConfigMaps and Secrets."""
    return [
        key
        for key, m in manifests.items()
        if any(Key("", s.kind, key.namespace, s.name) in read for s in sources(pod_spec(m)))
    ]


@dataclass(frozen=True)
class PodUser:
    """A pod that may still use a topic, and why."""

    pod: Node
    why: str

    def __str__(self) -> str:
        return f"pod {self.pod.name} ({self.why})"


class Sighting(NamedTuple):
    """A pod as it was last seen in the tree."""

    pod: Node
    root: str  # the uid of the changed object that made it
    at: float  # loop time


class PodUsers:
    """Finds pods of the run's hooks, and of objects that it changed, which may still use the topics.

    A pod leaves Argo CD's tree together with its owner, such as a ReplicaSet that is not kept, and runs on
    out of sight for its grace period: `grace` seconds. `orphans`: so do the pods of pruned objects. `hooks`
    are uids.
    """

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        exposure: Exposure,
        hooks: Collection[str],
        changed: Iterable[Key],
        *,
        grace: float = GRACE,
        orphans: bool = False,
    ) -> None:
        self._client, self._app, self._exposure = client, app, exposure
        self._hooks, self._changed = hooks, tuple(changed)
        self._grace, self._orphans = grace, orphans
        self._clear: set[str] = set()  # uids of pods that do not use a topic, and never will
        self._seen: dict[str, Sighting] = {}  # of pods that may use one, by uid

    def exposed_until(self, until: float) -> None:
        """Set the end of the exposure, in seconds since the epoch, once it is known better."""
        self._exposure = replace(self._exposure, until=until)

    def remember(self, tree: Tree) -> None:
        """Remember the pods of the changed objects, as they are before those are taken back."""
        for root, pod in self._pods(tree):
            if pod.reason not in ("Completed", "Succeeded", "Failed", "Error"):
                self._seen[pod.uid] = Sighting(pod, root, asyncio.get_running_loop().time())

    def _pods(self, tree: Tree) -> list[tuple[str, Node]]:
        """The pods of the changed objects, each with that object's uid."""
        roots = [n.uid for k in self._changed if (n := find_node(tree, k)) is not None]
        return [(root, pod) for root in roots for pod in tree.pods_under([root])]

    def _out_of_sight(self, tree: Tree) -> list[PodUser]:
        """The pods that left the tree together with their owners, and may still run."""
        now, still = asyncio.get_running_loop().time(), []
        for uid, (pod, root, at) in self._seen.items():
            owners = [tree.find_uid(ref.uid) for ref in pod.parent_refs or ()]
            left_alone = tree.find_uid(root) is not None or self._orphans
            if tree.find_uid(uid) is None and not any(owners) and left_alone and now < at + self._grace:
                still.append(PodUser(pod, "it was still there when Argo CD lost sight of it"))
        return still

    async def find(self, tree: Tree) -> list[PodUser]:
        """The pods that may use a topic, in this tree or out of sight. Raises ArgoCDFailed, AccessDenied."""
        hook_pods = tree.pods_under(self._hooks)
        found = [PodUser(n, "it runs a hook of this run") for n in hook_pods if not n.ended]
        own = {n.uid for n in hook_pods}
        cron = {n.uid for n in tree.pods_under(n.uid for n in tree.of_kind("CronJob"))}
        for root, pod in self._pods(tree):
            if pod.uid in own or pod.uid in self._clear:
                continue
            why = await self._why(pod, only_itself=pod.uid in cron)
            if why:
                found.append(PodUser(pod, why))
                self._seen[pod.uid] = Sighting(pod, root, asyncio.get_running_loop().time())
            else:
                self._clear.add(pod.uid)
                self._seen.pop(pod.uid, None)
        return [*found, *self._out_of_sight(tree)]

    async def _why(self, pod: Node, *, only_itself: bool) -> str:
        try:
            live = await self._client.live(self._app, "", "v1", "Pod", pod.namespace, pod.name)
        except (ApiError, Denied) as e:
            if e.status in GONE:
                return ""
            raise
        if (live.get("metadata") or {}).get("uid") != pod.uid:
            return ""  # another of the same name
        return self._exposure.why_used(live, only_itself=only_itself)
