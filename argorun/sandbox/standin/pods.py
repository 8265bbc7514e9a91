"""A pod: containers as local processes, and the status that a kubelet would report."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from pathlib import Path
from typing import Protocol

from argorun.sandbox.standin.containers import (
    ConfigError,
    ContainerLog,
    Images,
    Process,
    build_environment,
)
from argorun.sandbox.standin.objects import Json, rfc3339
from argorun.sandbox.standin.timings import Timings
from argorun.sandbox.watchdog import Watchdog

GRACE = 30.0  # seconds between SIGTERM and SIGKILL where the pod names none, as in Kubernetes


class Node(Protocol):
    """What a pod needs of its cluster: where its containers run, and where they are reported."""

    dog: Watchdog
    images: Images
    timings: Timings
    extra_env: dict[str, str]

    def touched(self, obj: Json) -> None: ...
    def event(self, obj: Json, kind: str, reason: str, message: str) -> None: ...
    def data_of(self, kind: str, namespace: str, name: str) -> dict[str, str] | None: ...


class Pod:
    """Runs one pod object; `done` is set when it has ended, by itself or by being stopped."""

    def __init__(self, node: Node, obj: Json) -> None:
        self.node, self.obj = node, obj
        self.name: str = obj["metadata"]["name"]
        self.logs: dict[str, list[ContainerLog]] = {}
        self.restarts = 0
        self.done = asyncio.Event()
        self._stopping = asyncio.Event()
        self._processes: dict[str, Process] = {}
        self._home: Path = node.dog.folder / obj["metadata"]["uid"]
        self._inits: dict[str, Json] = {}
        self._mains: dict[str, Json] = {}
        self._started = rfc3339()
        self.report("Pending")

    @property
    def phase(self) -> str:
        """Pending, Running, Succeeded or Failed."""
        return str(self.obj["status"]["phase"])

    @property
    def ready(self) -> bool:
        """Every container runs."""
        return bool(self._mains) and all(s["ready"] for s in self._mains.values())

    def report(self, phase: str, **more: str) -> None:
        """Write the status as a kubelet would."""
        ready, ended = self.ready, phase in ("Succeeded", "Failed")
        because = {"reason": "PodCompleted"} if ended else {}
        initialized = "True" if all(s["ready"] for s in self._inits.values()) else "False"
        self.obj["status"] = {
            "phase": phase,
            "startTime": self._started,
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": initialized},
                {"type": "Ready", "status": "True" if ready else "False", **because},
                {"type": "ContainersReady", "status": "True" if ready else "False", **because},
            ],
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "initContainerStatuses": list(self._inits.values()),
            "containerStatuses": list(self._mains.values()),
            **more,
        }
        self.node.touched(self.obj)

    async def run(self) -> None:
        """Run every container as the pod's restartPolicy says."""
        spec = self.obj["spec"]
        self._home.mkdir(parents=True, exist_ok=True)
        first = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        for container in spec.get("initContainers") or []:
            self._mark(self._inits, container, {"waiting": {"reason": "PodInitializing"}}, 0, {})
        for container in spec["containers"]:
            self._mark(self._mains, container, {"waiting": {"reason": first}}, 0, {})
        self.report("Pending")
        try:
            limit = spec.get("activeDeadlineSeconds")
            async with asyncio.timeout(limit):
                ok = await self._run_all(spec)
            self.report("Succeeded" if ok else "Failed")
        except TimeoutError:
            await self._end(1.0)
            self.report(
                "Failed",
                reason="DeadlineExceeded",
                message="Pod was active on the node longer than the specified deadline",
            )
        finally:
            for process in self._processes.values():
                process.signal(signal.SIGKILL)
            for log in (log for logs in self.logs.values() for log in logs):
                log.close()
            shutil.rmtree(self._home, ignore_errors=True)
            self.done.set()

    async def _run_all(self, spec: Json) -> bool:
        for container in spec.get("initContainers") or []:
            if await self._keep_running(container, self._inits) != 0:
                return False
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep_running(c, self._mains)) for c in spec["containers"]]
        return all(task.result() == 0 for task in tasks)

    async def _keep_running(self, container: Json, table: dict[str, Json]) -> int | None:
        """Run a container, again where the policy wants it; None if the pod was stopped before it ran."""
        policy, restarts = self.obj["spec"].get("restartPolicy", "Always"), 0
        last: Json = {}
        if policy == "Always" and table is self._inits:
            policy = "OnFailure"
        while True:
            code = await self._attempt(container, table, restarts, last)
            if (
                code is None
                or self._stopping.is_set()
                or policy == "Never"
                or (policy == "OnFailure" and code == 0)
            ):
                return code
            last = table[container["name"]]["state"]
            delay = self.node.timings.backoff * min(2**restarts, 30)
            restarts += 1
            self.restarts = max(self.restarts, restarts)
            text = f"back-off {delay:g}s restarting failed container={container['name']} pod={self.name}"
            self._wait_because(container, table, "CrashLoopBackOff", text, restarts, last)
            if await self._stopped_within(delay):
                return code

    async def _attempt(
        self, container: Json, table: dict[str, Json], restarts: int, last: Json
    ) -> int | None:
        self._wait_because(container, table, "ContainerCreating", "", restarts, last)
        if await self._stopped_within(self.node.timings.container_start):
            return None
        image = self.node.images.find(container["image"])
        if image is None:
            await self._cannot_pull(container, table, restarts, last)
            return None
        try:
            env = build_environment(container, self.obj, self._home, self._lookup)
        except ConfigError as error:
            self.node.event(self.obj, "Warning", "Failed", f"Error: {error}")
            self._wait_because(container, table, "CreateContainerConfigError", str(error), restarts, last)
            await self._stopping.wait()
            return None
        log = ContainerLog()
        self.logs.setdefault(container["name"], []).append(log)
        began = rfc3339()
        try:
            process = await Process.start(container, image, env | self.node.extra_env, self._home, log)
        except OSError as error:
            log.close()
            state = {
                "exitCode": 128,
                "reason": "StartError",
                "message": str(error),
                "startedAt": began,
                "finishedAt": rfc3339(),
            }
            self._mark(table, container, {"terminated": state}, restarts, last)
            return 128
        self._processes[container["name"]] = process
        self.node.dog.watch(process.pid)
        self._mark(table, container, {"running": {"startedAt": began}}, restarts, last)
        self.report("Running" if table is self._mains else "Pending")
        code = await process.wait()
        self.node.dog.forget(process.pid)
        reason = "Completed" if code == 0 else "Error"
        self._mark(
            table,
            container,
            {"terminated": {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": rfc3339()}},
            restarts,
            last,
        )
        return code

    async def _cannot_pull(self, container: Json, table: dict[str, Json], restarts: int, last: Json) -> None:
        text = f'failed to pull and unpack image "{container["image"]}": not found'
        for reason, message in (
            ("ErrImagePull", text),
            ("ImagePullBackOff", f'Back-off pulling image "{container["image"]}": {text}'),
        ):
            self.node.event(self.obj, "Warning", "Failed", message)
            self._wait_because(container, table, reason, message, restarts, last)
            if await self._stopped_within(self.node.timings.backoff):
                return
        await self._stopping.wait()

    def _lookup(self, kind: str, name: str) -> dict[str, str] | None:
        return self.node.data_of(kind, self.obj["metadata"]["namespace"], name)

    def _wait_because(
        self, container: Json, table: dict[str, Json], reason: str, message: str, restarts: int, last: Json
    ) -> None:
        state = {"reason": reason, "message": message} if message else {"reason": reason}
        self._mark(table, container, {"waiting": state}, restarts, last)
        self.report(self.phase)

    def _mark(self, table: dict[str, Json], container: Json, state: Json, restarts: int, last: Json) -> None:
        kind = next(iter(state))
        done = table is self._inits and kind == "terminated" and state["terminated"]["exitCode"] == 0
        table[container["name"]] = {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "restartCount": restarts,
            "ready": done or (kind == "running" and table is self._mains),
            "started": kind == "running",
            "state": state,
            "lastState": last,
        }

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def stop(self, grace: float | None = None) -> None:
        """SIGTERM, then after the grace period SIGKILL; returns when everything has ended."""
        if grace is None:
            grace = float(self.obj["spec"].get("terminationGracePeriodSeconds", GRACE))
        await self._end(grace)

    async def _end(self, grace: float) -> None:
        self._stopping.set()
        for process in self._processes.values():
            process.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.done.wait(), grace)
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
