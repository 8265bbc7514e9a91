"""The environment of `argorun demo`: real Kafka, an Argo CD stand-in, the example Application."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from argorun.errors import UsageError
from argorun.sandbox.kafka import Kafka
from argorun.sandbox.standin import StandIn, Timings
from argorun.sandbox.standin.objects import Json

APPLICATION = "weather-kustomize"  # as in config/argocd
NOTICE = (
    "Argo CD is a stand-in here: it answers over real HTTP as Argo CD does, and runs the example's "
    "containers as processes on this machine. Kafka is Apache Kafka itself."
)
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
    notice: str  # a sentence for the user: what is real and what is not
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
async def demo_environment(*, fail: bool = False) -> AsyncIterator[DemoEnvironment]:
    """Start Kafka and the stand-in with the example in it; stop everything when the block ends.

    With `fail` the test Job expects a message that never comes. Raises KafkaFailed or UsageError if Kafka
    cannot be installed or started.
    """
    try:
        from argorun.sandbox.render import KustomizeRender
    except ImportError:
        raise UsageError("the sandbox is not installed", "pip install 'argorun[sandbox]'") from None
    example = example_folder()
    async with (
        Kafka.start() as kafka,
        StandIn.start(images=[kafka.images], timings=TIMINGS) as standin,
    ):
        source: Json = {
            "repoURL": example.as_uri(),
            "targetRevision": "HEAD",
            "path": "kustomize",
            "kustomize": {"patches": demo_patches(kafka.bootstrap_servers, fail=fail)},
        }
        standin.add(APPLICATION, KustomizeRender(example), source, namespace=APPLICATION)
        yield DemoEnvironment(
            server=standin.server,
            token=standin.token,
            bootstrap_servers=kafka.bootstrap_servers,
            application=APPLICATION,
            example=example,
            notice=NOTICE,
            standin=standin,
        )


def demo_patches(bootstrap_servers: str, *, fail: bool) -> list[Json]:
    """The demo's patches to the example: Kafka's address, and an expectation that fails."""
    connection = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: kafka-connection
data:
  bootstrap_servers: {bootstrap_servers}
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
    patches: list[Json] = [{"target": {"kind": "ConfigMap", "name": "kafka-connection"}, "patch": connection}]
    if fail:
        target = {"kind": "Job", "name": "run-automation-tests-job"}
        patches.append({"target": target, "patch": expectation})
    return patches
