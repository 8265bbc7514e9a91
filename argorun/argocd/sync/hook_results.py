"""How an operation's tests really ended, by their own status: the operation can be mistaken.

- Just after Argo CD has replaced a Job, its cache may still hold the former one, whose end it takes for the
  new one's (source: gitops-engine pkg/sync/sync_context.go, runTasks, where a deletion answered "not found"
  makes the new Job at once; seen on Argo CD 3.6, and in argoproj/argo-cd issues 10077 and 25475).
- It applies a Job over one that is there, unless a delete policy BeforeHookCreation has that deleted first:
  the old one's end is taken, and no test runs.
- A Job that was suspended and resumed is complete to it (source: pkg/health/health_job.go).
- A bare Pod with restartPolicy Always succeeds to it once it is ready (source: pkg/health/health_pod.go).
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

POLL = 2.0  # seconds between two looks at a test that still runs, at most
APPEARS = 5.0  # seconds in which a test that was made in another's place shows in Argo CD's tree
GONE = (400, 404)  # what is answered for an object that has left the tree, or the cluster
FAILED = ("Failed", "Error")
ENDS = {"Complete": "Succeeded", "Failed": "Failed"}  # a Job's condition, and a hook's or Pod's phase
NONE_OF_ITS_OWN = (
    "the operation made none of its own, and took the end of an earlier sync's; "
    "give it the delete policy BeforeHookCreation"
)
UNSEEN = "it was gone before it was seen whose it was: keep it for a while (ttlSecondsAfterFinished)"
# What Argo CD says of a hook whose object is gone (source: gitops-engine pkg/sync/sync_context.go).
MISSING = "is missing, it might have been deleted"
OTHERS_FAILURE = "it succeeded; the operation took the failure of an earlier sync's for its own"


class Made(Protocol):
    """What our operation was seen to make; argorun.argocd.logs.jobs.JobLogs has this shape."""

    former: frozenset[str]  # the uids that were there before

    def made(self, kind: str, namespace: str, name: str) -> bool: ...
    def may_vanish(self, hook: ResourceResult) -> bool: ...
    def in_place_of(self, hook: ResourceResult) -> str: ...
    async def whose_is(self, hook: ResourceResult, uid: str) -> str: ...
    def others(self, hook: ResourceResult, live: Json) -> str: ...


class Intruder(OperationFailed):
    """Another's object stands in the place of a test: what became of this run's is not known."""

    def __init__(self, hook: ResourceResult | Node, whose: str) -> None:
        super().__init__(
            f"no verdict: {hook.kind} {hook.name} in namespace {hook.namespace} is of {whose}",
            "two Applications with hooks of one name in one namespace delete each other's: give the hooks "
            "names with the release's name, or each Application a namespace",
        )


class Vanished(OperationFailed):
    """Somebody deleted a test while it ran: it neither passed nor failed."""

    def __init__(self, hook: ResourceResult) -> None:
        super().__init__(
            f"no verdict: {hook.kind} {hook.name} in namespace {hook.namespace} was deleted while it ran",
            "an Application with a hook of the same name in the same namespace does so: give the hooks names "
            "with the release's name, or each Application a namespace",
        )


async def settled(
    client: Client,
    app: ApplicationName,
    live: LiveTree,
    state: OperationState,
    hooks: Collection[ResourceResult],
    made: Made,
    told: Callable[[OperationState, ResourceResult], None],
) -> OperationState:
    """A finished operation's state with these hooks' ends as their objects have them, waited for.

    Where one differs from what the operation says, `told` is given the state as it is so far, and that hook.
    One that was seen to be ours, and that its delete policy has taken away by now, is left as the operation
    has it. Raises Intruder where another's stands in its place, Vanished where somebody deleted it,
    ArgoCDFailed, AccessDenied.
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
                told(corrected(), seen)

    refused = [h for h in operation.hooks(state) if h.kind in RUNNING and h.status == "SyncFailed"]
    await asyncio.gather(
        *(follow(hook) for hook in _last(hooks)),
        *(_check_place(client, app, h, made, is_test=h in hooks) for h in refused),
    )
    return corrected()


async def _check_place(
    client: Client, app: ApplicationName, hook: ResourceResult, made: Made, *, is_test: bool
) -> None:
    """Raise Intruder where a hook could not be applied because another's stands under its name.

    That may have been there before, too: what an own run before has left is no other's.
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
    """Those that were made and have ended; of one that is made in several phases, the last is there."""
    made = [h for h in hooks if h.kind in RUNNING and h.status != "SyncFailed" and h.hook_phase != "Running"]
    made.sort(key=lambda h: PHASES.index(h.sync_phase) if h.sync_phase in PHASES else -1)
    return list({(h.kind, h.namespace, h.name): h for h in made}.values())


async def _as_it_goes(
    client: Client, app: ApplicationName, live: LiveTree, hook: ResourceResult, made: Made
) -> AsyncGenerator[ResourceResult]:
    """The hook as its object has it, again and again until that has ended or is gone."""
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
            if e.status in GONE and not asked:  # another's may stand there, and Argo CD's tree lags behind
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
    """The hook by its live Job or Pod: Running, Succeeded or Failed; no phase where that is a former one.

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
