"""Watches for pods that cannot start, for which Argo CD would wait forever.

A hook Job is over only by its conditions, and a pod whose image cannot be pulled never gives it any (source:
gitops-engine pkg/health/health_job.go, and the reason why in health_pod.go;
docs/argocd-facts.md#when-a-hook-ends).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.diagnosis.analyze import (
    Case,
    Finding,
    PodEvidence,
    cannot_start,
    cut,
    diagnose,
    find,
    problems,
)
from argorun.argocd.diagnosis.collect import READ_LIMIT, collect, pods_of, started_by
from argorun.argocd.diagnosis.reasons import CANNOT_START, MAY_NOT_START
from argorun.argocd.diagnosis.waiting import PENDING_DELETION, WITH_PODS, WaitedObject, waited_objects
from argorun.argocd.sync import operation
from argorun.argocd.tree import POLL, LiveTree
from argorun.argocd.types import Node, OperationState, ResourceResult
from argorun.errors import ArgorunError

MOST = 3  # resources about which evidence is collected when a run is red
AT_ONCE = 10  # resources that may be stuck are checked at a time; a few requests each
NAMED_AFTER = 10.0  # seconds for which the operation waits for something before it is reported


class Stalled(NamedTuple):
    """A resource that does not start; whether that is `certain`, and the pod, or itself without one."""

    result: ResourceResult
    certain: bool
    node: Node


@dataclass(frozen=True)
class Delay:
    """What keeps a resource of the operation from starting; `reason` is empty once it can start.

    What is not `certain` may be normal: a node may be on its way. `seconds` is how long so far, and `limit`
    after how many seconds the run gives up; 0: it does not.
    """

    result: ResourceResult
    pod: str = ""
    reason: str = ""  # Kubernetes' own; NoPod where there is none
    detail: str = ""  # the image that cannot be pulled, or Kubernetes' message
    certain: bool = False
    seconds: float = 0.0
    limit: float = 0.0


def _detail(node: Node) -> str:
    """The image that a pod cannot get, where it has but one; else Kubernetes' message, which may be empty.

    The tree has no message about a Job's pod (source: gitops-engine pkg/health/health_pod.go).
    """
    if "Image" in node.reason and len(node.images or ()) == 1:
        return (node.images or [""])[0]
    return cut(node.health.message) if node.health else ""


class Watch:
    """Watches what our operation waits for, and remembers its pods in case they go."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        live: LiveTree,
        is_ours: Callable[[Node], bool] = lambda node: True,
        delayed: Callable[[Delay], None] = lambda delay: None,
    ) -> None:
        self._client, self._app, self._live = client, app, live
        self._is_ours = is_ours  # whether a live object is the operation's, not only one of that name
        self._delayed = delayed  # is called when the reason changes why something does not start
        self._delays: dict[operation.Key, tuple[str, str]] = {}
        self._pods: dict[str, dict[str, Node]] = {}  # of a Job, by its uid and theirs
        self._uids: dict[operation.Key, str] = {}
        self._awaited: list[ResourceResult] = []
        self.state: OperationState | None = None
        self._named: set[str] = set()  # the uids of what was reported as an obstacle
        self.found: ResourceResult | None = None  # what turned out to be stuck

    def update(self, state: OperationState) -> None:
        """Take the newest state of our operation."""
        self.state = state
        self._awaited = operation.awaited(state)

    async def stuck(self, limit: float) -> ResourceResult:
        """Wait until something that the operation waits for has been unable to start for `limit` seconds.

        With a limit of 0 it waits forever. A pod that may be unable to start (not scheduled yet, for example)
        is checked after that time, and counts if its conditions or events prove it.
        """
        clock = asyncio.get_running_loop().time
        since: dict[str, float] = {}
        version, free = -1, 0.0  # when the next may be asked about
        while True:
            self._remember()
            stalled = self._look()
            since = {uid: since.get(uid, clock()) for uid in stalled}
            self._report_delays(stalled, {uid: clock() - began for uid, began in since.items()}, limit)
            due = [uid for uid, began in since.items() if limit and clock() - began >= limit]
            due.sort(key=lambda uid: (not stalled[uid].certain, since[uid]))
            if due and clock() >= free:
                free = clock() + POLL if due[AT_ONCE:] else 0.0
                if result := await self._proven(due[:AT_ONCE]):
                    self.found = result
                    return result
                since |= dict.fromkeys(due[:AT_ONCE], clock())  # ask again when as much time has passed
            wanted = max(free, min(since.values(), default=0.0) + limit) if since and limit else math.inf
            version = await self._live.changed(version, timeout=max(0.0, min(POLL, wanted - clock())))

    async def _proven(self, uids: Sequence[str]) -> ResourceResult | None:
        """The first that cannot start, by the tree as it is now: an old one proves nothing."""
        try:
            await self._live.read()
        except ArgorunError:
            return None
        now = self._look()
        stalled = [now[uid] for uid in uids if uid in now]
        if proven := next((s.result for s in stalled if s.certain), None):
            return proven
        cases = await asyncio.gather(*(self.case(s.result) for s in stalled))
        pairs = zip(stalled, cases, strict=True)
        return next((s.result for s, case in pairs if cannot_start(case)), None)

    def _report_delays(
        self, stalled: Mapping[str, Stalled], seconds: Mapping[str, float], limit: float
    ) -> None:
        """Report each resource that does not start, and those that can start now.

        What may be normal, such as a pod that is not scheduled yet, is reported after NAMED_AFTER seconds.
        """
        shown: dict[operation.Key, Delay] = {}
        for uid in sorted(stalled, key=lambda uid: (not stalled[uid].certain, -seconds[uid])):
            result, certain, node = stalled[uid]
            if not certain and seconds[uid] < NAMED_AFTER:
                continue
            shown.setdefault(
                operation.key(result),
                Delay(
                    result,
                    pod=node.name if node.kind == "Pod" else "",
                    reason=node.reason.removeprefix("Init:") if node.kind == "Pod" else "NoPod",
                    detail=_detail(node),
                    certain=certain,
                    seconds=seconds[uid],
                    limit=limit if certain else 0.0,
                ),
            )
        for r in self._awaited:
            if self._delays.get(operation.key(r)) and operation.key(r) not in shown:
                shown[operation.key(r)] = Delay(r)
        for key, delay in shown.items():
            if self._delays.get(key, ("", "")) != (delay.reason, delay.detail):
                self._delays[key] = delay.reason, delay.detail
                self._delayed(delay)

    def exit_of(self, result: ResourceResult) -> str:
        """How the last pod of a failed Job ended, as the tree has it: `exit code 3`; it may be empty."""
        self._remember()
        pods = self._pods.get(self._uids.get(operation.key(result), ""), {}).values()
        found = [problem for pod in pods for problem in problems(PodEvidence(pod))[:1]]
        return found[-1].phrase if found else ""

    async def report_obstacles(self, report: Callable[[str], None]) -> None:
        """Report the obstacles that no pod shows, each once and MOST at most, after NAMED_AFTER seconds.

        For example a finalizer that keeps the former hook, or a Service without an address.
        """
        clock = asyncio.get_running_loop().time
        since: dict[str, float] = {}
        version, free = -1, 0.0  # when the next may be asked about
        while len(self._named) < MOST:
            held = self._waited_objects()
            since = {uid: since.get(uid, clock()) for uid in held if uid not in self._named}
            due = [uid for uid, began in since.items() if clock() - began >= NAMED_AFTER]
            due.sort(key=lambda uid: since[uid])
            due = due[: MOST - len(self._named)] if clock() >= free else []
            free = clock() + POLL if due else free
            for uid in due:
                case = await self.case(held[uid].result)
                found = diagnose(case)
                # Check again when as much time has passed, and soon if there was no answer.
                since[uid] = clock() - (0.0 if case.live else NAMED_AFTER - POLL)
                if said := held[uid].describe(found.cause, found.hint):
                    self._named.add(uid)
                    report(said)
            wanted = max(free, min(since.values(), default=math.inf) + NAMED_AFTER)
            version = await self._live.changed(version, timeout=max(0.0, min(POLL, wanted - clock())))

    def _waited_objects(self) -> dict[str, WaitedObject]:
        return waited_objects(self.state, self._awaited, self._live.tree)

    async def why(self, failed: Sequence[ResourceResult], *, late: bool = False) -> Finding:
        """Why these failed, or why something was stuck; within twice READ_LIMIT.

        `late`: the time ran out, and obstacles come first.
        """
        if failed or late or self.found is not None:
            with contextlib.suppress(ArgorunError, TimeoutError):
                async with asyncio.timeout(READ_LIMIT):
                    await self._live.read()
        held = [h.result for h in self._waited_objects().values()] if late else []
        about = [self.found] if self.found is not None else [*held, *failed][:MOST]
        return find(await asyncio.gather(*(self.case(r) for r in about)))

    async def case(self, result: ResourceResult) -> Case:
        """The evidence about one resource of the operation."""
        remembered = self._pods.get(self._uids.get(operation.key(result), ""), {})
        return await collect(
            self._client, self._app, self._live.tree, result, remembered.values(), self._is_ours
        )

    def _look(self) -> dict[str, Stalled]:
        """What does not start, by the uid of the pod or, without one, of itself."""
        stalled: dict[str, Stalled] = {}
        for result in self._awaited:
            node = self._node(result)
            if node is None:
                continue
            pods = started_by(self._live.tree, node)
            for pod in pods:
                reason = pod.reason.removeprefix("Init:")
                if reason in CANNOT_START or MAY_NOT_START.fullmatch(reason):
                    stalled[pod.uid] = Stalled(result, reason in CANNOT_START, pod)
            if not pods and node.kind in WITH_PODS and node.health_status == "Progressing":
                stalled[node.uid] = Stalled(result, False, node)
        return stalled

    def _node(self, result: ResourceResult) -> Node | None:
        node = self._live.tree.find(result.kind, result.namespace, result.name)
        return node if node is not None and self._is_ours(node) else None

    def _remember(self) -> None:
        """Remember a Job's pods, which go with it or at its deadline; a rollout's are no evidence."""
        for result in self._awaited:
            node = self._node(result) if result.kind in ("Job", "Pod") else None
            if node is None:
                continue
            self._uids[operation.key(result)] = node.uid
            known = self._pods.setdefault(node.uid, {})
            for pod in pods_of(self._live.tree, node):
                # A pod looks like this at its deadline; its state before says more.
                leaves = pod.health is not None and pod.health.message.startswith(PENDING_DELETION)
                if not (leaves or pod.leaving) or pod.uid not in known:
                    known[pod.uid] = pod
