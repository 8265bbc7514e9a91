"""What docs/sweep.md says of killed runs: the sweep leaves nothing. On a real Kafka and the stand-in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from argorun.kafka.topics import Topics
from argorun.sandbox.demo import EVERYDAY_TOPIC, DemoEnvironment
from tests import checkout

MOMENTS = (
    " ok create topic",
    "kustomize: ConfigMap topic-config",
    "hook PreSync create-topic-job: running",
    "hook PostSync run-automation-tests-job (test): running",
    "==> clean up",
)


class DemoRuns:
    """The demo's environment, and argorun as a process in it."""

    def __init__(self, demo: DemoEnvironment, folder: Path) -> None:
        self.demo = demo
        self._environment = checkout.environment(
            folder,
            ARGOCD_SERVER=f"http://{demo.server}",
            ARGOCD_AUTH_TOKEN=demo.token,
            KAFKA_BOOTSTRAP_SERVERS=demo.bootstrap_servers,
            PYTHONUNBUFFERED="1",
        )
        self._folder = folder

    async def argorun(self, *arguments: str, kill_at: str | None = None) -> tuple[int, str]:
        """Its exit code and all that it wrote; with `kill_at`, kill -9 at the first line that begins so."""
        file = str(self.demo.example / "argorun-kustomize.yaml")
        process = await asyncio.create_subprocess_exec(
            *(*checkout.ARGORUN, *arguments, "-f", file),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        written = []
        async for line in process.stdout:
            written.append(line.decode())
            if kill_at and kill_at in written[-1]:
                process.kill()
                kill_at = None
        assert kill_at is None, f"there was no {kill_at!r}\n{''.join(written)}"
        return await process.wait(), "".join(written)

    async def application(self) -> Any:
        """What must be as it was: spec, annotations, sync status, and whether an operation runs."""
        url = f"http://{self.demo.server}/api/v1/applications/{self.demo.application}"
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {self.demo.token}"}) as http:
            app = (await http.get(url, params={"refresh": "normal"})).json()
        phase = app["status"].get("operationState", {}).get("phase", "")
        running = "operation" in app or phase in ("Running", "Terminating")
        annotations = app["metadata"].get("annotations") or {}
        own = {k: v for k, v in annotations.items() if not k.startswith("argocd.argoproj.io/")}
        return app["spec"], own, app["status"]["sync"]["status"], running

    async def topics(self) -> list[str]:
        async with Topics({"bootstrap.servers": self.demo.bootstrap_servers}) as topics:
            return [t for t in await topics.present() if t.startswith("weather")]


async def killed_and_swept(runs: DemoRuns) -> None:
    before = await runs.application()
    assert (before[2:], await runs.topics()) == (("Synced", False), [EVERYDAY_TOPIC])
    for moment in MOMENTS:
        code, written = await runs.argorun("run", runs.demo.application, kill_at=moment)
        assert code == -9, written
        left = await runs.topics()
        code, swept = await runs.argorun("sweep", "--older-than", "0s")
        assert code == 0, swept
        assert [t for t in left if t not in swept.splitlines()] == [EVERYDAY_TOPIC], swept
        after = (await runs.application(), await runs.topics())
        assert after == (before, [EVERYDAY_TOPIC]), f"{moment}\n{swept}"


@pytest.mark.full
def test_after_kill_9_in_any_step_the_sweep_leaves_nothing(demo: DemoEnvironment, tmp_path: Path) -> None:
    asyncio.run(killed_and_swept(DemoRuns(demo, tmp_path)))
