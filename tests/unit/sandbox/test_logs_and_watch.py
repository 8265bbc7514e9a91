"""The stand-in's streams: logs as they are written, the watch, the tree, server-sent events."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from argorun.sandbox.standin import Timings
from argorun.sandbox.standin.cluster import Cluster
from tests.unit.sandbox.world import (
    FOREVER,
    LOGS,
    NAME,
    PATH,
    configmap,
    contents,
    job,
    run,
    world,
)


def test_a_followed_log_comes_line_by_line_while_the_job_runs(tmp_path: Path) -> None:
    async def test() -> None:
        go = tmp_path / "go"
        script = f"echo one; while [ ! -e {go} ]; do sleep 0.02; done; printf 'two\\nlast'"
        async with world(tmp_path, job("test", script, hook="PostSync")) as it:
            await it.sync()
            await it.running("test")
            await _until_written(it.standin.cluster)
            query = {**LOGS, "resourceName": "test", "follow": "true"}
            got = []
            async with it.client.stream("GET", PATH + "/logs", params=query) as stream:
                async for line in stream.aiter_lines():
                    entry = json.loads(line)["result"]
                    got.append((entry["content"], entry["last"]))
                    if entry["content"] == "one":
                        go.touch()
            assert got == [("one", False), ("two", False), ("last", False), ("", True)]
            assert (await it.ended())["phase"] == "Succeeded"

    run(test())


async def _until_written(cluster: Cluster) -> None:
    """Wait until a container's log exists."""
    while not any(pod.logs for pod in cluster.pods.values()):
        await cluster.pulse.wait(cluster.pulse.count)


def test_lines_are_told_as_argo_cd_tells_them(tmp_path: Path) -> None:
    async def test() -> None:
        script = "printf 'one\\rtwo   \\n  lead\\n\\nlast'"
        async with world(tmp_path, job("test", script, hook="PostSync")) as it:
            await it.sync()
            await it.ended()
            entries = await it.log("test")
            assert contents(entries) == ["one", "two", "  lead", "", "last"]
            assert entries[0]["timeStampStr"] == entries[1]["timeStampStr"]
            assert contents(await it.log("test", tailLines="2")) == ["", "last"]
            assert contents(await it.log("test", tailLines="0")) == contents(entries)
            assert contents(await it.log("test", filter="LEAD")) == ["  lead"]
            assert contents(await it.log("test", sinceSeconds="1000")) == contents(entries)
            bad = await it.client.get(PATH + "/logs", params={**LOGS, "sinceTime": "2020-01-01T00:00:00Z"})
            assert (bad.status_code, bad.json()["code"]) == (400, 3)

    run(test())


def test_without_a_pod_the_log_is_empty(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, job("test", "true", hook="PostSync")) as it:
            answer = await it.client.get(PATH + "/logs", params={**LOGS, "resourceName": "test"})
            assert (answer.status_code, answer.text) == (200, "")

    run(test())


def test_twenty_thousand_lines_come_once_and_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, job("test", "seq 1 20000", hook="PostSync")) as it:
            await it.sync()
            await it.ended()
            assert contents(await it.log("test")) == [str(n) for n in range(1, 20001)]

    run(test())


def test_the_watch_begins_with_what_is_and_skips_older_versions(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, configmap("config")) as it:
            first = await anext(aiter(it.events()))
            assert first["metadata"]["name"] == NAME
            started = await it.sync()
            version = started["metadata"]["resourceVersion"]
            async for app in it.events(resourceVersion=version):
                assert int(app["metadata"]["resourceVersion"]) > int(version)
                if "operation" not in app:
                    break
            else:
                raise AssertionError("the stream ended before the operation was taken up")

    run(test())


def test_the_tree_stream_tells_changes_only(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, configmap("config")) as it:
            path = f"/api/v1/stream/applications/{NAME}/resource-tree"
            async with it.client.stream("GET", path) as stream:
                await it.sync()
                async for line in stream.aiter_lines():
                    nodes = json.loads(line)["result"]["nodes"]
                    if any("uid" in node for node in nodes):
                        break
                else:
                    raise AssertionError("the stream ended before it showed a live object")

    run(test())


def test_server_sent_events_keep_a_silent_stream_alive(tmp_path: Path) -> None:
    async def test() -> None:
        timings = Timings(keep_alive=0.01)
        async with world(tmp_path, job("quiet", FOREVER, hook="PostSync"), timings=timings) as it:
            await it.sync()
            await it.running("quiet")
            await _until_written(it.standin.cluster)
            query = {**LOGS, "resourceName": "quiet", "follow": "true"}
            headers = {"accept": "text/event-stream"}
            async with it.client.stream("GET", PATH + "/logs", params=query, headers=headers) as stream:
                assert stream.headers["content-type"] == "text/event-stream"
                assert await anext(stream.aiter_lines()) == ":"

    run(test())


def test_a_refresh_moves_an_operation_on_that_waits_for_the_batch(tmp_path: Path) -> None:
    async def test() -> None:
        timings = Timings(job_batch=3600)
        async with world(tmp_path, job("quick", "true", hook="PostSync"), timings=timings) as it:
            await it.sync()
            await it.running("quick")
            cluster = it.standin.cluster
            seen = cluster.pulse.count
            while (await it.node("Job"))["health"]["status"] != "Healthy":
                seen = await cluster.pulse.wait(seen)
            assert "operation" in await it.get()
            annotations = (await it.get(refresh="normal"))["metadata"]["annotations"]
            assert sorted(annotations) == [
                "argocd.argoproj.io/hydrate",
                "argocd.argoproj.io/hydrate-timestamp",
            ]
            assert (await it.ended())["phase"] == "Succeeded"

    run(test())


def test_nothing_is_left_when_the_stand_in_stops(tmp_path: Path) -> None:
    pids: list[int] = []
    folders: list[Path] = []

    async def test() -> None:
        script = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
        async with world(tmp_path, job("stubborn", script, hook="PostSync")) as it:
            await it.sync()
            await it.running("stubborn")
            await _until_written(it.standin.cluster)
            (pod,) = it.standin.cluster.pods.values()
            batch = await anext(pod.logs["main"][0].read(follow=True))
            pids.append(int(batch[0][1]))
            folders.append(it.standin.cluster.dog.folder)

    run(test())
    assert not folders[0].exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
