"""Whole operations, recorded once and looked at by many checks: a real one takes its seconds."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable
from typing import Any

from argorun.argocd.types import Json
from tests.contract.manifests import TOPIC, configmap, container, deployment, from_configmap, job
from tests.contract.targets import App, entries, is_over, nodes, stream

SETTINGS = configmap("settings", topic=TOPIC)
FROM_SETTINGS = from_configmap("settings", "topic")
LINES = "for i in 1 2 3; do echo line $i of $TOPIC; sleep 0.3; done"
WATCH = "/api/v1/stream/applications"
FOREVER = "exec sleep 600"

GREEN = (
    job("pre", "echo pre", hook="PreSync"),
    SETTINGS,
    deployment("web", FOREVER, FROM_SETTINGS),
    job("first", "echo first", hook="PostSync", wave=1, policy="HookSucceeded"),
    job("checks", container(LINES, env=FROM_SETTINGS), hook="PostSync", wave=2),
    job("onfail", "echo never", hook="SyncFail"),
)
FAILING_POSTSYNC = (
    SETTINGS,
    job("bad", "echo broken; exit 3", hook="PostSync", wave=1),
    job("beside", "exit 1", hook="PostSync", wave=1, policy="HookFailed"),
    job("later", "echo never", hook="PostSync", wave=2),
    job("onfail", "echo cleaned", hook="SyncFail"),
)
FAILING_PRESYNC = (
    job("bad", "exit 1", hook="PreSync"),
    job("both", "echo both", hook="PostSync,SyncFail"),
    SETTINGS,
)


@dataclasses.dataclass
class Recording:
    """One operation, from the POST to its end."""

    app: App
    posted: Json  # what the POST answered
    seen: list[Json]  # every event of the watch, from before the POST
    trees: list[Json]  # every tree that the stream of trees sent
    state: Json  # status.operationState in the end
    tree: Json  # the tree in the end
    log: list[Json]  # the log of the Job `checks`, followed while it ran

    @property
    def results(self) -> list[Json]:
        found: list[Json] = self.state["syncResult"]["resources"]
        return found


async def record(app: App, **request: Any) -> Recording:
    """Sync, and take down what the streams say until it is over."""
    seen, trees, log = Story(), Story(), Story()
    old = {n.get("uid") for n in nodes(app.get("/resource-tree"))}

    def pod_of_checks(tree: Json) -> list[str]:
        return [
            n["name"]
            for n in nodes(tree)
            if n["kind"] == "Pod" and n["name"].startswith("checks-") and n["uid"] not in old
        ]

    async def follow_checks() -> None:
        tree = await trees.until(pod_of_checks)
        await log.take(opened(app, pod_of_checks(tree)[0]))

    async with app.reader() as http, asyncio.TaskGroup() as group:
        streams = [
            group.create_task(seen.take(stream(http, WATCH, name=app.name))),
            group.create_task(trees.take(stream(http, f"{WATCH}/{app.name}/resource-tree"))),
            group.create_task(follow_checks()),
        ]
        await seen.until(lambda _: True)
        posted = app.sync(**request)
        over = await asyncio.to_thread(app.until, is_over, refresh=True)
        state = over["status"]["operationState"]
        await seen.until(lambda e: e["application"]["status"].get("operationState") == state)
        if "checks" in entries(state):
            await streams.pop()
            if state["phase"] == "Succeeded":  # the tree lags behind the operation
                await trees.until(lambda tree: has_completed(tree, pod_of_checks(tree)))
        for task in streams:
            task.cancel()
    tree = app.get("/resource-tree")
    return Recording(app, posted, seen.told, trees.told, state, tree, log.told)


def has_completed(tree: Json, pods: list[str]) -> bool:
    """Whether a tree shows one of these pods as completed."""
    shown = [n for n in nodes(tree) if n["kind"] == "Pod" and n["name"] in pods]
    return any(
        i["value"] == "Completed" for n in shown for i in n.get("info", ()) if i["name"] == "Status Reason"
    )


class Story:
    """What a stream told, to be waited for."""

    def __init__(self) -> None:
        self.told: list[Json] = []
        self._more = asyncio.Condition()

    async def take(self, results: AsyncGenerator[Json]) -> None:
        """Take everything in until the stream ends."""
        async with contextlib.aclosing(results):
            async for result in results:
                async with self._more:
                    self.told.append(result)
                    self._more.notify_all()

    async def until(self, condition: Callable[[Json], Any]) -> Json:
        """The latest result, once it fits."""
        async with self._more:
            await self._more.wait_for(lambda: bool(self.told) and condition(self.told[-1]))
            return self.told[-1]


async def opened(app: App, pod: str) -> AsyncGenerator[Json]:
    """A pod's log, followed; asked for again while its container is only about to start."""
    query = {"namespace": app.namespace, "follow": "true"}
    async with app.reader() as http:
        while True:
            starting = False
            async with contextlib.aclosing(stream(http, f"{app.path}/pods/{pod}/logs", **query)) as log:
                async for entry in log:
                    starting = starting or not (entry["podName"] or entry["last"])
                    if not starting:
                        yield entry
            if not starting:
                return
