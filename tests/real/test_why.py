"""A red run on a real cluster says why in its last screen; what cannot start does not cost the time-out."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import secrets
import time
from collections.abc import Iterator

import pytest

from tests.real import cluster, support
from tests.real.cluster import Json, Stack
from tests.real.support import Bench, Result, chart, configmap, deployment, job, key_of

NO_IMAGE = "registry.invalid/no-such-image:1"


def screen(result: Result) -> list[str]:
    """The last block of plain output: what is on the screen in the end."""
    lines = result.err.splitlines()
    begin = max(i for i, line in enumerate(lines) if line.startswith("==> "))
    return lines[begin:]


def shown(result: Result, code: int, title: str, *evidence: str) -> None:
    """The run ended so, and its last screen has the title, these, the Application's page, and little else."""
    block = screen(result)
    text = "\n".join(block)
    assert result.code == code, str(result)
    assert block[0].endswith(f"exit code {code}: {title}"), str(result)
    for piece in evidence:
        assert piece in text, str(result)
    assert "  ! link: https://" in text, str(result)
    assert len(block) < 24, "more than one screen"


def given(manifest: Json, **spec: object) -> Json:
    """The manifest with these in its spec."""
    manifest["spec"] |= spec
    return manifest


def imaged(manifest: Json) -> Json:
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = NO_IMAGE
    return manifest


def red() -> dict[str, str]:
    """A chart whose value `case` picks the manifests: one Application serves all the ways to fail."""
    settings = configmap("settings", topic=support.TOPIC)
    passing = job("checks", "true", "PostSync")
    cases = {
        "image-post": [imaged(job("checks", "true", "PostSync"))],
        "image-pre": [imaged(job("prepare", "true", "PreSync")), passing],
        "image-sync": [imaged(deployment("web")), passing],
        "key": [job("checks", "true", "PostSync", T=key_of("settings", "no-such-key"))],
        "exit": [job("checks", "echo expected sunny; echo but it rained; exit 3", "PostSync")],
        "killed": [job("checks", "echo eating; kill -9 $$", "PostSync")],
        "deadline": [given(job("checks", "echo slow; sleep 300", "PostSync"), activeDeadlineSeconds=3)],
        "attempts": [given(job("checks", "echo try; exit 4", "PostSync"), backoffLimit=1)],
        "invalid": [{**configmap("broken"), "data": {"a": {"b": "c"}}}, passing],
        "nowhere": [
            {**configmap("elsewhere"), "metadata": {"name": "elsewhere", "namespace": "no-such-namespace"}},
            passing,
        ],
        "unknown": [
            {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "widget"}},
            passing,
        ],
        "degraded": [given(imaged(deployment("web")), progressDeadlineSeconds=4), passing],
        # Not ready in the moment before it crashes: else Argo CD may take it for healthy.
        "crashing": [given(deployment("web", "echo no broker; exit 1"), minReadySeconds=60), passing],
        "quota": [passing, quota()],
        "eater": [job("checks", "echo eating; sleep 300", "PostSync")],
        "gated": [gated(job("checks", "true", "PostSync"))],
    }
    files = chart(settings)
    for case, manifests in cases.items():
        for i, manifest in enumerate(manifests):
            text = f'{{{{ if eq .Values.case "{case}" }}}}\n{json.dumps(manifest)}\n{{{{ end }}}}\n'
            files[f"chart/templates/{case}-{i}.yaml"] = text
    files["chart/values.yaml"] = json.dumps({"kafka": {"topic": ""}, "case": ""})
    return files


def gated(manifest: Json) -> Json:
    """Its pod is bound to no node."""
    manifest["spec"]["template"]["spec"]["schedulingGates"] = [{"name": "example.com/no-node"}]
    return manifest


def quota() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("why")
    with support.bench(stack, folder, red(), name="why", deploy=False) as made:
        yield made


def run(bench: Bench, case: str, **timeouts: str) -> Result:
    """The tests with this case, in a namespace where the case before has left nothing."""
    left = "jobs,deployments,resourcequotas"
    bench.stack.kubectl("delete", left, "--all", "--cascade=foreground", "-n", bench.app.namespace)
    limits = {"run": "60s", "busy": "60s", "cleanup": "60s", "stuck": "3s", **timeouts}
    before = bench.before()
    result = bench.run("--set", f"case={case}", "--no-settle", config=bench.config(timeouts=limits))
    assert bench.topics() == set()
    assert bench.before().spec == before.spec
    assert not bench.app.running
    return result


# -- what cannot start ---------------------------------------------------------------------------------------

PULL = "there is no such image (ImagePullBackOff)"
STUCK = "could start within 3 s (timeouts.stuck)"


def test_a_test_whose_image_cannot_be_pulled_is_1_long_before_the_time_is_over(bench: Bench) -> None:
    result = run(bench, "image-post")
    shown(
        result,
        1,
        f"checks cannot start: {PULL}",
        f"no pod of checks {STUCK}",
        NO_IMAGE,
        "  ! next: check the",
    )


def test_a_presync_hook_whose_image_cannot_be_pulled_is_3(bench: Bench) -> None:
    shown(run(bench, "image-pre"), 3, f"PreSync hook prepare cannot start: {PULL}", STUCK, NO_IMAGE)


def test_a_deployment_whose_new_pod_cannot_start_is_3(bench: Bench) -> None:
    shown(run(bench, "image-sync"), 3, f"Deployment web cannot start: {PULL}", STUCK, NO_IMAGE)


def test_a_configmap_s_key_that_is_not_there_is_named(bench: Bench) -> None:
    title = "checks cannot start: the container's configuration is missing (CreateContainerConfigError)"
    shown(run(bench, "key"), 1, title, "no-such-key", "  ! next: create the ConfigMap, Secret or key")


def test_a_job_that_may_make_no_pod_says_who_forbids_it(bench: Bench) -> None:
    result = run(bench, "quota")
    shown(
        result,
        1,
        "checks cannot start: no pod can be created (FailedCreate)",
        "exceeded quota",
        "ResourceQuota",
    )


def test_turned_off_the_run_waits_until_its_time_is_over_and_says_what_for_and_why(bench: Bench) -> None:
    result = run(bench, "image-post", stuck="0", run="12s")
    shown(
        result, 4, f"time ran out after 12 s: checks still running: {PULL}", NO_IMAGE, "  ! next: check the"
    )


# -- what failed --------------------------------------------------------------------------------------------


def test_an_exit_code_with_the_last_lines(bench: Bench) -> None:
    result = run(bench, "exit")
    shown(
        result,
        1,
        "checks: the test exited with code 3",
        ": exit code 3",
        "  | expected sunny\n  | but it rained",
    )


def test_a_container_that_was_killed(bench: Bench) -> None:
    shown(
        run(bench, "killed"),
        1,
        "checks: the test exited with code 137 (SIGKILL)",
        "  | eating",
        "  ! next: see whether",
    )


def test_a_job_s_own_deadline(bench: Bench) -> None:
    title = "checks failed: it took longer than its activeDeadlineSeconds of 3 (DeadlineExceeded)"
    shown(run(bench, "deadline"), 1, title, "  | slow", "  ! next: raise activeDeadlineSeconds")


def test_every_attempt_of_a_job_is_told(bench: Bench) -> None:
    title = "checks: the test exited with code 4 in both attempts"
    shown(run(bench, "attempts"), 1, title, "(attempt 1): exit code 4", "(attempt 2): exit code 4", "  | try")


CANNOT_BE_APPLIED = {
    "invalid": ("ConfigMap broken", "cannot unmarshal object", "kubectl apply --dry-run=server"),
    "nowhere": ("ConfigMap elsewhere", "no-such-namespace", "CreateNamespace=true"),
    "unknown": ("Widget widget", "example.com", "CustomResourceDefinition"),
}


@pytest.mark.parametrize("case", CANNOT_BE_APPLIED)
def test_what_cannot_be_applied_says_what_to_fix(bench: Bench, case: str) -> None:
    what, *pieces = CANNOT_BE_APPLIED[case]
    shown(run(bench, case), 3, f"{what} failed: it cannot be applied", *pieces)


def test_a_degraded_deployment_says_what_its_pod_waits_for(bench: Bench) -> None:
    result = run(bench, "degraded", stuck="0")
    shown(result, 3, f"Deployment web failed: {PULL}", "exceeded its progress deadline", NO_IMAGE)


def test_a_deployment_that_crashes_again_and_again_shows_its_log(bench: Bench) -> None:
    """It never passes its progress deadline: Argo CD waits forever."""
    result = run(bench, "crashing", run="15s")
    assert result.code == 4, str(result)
    assert "Deployment/web: exit code 1, restarted" in screen(result)[0], str(result)
    assert "  ! log: its last lines\n  | no broker" in "\n".join(screen(result)), str(result)


# -- what this stack's node never says: its part is played by hand, on the real API server ------------------


@contextlib.contextmanager
def told(bench: Bench, phase: str, status: Json, reason: str = "", message: str = "") -> Iterator[None]:
    """The test Job's pod, once in that phase, gets this status, and an event with a reason."""

    def tell() -> None:
        pods = cluster.eventually(
            lambda: [
                p
                for p in bench.stack.objects("pods", bench.app.namespace, "job-name=checks")
                if p["status"]["phase"] == phase
            ],
            60,
            f"a pod of checks is {phase}",
        )
        name, namespace, uid = (pods[0]["metadata"][k] for k in ("name", "namespace", "uid"))
        if reason:
            pod = {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": uid}
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{name}.{secrets.token_hex(4)}", "namespace": namespace},
                "involvedObject": pod,
                "type": "Normal" if reason == NODE_COMES else "Warning",
                "reason": reason,
                "message": message,
                "count": 1,
                "firstTimestamp": stamp(),
                "lastTimestamp": stamp(),
                "source": {"component": "by-hand"},
            }
            bench.stack.kubectl("create", "-f", "-", stdin=json.dumps(event))
        patch = ("--type=strategic", "-p", json.dumps({"status": status}))
        bench.stack.kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", *patch)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        telling = pool.submit(tell)
        yield
        telling.result()


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_a_container_that_ran_out_of_memory(bench: Bench) -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": stamp(), "finishedAt": stamp()}
    container = {"name": "main", "ready": False, "state": {"running": None, "terminated": ended}}
    with told(bench, "Running", {"phase": "Failed", "containerStatuses": [container]}):
        result = run(bench, "eater")
    shown(
        result,
        1,
        "checks failed: out of memory (OOMKilled), exit code 137 (SIGKILL)",
        "  | eating",
        "  ! next: raise the container's resources.limits.memory",
    )


NODE_COMES = "TriggeredScaleUp"
NO_NODE = "0/3 nodes are available: 3 Insufficient memory."
NO_VOLUME = 'MountVolume.SetUp failed for volume "certs" : secret "certs" not found'


def test_a_pod_that_no_node_takes(bench: Bench) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}
    with told(bench, "Pending", {"conditions": [condition]}, "FailedScheduling", NO_NODE):
        result = run(bench, "gated")
    title = "checks cannot start: no node takes the pod (Unschedulable)"
    shown(result, 1, title, STUCK, NO_NODE, "  ! next: lower its requests")


def test_a_pod_that_a_node_is_on_its_way_for_is_waited_for(bench: Bench) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}
    scaling = "pod triggered scale-up: [{pool 3->4 (max: 9)}]"
    with told(bench, "Pending", {"conditions": [condition]}, NODE_COMES, scaling):
        result = run(bench, "gated", run="15s")
    shown(result, 4, "time ran out after 15 s: checks still running: no node takes the pod (Unschedulable)")


def test_a_volume_that_is_not_there(bench: Bench) -> None:
    state = {"running": None, "waiting": {"reason": "ContainerCreating"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "main", "ready": False, "state": state}]}
    with told(bench, "Running", status, "FailedMount", NO_VOLUME):
        result = run(bench, "eater")
    title = "checks cannot start: a volume cannot be mounted (FailedMount)"
    shown(result, 1, title, STUCK, NO_VOLUME, "  ! next: create the ConfigMap, Secret or claim")


def test_a_pod_that_is_held_back_is_waited_for_and_named(bench: Bench) -> None:
    result = run(bench, "gated", run="12s")
    title = "time ran out after 12 s: checks still running: its scheduling gates are on (SchedulingGated)"
    shown(result, 4, title, "non-empty scheduling gates", "  ! next: find out what removes")
