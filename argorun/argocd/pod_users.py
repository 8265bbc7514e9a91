"""Which pods may still use a run's topics."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from argorun.argocd import effects
from argorun.argocd.answers import Denied, Refused
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.effects import Key
from argorun.argocd.types import Json, Node, Tree

OVER = ("Succeeded", "Failed")  # phases of a pod whose containers have all ended
GONE = (400, 404)
SLACK = 2.0  # seconds by which a node's clock may differ from Argo CD's


class Source(NamedTuple):
    """A ConfigMap or Secret that a pod reads; `mounted`: as files, which change while it runs."""

    kind: str
    name: str
    mounted: bool


def sources(spec: Json) -> Iterator[Source]:
    """The ConfigMaps and Secrets that a pod's spec reads, by environment or volume."""
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        for entry in container.get("env") or ():
            value = entry.get("valueFrom") or {}
            yield from _named(value.get("configMapKeyRef"), value.get("secretKeyRef"))
        for entry in container.get("envFrom") or ():
            yield from _named(entry.get("configMapRef"), entry.get("secretRef"))
    for volume in spec.get("volumes") or ():
        for part in [volume, *((volume.get("projected") or {}).get("sources") or ())]:
            secret = part.get("secret") or {}
            named = {"name": secret.get("secretName") or secret.get("name")}
            yield from _named(part.get("configMap"), named, mounted=True)


def _named(configmap: Json | None, secret: Json | None, *, mounted: bool = False) -> Iterator[Source]:
    for kind, ref in (("ConfigMap", configmap), ("Secret", secret)):
        if ref and ref.get("name"):
            yield Source(kind, str(ref["name"]), mounted)


def pod_template(manifest: Json) -> Json:
    """What the pods that an object makes are made from; empty for one that makes none."""
    spec = manifest.get("spec") or {}
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template") or job.get("template") or {}
    return template if isinstance(template, dict) else {}


def pod_spec(manifest: Json) -> Json:
    """The spec of the pods that an object makes; empty for one that makes none."""
    made_from = manifest if manifest.get("kind") == "Pod" else pod_template(manifest)
    return dict(made_from.get("spec") or {})


@dataclass(frozen=True)
class Held:
    """What held the topics' names, and when: seconds since the epoch, by the cluster's clocks."""

    topics: Sequence[str]
    sources: Collection[tuple[str, str]]  # kind and name of ConfigMaps and Secrets
    since: float
    until: float  # when settling was over
    settling: float = math.inf  # when it began

    def uses(self, pod: Json, *, only_itself: bool = False) -> str:
        """Why a live pod may use a topic; empty where it does not, or has ended.

        A pod that read a name at its start has it until its container starts again. With `only_itself` what
        it reads does not count.
        """
        status = pod.get("status") or {}
        if status.get("phase") in OVER:
            return ""
        spec = pod.get("spec") or {}
        text = json.dumps([spec, (pod.get("metadata") or {}).get("annotations")], ensure_ascii=False)
        if any(t in text for t in self.topics):
            return "its own manifest names the topic"
        if only_itself:
            return ""
        made_since = _seconds((pod.get("metadata") or {}).get("creationTimestamp")) > self.until + SLACK
        for source in sources(spec):
            if (source.kind, source.name) in self.sources:
                if source.mounted and not made_since:
                    return f"it mounts {source.kind} {source.name}, which named the topic"
                if any(self._within(t) for t in starts(status)):
                    return f"it was started with {source.kind} {source.name}, which named the topic"
        return ""

    def _within(self, started: float) -> bool:
        return self.since - SLACK <= started <= self.until + SLACK


def starts(status: Json) -> Iterator[float]:
    """When a pod's running containers were started."""
    for c in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        at = ((c.get("state") or {}).get("running") or {}).get("startedAt")
        if at:
            yield _seconds(at)


def _seconds(at: object) -> float:
    """A time as Kubernetes writes it, in seconds since the epoch; 0 where there is none."""
    return datetime.datetime.fromisoformat(str(at)).timestamp() if at else 0.0


def readers(manifests: Mapping[Key, Json], held: Collection[tuple[str, str]]) -> list[Key]:
    """The rendered objects whose pods read one of these ConfigMaps and Secrets."""
    return [
        key for key, m in manifests.items() if any((s.kind, s.name) in held for s in sources(pod_spec(m)))
    ]


@dataclass(frozen=True)
class User:
    """A pod that may still use a topic, and why."""

    pod: Node
    why: str

    def __str__(self) -> str:
        return f"pod {self.pod.name} ({self.why})"


class PodUsers:
    """Looks for the pods that may still use the topics: of the run's hooks, and of what it changed."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        held: Held,
        hooks: Collection[str],
        others: Iterable[Key],
        rolled: Iterable[Key] = (),
    ) -> None:
        """`others` are the objects whose pods are looked at; settling made new pods for those `rolled`."""
        self._client, self._app, self._held = client, app, held
        self._hooks, self._others, self._rolled = hooks, tuple(others), tuple(rolled)
        self._clear: set[str] = set()  # uids of pods that do not use them, and never will

    async def of(self, tree: Tree) -> list[User]:
        """The users among a tree's pods. Raises ArgoCDFailed, AccessDenied."""
        found = [User(n, "it runs a hook of this run") for n in tree.pods_under(self._hooks) if not n.ended]
        own = {n.uid for n in tree.pods_under(self._hooks)}
        cron = {n.uid for n in tree.pods_under(n.uid for n in tree.of_kind("CronJob"))}
        renewed = {n.uid for n in tree.pods_under(_uids(tree, self._rolled)) if self._made_by_settling(n)}
        for pod in tree.pods_under(_uids(tree, self._others)):
            if pod.uid in own or pod.uid in self._clear:
                continue
            why = await self._why(pod, only_itself=pod.uid in cron or pod.uid in renewed)
            if why:
                found.append(User(pod, why))
            else:
                self._clear.add(pod.uid)
        return found

    def _made_by_settling(self, pod: Node) -> bool:
        """What a new pod reads was settled before it: a sync applies ConfigMaps and Secrets first.

        It may have started before the settling was over: a sync with several waves waits for it.
        """
        return _seconds(pod.created_at) >= math.floor(self._held.settling)

    async def _why(self, pod: Node, *, only_itself: bool) -> str:
        try:
            live = await self._client.live(self._app, "", "v1", "Pod", pod.namespace, pod.name)
        except (Refused, Denied) as e:
            if e.status in GONE:
                return ""
            raise
        if (live.get("metadata") or {}).get("uid") != pod.uid:
            return ""  # another of the same name
        return self._held.uses(live, only_itself=only_itself)


def _uids(tree: Tree, keys: Iterable[Key]) -> list[str]:
    return [n.uid for k in keys if (n := effects.find(tree, k)) is not None]
