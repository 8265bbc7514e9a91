"""The Job controller: one pod after the other, up to the back-off limit."""

from __future__ import annotations

import asyncio

from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.objects import Json, key_of, new_uid, rfc3339
from argorun.sandbox.standin.pods import Pod

LIMIT = "Job has reached the specified backoff limit"
DEADLINE = "Job was active longer than specified deadline"
REACHED = "Reached expected number of succeeded pods"


async def run_job(cluster: Cluster, job: Json) -> None:
    """Drive one Job to its Complete or Failed condition."""
    spec = job["spec"]
    job["status"] = {"startTime": rfc3339(), "ready": 0}
    cluster.touched(job)
    try:
        async with asyncio.timeout(spec.get("activeDeadlineSeconds")):
            ok = await _run_pods(cluster, job)
    except TimeoutError:
        for pod in cluster.children(job):
            cluster.delete(key_of(pod))
        return _finish(cluster, job, "Failed", "DeadlineExceeded", DEADLINE)
    if ok:
        return _finish(cluster, job, "Complete", "CompletionsReached", REACHED)
    return _finish(cluster, job, "Failed", "BackoffLimitExceeded", LIMIT)


async def _run_pods(cluster: Cluster, job: Json) -> bool:
    spec, failed = job["spec"], 0
    limit = int(spec.get("backoffLimit", 6))
    in_place = spec["template"]["spec"].get("restartPolicy") == "OnFailure"
    while True:
        pod = _make_pod(cluster, job)
        job["status"]["active"] = 1
        cluster.touched(job)
        if in_place:
            await _until_ended_or_too_often(cluster, pod, limit)
        await pod.done.wait()
        job["status"].pop("active", None)
        if pod.phase == "Succeeded":
            job["status"]["succeeded"] = 1
            return True
        failed += 1
        job["status"]["failed"] = failed
        cluster.touched(job)
        if in_place or failed > limit:
            return False
        await asyncio.sleep(cluster.timings.backoff * 2 ** (failed - 1))


async def _until_ended_or_too_often(cluster: Cluster, pod: Pod, limit: int) -> None:
    """With restartPolicy OnFailure the restarts in place count; over the limit the pod is deleted."""
    while not pod.done.is_set():
        seen = cluster.pulse.count
        if pod.restarts > limit:
            cluster.delete(key_of(pod.obj))
            return
        ended = asyncio.ensure_future(pod.done.wait())
        changed = asyncio.ensure_future(cluster.pulse.wait(seen))
        try:
            await asyncio.wait((ended, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            changed.cancel()


def _make_pod(cluster: Cluster, job: Json) -> Pod:
    meta, template = job["metadata"], job["spec"]["template"]
    labels = {
        **(template.get("metadata", {}).get("labels") or {}),
        "batch.kubernetes.io/controller-uid": meta["uid"],
        "batch.kubernetes.io/job-name": meta["name"],
        "controller-uid": meta["uid"],
        "job-name": meta["name"],
    }
    manifest: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": f"{meta['name']}-{new_uid()[:5]}",
            "labels": labels,
        },
        "spec": template["spec"],
    }
    pod = cluster.create(manifest, meta["namespace"], owner=job)
    cluster.event(job, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
    return cluster.pods[pod["metadata"]["uid"]]


def _finish(cluster: Cluster, job: Json, condition: str, reason: str, message: str) -> None:
    now = rfc3339()
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[condition]
    job["status"]["conditions"] = [
        {
            "type": kind,
            "status": "True",
            "lastProbeTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        for kind in (before, condition)
    ]
    if condition == "Complete":
        job["status"]["completionTime"] = now
    if condition == "Complete":
        cluster.event(job, "Normal", "Completed", "Job completed")
    else:
        cluster.event(job, "Warning", reason, message)
    cluster.touched(job)
