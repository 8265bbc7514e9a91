"""Finds what blocks a waiting operation, such as a finalizer, and the fix. Pure.

Sources: gitops-engine pkg/sync/sync_context.go (setRunningPhase writes the operation's message) and
pkg/health (health.go, health_service.go, health_ingress.go, health_pvc.go).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from argorun.argocd.diagnosis.reasons import Meaning
from argorun.argocd.types import Json, Node, OperationState, ResourceResult, Tree

ANY_TASK = "one or more tasks are running"  # all that Argo CD 3.1 says where it waits for a deletion
PENDING_DELETION = "Pending deletion"  # how the health message of an object begins that is being deleted
DELETION = re.compile(r"waiting for deletion of (?:hook )?([^/]*)/([^/]+)/(\S+)( and \d+ more .*)?")
WITH_PODS = frozenset({"Job", "Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"})
# Kubernetes takes these off by itself, and Argo CD its own.
SELF_LIFTING = frozenset(
    {
        "foregroundDeletion",
        "orphan",
        "batch.kubernetes.io/job-tracking",
        "argocd.argoproj.io/hook-finalizer",
    }
)
IN_USE = {
    "kubernetes.io/pvc-protection": "a pod still uses it",
    "kubernetes.io/pv-protection": "a claim still uses it",
}


@dataclass(frozen=True)
class WaitedObject:
    """A live object that the operation waits for: until it is healthy or, with `leaves`, until it is gone."""

    node: Node
    leaves: bool

    @property
    def result(self) -> ResourceResult:
        """It as an entry of the operation, which has none yet for a hook whose former object leaves."""
        n = self.node
        return ResourceResult(
            group=n.group,
            version=n.version,
            kind=n.kind,
            namespace=n.namespace,
            name=n.name,
            hook_phase="Running",
        )

    def describe(self, why: str, hint: str) -> str:
        """A sentence: what Argo CD waits for, why, and the fix; empty if the cause is unknown."""
        why = why or (self.node.health.message if self.node.health else "")
        what = f"{self.node.kind} {self.node.name}"
        waits = f"until the former {what} is deleted" if self.leaves else f"for {what}"
        return f"Argo CD waits {waits}: {'; '.join(filter(None, (why, hint)))}" if why else ""


def waited_objects(
    state: OperationState | None, results: Iterable[ResourceResult], tree: Tree
) -> dict[str, WaitedObject]:
    """The objects, by uid, that the operation waits for and whose state no pod decides."""
    if state is None or state.done:
        return {}
    nodes = (tree.find(r.kind, r.namespace, r.name, r.group) for r in results)
    coming = [WaitedObject(n, leaves=False) for n in nodes if n is not None and _comes_without_pods(n)]
    return {h.node.uid: h for h in [*coming, *(WaitedObject(n, leaves=True) for n in leaving(state, tree))]}


def leaving(state: OperationState, tree: Tree) -> list[Node]:
    """The objects whose deletion the operation waits for: it names one, and counts the others, or none."""
    said = DELETION.fullmatch(state.message)
    if state.done or (said is None and state.message != ANY_TASK):
        return []
    group, kind, name, more = said.groups() if said is not None else ("", "", "", ANY_TASK)
    named = [n for n in tree.of_kind(kind) if (n.group, n.name) == (group, name) and n.uid]
    others = [n for n in tree.nodes or () if _leaves(n) and not n.parent_refs] if more else []
    return list({n.uid: n for n in [*named, *others]}.values())


def _leaves(node: Node) -> bool:
    return node.health is not None and node.health.message.startswith(PENDING_DELETION)


def _comes_without_pods(node: Node) -> bool:
    if node.health_status == "Suspended":
        return True
    return node.health_status == "Progressing" and node.kind not in WITH_PODS


def obstacle(live: Json, pods: Sequence[Json]) -> Meaning | None:
    """What keeps a live object from going or from becoming healthy, and the fix; None if unknown.

    `pods` are the live pods below it.
    """
    if (live.get("metadata") or {}).get("deletionTimestamp"):
        return _deletion(live, pods)
    kind, spec, status = live.get("kind"), live.get("spec") or {}, live.get("status") or {}
    has_address = bool((status.get("loadBalancer") or {}).get("ingress"))
    if kind == "Service" and spec.get("type") == "LoadBalancer" and not has_address:
        return Meaning(
            "it is of type LoadBalancer and has no address",
            "set its type to ClusterIP, or wait for the cloud's load balancer",
        )
    if kind == "Ingress" and not has_address:
        return Meaning(
            "it has no address", "see whether its ingress controller runs and publishes an address"
        )
    if kind == "PersistentVolumeClaim" and status.get("phase") == "Pending":
        return Meaning(
            "no volume is bound to it",
            "see its StorageClass; with WaitForFirstConsumer put its pod into the same sync wave",
        )
    stopped = next((name for name in ("suspend", "paused") if spec.get(name) is True), None)
    if stopped is not None:
        return Meaning(f"it is stopped by spec.{stopped}", f"set spec.{stopped} to false")
    return None


def _deletion(live: Json, pods: Sequence[Json]) -> Meaning | None:
    """Why an object that is being deleted is still there: its finalizers, or those of its pods."""
    for holder in (live, *pods):
        whose = "its" if holder is live else f"pod {(holder.get('metadata') or {}).get('name')}'s"
        foreign = [f for f in _finalizers(holder) if f not in SELF_LIFTING]
        if foreign:
            several = "s" if len(foreign) > 1 else ""
            verb = "hold" if several else "holds"
            phrase = f"{whose} finalizer{several} {', '.join(foreign)} {verb} it"
            used = next((IN_USE[f] for f in foreign if f in IN_USE), "")
            return Meaning(phrase, used or f"find out what set it, or remove it: {_take_off(holder)}")
    still = [str((p.get("metadata") or {}).get("name")) for p in pods]
    if not still:
        return None
    return Meaning(
        f"not all of its pods have ended: {', '.join(still)}", "lower their terminationGracePeriodSeconds"
    )


def _finalizers(live: Json) -> list[str]:
    return list((live.get("metadata") or {}).get("finalizers") or ())


def _take_off(live: Json) -> str:
    """The command that takes all finalizers off: while an object is being deleted, none can be put back.

    One that goes by itself may be gone by the time the command is pasted: naming it would be refused.
    """
    metadata = live.get("metadata") or {}
    group = str(live.get("apiVersion", "")).rpartition("/")[0]
    kind = str(live.get("kind", "")).lower() + (f".{group}" if "." in group else "")
    patch = json.dumps({"metadata": {"finalizers": None}})
    words = ["kubectl", "patch", kind, str(metadata.get("name", ""))]
    if namespace := metadata.get("namespace"):
        words += ["--namespace", str(namespace)]
    return shlex.join([*words, "--type", "merge", "--patch", patch])
