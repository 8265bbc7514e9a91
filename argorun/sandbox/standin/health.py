"""The health of an object, by the rules of gitops-engine's pkg/health."""

from __future__ import annotations

from argorun.sandbox.standin.objects import Json, group_version

ORDER = ["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]


def health_of(obj: Json) -> Json | None:
    """`{status, message?}`, or None for a kind that has no health."""
    kind = (group_version(obj)[0], obj["kind"])
    if "deletionTimestamp" in obj["metadata"]:
        return {"status": "Progressing", "message": "Pending deletion"}
    found = {
        ("batch", "Job"): _job,
        ("apps", "Deployment"): _deployment,
        ("apps", "ReplicaSet"): _replica_set,
        ("", "Pod"): _pod,
    }.get(kind)
    if found is None:
        return None
    status, message = found(obj)
    return {"status": status, "message": message} if message else {"status": status}


def worst(healths: list[Json | None]) -> str:
    """The health of a whole: its worst part's."""
    return max((h["status"] for h in healths if h), key=ORDER.index, default="Healthy")


def _job(job: Json) -> tuple[str, str]:
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions", [])}
    if "Failed" in conditions:
        return "Degraded", conditions["Failed"]["message"]
    if "Complete" in conditions:
        return "Healthy", conditions["Complete"]["message"]
    return "Progressing", ""


def _deployment(deployment: Json) -> tuple[str, str]:
    status, wanted = deployment.get("status", {}), int(deployment["spec"].get("replicas", 1))
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    replicas, head = status.get("replicas", 0), "Waiting for rollout to finish:"
    if deployment["metadata"]["generation"] > status.get("observedGeneration", 0):
        return "Progressing", f"{head} observed deployment generation less than desired generation"
    if updated < wanted:
        return "Progressing", f"{head} {updated} out of {wanted} new replicas have been updated..."
    if replicas > updated:
        return "Progressing", f"{head} {replicas - updated} old replicas are pending termination..."
    if available < updated:
        return "Progressing", f"{head} {available} of {updated} updated replicas are available..."
    return "Healthy", ""


def _replica_set(replica_set: Json) -> tuple[str, str]:
    wanted, available = (
        replica_set["spec"]["replicas"],
        replica_set.get("status", {}).get("availableReplicas", 0),
    )
    if available < wanted:
        return (
            "Progressing",
            f"Waiting for rollout to finish: {available} out of {wanted} new replicas are available...",
        )
    return "Healthy", ""


def _pod(pod: Json) -> tuple[str, str]:
    status, policy = pod["status"], pod["spec"].get("restartPolicy", "Always")
    containers = status["containerStatuses"]
    if policy == "Always":
        waiting = [c["state"]["waiting"] for c in containers if "waiting" in c["state"]]
        bad = [
            w for w in waiting if w["reason"].startswith("Err") or w["reason"].endswith(("Error", "BackOff"))
        ]
        if bad:
            return "Degraded", ", ".join(w.get("message", "") for w in bad)
    message = status.get("message", "")
    if status["phase"] == "Pending":
        return "Progressing", message
    if status["phase"] == "Succeeded":
        return "Healthy", message
    if status["phase"] == "Failed":
        return "Degraded", message or _why_failed([*status["initContainerStatuses"], *containers])
    if policy != "Always":
        return "Progressing", message
    if all(c["ready"] for c in containers):
        return "Healthy", message
    return ("Degraded" if any("terminated" in c["lastState"] for c in containers) else "Progressing"), message


def _why_failed(containers: list[Json]) -> str:
    for container in containers:
        ended = container["state"].get("terminated", {})
        if ended.get("message"):
            return str(ended["message"])
        if ended.get("exitCode"):
            return f'container "{container["name"]}" failed with exit code {ended["exitCode"]}'
    return ""
