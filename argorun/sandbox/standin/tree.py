"""The resource tree: what Argo CD's cache knows of an Application's live objects."""

from __future__ import annotations

from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.health import health_of
from argorun.sandbox.standin.objects import Json, group_version, images_of, key_of


def resource_tree(cluster: Cluster, roots: list[Json]) -> Json:
    """ApplicationTree: a node per object that the Application made and per object below."""
    nodes = [_node(obj) for root in roots for obj in cluster.descendants(root)]
    host = {"name": "standin", "resourcesInfo": [], "systemInfo": {}, "labels": {}}
    return {"nodes": nodes, "hosts": [host]} if nodes else {}


def _node(obj: Json) -> Json:
    meta = obj["metadata"]
    group, version = group_version(obj)
    key = key_of(obj)
    node: Json = {"group": group} if group else {}
    node |= {"version": version, "kind": key.kind}
    node |= {"namespace": key.namespace} if key.namespace else {}
    node |= {"name": key.name, "uid": meta["uid"]}
    if owners := meta.get("ownerReferences"):
        node["parentRefs"] = [_parent(owner, key.namespace) for owner in owners]
    if info := _info(obj):
        node["info"] = info
    if key.kind == "Pod":
        node["networkingInfo"] = {"labels": meta.get("labels", {})}
    node["resourceVersion"] = meta["resourceVersion"]
    if key.kind == "Pod" and (images := images_of(obj)):
        node["images"] = sorted(set(images))
    if health := health_of(obj):
        node["health"] = health
    node["createdAt"] = meta["creationTimestamp"]
    return node


def _parent(owner: Json, namespace: str) -> Json:
    group = group_version(owner)[0]
    parent: Json = {"group": group} if group else {}
    return parent | {
        "kind": owner["kind"],
        "namespace": namespace,
        "name": owner["name"],
        "uid": owner["uid"],
    }


def _info(obj: Json) -> list[Json]:
    if obj["kind"] == "ReplicaSet":
        revision = obj["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", "")
        return [{"name": "Revision", "value": f"Rev:{revision}"}]
    if obj["kind"] != "Pod":
        return []
    status = obj["status"]
    containers = status["containerStatuses"]
    restarts = sum(c["restartCount"] for c in [*status["initContainerStatuses"], *containers])
    ready = sum(c["ready"] for c in containers)
    info = [
        {"name": "Status Reason", "value": _reason(obj)},
        {"name": "Node", "value": "standin"},
        {"name": "Containers", "value": f"{ready}/{len(containers) or len(obj['spec']['containers'])}"},
    ]
    if restarts:
        info.append({"name": "Restart Count", "value": str(restarts)})
    return info


def _reason(pod: Json) -> str:
    """What `kubectl get pods` shows as STATUS (Argo CD: controller/cache/info.go, populatePodInfo)."""
    status = pod["status"]
    if "deletionTimestamp" in pod["metadata"] and status["phase"] not in ("Succeeded", "Failed"):
        return "Terminating"
    inits = status["initContainerStatuses"]
    for index, container in enumerate(inits):
        state = container["state"]
        if state.get("terminated", {}).get("exitCode") == 0:
            continue
        if "terminated" in state:
            return f"Init:{state['terminated']['reason']}"
        waiting = state.get("waiting", {}).get("reason", "PodInitializing")
        return f"Init:{index}/{len(inits)}" if waiting == "PodInitializing" else f"Init:{waiting}"
    reason = str(status.get("reason") or status["phase"])
    running = False
    for container in reversed(status["containerStatuses"]):
        state = container["state"]
        if "waiting" in state:
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = state["terminated"]["reason"]
        else:
            running = True
    return "Running" if reason == "Completed" and running else reason
