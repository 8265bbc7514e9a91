"""Collects evidence about a failed resource: manifest, pods, events, log tail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TypeVar

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.diagnosis.analyze import MOST_PODS, Case, PodEvidence, ended_container
from argorun.argocd.types import ClusterEvent, Json, Node, ResourceResult, Tree
from argorun.errors import ArgorunError

T = TypeVar("T")
LINES = 10  # of a log
READ_LIMIT = 3.0  # seconds for each read; what is denied, gone or late is left out


async def collect(
    client: Client,
    app: ApplicationName,
    tree: Tree,
    result: ResourceResult,
    remembered: Collection[Node],
    is_ours: Callable[[Node], bool] = lambda node: True,
) -> Case:
    """The evidence about a resource, by a few reads with `get`; what cannot be read is left out.

    `remembered` are its pods as they were last seen: those that are gone are reported as such. An object of
    that name that is not the operation's (`is_ours`) is no evidence.
    """
    if result.status == "SyncFailed" and "is missing" not in result.message:  # it was there, then
        return Case(result.kind, result.name, result.message, refused=True)
    node = tree.find(result.kind, result.namespace, result.name)
    if node is None or not is_ours(node):
        return Case(result.kind, result.name, result.message, pods=_gone(remembered))
    there = pods_of(tree, node)
    gone = _gone(n for n in remembered if n.uid not in {p.uid for p in there})
    # A workload's healthy pods are no evidence; a Job's are its attempts.
    asked = [p for p in there if node.kind == "Job" or p.health_status != "Healthy"][-MOST_PODS:]
    earlier = [p for p in there if node.kind == "Job" and p not in asked]
    about = [node, *_replica_set(tree, node), *(p for p in asked if p is not node)]
    live, events = await asyncio.gather(
        asyncio.gather(*(_manifest(client, app, n) for n in [node, *asked])),
        asyncio.gather(*(_events(client, app, n) for n in about)),
    )
    seen = [PodEvidence(n, manifest) for n, manifest in zip(asked, live[1:], strict=True)]
    return Case(
        result.kind,
        result.name,
        result.message,
        waited_for=result.hook_phase == "Running",
        live=live[0],
        pods=(*gone, *map(PodEvidence, earlier), *seen),
        events=tuple(e for known in events for e in known),
        log=()
        if node.kind == "Job"
        else await _tail(client, app, seen),  # a Job's is followed as it is written
    )


def _gone(pods: Iterable[Node]) -> tuple[PodEvidence, ...]:
    return tuple(PodEvidence(n, gone=True) for n in pods)


def pods_of(tree: Tree, node: Node) -> list[Node]:
    """The pods of a resource, the oldest first; a Pod is its own."""
    return [node] if node.kind == "Pod" else tree.pods_under({node.uid})


def started_by(tree: Tree, node: Node) -> list[Node]:
    """The pods that a resource starts now: a Deployment's are its current ReplicaSet's."""
    current = _replica_set(tree, node)
    return pods_of(tree, current[0] if current else node)


def _replica_set(tree: Tree, node: Node) -> list[Node]:
    """A Deployment's current ReplicaSet, by its revision: an old one may be used again."""
    sets = [n for n in tree.children(node.uid) if n.kind == "ReplicaSet"]
    return sorted(sets, key=lambda n: (n.revision, n.created_at))[-1:]


async def _manifest(client: Client, app: ApplicationName, node: Node) -> Json:
    read = client.live(app, node.group, node.version, node.kind, node.namespace, node.name)
    manifest = await _answer(read, Json())
    # One that bears the same name now is another.
    return manifest if (manifest.get("metadata") or {}).get("uid") == node.uid else {}


async def _events(client: Client, app: ApplicationName, node: Node) -> list[ClusterEvent]:
    return await _answer(client.events(app, node), [])


async def _tail(client: Client, app: ApplicationName, pods: Sequence[PodEvidence]) -> tuple[str, ...]:
    """The last lines of the newest container that ended badly."""
    ended = [(p.node, name) for p in pods if (name := ended_container(p))]
    if not ended:
        return ()
    node, container = ended[-1]

    async def read() -> tuple[str, ...]:
        batches = client.logs(app, node.name, node.namespace, container, tailLines=str(LINES))
        async with contextlib.aclosing(batches):
            return tuple([e.content async for batch in batches for e in batch if e.pod_name])

    return await _answer(read(), ())


async def _answer(read: Awaitable[T], otherwise: T) -> T:
    try:
        async with asyncio.timeout(READ_LIMIT):
            return await read
    except (ArgorunError, TimeoutError):
        return otherwise
