"""Notices what an operation would wait for in vain: pods that cannot start, which Argo CD waits for for ever.

A hook Job is over only by its conditions, and a pod whose image cannot be pulled never gives it any (source:
gitops-engine pkg/health/health_job.go, and the reason why in health_pod.go).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from argorun.argocd import operation
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.diagnosis import Case, Finding, cannot_start, find
from argorun.argocd.reasons import CANNOT_START, MAY_NOT_START
from argorun.argocd.tree import POLL, LiveTree
from argorun.argocd.types import Node, OperationState, ResourceResult
from argorun.argocd.witness import PATIENCE, ask, started_by
from argorun.errors import ArgorunError

MOST = 3  # resources that are asked about when a run is red
LEAVING = "Pending deletion"  # how a pod's end at its deadline looks; what it was before says more
WITH_PODS = frozenset({"Job", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"})


class Watch:
    """Looks at what our operation waits for, and remembers its pods, for those that will be gone."""

    def __init__(self, client: Client, app: ApplicationName, live: LiveTree) -> None:
        self._client, self._app, self._live = client, app, live
        self._pods: dict[str, dict[str, Node]] = {}  # of a Job, by its uid and theirs
        self._uids: dict[operation.Key, str] = {}
        self.state: OperationState | None = None
        self.found: ResourceResult | None = None  # what turned out to be stuck

    def told(self, state: OperationState) -> None:
        """How our operation stands."""
        self.state = state

    async def stuck(self, limit: float) -> ResourceResult:
        """Wait until something that the operation waits for has been unable to start for `limit` seconds.

        With a limit of 0 nothing ever is. A pod that only may be unable to start (not scheduled yet, say) is
        asked about after that time, and counts where its conditions or events prove it.
        """
        clock = asyncio.get_running_loop().time
        since: dict[str, float] = {}
        version = -1
        while True:
            stalled = self._look()
            since = {uid: since.get(uid, clock()) for uid in stalled if limit}
            for uid in [uid for uid, began in since.items() if clock() - began >= limit]:
                if result := await self._proven(uid):
                    self.found = result
                    return result
                since[uid] = clock()  # ask again when as much time has passed
            pause = min([POLL, *(began + limit - clock() for began in since.values())])
            version = await self._live.changed(version, timeout=max(0.0, pause))

    async def _proven(self, uid: str) -> ResourceResult | None:
        """What cannot start, by the tree as it is now; an old one may only mean that Argo CD is away."""
        try:
            await self._live.read()
        except ArgorunError:
            return None
        result, certain = self._look().get(uid, (None, False))
        if result is None or not (certain or cannot_start(await self.case(result))):
            return None
        return result

    async def why(self, failed: Sequence[ResourceResult]) -> Finding:
        """Why these failed or, where something was stuck, why that was; within twice PATIENCE."""
        about = [self.found] if self.found is not None else failed[:MOST]
        if about:
            with contextlib.suppress(ArgorunError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._live.read()
        return find(await asyncio.gather(*(self.case(r) for r in about)))

    async def case(self, result: ResourceResult) -> Case:
        """What the cluster knows of one resource of the operation."""
        remembered = self._pods.get(self._uids.get(operation.key(result), ""), {})
        return await ask(self._client, self._app, self._live.tree, result, remembered.values())

    def _look(self) -> dict[str, tuple[ResourceResult, bool]]:
        """What does not start, by the pod's uid or, without a pod, its own; and whether that is certain."""
        stalled: dict[str, tuple[ResourceResult, bool]] = {}
        for result in operation.awaited(self.state) if self.state else ():
            node = self._live.tree.find(result.kind, result.namespace, result.name)
            if node is None:
                continue
            pods = started_by(self._live.tree, node)
            self._remember(result, node, pods)
            for pod in pods:
                reason = pod.reason.removeprefix("Init:")
                if reason in CANNOT_START or MAY_NOT_START.fullmatch(reason):
                    stalled[pod.uid] = (result, reason in CANNOT_START)
            if not pods and node.kind in WITH_PODS and node.health_status == "Progressing":
                stalled[node.uid] = (result, False)
        return stalled

    def _remember(self, result: ResourceResult, node: Node, pods: list[Node]) -> None:
        """A Job's pods go with it, or at its deadline; what a rollout replaces is no evidence."""
        if node.kind not in ("Job", "Pod"):
            return
        self._uids[operation.key(result)] = node.uid
        known = self._pods.setdefault(node.uid, {})
        for pod in pods:
            leaving = pod.leaving or (pod.health and pod.health.message == LEAVING)
            if not leaving or pod.uid not in known:
                known[pod.uid] = pod
