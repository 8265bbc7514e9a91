"""GET …/logs: selects pods and sends their lines as Argo CD's server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.containers import ContainerLog, log_line
from argorun.sandbox.standin.faults import INVALID, ApiError
from argorun.sandbox.standin.objects import Json
from argorun.sandbox.standin.pods import Pod

MAX_PODS = 10


def selected_pods(tree: Json, query: Mapping[str, str]) -> list[Json]:
    """The pod nodes that match, or whose ancestors do."""
    nodes = {node["uid"]: node for node in tree.get("nodes", []) if "uid" in node}
    wanted = {"kind": query.get("kind", ""), "name": query.get("resourceName", "")}
    wanted |= {"group": query.get("group", ""), "namespace": query.get("namespace", "")}
    if query.get("podName"):
        wanted |= {"kind": "Pod", "name": query["podName"]}

    def matches(node: Json) -> bool:
        if all(node.get(field, "") == value for field, value in wanted.items() if value):
            return True
        parents = (nodes.get(parent["uid"]) for parent in node.get("parentRefs", []))
        return any(matches(parent) for parent in parents if parent)

    pods = [node for node in nodes.values() if node["kind"] == "Pod" and matches(node)]
    if len(pods) > MAX_PODS:
        raise ApiError(INVALID, "max pods to view logs are reached. Please provide more granular query")
    return pods


def _number(query: Mapping[str, str], name: str) -> int:
    try:
        return int(query.get(name) or 0)
    except ValueError:
        text = f'strconv.ParseInt: parsing "{query[name]}": invalid syntax'
        raise ApiError(INVALID, text) from None


class LogQuery:
    """The query of one request, checked."""

    def __init__(self, query: Mapping[str, str]) -> None:
        if "sinceTime" in query:
            raise ApiError(INVALID, "field type *v1.Time is not supported in query parameters")
        self.container = query.get("container", "")
        self.follow, self.previous = query.get("follow") == "true", query.get("previous") == "true"
        tail, seconds = _number(query, "tailLines"), _number(query, "sinceSeconds")
        self.tail = tail if tail > 0 else None
        self.since = time.time_ns() - seconds * 10**9 if seconds > 0 else 0
        text = query.get("filter", "")
        self._inverse = text.startswith("!")
        self._case = query.get("matchCase") == "true"
        self._text = text.removeprefix("!") if self._case else text.removeprefix("!").lower()

    def shows(self, content: str) -> bool:
        """Whether the filter lets a line through."""
        text = content if self._case else content.lower()
        return not self._text or (self._text in text) is not self._inverse


async def read_logs(cluster: Cluster, nodes: list[Json], query: LogQuery) -> AsyncIterator[list[Json]]:
    """LogEntries in batches; with several pods merged as they come, then `last: true`."""
    queue: asyncio.Queue[list[Json] | None] = asyncio.Queue(64)
    readers = [asyncio.create_task(_read_pod(cluster, node, query, queue)) for node in nodes]
    left = len(readers)
    try:
        while left:
            batch = await queue.get()
            if batch is None:
                left -= 1
            if shown := [entry for entry in batch or () if query.shows(entry["content"])]:
                yield shown
    finally:
        for reader in readers:
            reader.cancel()
    if nodes:
        yield [log_line(time.time_ns(), "", "", last=True)]


async def _read_pod(
    cluster: Cluster, node: Json, query: LogQuery, queue: asyncio.Queue[list[Json] | None]
) -> None:
    pod = cluster.pods.get(node["uid"])
    try:
        log, error = _open(pod, node["name"], query)
        if log is None:
            await queue.put([log_line(0, error, "")])
            return
        async for batch in log.read(follow=query.follow, since=query.since, tail=query.tail):
            await queue.put([entry for stamp, line in batch for entry in _entries(stamp, line, node["name"])])
    finally:
        await queue.put(None)


def _entries(stamp: int, line: bytes, pod: str) -> list[Json]:
    """A line without its trailing blanks, split at carriage returns (server/application/logs.go)."""
    text = line.decode(errors="replace").rstrip()
    return [log_line(stamp, part, pod) for part in text.split("\r")]


def _open(pod: Pod | None, name: str, query: LogQuery) -> tuple[ContainerLog | None, str]:
    """A container's log, or why the kubelet would not give it."""
    if pod is None:
        return None, f'pods "{name}" not found'
    spec = pod.obj["spec"]
    names = [c["name"] for c in spec["containers"]]
    every = [*(c["name"] for c in spec.get("initContainers") or []), *names]
    if not query.container and len(names) > 1:
        inits = (
            f" or one of the init containers: [{' '.join(every[: -len(names)])}]"
            if len(every) > len(names)
            else ""
        )
        return (
            None,
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]{inits}",
        )
    container = query.container or names[0]
    if container not in every:
        return None, f"container {container} is not valid for pod {name}"
    attempts = pod.logs.get(container, [])
    if query.previous:
        if len(attempts) < 2:
            return None, f'previous terminated container "{container}" in pod "{name}" not found'
        return attempts[-2], ""
    if attempts:
        return attempts[-1], ""
    return None, f'container "{container}" in pod "{name}" is waiting to start: {_waiting(pod, container)}'


def _waiting(pod: Pod, container: str) -> str:
    status = pod.obj["status"]
    for entry in (*status["initContainerStatuses"], *status["containerStatuses"]):
        if entry["name"] == container:
            reason = str(entry["state"].get("waiting", {}).get("reason", "ContainerCreating"))
            return "trying and failing to pull image" if "Image" in reason else reason
    return "ContainerCreating"
