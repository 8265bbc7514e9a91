"""The environment of `argorun demo`: real Kafka, an Argo CD stand-in, the example Application."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

from argorun.errors import OperationFailed, UsageError
from argorun.sandbox.jars import VERSION, Progress, kafka_jars, silent
from argorun.sandbox.kafka import Kafka, create_topic
from argorun.sandbox.render import KustomizeRender
from argorun.sandbox.standin import Application, StandIn, Timings
from argorun.sandbox.standin.objects import Json

APPLICATION = "weather-kustomize"  # as in config/argocd
KAFKA = f"Apache Kafka {VERSION}"
EVERYDAY_TOPIC = "weather_updates"  # of the workload before and after the run
Starting: TypeAlias = Callable[[], contextlib.AbstractContextManager[None]]  # shows that it goes on
SYNCED = 30.0  # seconds for the Application's first sync; it takes one
STARTING = f"""\
Starting {KAFKA}, and a stand-in for Argo CD: it answers as Argo CD
does, and runs the example's containers as processes on this machine."""
# As on a cluster, but quicker: Argo CD waits 2 s after a wave and up to 5 s after a Job.
TIMINGS = Timings(pick_up=0.05, wave_delay=0.5, job_batch=1.5, container_start=0.2, backoff=2.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoEnvironment:
    """The addresses and settings for the demo's run. Argo CD speaks plain HTTP."""

    server: str  # HOST:PORT
    token: str
    bootstrap_servers: str
    application: str
    example: Path  # the example's folder: `argorun-kustomize.yaml` there fits the Application
    standin: StandIn


def example_folder() -> Path:
    """The example Application's folder: inside the installed package, else in the source checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "example", here.parents[2] / "config"):
        if (folder / "kustomize" / "kustomization.yaml").is_file():
            return folder
    raise UsageError(
        "the example Application is missing from this installation", "pip install 'argorun[sandbox]'"
    )


@contextlib.asynccontextmanager
async def demo_environment(
    *, fail: bool = False, progress: Progress = silent, starting: Starting = contextlib.nullcontext
) -> AsyncIterator[DemoEnvironment]:
    """Start Kafka and the stand-in with the example in it; stop everything when the block ends.

    The Application is Synced, and its workload is on a topic of every day, as it is before a run elsewhere.
    With `fail` the test Job expects a message that never comes. Raises KafkaFailed if Kafka cannot be fetched
    or started, OperationFailed if the Application does not get so far.
    """
    example = example_folder()
    await kafka_jars(progress=progress)
    print(STARTING, file=sys.stderr, flush=True)
    async with contextlib.AsyncExitStack() as stack:
        with starting():
            started = await _start(stack, example, fail=fail)
        yield started


async def _start(stack: contextlib.AsyncExitStack, example: Path, *, fail: bool) -> DemoEnvironment:
    """Start both servers, to be stopped by `stack`, and sync the Application."""
    kafka = await stack.enter_async_context(Kafka.start())
    standin = await stack.enter_async_context(StandIn.start(images=[kafka.images], timings=TIMINGS))
    await create_topic(kafka.bootstrap_servers, EVERYDAY_TOPIC)
    source: Json = {
        "repoURL": example.as_uri(),
        "targetRevision": "HEAD",
        "path": "kustomize",
        "kustomize": {"patches": demo_patches(kafka.bootstrap_servers, fail=fail)},
    }
    application = standin.add(APPLICATION, KustomizeRender(example), source, namespace=APPLICATION)
    await _sync(application)
    return DemoEnvironment(
        server=standin.server,
        token=standin.token,
        bootstrap_servers=kafka.bootstrap_servers,
        application=APPLICATION,
        example=example,
        standin=standin,
    )


async def _sync(application: Application) -> None:
    """Sync it without its hooks, and wait until it is Synced and Healthy."""
    application.start({"strategy": {"apply": {}}}, "")
    try:
        async with asyncio.timeout(SYNCED):
            while not _settled(application):
                await application.pulse.wait(application.pulse.count)
    except TimeoutError:
        raise OperationFailed(f"the demo's Application was not Synced within {SYNCED:.0f} s") from None


def _settled(application: Application) -> bool:
    status = application.doc["status"]
    found = status["sync"]["status"], status["health"]["status"]
    return application.doc.get("operation") is None and found == ("Synced", "Healthy")


def demo_patches(bootstrap_servers: str, *, fail: bool) -> list[Json]:
    """The demo's patches to the example: Kafka's address, a topic, and an expectation that fails."""
    connection = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: kafka-connection
data:
  bootstrap_servers: {bootstrap_servers}
"""
    topic = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: topic-config
data:
  topic_name: {EVERYDAY_TOPIC}
"""
    expectation = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: run-automation-tests-job
spec:
  template:
    spec:
      containers:
        - name: kafka
          env:
            - name: EXPECTED
              value: rainy
"""
    patches: list[Json] = [
        {"target": {"kind": "ConfigMap", "name": "kafka-connection"}, "patch": connection},
        {"target": {"kind": "ConfigMap", "name": "topic-config"}, "patch": topic},
    ]
    if fail:
        target = {"kind": "Job", "name": "run-automation-tests-job"}
        patches.append({"target": target, "patch": expectation})
    return patches
