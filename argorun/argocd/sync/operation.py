"""Starts, follows and ends one sync operation, recognized by its run id.

See docs/argocd-facts.md#tell-an-operation-by-its-infos.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence

import msgspec

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import TRANSIENT, ApiError, Denied, InvalidResponse, Unreachable
from argorun.argocd.http.retry import RetryBudget
from argorun.argocd.sync import windows
from argorun.argocd.types import (
    RUN_INFO,
    Application,
    Json,
    Operation,
    OperationState,
    ResourceResult,
    ResourceStatus,
    SyncOperation,
)
from argorun.errors import ArgorunError, OperationFailed

Key = tuple[str, str, str, str, str]  # of a resource in an operation: group, kind, namespace, name, phase
POLL = 10.0  # seconds between the reads beside the watch, which may drop events
SLOW_END = 4.0  # seconds after which the end of an operation is slow: 2 to 3 are usual
BEGINS = 10.0  # seconds to wait until an operation says what it syncs
TAKEN_UP = 3.0  # seconds within which the controller begins an operation; under one is usual
# What Argo CD says while an object with Prune=confirm is not in Git. It waits in every sync, pruning or not
# (source: gitops-engine pkg/sync/sync_context.go, Sync; docs/argocd-facts.md#waiting-for-a-person).
CONFIRMATION = "waiting for pruning confirmation"
WATCHED = ",".join(
    "result." + f
    for f in (
        "type",
        "application.metadata.name",
        "application.metadata.annotations",
        "application.metadata.deletionTimestamp",
        "application.operation",
        "application.status.operationState",
        "application.status.sync.status",
    )
)


class Busy(Exception):
    """Another operation holds the Application; nothing was started."""

    def __init__(self, app: Application) -> None:
        super().__init__(holder(app))
        self.holder = app.running or Operation()


class Deleted(OperationFailed):
    """The Application was deleted while its operation ran, or is about to be gone."""

    def __init__(self, app: object) -> None:
        super().__init__(f"Application {app} was deleted meanwhile")


class Overtaken(OperationFailed):
    """Another operation took the place of this run's before its end was seen."""

    def __init__(self, app: Application) -> None:
        name = app.metadata.name
        super().__init__(
            f"the run's operation on {name} is gone: {holder(app)} took its place before its end was seen"
        )
        state = app.status.operation_state
        self.by = app.running or (state.operation if state is not None else Operation())


def holder(app: Application) -> str:
    """The operation that holds the Application, as a message for people."""
    running = app.running
    if running is None:
        return "another operation"
    who = (
        f"run {running.run}"
        if running.run
        else f"an operation of {running.initiated_by.username or 'auto-sync'}"
    )
    state = app.status.operation_state
    if state is None or not state.phase:
        return f"{who}, about to start"
    return f"{who}, started {state.started_at}, {state.phase}"


def body(
    run_id: str,
    revision: str | None = None,
    resources: Iterable[ResourceStatus] | None = None,
    *,
    prune: bool = False,
    options: Sequence[str] | None = None,
) -> Json:
    """A sync request that carries our run id; with `resources` it syncs only those, and without hooks.

    Retries are off: a retry would make a failed test Running again (docs/argocd-facts.md#retries). `options`
    replace the Application's own sync options.
    """
    request: Json = {"infos": [{"name": RUN_INFO, "value": run_id}], "retryStrategy": {"limit": 0}}
    if revision:
        request["revision"] = revision
    if prune:
        request["prune"] = True
    if options is not None:
        request["syncOptions"] = {"items": list(options)}
    if resources is not None:
        request["resources"] = [
            {"group": r.group, "kind": r.kind, "namespace": r.namespace, "name": r.name} for r in resources
        ]
    return request


def settling_options(spec: Json) -> list[str] | None:
    """The sync options that restore every object completely; None if they are the Application's own.

    With the first of these, pods would live on without what made them; with the second, an object that Argo
    CD's comparison calls Synced would be left out (source: server/application/application.go, Sync, and the
    docs of sync options).
    """
    return _without(spec, ("PrunePropagationPolicy=orphan", "ApplyOutOfSyncOnly=true"))


def testing_options(spec: Json) -> list[str] | None:
    """The sync options for the run's own sync; None if they are the Application's own.

    With these, the pods of a deleted hook, when the run is ended for example, would run on unseen (source:
    gitops-engine pkg/sync/sync_context.go, getDeleteOptions).
    """
    return _without(spec, ("PrunePropagationPolicy=orphan", "PrunePropagationPolicy=background"))


def _without(spec: Json, left_out: Sequence[str]) -> list[str] | None:
    own = list((spec.get("syncPolicy") or {}).get("syncOptions") or ())
    kept = [o for o in own if o not in left_out]
    return kept if kept != own else None


async def start(client: Client, app: ApplicationName, run_id: str, request: Json) -> Application:
    """Start an operation; returns the Application that carries it.

    The request is not idempotent (docs/argocd-facts.md#one-operation-at-a-time): after a lost answer it is
    sent again only if the Application does not carry our run id. Raises Busy, OperationFailed (sync window,
    Argo CD's refusal), AccessDenied, ArgoCDFailed.
    """
    budget, pause = RetryBudget(client.retry_for), 0.2
    while True:
        try:
            return await client.sync(app, request)
        except Denied as e:
            if "sync window" in e.text:
                seen = await client.application(app)
                raise await windows.blocked(client, app, seen.project) from None
            raise
        except ApiError as e:
            lost: ArgorunError = e
            if e.status < 500 and e.status not in TRANSIENT and "already in progress" not in e.text:
                raise OperationFailed(f"Argo CD refused to sync {app.name}: {e.text}") from None
        except (Unreachable, InvalidResponse) as e:
            lost = e
        seen = await client.application(app)
        if (seen.running and seen.running.run_id == run_id) or seen.state_of(run_id):
            return seen
        if isinstance(lost, ApiError) and "already in progress" in lost.text:
            raise Busy(seen)
        await budget.wait(lost, pause)
        pause = min(2 * pause, 3.0)


async def captured(client: Client, app: ApplicationName, run_id: str, seen: Application) -> SyncOperation:
    """What an operation that was just started syncs: its commit and source; no source if none shows.

    Argo CD 3.1 records the source only when it begins, 3.6 when it accepts the request (both seen;
    docs/argocd-facts.md#the-captured-source). Raises ArgoCDFailed, AccessDenied.
    """
    took = seen.operation_of(run_id).sync or SyncOperation()
    if took.source is not None:
        return took
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BEGINS), contextlib.aclosing(applications(client, app)) as changes:
            async for _, now in changes:
                state = now.state_of(run_id)
                if state is not None and state.sync_result is not None and state.sync_result.source:
                    return msgspec.structs.replace(took, source=state.sync_result.source)
                if state is not None and state.done:
                    break
    return took


async def applications(
    client: Client, app: ApplicationName, poll: float = POLL
) -> AsyncGenerator[tuple[bool, Application]]:
    """The Application whenever it changes, by the watch stream, and every `poll` seconds by a live read.

    The first of each pair says whether it was read live: the watch lags behind, and may drop changes
    (docs/argocd-facts.md#watch-an-application). A broken watch is resumed;
    raises what the live read raises once its retries are over.
    """
    queue: asyncio.Queue[tuple[bool, Application] | ArgorunError] = asyncio.Queue()
    ended = asyncio.Event()  # the watch has ended: the Application may be gone

    async def watch() -> None:
        while True:
            with contextlib.suppress(ArgorunError):
                async with contextlib.aclosing(client.watch(app, WATCHED)) as changes:
                    async for change in changes:
                        queue.put_nowait((False, change))
                ended.set()
            await asyncio.sleep(1.0)

    async def read() -> None:
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), poll)
                ended.clear()
                queue.put_nowait((True, await client.application(app)))
        except ArgorunError as e:
            queue.put_nowait(e)

    tasks = [asyncio.create_task(watch()), asyncio.create_task(read())]
    try:
        while True:
            item = await queue.get()
            if isinstance(item, ArgorunError):
                raise item
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow(
    client: Client, app: ApplicationName, run_id: str, report: Callable[[OperationState], bool | None]
) -> OperationState:
    """Report every state of our operation until it is done; returns the last one.

    If `report` returns True it has more to do with that state: it is called again, and other tasks get their
    turn on the event loop in between. Raises Overtaken, Deleted if the Application is being deleted, and what
    a live read raises once its retries are over.
    """
    async with waking(client, app) as awake, contextlib.aclosing(applications(client, app)) as changes:
        async for is_live, seen in changes:
            state = seen.state_of(run_id)
            if state is not None:
                awake()
                while report(state):  # noqa: ASYNC110  # a turn for the others, no wait
                    await asyncio.sleep(0)
                if state.done:
                    return state
                if state.message.startswith(CONFIRMATION):
                    raise OperationFailed(
                        f"{app} waits for a person: {state.message}",
                        "confirm it in Argo CD, or remove Prune=confirm from the object",
                    )
            if seen.deleting:
                raise Deleted(app)
            if state is None and is_live and not (seen.operation and seen.operation.run_id == run_id):
                raise Overtaken(seen)
    raise AssertionError("the changes of an Application do not end")  # pragma: no cover


async def end(
    client: Client, app: ApplicationName, run_id: str, slow: Callable[[str], None] = lambda _: None
) -> bool:
    """End our operation and wait until it is over; False if it was over already.

    A terminate right after the POST is answered 400 until the controller has begun the operation, so it is
    sent again (docs/argocd-facts.md#ending-an-operation). An operation that does not carry our run id is left
    alone. `slow` is called once if Argo CD takes long to end it: it checks only between two sync waves, which
    it keeps 2 s apart (source: controller/sync.go, delayBetweenSyncWaves; seen: 2.4 s in the first pass of an
    idle controller).
    """
    asked = False
    patient_until: float | None = asyncio.get_running_loop().time() + SLOW_END
    async with waking(client, app) as awake:
        while True:
            pause = 0.3
            seen = await client.application(app)
            running, state = seen.running, seen.state_of(run_id)
            if running is None or running.run_id != run_id:
                return asked
            if state is not None:
                awake()
            if state is None or state.phase != "Terminating":
                try:
                    await client.terminate(app)
                    asked = True
                except (Unreachable, InvalidResponse):
                    pass  # it may have arrived: look again
                except ApiError as e:
                    pause = min(e.retry_after or pause, client.retry_for)
            elif patient_until is not None and asyncio.get_running_loop().time() >= patient_until:
                patient_until = None
                slow(f"Argo CD is ending the run's operation: it is {state.phase} until its sync wave ends")
            await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def waking(client: Client, app: ApplicationName) -> AsyncIterator[Callable[[], object]]:
    """Make the controller check the Application every few seconds, until the yielded function is called.

    It can miss a new operation for minutes: having answered a refresh, it writes the Application as it was
    then into its own cache, and if that is after the operation has come in, it sees none (source:
    controller/appcontroller.go, writeBackToInformer; seen under load, 2 of 901 times;
    docs/argocd-facts.md#a-refresh-can-hide-an-operation). Any change wakes it.
    """

    async def wake() -> None:
        while True:
            await asyncio.sleep(TAKEN_UP)
            with contextlib.suppress(ArgorunError):
                await client.nudge(app)

    task = asyncio.create_task(wake())
    try:
        yield task.cancel
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def hooks(state: OperationState) -> list[ResourceResult]:
    """The operation's hooks that were reached so far; one that runs in two phases is there twice.

    See docs/argocd-facts.md#hook-entries.
    """
    return [r for r in (state.sync_result and state.sync_result.resources) or () if r.hook_type]


def resources(state: OperationState) -> list[ResourceResult]:
    """The operation's resources that are not hooks."""
    return [r for r in (state.sync_result and state.sync_result.resources) or () if not r.hook_type]


def awaited(state: OperationState) -> list[ResourceResult]:
    """What the operation waits for, hooks first: what it has applied and not seen the end of."""
    return [r for r in hooks(state) + resources(state) if r.hook_phase == "Running"]


def key(r: ResourceResult) -> Key:
    return (r.group, r.kind, r.namespace, r.name, r.sync_phase or r.hook_type)
