"""The Deployment controller: one ReplicaSet per pod template, new pods before old ones end."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json

from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.objects import Json, Key, key_of, new_uid
from argorun.sandbox.standin.pods import Pod


async def run_deployment(cluster: Cluster, deployment: Json) -> None:
    """Keep a Deployment's pods as its spec wants them, until it is deleted."""
    while True:
        seen = cluster.pulse.count
        _reconcile(cluster, deployment)
        if cluster.pulse.count == seen:
            await cluster.pulse.wait(seen)
        else:
            await asyncio.sleep(0)


def _reconcile(cluster: Cluster, deployment: Json) -> None:
    spec = deployment["spec"]
    wanted = int(spec.get("replicas", 1))
    current = _replica_set(cluster, deployment)
    old = [rs for rs in _replica_sets(cluster, deployment) if rs is not current]
    recreate = spec.get("strategy", {}).get("type") == "Recreate"
    if not (recreate and any(_pods(cluster, rs) for rs in old)):
        _scale(cluster, current, wanted)
    available = sum(pod.ready for pod in _pods(cluster, current) if not _going(pod))
    for rs in old if available >= wanted or recreate else ():
        _scale(cluster, rs, 0)
    _report(cluster, deployment, current, old, wanted)


def _replica_sets(cluster: Cluster, deployment: Json) -> list[Json]:
    return [o for o in cluster.children(deployment) if o["kind"] == "ReplicaSet"]


def _replica_set(cluster: Cluster, deployment: Json) -> Json:
    """The ReplicaSet of the present template, made if need be."""
    spec, meta = deployment["spec"], deployment["metadata"]
    digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
    name = f"{meta['name']}-{digest}"
    found = cluster.objects.get(Key("apps", "ReplicaSet", meta["namespace"], name))
    if found is not None:
        return found
    revision = str(1 + len(_replica_sets(cluster, deployment)))
    template = copy.deepcopy(spec["template"])
    labels = {**(template.setdefault("metadata", {}).get("labels") or {}), "pod-template-hash": digest}
    template["metadata"]["labels"] = labels
    manifest: Json = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    meta.setdefault("annotations", {})["deployment.kubernetes.io/revision"] = revision
    return cluster.create(manifest, meta["namespace"], owner=deployment)


def _pods(cluster: Cluster, replica_set: Json) -> list[Pod]:
    return [cluster.pods[o["metadata"]["uid"]] for o in cluster.children(replica_set) if o["kind"] == "Pod"]


def _going(pod: Pod) -> bool:
    return "deletionTimestamp" in pod.obj["metadata"]


def _scale(cluster: Cluster, replica_set: Json, wanted: int) -> None:
    if replica_set["spec"]["replicas"] != wanted:
        replica_set["spec"]["replicas"] = wanted
        cluster.touched(replica_set)
    pods = [pod for pod in _pods(cluster, replica_set) if not _going(pod)]
    for pod in pods[wanted:]:
        cluster.delete(key_of(pod.obj))
    template = replica_set["spec"]["template"]
    for _ in range(wanted - len(pods)):
        manifest: Json = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{replica_set['metadata']['name']}-{new_uid()[:5]}",
            },
            "spec": {"restartPolicy": "Always", **template["spec"]},
        }
        cluster.create(manifest, replica_set["metadata"]["namespace"], owner=replica_set)


def _report(cluster: Cluster, deployment: Json, current: Json, old: list[Json], wanted: int) -> None:
    for rs in (current, *old):
        pods = _pods(cluster, rs)
        ready = sum(pod.ready for pod in pods)
        _set_status(cluster, rs, {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready})
    updated = [pod for pod in _pods(cluster, current) if not _going(pod)]
    ready = sum(pod.ready for pod in updated)
    outdated = sum(len([p for p in _pods(cluster, rs) if not _going(p)]) for rs in old)
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(updated) + outdated,
        "updatedReplicas": len(updated),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": wanted - ready,
    }
    _set_status(cluster, deployment, status)


def _set_status(cluster: Cluster, obj: Json, status: Json) -> None:
    status = {name: value for name, value in status.items() if value}
    if obj.get("status") != status:
        obj["status"] = status
        cluster.touched(obj)
