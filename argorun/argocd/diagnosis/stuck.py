"""Notices what an operation would wait for in vain: pods that cannot start, which Argo CD waits for forever.

A hook Job is over only by its conditions, and a pod whose image cannot be pulled never gives it any (source:
gitops-engine pkg/health/health_job.go, and the reason why in health_pod.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.diagnosis.analyze import Case, Finding, cannot_start, diagnose, find
from argorun.argocd.diagnosis.collect import PATIENCE, ask, pods_of, started_by
from argorun.argocd.diagnosis.reasons import CANNOT_START, MAY_NOT_START
from argorun.argocd.diagnosis.waiting import PENDING_DELETION, WITH_PODS, HeldUp, held_up
from argorun.argocd.sync import operation
from argorun.argocd.tree import POLL, LiveTree
from argorun.argocd.types import Node, OperationState, ResourceResult
from argorun.errors import ArgorunError

MOST = 3  # resources that are asked about when a run is red
AT_ONCE = 10  # of what only may be stuck are asked about, in a look; a few requests each
NAMED_AFTER = 10.0  # seconds for which something is waited for before it is named


class Watch:
    """Looks at what our operation waits for, and remembers its pods, for those that will be gone."""

    def __init__(
        self,
        client: Client,
        app: ApplicationName,
        live: LiveTree,
        is_ours: Callable[[Node], bool] = lambda node: True,
    ) -> None:
        self._client, self._app, self._live = client, app, live
        self._is_ours = is_ours  # whether a live object is the operation's, and not only bears such a name
        self._pods: dict[str, dict[str, Node]] = {}  # of a Job, by its uid and theirs
        self._uids: dict[operation.Key, str] = {}
        self._awaited: list[ResourceResult] = []
        self.state: OperationState | None = None
        self._named: set[str] = set()  # what was told to hold the operation up, by its uid
        self.found: ResourceResult | None = None  # what turned out to be stuck

    def told(self, state: OperationState) -> None:
        """How our operation stands."""
        self.state = state
        self._awaited = operation.awaited(state)

    async def stuck(self, limit: float) -> ResourceResult:
        """Wait until something that the operation waits for has been unable to start for `limit` seconds.

        With a limit of 0 nothing ever is. A pod that only may be unable to start (not scheduled yet, say) is
        asked about after that time, and counts where its conditions or events prove it.
        """
        clock = asyncio.get_running_loop().time
        since: dict[str, float] = {}
        version, free = -1, 0.0  # when the next may be asked about
        while True:
            self._remember()
            stalled = self._look() if limit else {}
            since = {uid: since.get(uid, clock()) for uid in stalled}
            due = [uid for uid, began in since.items() if clock() - began >= limit]
            due.sort(key=lambda uid: (not stalled[uid][1], since[uid]))
            if due and clock() >= free:
                free = clock() + POLL if due[AT_ONCE:] else 0.0
                if result := await self._proven(due[:AT_ONCE]):
                    self.found = result
                    return result
                since |= dict.fromkeys(due[:AT_ONCE], clock())  # ask again when as much time has passed
            wanted = max(free, min(since.values(), default=0.0) + limit) if since else math.inf
            version = await self._live.changed(version, timeout=max(0.0, min(POLL, wanted - clock())))

    async def _proven(self, uids: Sequence[str]) -> ResourceResult | None:
        """What cannot start, by the tree as it is now; an old one may only mean that Argo CD is away."""
        try:
            await self._live.read()
        except ArgorunError:
            return None
        now = self._look()
        stalled = [now[uid] for uid in uids if uid in now]
        if proven := next((result for result, certain in stalled if certain), None):
            return proven
        cases = await asyncio.gather(*(self.case(result) for result, _ in stalled))
        pairs = zip(stalled, cases, strict=True)
        return next((result for (result, _), case in pairs if cannot_start(case)), None)

    async def name(self, tell: Callable[[str], None]) -> None:
        """Tell what holds the operation up and is no pod's business, each once and MOST at most.

        Told after NAMED_AFTER seconds: a finalizer that keeps the former hook, a Service without an address.
        """
        clock = asyncio.get_running_loop().time
        since: dict[str, float] = {}
        version, free = -1, 0.0  # when the next may be asked about
        while len(self._named) < MOST:
            held = self._held_up()
            since = {uid: since.get(uid, clock()) for uid in held if uid not in self._named}
            due = [uid for uid, began in since.items() if clock() - began >= NAMED_AFTER]
            due.sort(key=lambda uid: since[uid])
            due = due[: MOST - len(self._named)] if clock() >= free else []
            free = clock() + POLL if due else free
            for uid in due:
                case = await self.case(held[uid].result)
                found = diagnose(case)
                # Ask again when as much time has passed, and soon where there was no answer.
                since[uid] = clock() - (0.0 if case.live else NAMED_AFTER - POLL)
                if said := held[uid].told(found.cause, found.hint):
                    self._named.add(uid)
                    tell(said)
            wanted = max(free, min(since.values(), default=math.inf) + NAMED_AFTER)
            version = await self._live.changed(version, timeout=max(0.0, min(POLL, wanted - clock())))

    def _held_up(self) -> dict[str, HeldUp]:
        return held_up(self.state, self._awaited, self._live.tree)

    async def why(self, failed: Sequence[ResourceResult], *, late: bool = False) -> Finding:
        """Why these failed or, where something was stuck, why that was; within twice PATIENCE.

        `late`: the time ran out, and what holds the operation up comes first.
        """
        if failed or late or self.found is not None:
            with contextlib.suppress(ArgorunError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._live.read()
        held = [h.result for h in self._held_up().values()] if late else []
        about = [self.found] if self.found is not None else [*held, *failed][:MOST]
        return find(await asyncio.gather(*(self.case(r) for r in about)))

    async def case(self, result: ResourceResult) -> Case:
        """What the cluster knows of one resource of the operation."""
        remembered = self._pods.get(self._uids.get(operation.key(result), ""), {})
        return await ask(self._client, self._app, self._live.tree, result, remembered.values(), self._is_ours)

    def _look(self) -> dict[str, tuple[ResourceResult, bool]]:
        """What does not start, by the pod's uid or, without a pod, its own; and whether that is certain."""
        stalled: dict[str, tuple[ResourceResult, bool]] = {}
        for result in self._awaited:
            node = self._node(result)
            if node is None:
                continue
            pods = started_by(self._live.tree, node)
            for pod in pods:
                reason = pod.reason.removeprefix("Init:")
                if reason in CANNOT_START or MAY_NOT_START.fullmatch(reason):
                    stalled[pod.uid] = (result, reason in CANNOT_START)
            if not pods and node.kind in WITH_PODS and node.health_status == "Progressing":
                stalled[node.uid] = (result, False)
        return stalled

    def _node(self, result: ResourceResult) -> Node | None:
        node = self._live.tree.find(result.kind, result.namespace, result.name)
        return node if node is not None and self._is_ours(node) else None

    def _remember(self) -> None:
        """A Job's pods go with it, or at its deadline; what a rollout replaces is no evidence."""
        for result in self._awaited:
            node = self._node(result) if result.kind in ("Job", "Pod") else None
            if node is None:
                continue
            self._uids[operation.key(result)] = node.uid
            known = self._pods.setdefault(node.uid, {})
            for pod in pods_of(self._live.tree, node):
                # So a pod's end at its deadline looks; what it was before says more.
                leaves = pod.health is not None and pod.health.message.startswith(PENDING_DELETION)
                if not (leaves or pod.leaving) or pod.uid not in known:
                    known[pod.uid] = pod
