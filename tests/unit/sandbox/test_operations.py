"""A sync on the stand-in: phases, waves, hooks that pass and fail, busy, terminated, partial, retried."""

from __future__ import annotations

from pathlib import Path

from argorun.sandbox.standin import Timings
from tests.unit.sandbox.world import (
    FOREVER,
    PATH,
    configmap,
    contents,
    deployment,
    job,
    phases,
    run,
    world,
)

TOPIC = [{"name": "T", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "topic"}}}]
PARAMETER = "/spec/source/helm/parameters/0/value"


def test_a_green_sync_runs_the_phases_in_order_and_the_test_sees_the_parameter(tmp_path: Path) -> None:
    async def test() -> None:
        config = configmap("config", topic="TOPIC")
        workload = deployment("web", FOREVER, wave=1, topic="TOPIC")
        before = job("before", "echo before", hook="PreSync")
        after = job("after", "echo topic is $T", hook="PostSync", env=TOPIC)
        async with world(tmp_path, config, workload, before, after) as it:
            await it.patch({"op": "replace", "path": PARAMETER, "value": "t1"})
            started = await it.sync(
                infos=[{"name": "argorun-run", "value": "r1"}], retryStrategy={"limit": 0}
            )
            assert "operationState" not in started["status"]
            assert started["operation"]["sync"]["source"]["helm"]["parameters"][0]["value"] == "t1"
            state = await it.ended()
            assert state["phase"] == "Succeeded"
            assert state["message"] == "successfully synced (no more tasks)"
            assert state["operation"]["info"] == [{"name": "argorun-run", "value": "r1"}]
            assert list(phases(state).items()) == [
                ("before", "Succeeded"),
                ("config", "Succeeded"),
                ("web", "Succeeded"),
                ("after", "Succeeded"),
            ]
            assert contents(await it.log("after")) == ["topic is t1"]
            app = await it.get(refresh="normal")
            assert (app["status"]["sync"]["status"], app["status"]["health"]["status"]) == (
                "Synced",
                "Healthy",
            )

    run(test())


def test_a_failed_test_ends_red_later_waves_do_not_run_and_sync_fail_hooks_do(tmp_path: Path) -> None:
    async def test() -> None:
        red = job("red", "echo no; exit 3", hook="PostSync")
        never = job("never", "true", hook="PostSync", wave=1)
        rescue = job("rescue", "echo cleaning", hook="SyncFail")
        async with world(tmp_path, configmap("config"), red, never, rescue) as it:
            await it.sync()
            state = await it.ended()
            assert (state["phase"], state["message"]) == (
                "Failed",
                "one or more synchronization tasks completed unsuccessfully",
            )
            assert phases(state) == {"config": "Succeeded", "red": "Failed", "rescue": "Succeeded"}
            entry = next(r for r in state["syncResult"]["resources"] if r["name"] == "red")
            assert entry == {
                "group": "batch",
                "version": "v1",
                "kind": "Job",
                "namespace": "default",
                "name": "red",
                "status": "Synced",
                "message": "Job has reached the specified backoff limit",
                "hookType": "PostSync",
                "hookPhase": "Failed",
                "syncPhase": "PostSync",
                "images": ["example/shell:1"],
            }

    run(test())


def test_a_second_sync_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, job("slow", FOREVER, hook="PostSync")) as it:
            await it.sync()
            answer = await it.client.post(PATH + "/sync", json={})
            assert answer.status_code == 400
            assert answer.json() == {
                "error": "another operation is already in progress",
                "code": 9,
                "message": "another operation is already in progress",
            }

    run(test())


def test_a_terminated_operation_fails_and_its_pods_get_their_grace_period(tmp_path: Path) -> None:
    async def test() -> None:
        goodbye = tmp_path / "goodbye"
        script = f"trap 'touch {goodbye}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        rescue = job("rescue", "true", hook="SyncFail")
        async with world(tmp_path, job("slow", script, hook="PostSync"), rescue) as it:
            assert (await it.terminate()).json()["message"].startswith("Unable to terminate operation.")
            await it.sync()
            await it.running("slow")
            assert (await it.terminate()).json() == {}
            state = await it.ended()
            assert (state["phase"], state["message"]) == ("Failed", "Operation terminated")
            assert phases(state) == {"slow": "Failed"}
            seen = it.standin.cluster.pulse
            while it.standin.cluster.pods:
                await seen.wait(seen.count)
            assert not list(it.standin.cluster.objects)

    run(test())


def test_an_operation_that_is_not_picked_up_yet_cannot_be_terminated(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, job("a", "true", hook="PostSync"), timings=Timings(pick_up=60)) as it:
            await it.sync()
            assert (await it.terminate()).status_code == 400

    run(test())


def test_a_partial_sync_runs_no_hooks(tmp_path: Path) -> None:
    async def test() -> None:
        config = configmap("config", topic="TOPIC")
        async with world(tmp_path, config, configmap("other"), job("after", "true", hook="PostSync")) as it:
            await it.sync(resources=[{"kind": "ConfigMap", "name": "config"}])
            state = await it.ended()
            assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (all tasks run)")
            assert phases(state) == {"config": "Running"}
            assert "history" not in (await it.get())["status"]

    run(test())


def test_a_job_is_tried_again_until_its_back_off_limit(tmp_path: Path) -> None:
    async def test() -> None:
        count = tmp_path / "count"
        script = f"echo x >> {count}; test $(wc -l < {count}) -eq 3"
        async with world(tmp_path, job("flaky", script, hook="PostSync", limit=2)) as it:
            await it.sync()
            assert (await it.ended())["phase"] == "Succeeded"
            pods = [n for n in (await it.get("/resource-tree"))["nodes"] if n["kind"] == "Pod"]
            reasons = [n["info"][0]["value"] for n in pods]
            assert reasons == ["Error", "Error", "Completed"]

    run(test())


def test_a_container_restarts_in_place_and_its_former_log_can_be_read(tmp_path: Path) -> None:
    async def test() -> None:
        flag = tmp_path / "flag"
        script = f"if [ -e {flag} ]; then echo second; else touch {flag}; echo first; exit 1; fi"
        async with world(
            tmp_path, job("again", script, hook="PostSync", limit=3, restartPolicy="OnFailure")
        ) as it:
            await it.sync()
            assert (await it.ended())["phase"] == "Succeeded"
            assert contents(await it.log("again")) == ["second"]
            assert contents(await it.log("again", previous="true")) == ["first"]

    run(test())


def test_a_job_over_its_deadline_fails(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, job("late", FOREVER, hook="PostSync", deadline=0.2)) as it:
            await it.sync()
            state = await it.ended()
            assert (
                state["syncResult"]["resources"][0]["message"]
                == "Job was active longer than specified deadline"
            )

    run(test())


def test_hooks_are_deleted_as_their_policy_says(tmp_path: Path) -> None:
    async def test() -> None:
        hooks = [job(p.lower(), "true", hook="PreSync", policy=p) for p in ("HookSucceeded", "HookFailed")]
        async with world(tmp_path, *hooks, job("plain", "exit $CODE", hook="PostSync")) as it:
            await it.sync()
            assert (await it.ended())["phase"] == "Succeeded"
            live = it.standin.cluster
            while "hooksucceeded" in {key.name for key in live.objects}:
                await live.pulse.wait(live.pulse.count)
            assert {key.name for key in live.objects if key.kind == "Job"} == {"hookfailed", "plain"}

    run(test())


def test_an_image_that_cannot_be_pulled_keeps_the_hook_running(tmp_path: Path) -> None:
    async def test() -> None:
        stuck = job("stuck", "true", hook="PostSync", image="example/unknown:9")
        async with world(tmp_path, stuck) as it:
            await it.sync()
            cluster = it.standin.cluster
            while True:
                seen = cluster.pulse.count
                tree = await it.get("/resource-tree")
                pods = [n for n in tree.get("nodes", []) if n["kind"] == "Pod"]
                if pods and pods[0]["info"][0]["value"] == "ImagePullBackOff":
                    break
                await cluster.pulse.wait(seen)
            assert (await it.get())["status"]["operationState"]["phase"] == "Running"
            (line, last) = await it.log("stuck")
            assert line["podName"] == ""
            assert line["timeStampStr"] == "0001-01-01T00:00:00Z"
            assert line["content"].endswith("is waiting to start: trying and failing to pull image")
            assert last["last"] is True
            await it.terminate()
            assert (await it.ended())["phase"] == "Failed"

    run(test())


def test_a_changed_template_rolls_the_deployment(tmp_path: Path) -> None:
    async def test() -> None:
        goodbye = tmp_path / "goodbye"
        script = f"trap 'touch {goodbye}; exit 0' TERM; while :; do sleep 0.05; done"
        async with world(tmp_path, deployment("web", script, topic="TOPIC")) as it:
            await it.sync()
            await it.ended()
            await it.until(lambda a: a["status"]["health"]["status"] == "Healthy")
            old = await it.node("Pod")
            await it.patch({"op": "replace", "path": PARAMETER, "value": "t1"})
            assert (await it.get(refresh="normal"))["status"]["sync"]["status"] == "OutOfSync"
            await it.sync()
            cluster = it.standin.cluster
            while old["uid"] in cluster.pods:
                await cluster.pulse.wait(cluster.pulse.count)
            new = await it.node("Pod")
            assert goodbye.exists()
            assert new["parentRefs"][0]["name"] != old["parentRefs"][0]["name"]

    run(test())


def test_a_failed_sync_is_tried_again_where_the_policy_says_so(tmp_path: Path) -> None:
    async def test() -> None:
        flag = tmp_path / "flag"
        once = job("once", f"[ -e {flag} ] || {{ touch {flag}; exit 1; }}", hook="PostSync")
        async with world(tmp_path, once) as it:
            await it.sync(retryStrategy={"limit": 1, "backoff": {"duration": "10ms"}})
            state = await it.ended()
            assert (state["phase"], state["retryCount"]) == ("Succeeded", 1)

    run(test())


def test_what_cannot_be_applied_fails_with_the_servers_reason(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, configmap("config"), job("after", "true", hook="PostSync")) as it:
            it.standin.cluster.admit = lambda obj: (
                "admission webhook says no" if obj["kind"] == "ConfigMap" else None
            )
            await it.sync()
            state = await it.ended()
            assert (
                state["message"] == "one or more objects failed to apply, reason: admission webhook says no"
            )

    run(test())
