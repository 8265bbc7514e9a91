"""A stand-in with one Application, for the tests: manifests, a client, and the ways to wait for something."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx

from argorun.sandbox.standin import StandIn, Timings

Json = dict[str, Any]
NAME = "weather"
PATH = f"/api/v1/applications/{NAME}"
LIMIT = 30.0  # seconds after which a test that hangs is ended; no test depends on it
LOGS = {"kind": "Job", "group": "batch", "namespace": "default"}


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await test

    asyncio.run(limited())


def pod_template(script: str, **spec: Any) -> Json:
    container = {"name": "main", "image": "example/shell:1", "command": ["sh", "-c", script]}
    if env := spec.pop("env", None):
        container["env"] = env
    if image := spec.pop("image", None):
        container["image"] = image
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container], **spec}}


def job(
    name: str, script: str, *, hook: str = "", wave: int = 0, policy: str = "", limit: int = 0, **spec: Any
) -> Json:
    annotations = {"argocd.argoproj.io/hook": hook} if hook else {}
    annotations |= {"argocd.argoproj.io/sync-wave": str(wave)} if wave else {}
    annotations |= {"argocd.argoproj.io/hook-delete-policy": policy} if policy else {}
    template = pod_template(script, **{"restartPolicy": "Never", **spec})
    more = {"activeDeadlineSeconds": spec.pop("deadline")} if "deadline" in spec else {}
    template["spec"].pop("deadline", None)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"backoffLimit": limit, "template": template, **more},
    }


def deployment(name: str, script: str, *, wave: int = 0, topic: str = "") -> Json:
    template = pod_template(script, terminationGracePeriodSeconds=1)
    template["metadata"]["annotations"] = {"topic": topic}
    annotations = {"argocd.argoproj.io/sync-wave": str(wave)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": 1, "template": template},
    }


def configmap(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


class World:
    """A running stand-in, its Application's manifests (to be changed at will) and a client."""

    def __init__(
        self, standin: StandIn, client: httpx.AsyncClient, folder: Path, manifests: list[Json]
    ) -> None:
        self.standin, self.client, self.folder, self.manifests = standin, client, folder, manifests

    def render(self, source: Json) -> list[Json]:
        """The renderer: `TOPIC` in any manifest becomes the Helm parameter kafka.topic."""
        parameters = {p["name"]: p.get("value", "") for p in source.get("helm", {}).get("parameters", [])}
        text = json.dumps(self.manifests).replace("TOPIC", parameters.get("kafka.topic", "none"))
        rendered: list[Json] = json.loads(text)
        return rendered

    async def get(self, path: str = "", **query: str) -> Any:
        """A GET's JSON answer."""
        answer = await self.client.get(PATH + path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def patch(self, *operations: Json) -> httpx.Response:
        body = {"patch": json.dumps(operations), "patchType": "json"}
        return await self.client.patch(PATH, json=body)

    async def sync(self, **body: Any) -> Json:
        answer = await self.client.post(PATH + "/sync", json=body)
        assert answer.status_code == 200, answer.text
        result: Json = answer.json()
        return result

    async def terminate(self) -> httpx.Response:
        return await self.client.request(
            "DELETE", PATH + "/operation", headers={"content-type": "application/json"}
        )

    async def events(self, **query: str) -> AsyncIterator[Json]:
        """The watch: each event's Application."""
        async with self.client.stream(
            "GET", "/api/v1/stream/applications", params={"name": NAME, **query}
        ) as stream:
            async for line in stream.aiter_lines():
                yield json.loads(line)["result"]["application"]

    async def until(self, condition: Callable[[Json], bool]) -> Json:
        """Wait for an Application that fits."""
        async with contextlib.aclosing(self.events()) as events:
            async for app in events:
                if condition(app):
                    return app
        raise AssertionError("the watch ended")

    async def ended(self) -> Json:
        """Wait for the end of the operation; its state."""
        app = await self.until(lambda a: "operation" not in a and "operationState" in a["status"])
        state: Json = app["status"]["operationState"]
        return state

    async def running(self, name: str) -> None:
        """Wait until a hook's entry says Running and its pod has begun to write."""
        await self.until(lambda a: phases(a["status"].get("operationState", {})).get(name) == "Running")

    async def log(self, name: str, **query: str) -> list[Json]:
        answer = await self.client.get(PATH + "/logs", params={**LOGS, "resourceName": name, **query})
        assert answer.status_code == 200, answer.text
        return [json.loads(line)["result"] for line in answer.text.splitlines() if line]

    async def node(self, kind: str, name: str = "") -> Json:
        tree = await self.get("/resource-tree")
        return next(n for n in tree["nodes"] if n["kind"] == kind and n["name"].startswith(name))


def phases(state: Json) -> dict[str, str]:
    """Each resource's hookPhase by name."""
    return {r["name"]: r.get("hookPhase", "") for r in state.get("syncResult", {}).get("resources", [])}


def contents(entries: list[Json]) -> list[str]:
    """The lines of a log, without its end."""
    return [entry["content"] for entry in entries if not entry["last"]]


@contextlib.asynccontextmanager
async def world(
    folder: Path, *manifests: Json, timings: Timings | None = None, **spec: Any
) -> AsyncIterator[World]:
    """A stand-in on a free port with the Application `weather`."""
    (folder / "images" / "shell" / "bin").mkdir(parents=True)
    async with (
        StandIn.start(images=[folder / "images"], timings=timings or Timings()) as standin,
        httpx.AsyncClient(
            base_url=standin.url,
            headers={"Authorization": f"Bearer {standin.token}"},
            timeout=LIMIT,
            verify=False,
        ) as client,
    ):
        it = World(standin, client, folder, copy.deepcopy(list(manifests)))
        source = {"repoURL": "https://git.invalid/weather", "path": "chart", "targetRevision": "main"}
        standin.add(
            NAME,
            it.render,
            {**source, "helm": {"parameters": [{"name": "kafka.topic", "value": "none"}]}},
            **spec,
        )
        yield it
