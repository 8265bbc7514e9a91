"""The contestants, one after the other on the example's Application, and what an onlooker sees of each."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.real import cluster
from tests.real.support import Bench

JOB = "run-automation-tests-job"
ARGORUN = (sys.executable, "-m", "argorun")
METRICS = os.environ.get("REALSTACK_ARGOCD_METRICS", "http://localhost:8093/metrics")


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run as the onlooker saw it; times in seconds, memory in MiB."""

    code: int
    wall: float
    before: float  # until that first sight
    operation: float  # from the first sight of a run's operation to the sight of its end
    after_operation: float  # from that end to the verdict, or to the script's own end of `argocd app sync`
    requests: int  # that Argo CD's server has answered
    memory: float
    out: tuple[tuple[float, str], ...]  # the lines of stdout, with the time when each came


class Onlooker:
    """Watches the Application's operation on a stream of its own, and notes when it begins and ends."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.began = self.ended = 0.0
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        stack, name = self._bench.stack, self._bench.app.name
        with contextlib.suppress(httpx.ReadTimeout):
            fields = "result.application.operation,result.application.status.operationState"
            query = {"name": name, "fields": fields}
            timeout = httpx.Timeout(30.0, read=20.0)
            with stack.http.stream("GET", "stream/applications", params=query, timeout=timeout) as answer:
                self._ready.set()
                for line in answer.iter_lines():
                    if self._stop.is_set():
                        return
                    if line:
                        self._see(json.loads(line)["result"]["application"])

    def _see(self, app: cluster.Json) -> None:
        state = app.get("status", {}).get("operationState", {})
        info = state.get("operation", {}).get("info") or []
        if any(i["value"].endswith("/settle") for i in info):
            return  # argorun's own way back: no operation of the run
        running = "operation" in app or state.get("phase") in ("Running", "Terminating")
        if running and not self.began:
            self.began = time.time()
        elif self.began and not running and not self.ended:
            self.ended = time.time()


def requests_served() -> int:
    """How many calls Argo CD's server has answered so far (its own metric, REST and gRPC alike)."""
    with urllib.request.urlopen(METRICS, timeout=10) as answer:
        text = answer.read().decode()
    return int(sum(float(n) for n in re.findall(r"^grpc_server_handled_total\{[^}]*\} (\S+)$", text, re.M)))


def run(bench: Bench, command: list[str], environment: Mapping[str, str], done: str) -> Measured:
    """Run a contestant to its end. `done` is what its output says when it knows the operation's result."""
    before = requests_served()
    with Onlooker(bench) as onlooker:
        began = time.time()
        process = subprocess.Popen(
            command,
            cwd=bench.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        out = tuple((time.time(), line.rstrip("\n")) for line in process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.time() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    knew = next((at for at, line in out if done in line), 0.0)
    return Measured(
        code=process.returncode,
        wall=wall,
        before=onlooker.began - began,
        operation=onlooker.ended - onlooker.began,
        after_operation=knew - onlooker.ended,
        requests=requests_served() - before,
        memory=usage.ru_maxrss / 1024,
        out=out,
    )


def script(bench: Bench) -> Measured:
    """`bench/script.sh`, with the tools it needs on PATH."""
    return run(bench, script_command(bench), bench.tools(), "sync ended")


def script_command(bench: Bench) -> list[str]:
    return ["sh", str(Path(__file__).with_name("script.sh")), bench.app.name, JOB]


def argorun(bench: Bench, config: Path, *flags: str) -> Measured:
    """`argorun run` with every event as JSON, so that its verdict can be seen to come."""
    command = [*ARGORUN, "run", "-f", str(config), "--output", "json", *flags]
    return run(bench, command, bench.environment(), '"event":"verdict"')


def canceled(bench: Bench, command: list[str], environment: Mapping[str, str]) -> float:
    """Press Ctrl-C once the operation's test Job runs; the seconds until the process has ended."""
    process = subprocess.Popen(
        command,
        cwd=bench.folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def testing() -> bool:
        state = bench.app.get()["status"].get("operationState", {})
        results = state.get("syncResult", {}).get("resources") or []
        return state.get("phase") == "Running" and any(r.get("hookType") == "PostSync" for r in results)

    cluster.eventually(testing, 90, "the test Job runs")
    began = time.time()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.wait(120)
    return time.time() - began
