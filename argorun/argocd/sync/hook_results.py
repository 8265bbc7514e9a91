"""Verifies how an operation's tests ended, by their own status: the operation can be wrong.

- Just after Argo CD has replaced a Job, its cache may still hold the former one, whose end it takes for the
  new one's (source: gitops-engine pkg/sync/sync_context.go, runTasks, where a deletion answered "not found"
  makes the new Job at once; seen on Argo CD 3.6, and in argoproj/argo-cd issues 10077 and 25475).
- It applies a Job over one that is there, unless a delete policy BeforeHookCreation has that deleted first:
  the old one's end is taken, and no test runs.
- It calls a Job complete that was suspended and resumed (source: pkg/health/health_job.go).
- It calls a bare Pod with restartPolicy Always succeeded once it is ready (source: pkg/health/health_pod.go).

See docs/argocd-facts.md#when-a-hook-ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from typing import Protocol

from msgspec.structs import replace

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.hooks import PHASES, RUNNING
from argorun.argocd.sync import operation
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Json, Node, OperationState, ResourceResult, SyncResult
from argorun.errors import OperationFailed

POLL = 2.0  # seconds between two reads of a test that still runs, at most
APPEARS = 5.0  # seconds in which a test that was made in another's place shows in Argo CD's tree
GONE = (400, 404)  # the answers for an object that has left the tree, or the cluster
FAILED = ("Failed", "Error")
ENDS = {"Complete": "Succeeded", "Failed": "Failed"}  # a Job's condition, and a hook's or Pod's phase
NONE_OF_ITS_OWN = (
    "the operation did not create it anew, and took the result of an earlier sync's; "
    "give it the delete policy BeforeHookCreation"
)
UNSEEN = "it was gone before argorun saw what created it: keep it longer (ttlSecondsAfterFinished)"
# What Argo CD says of a hook whose object is gone (source: gitops-engine pkg/sync/sync_context.go).
MISSING = "is missing, it might have been deleted"
OTHERS_FAILURE = "it succeeded; the operation reported the failure of an earlier sync's"


class Made(Protocol):
    """What our operation is known to have made; argorun.argocd.logs.jobs.JobLogs has this shape."""

    former: frozenset[str]  # the uids of what was there before

    def made(self, kind: str, namespace: str, name: str) -> bool: ...
    def may_vanish(self, hook: ResourceResult) -> bool: ...
    def in_place_of(self, hook: ResourceResult) -> str: ...
    async def whose_is(self, hook: ResourceResult, uid: str) -> str: ...
    def others(self, hook: ResourceResult, live: Json) -> str: ...


class Intruder(OperationFailed):
    """A foreign object is in the place of a test: what became of this run's is unknown."""

    def __init__(self, hook: ResourceResult | Node, whose: str) -> None:
        super().__init__(
            f"no verdict: {hook.kind} {hook.name} in namespace {hook.namespace} belongs to {whose}",
            "two Applications with hooks of one name in one namespace delete each other's: put the release's "
            "name into the hooks' names, or give each Application its own namespace",
            hooks=[hook.name],
        )


class Vanished(OperationFailed):
    """Somebody deleted a test while it ran: it neither passed nor failed."""

    def __init__(self, hook: ResourceResult) -> None:
        super().__init__(
            f"no verdict: {hook.kind} {hook.name} in namespace {hook.namespace} was deleted while it ran",
            "another Application with a hook of this name in this namespace may do so: put the release's "
            "name into the hooks' names, or give each Application its own namespace",
            hooks=[hook.name],
        )


async def verify(
    client: Client,
    app: ApplicationName,
    live: LiveTree,
    state: OperationState,
    hooks: Collection[ResourceResult],
    made: Made,
    report: Callable[[OperationState, ResourceResult], None],
) -> OperationState:
    """Wait for these hooks' own ends; returns the finished operation's state with them.

    `report` gets each hook that ended otherwise than the operation says, and the state corrected so far. One
    that is known to be ours, and that its delete policy has deleted by now, stays as the operation has it.
    Raises Intruder if a foreign object is in a hook's place, Vanished if somebody deleted it, ArgoCDFailed,
    AccessDenied.
    """
    known: dict[operation.Key, ResourceResult] = {}

    def corrected() -> OperationState:
        result = state.sync_result or SyncResult()
        resources = [known.get(operation.key(r), r) for r in result.resources or ()]
        return replace(state, sync_result=replace(result, resources=resources))

    async def follow(hook: ResourceResult) -> None:
        async for seen in _as_it_goes(client, app, live, hook, made):
            if seen.hook_phase != known.get(operation.key(hook), hook).hook_phase:
                known[operation.key(hook)] = seen
                report(corrected(), seen)

    refused = [h for h in operation.hooks(state) if h.kind in RUNNING and h.status == "SyncFailed"]
    await asyncio.gather(
        *(follow(hook) for hook in _last(hooks)),
        *(_check_place(client, app, h, made, is_test=h in hooks) for h in refused),
    )
    return corrected()


async def _check_place(
    client: Client, app: ApplicationName, hook: ResourceResult, made: Made, *, is_test: bool
) -> None:
    """Raise Intruder if a hook could not be applied because a foreign object has its name.

    It may have been there before the operation, too. What an earlier run has left is not foreign.
    """
    try:
        live = await client.live(app, hook.group, hook.version, hook.kind, hook.namespace, hook.name)
    except (ApiError, Denied) as e:
        if e.status not in GONE and is_test:
            raise
        whose = made.in_place_of(hook)
    else:
        uid = str((live.get("metadata") or {}).get("uid"))
        whose = made.others(hook, live) if uid in made.former else await made.whose_is(hook, uid)
    if whose:
        raise Intruder(hook, whose)


def _last(hooks: Iterable[ResourceResult]) -> list[ResourceResult]:
    """Those that were made and have ended; of a hook with several phases, the last one."""
    made = [h for h in hooks if h.kind in RUNNING and h.status != "SyncFailed" and h.hook_phase != "Running"]
    made.sort(key=lambda h: PHASES.index(h.sync_phase) if h.sync_phase in PHASES else -1)
    return list({(h.kind, h.namespace, h.name): h for h in made}.values())


async def _as_it_goes(
    client: Client, app: ApplicationName, live: LiveTree, hook: ResourceResult, made: Made
) -> AsyncGenerator[ResourceResult]:
    """The hook with its object's own state, each time that is read, until it has ended or is gone."""
    former = made.former
    clock = asyncio.get_running_loop().time
    began, version, asked = clock(), live.version, False
    while True:
        try:
            key = (hook.group, hook.version, hook.kind, hook.namespace, hook.name)
            found = await client.live(app, *key)
        except (ApiError, Denied) as e:
            late = clock() - began > APPEARS
            there = live.tree.find(hook.kind, hook.namespace, hook.name)
            is_to_come = there is not None and there.uid in former
            if e.status in GONE and not asked:  # a foreign one may be there, and Argo CD's tree lags behind
                asked = True
                await client.application(app, refresh="normal")
                await live.read()
                continue
            if e.status in GONE and (late or not is_to_come):
                if whose := made.in_place_of(hook):
                    raise Intruder(hook, whose) from None
                if MISSING in hook.message or not made.may_vanish(hook):
                    raise Vanished(hook) from None
                if not made.made(hook.kind, hook.namespace, hook.name):
                    yield replace(hook, hook_phase="", message=UNSEEN)
                return
            if late:
                raise
        else:
            uid = (found.get("metadata") or {}).get("uid")
            if uid not in former and (whose := await made.whose_is(hook, str(uid))):
                raise Intruder(hook, whose)
            seen = as_it_is(hook, found, former)
            yield seen
            if seen.hook_phase != "Running":
                return
        version = await live.changed(version, timeout=POLL)


def as_it_is(hook: ResourceResult, live: Json, former: Collection[str]) -> ResourceResult:
    """The hook with its live Job's or Pod's phase: Running, Succeeded or Failed; empty if it is a former one.

    A Job ends by its conditions, a Pod by its phase: once all of its containers have ended for good.
    """
    if (live.get("metadata") or {}).get("uid") in former:
        return replace(hook, hook_phase="", message=NONE_OF_ITS_OWN)
    phase, message = _end(hook.kind, live)
    if phase == "Running":
        return replace(hook, hook_phase=phase, message="")
    if phase == "Succeeded" and hook.hook_phase in FAILED:
        message = OTHERS_FAILURE
    return replace(hook, hook_phase=phase, message=message)


def has_ended(kind: str, live: Json) -> bool:
    """Whether a live Job or Pod has ended for good, by its own status."""
    return _end(kind, live)[0] != "Running"


def _end(kind: str, live: Json) -> tuple[str, str]:
    return _pod_end(live) if kind == "Pod" else _job_end(live)


def _job_end(job: Json) -> tuple[str, str]:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ENDS:
            return ENDS[condition["type"]], str(condition.get("message", ""))
    return "Running", ""


def _pod_end(pod: Json) -> tuple[str, str]:
    status = pod.get("status") or {}
    phase = str(status.get("phase", ""))
    if phase not in ENDS.values():
        return "Running", ""
    listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in listed:
        ended = (container.get("state") or {}).get("terminated") or {}
        if code := ended.get("exitCode"):
            return phase, str(status.get("message") or f"container {container.get('name')}: exit code {code}")
    return phase, str(status.get("message", ""))
