"""The resource tree: an Application's live objects in Argo CD's cache."""

from __future__ import annotations

from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.health import health_of
from argorun.sandbox.standin.objects import Json, group_version, images_of, key_of

NODE = "stand-in"


def resource_tree(cluster: Cluster, roots: list[Json], missing: list[Json]) -> Json:
    """ApplicationTree: a node per object that the Application made, per object below, and per missing one."""
    nodes = [_node(obj) for root in roots for obj in cluster.descendants(root)]
    nodes += [{**_identity(obj), "health": {"status": "Missing"}} for obj in missing]
    tree: Json = {"nodes": nodes} if nodes else {}
    if any(node["kind"] == "Pod" for node in nodes):
        tree["hosts"] = [{"name": NODE}]
    return tree


def _identity(obj: Json) -> Json:
    key = key_of(obj)
    node: Json = {"group": key.group} if key.group else {}
    node |= {"version": group_version(obj)[1], "kind": key.kind}
    node |= {"namespace": key.namespace} if key.namespace else {}
    return node | {"name": key.name}


def _node(obj: Json) -> Json:
    meta = obj["metadata"]
    key = key_of(obj)
    node = {**_identity(obj), "uid": meta["uid"]}
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
    group, version = group_version(owner)
    parent: Json = {"group": group, "version": version} if group else {"version": version}
    return parent | {
        "kind": owner["kind"],
        "namespace": namespace,
        "name": owner["name"],
        "uid": owner["uid"],
    }


def _info(obj: Json) -> list[Json]:
    if obj["kind"] in ("Deployment", "ReplicaSet"):
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
        {"name": "Node", "value": NODE},
        {"name": "Containers", "value": f"{ready}/{len(containers) or len(obj['spec']['containers'])}"},
    ]
    if restarts:
        info.append({"name": "Restart Count", "value": str(restarts)})
    if status["phase"] not in ("Succeeded", "Failed"):
        info += [{"name": "cpu", "value": "0"}, {"name": "memory", "value": "0"}]
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
