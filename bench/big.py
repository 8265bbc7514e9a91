"""Measures argorun with a big Application: real Kafka, the stand-in for Argo CD, and no other stack.

python -m bench.big
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from argorun.sandbox.kafka import Kafka
from argorun.sandbox.standin import StandIn, Timings
from argorun.sandbox.standin.cluster import Cluster
from argorun.sandbox.standin.objects import Json, Key, new_uid, rfc3339
from argorun.sandbox.standin.tree import resource_tree

MANAGED, ROLLOUTS, TOPICS = 5000, 1700, 10_000
WAITED = 15.0  # seconds until the Deployments are healthy
CHANGES = 0.5  # seconds between two trees of the stream
TREE = 3_000_000  # bytes of it
APP, NAMESPACE, PREFIX = "big", "big", "big_test"
TEST = "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); sleep 0.1; done"


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one command cost: milliseconds of the event loop's thread, MB of JSON, MiB of memory."""

    command: str
    hold: float
    holders: list[str]
    collecting: float  # of the hold, the longest garbage collection
    decoding: float
    decoded: float
    memory: float


class Chart:
    """Stands for a Helm chart: MANAGED objects, of which ROLLOUTS are Deployments, and a test Job."""

    source_type = "Helm"

    def __init__(self) -> None:
        self._fixed = [_object("v1", "ConfigMap", f"settings-{i}") for i in range(MANAGED - ROLLOUTS - 1)]
        self._fixed += [_object("apps/v1", "Deployment", f"web-{i}") for i in range(ROLLOUTS)]
        for deployment in self._fixed[-ROLLOUTS:]:
            deployment["spec"] = {"replicas": 1, "template": {"spec": {"containers": []}}}

    def __call__(self, source: Json, /) -> list[Json]:
        values = {p["name"]: p.get("value") for p in (source.get("helm") or {}).get("parameters", ())}
        topic = _object("v1", "ConfigMap", "topic") | {"data": {"topic": values.get("kafka.topic", "none")}}
        return [*copy.deepcopy(self._fixed), topic, _test()]


def _object(version: str, kind: str, name: str) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def _test() -> Json:
    container = {
        "name": "main",
        "image": "busybox",
        "command": ["sh", "-c", TEST],
        "env": [{"name": "TOPIC", "valueFrom": {"configMapKeyRef": {"name": "topic", "key": "topic"}}}],
    }
    job = _object("batch/v1", "Job", "checks")
    job["metadata"]["annotations"] = {"argocd.argoproj.io/hook": "PostSync"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return job | {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}


class Rollouts:
    """Plays the Deployments: each has a ReplicaSet and a pod without a process, healthy after WAITED."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._spawn = cluster, cluster.spawn
        self._tasks: set[asyncio.Task[None]] = set()
        cluster.spawn = self._instead  # type: ignore[method-assign]

    def _instead(self, uid: str, work: Coroutine[Any, Any, None]) -> None:
        if getattr(work, "__name__", "") != "run_deployment":
            self._spawn(uid, work)
            return
        work.close()
        if not self._tasks:
            task = asyncio.create_task(self._roll_out())
            self._tasks.add(task)

    async def _roll_out(self) -> None:
        await asyncio.sleep(1.0)  # all of them are applied in one go
        deployments = [o for o in self._cluster.objects.values() if o["kind"] == "Deployment"]
        for deployment in deployments:
            self._below(deployment)
        await asyncio.sleep(WAITED)
        ready = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
        for deployment in deployments:
            deployment["status"] = ready
        self._cluster.touched(deployments[0])

    def _below(self, deployment: Json) -> None:
        name = deployment["metadata"]["name"]
        sets = self._add("apps/v1", "ReplicaSet", f"{name}-5d4f8c7b9", deployment)
        self._add("v1", "Pod", f"{sets['metadata']['name']}-x7k2p", sets)

    def _add(self, version: str, kind: str, name: str, owner: Json) -> Json:
        meta = owner["metadata"]
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
        reference |= {"name": meta["name"], "uid": meta["uid"]}
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": new_uid(),
            "resourceVersion": "1",
            "creationTimestamp": rfc3339(),
            "ownerReferences": [reference],
        }
        spec = {"replicas": 1, "containers": [{"name": "main"}]}
        made: Json = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        if kind == "Pod":
            waits = {"name": "main", "ready": False, "restartCount": 0, "lastState": {}}
            waits["state"] = {"waiting": {"reason": "ContainerCreating"}}
            made["status"] = {
                "phase": "Pending",
                "initContainerStatuses": [],
                "containerStatuses": [waits],
            }
        self._cluster.objects[Key(version.rpartition("/")[0], kind, NAMESPACE, name)] = made
        self._cluster.owned.setdefault(meta["uid"], []).append(made)
        return made


class Trees:
    """Sends a tree of TREE bytes every CHANGES seconds, faster than the stand-in makes one."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._body, self._version, self._number = b"{}", -1, 0
        standin.before_request = self._answer

    async def _answer(self, request: Request) -> Response | None:
        if not request.url.path.endswith("/resource-tree"):
            return None
        if "/stream/" in request.url.path:
            return StreamingResponse(self._frames(), headers={"content-type": "text/event-stream"})
        return Response(self._tree(), headers={"content-type": "application/json"})

    async def _frames(self) -> AsyncIterator[bytes]:
        while True:
            yield b'data: {"result":' + self._tree() + b"}\n\n"
            await asyncio.sleep(CHANGES)

    def _tree(self) -> bytes:
        cluster = self._standin.cluster
        if cluster.pulse.count != self._version:
            self._version = cluster.pulse.count
            tree = resource_tree(cluster, self._standin.controllers[APP].live(), [])
            self._body = json.dumps({"nodes": tree.get("nodes")}, separators=(",", ":")).encode()
        self._number += 1
        padding = " " * max(0, TREE - len(self._body))
        return self._body.removesuffix(b"}") + f',"number":{self._number},"more":"{padding}"}}'.encode()


async def serve() -> None:
    """Kafka and the stand-in with the big Application, until stdin ends; where they are goes to stdout."""
    async with (
        Kafka.start() as kafka,
        StandIn.start(images=[_images()], timings=Timings(keep_alive=15.0)) as standin,
    ):
        Rollouts(standin.cluster)
        source: Json = {"repoURL": "https://example.com/big", "path": "chart", "helm": {"parameters": []}}
        standin.add(APP, Chart(), source, namespace=NAMESPACE)
        Trees(standin)
        where = {
            "ARGOCD_SERVER": standin.url,
            "ARGOCD_AUTH_TOKEN": standin.token,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        }
        print(json.dumps(where), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _images() -> Path:
    folder = Path(tempfile.mkdtemp())
    (folder / "busybox" / "bin").mkdir(parents=True)
    return folder


def measured(environment: dict[str, str], *arguments: str) -> Figures:
    """One command of argorun in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "figures.json"
        command = [sys.executable, "-m", "bench.holds", str(file), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return Figures(command=arguments[0], **json.loads(file.read_text()))


def make_topics(servers: str, count: int) -> None:
    """Topics that runs of long ago might have left."""
    admin = AdminClient({"bootstrap.servers": servers, "allow.auto.create.topics": False})
    for first in range(0, count, 500):
        names = [f"{PREFIX}_1600000000_{i:08x}" for i in range(first, min(first + 500, count))]
        for made in admin.create_topics([NewTopic(n, 1, 1) for n in names], operation_timeout=60).values():
            made.result(120)
    deadline = time.monotonic() + 120
    while len(admin.list_topics(timeout=60).topics) < count:  # the broker learns of them bit by bit
        assert time.monotonic() < deadline, "the topics do not appear"
        time.sleep(0.5)


def measure(topics: int = TOPICS) -> list[Figures]:
    """A whole run, and a sweep that finds so many topics."""
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "bench.big", "serve"]
        serving = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(serving.wait, 60)
        assert serving.stdin is not None
        assert serving.stdout is not None
        stack.callback(serving.stdin.close)
        where = json.loads(serving.stdout.readline())
        environment = os.environ | where
        run = ["run", APP, "--topic", PREFIX, "--parameter", "kafka.topic", "--output", "plain"]
        figures = [measured(environment, *run)]
        make_topics(where["KAFKA_BOOTSTRAP_SERVERS"], topics)
        figures.append(measured(environment, "sweep", "--topic", PREFIX, "--dry-run"))
        return figures


def said() -> str:
    """A sentence for the report: what was measured, on which machine."""
    application = f"{MANAGED:,} resources, {ROLLOUTS:,} of them Deployments that argorun waits for"
    tree = f"a tree of {TREE / 1e6:.0f} MB every {CHANGES} s"
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{application}; {tree}; a dry run of a sweep over {TOPICS:,} topics. On {machine}."


def lines(figures: Sequence[Figures]) -> list[str]:
    """A table in Markdown."""
    table = [
        "| | longest hold of the event loop | a garbage collection in it | decoding one answer | memory |",
        "|---|---|---|---|---|",
    ]
    for f in figures:
        cells = f"{f.hold:.0f} ms", f"up to {f.collecting:.0f} ms", decoded(f), f"{f.memory:.0f} MiB"
        table.append(f"| `argorun {f.command}` | {' | '.join(cells)} |")
    return table


def decoded(f: Figures) -> str:
    return f"{f.decoding:.0f} ms for {f.decoded:.1f} MB" if f.decoded >= 0.1 else ""


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        seen = measure(*map(int, sys.argv[1:]))
        print("\n".join(lines(seen)))
        for each in seen:
            print(
                f"{each.command}: collecting {each.collecting:.0f} ms, {', '.join(each.holders)}",
                file=sys.stderr,
            )
