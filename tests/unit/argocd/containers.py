"""A cluster in memory whose containers write logs, and who listens to them."""

from __future__ import annotations

import asyncio
import copy
import datetime
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from argorun.argocd.http.errors import Denied
from argorun.argocd.logs.container import Container, Listener
from argorun.argocd.types import LogEntry, Node, Tree
from tests.unit.argocd.fakes import FakeArgoCD
from tests.unit.argocd.gopatch import Json

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND
TESTS = Container("tests", "ns", "tests-x", "main", 1)
LAST = LogEntry(last=True, time_stamp_str="0001-01-01T00:00:00Z")
GONE = Denied("show Pod", 404, "not found", "")


def stamped(nanoseconds: int) -> str:
    """RFC 3339 as Go writes it: no zeros at the end."""
    seconds, rest = divmod(nanoseconds, SECOND)
    head = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return head + f".{rest:09d}".rstrip("0").rstrip(".") + "Z"


def entry(nanoseconds: int, text: str) -> LogEntry:
    return LogEntry(content=text, time_stamp_str=stamped(nanoseconds), pod_name="tests-x")


A, B = entry(EPOCH, "a"), entry(EPOCH + SECOND, "b")
Item = LogEntry | Exception | asyncio.Event


class RecordingListener(Listener):
    def __init__(self) -> None:
        self.all: list[tuple[object, ...]] = []
        self.stamped: list[tuple[str, str]] = []

    def appeared(self, job: Node) -> None:
        self.all.append(("appeared", job.uid))

    def stranger(self, job: Node, whose: str) -> None:
        self.all.append(("stranger", job.uid, whose))

    def started(self, container: Container) -> None:
        self.all.append(("started", *self._of(container)))

    def lines(self, container: Container, stamps: list[str], texts: list[str]) -> None:
        self.stamped += zip(stamps, texts, strict=True)
        self.all += [("line", container.pod, container.name, text) for text in texts]

    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None:
        self.all.append(("ended", container.pod, container.name, lines, complete, reason))

    def texts(self, container: str = "") -> list[object]:
        return [e[3] for e in self.all if e[0] == "line" and container in ("", e[2])]

    @staticmethod
    def _of(c: Container) -> tuple[object, ...]:
        return (c.pod, c.name, c.attempt, *([c.restart] if c.restart else []))


class Cluster(FakeArgoCD):
    """An Argo CD that also has a tree, pods and logs, and whose running operation is `ours`.

    A stream is entries, and what breaks or holds it. Streams are given one after the other, the last one
    again and again; it is also what a look at the log's end finds. `previous` is the former instance's log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Json] = []
        self.jobs: dict[str, Json | Exception] = {}  # live, by name: the newest of that name
        self.pods: dict[str, Json | Exception] = {}
        self.streams: dict[tuple[str, str], list[list[Item]]] = {}
        self.previous: dict[tuple[str, str], list[Item]] = {}
        self.asked: list[dict[str, str]] = []
        self.runs("ours")
        self.hangs = False  # it no longer answers

    def job(
        self, uid: str, name: str = "tests", created: str = "2024-01-01T00:00:05Z", **manifest: Any
    ) -> None:
        node = {"group": "batch", "version": "v1", "kind": "Job", "namespace": "ns", "name": name}
        self.nodes.append(node | {"uid": uid, "createdAt": created})
        metadata = {"name": name, "uid": uid, "creationTimestamp": created, **manifest.pop("metadata", {})}
        self.jobs[name] = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, **manifest}

    def pod(
        self, name: str, job: str, *streams: list[Any], containers: tuple[str, ...] = ("main",), **more: Any
    ) -> None:
        parents = [{"kind": "Job", "uid": job}] if job else None
        node = {"kind": "Pod", "namespace": "ns", "name": name, "uid": f"uid-{name}", "parentRefs": parents}
        self.nodes.append(node | {"createdAt": name if job else "2024-01-01T00:00:05Z"})
        spec = {"containers": [{"name": c} for c in containers], "restartPolicy": "Never"}
        metadata = {"name": name, "uid": f"uid-{name}"}
        self.pods[name] = {"metadata": metadata, "spec": spec | more, "status": {"phase": "Succeeded"}}
        self.stands(name, containers[0], "terminated", phase="Succeeded")
        self.streams[name, containers[0]] = list(streams)

    def stands(
        self,
        pod: str,
        container: str,
        state: str,
        restarts: int = 0,
        *,
        phase: str = "Running",
        code: int = 0,
    ) -> None:
        """How a container stands: waiting, running or terminated."""
        how: Json = {state: {"exitCode": code} if state == "terminated" else {}}
        ran = {"terminated": {"exitCode": 1}} if restarts else {}
        status = {"name": container, "state": how, "lastState": ran, "restartCount": restarts}
        manifest = self.pods[pod]
        assert isinstance(manifest, dict)
        others = [s for s in manifest["status"].get("containerStatuses", []) if s["name"] != container]
        manifest["status"] = {"phase": phase, "containerStatuses": [*others, status]}

    async def tree(self, app: object) -> Tree:
        await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
        return msgspec.convert({"nodes": copy.deepcopy(self.nodes)}, Tree)

    async def live(self, app: object, group: str, version: str, kind: str, namespace: str, name: str) -> Json:
        await asyncio.sleep(0)
        found = (self.jobs if kind == "Job" else self.pods)[name]
        if isinstance(found, Exception):
            raise found
        return copy.deepcopy(found)

    async def logs(
        self, app: object, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        await asyncio.sleep(0)
        self.asked.append(extra)
        streams = self.streams[pod, container]
        stream = streams[0]
        if "previous" in extra:
            stream = self.previous[pod, container]
        elif "tailLines" in extra:
            stream = [item for item in streams[-1] if not isinstance(item, asyncio.Event)]
            stream = stream if LAST in stream else [*stream, LAST]
        elif len(streams) > 1:
            streams.pop(0)
        for item in stream:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, asyncio.Event):
                await item.wait()
            else:
                yield [item]
