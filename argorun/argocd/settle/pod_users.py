"""Which pods may still use a run's topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.clock import seconds
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key, find_node
from argorun.argocd.manifests.pod_references import pod_spec, sources
from argorun.argocd.types import Json, Node, Tree

GRACE = 30.0  # seconds from SIGTERM to SIGKILL, where a pod says nothing (source: kubernetes.io/docs, Pods)
OVER = ("Succeeded", "Failed")  # phases of a pod whose containers have all ended
GONE = (400, 404)


@dataclass(frozen=True)
class Held:
    """What held the topics' names, and when: whole seconds since the epoch, by the cluster's clocks.

    `until` is when the operation that puts them back began: it writes ConfigMaps and Secrets first, and pods
    that it rolls are started after that.
    """

    topics: Sequence[str]
    sources: Collection[Key]  # ConfigMaps and Secrets
    since: float
    until: float
    perhaps: Collection[Key] = ()  # those of the sources, Secrets, of which nobody is shown what they held

    def uses(self, pod: Json, *, only_itself: bool = False) -> str:
        """Why a live pod may use a topic; empty where it does not, or has ended.

        A pod that read a name at its start has it until its container starts again. With `only_itself` what
        it reads does not count. A Secret that only perhaps held one counts where a container started with it:
        many a chart makes another certificate each time that it is rendered, which pods mount all along.
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
        there = not created or seconds(created) < self.until  # before it was put back
        for source in sources(spec):
            key = Key("", source.kind, str(metadata.get("namespace") or ""), source.name)
            if key in self.sources:
                named = "may have named" if key in self.perhaps else "named"
                if source.mounted and there and key not in self.perhaps:
                    return f"it mounts {source.kind} {source.name}, which {named} the topic"
                if any(self._within(t) for t in starts(status)):
                    return f"it was started with {source.kind} {source.name}, which {named} the topic"
        return ""

    def _within(self, started: float) -> bool:
        return self.since <= started < self.until


def starts(status: Json) -> Iterator[float]:
    """When a pod's running containers were started."""
    for c in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        at = ((c.get("state") or {}).get("running") or {}).get("startedAt")
        if at:
            yield seconds(at)


def readers(manifests: Mapping[Key, Json], held: Collection[Key]) -> list[Key]:
    """The rendered objects whose pods read one of these ConfigMaps and Secrets."""
    return [
        key
        for key, m in manifests.items()
        if any(Key("", s.kind, key.namespace, s.name) in held for s in sources(pod_spec(m)))
    ]


@dataclass(frozen=True)
class User:
    """A pod that may still use a topic, and why."""

    pod: Node
    why: str

    def __str__(self) -> str:
        return f"pod {self.pod.name} ({self.why})"


class Sight(NamedTuple):
    """A pod as it was last seen in the tree."""

    pod: Node
    root: str  # the uid of what was changed, and made it
    at: float  # the loop's time


class PodUsers:
    """Looks for the pods that may still use the topics: of the run's hooks, and of what it changed.

    A pod leaves Argo CD's tree with its owner, a ReplicaSet that is not kept say, and runs on for its grace
    period, where nobody can see it: `grace` seconds. `orphans` says that so do the pods of what was pruned.
    """

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        held: Held,
        hooks: Collection[str],
        others: Iterable[Key],
        *,
        grace: float = GRACE,
        orphans: bool = False,
    ) -> None:
        self._client, self._app, self._held = client, app, held
        self._hooks, self._others = hooks, tuple(others)
        self._grace, self._orphans = grace, orphans
        self._clear: set[str] = set()  # uids of pods that do not use them, and never will
        self._seen: dict[str, Sight] = {}  # of pods that may, by uid

    def remember(self, tree: Tree) -> None:
        """The pods of what was changed, as they were before it was taken back."""
        for root, pod in self._pods(tree):
            if pod.reason not in ("Completed", "Succeeded", "Failed", "Error"):
                self._seen[pod.uid] = Sight(pod, root, asyncio.get_running_loop().time())

    def _pods(self, tree: Tree) -> list[tuple[str, Node]]:
        """The pods of what was changed, each with the uid of that."""
        roots = [n.uid for k in self._others if (n := find_node(tree, k)) is not None]
        return [(root, pod) for root in roots for pod in tree.pods_under([root])]

    def _out_of_sight(self, tree: Tree) -> list[User]:
        """The pods that left the tree together with their owners, and may still be there."""
        now, still = asyncio.get_running_loop().time(), []
        for uid, (pod, root, at) in self._seen.items():
            owners = [tree.find_uid(ref.uid) for ref in pod.parent_refs or ()]
            left_alone = tree.find_uid(root) is not None or self._orphans
            if tree.find_uid(uid) is None and not any(owners) and left_alone and now < at + self._grace:
                still.append(User(pod, "it was still there when Argo CD lost sight of it"))
        return still

    async def of(self, tree: Tree) -> list[User]:
        """The users among a tree's pods. Raises ArgoCDFailed, AccessDenied."""
        found = [User(n, "it runs a hook of this run") for n in tree.pods_under(self._hooks) if not n.ended]
        own = {n.uid for n in tree.pods_under(self._hooks)}
        cron = {n.uid for n in tree.pods_under(n.uid for n in tree.of_kind("CronJob"))}
        for root, pod in self._pods(tree):
            if pod.uid in own or pod.uid in self._clear:
                continue
            why = await self._why(pod, only_itself=pod.uid in cron)
            if why:
                found.append(User(pod, why))
                self._seen[pod.uid] = Sight(pod, root, asyncio.get_running_loop().time())
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
        return self._held.uses(live, only_itself=only_itself)
