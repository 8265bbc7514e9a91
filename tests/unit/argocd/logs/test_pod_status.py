"""What a pod's manifest says of its containers."""

from __future__ import annotations

import msgspec
import pytest

from argorun.argocd.logs.pod_status import ContainerState, PodManifest
from tests.unit.argocd.gopatch import Json

RUNNING: Json = {"running": {}}
WAITING: Json = {"waiting": {"reason": "PodInitializing"}}
DONE: Json = {"terminated": {"exitCode": 0}}
FAILED: Json = {"terminated": {"exitCode": 1}}


def pod(
    policy: str, state: Json, restarts: int = 0, *, last: Json | None = None, phase: str = "Running"
) -> PodManifest:
    status = {"name": "main", "state": state, "restartCount": restarts, "lastState": last or {}}
    return manifest(
        {"restartPolicy": policy, "containers": [{"name": "main"}]}, containerStatuses=[status], phase=phase
    )


def manifest(spec: Json, **status: object) -> PodManifest:
    return msgspec.convert({"spec": spec, "status": status}, PodManifest)


def test_init_containers_come_first_sidecars_among_them() -> None:
    spec: Json = {"initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]}
    pod = manifest(spec | {"containers": [{"name": "main"}]})
    assert pod.containers() == ["setup", "proxy", "main"]
    assert [name for name in pod.containers() if pod.runs_first(name)] == ["setup"]


@pytest.mark.parametrize(
    ("policy", "state", "over"),
    [
        ("Never", RUNNING, False),
        ("Never", DONE, True),
        ("Never", FAILED, True),
        ("OnFailure", DONE, True),
        ("OnFailure", FAILED, False),
        ("Always", DONE, False),
        ("Always", FAILED, False),
    ],
)
def test_a_container_that_will_be_started_again_has_not_ended(policy: str, state: Json, over: bool) -> None:
    assert pod(policy, state, 1).state_of("main") == ContainerState(over=over, ran=True, restart=1)
    ended = pod(policy, state, 1, phase="Failed").state_of("main")
    assert ended == ContainerState(over=True, ran=True, restart=1)


def test_the_only_container_needs_no_name() -> None:
    assert pod("Never", DONE).state_of("") == pod("Never", DONE).state_of("main")


def test_a_container_that_waits_has_not_run_or_will_run_again() -> None:
    assert pod("OnFailure", WAITING).state_of("main") == ContainerState(over=False, ran=False)
    assert pod("OnFailure", WAITING, 2, last=FAILED).state_of("main") == ContainerState(
        over=False, ran=True, restart=1, between=True
    )
    assert manifest({"containers": [{"name": "main"}]}).state_of("main") == ContainerState(
        over=False, ran=False
    )


@pytest.mark.parametrize(
    ("policy", "sidecar", "state", "over"),
    [
        ("Always", False, DONE, True),
        ("Always", False, FAILED, False),
        ("Never", False, FAILED, True),
        ("Never", True, DONE, False),
        ("OnFailure", True, FAILED, False),
    ],
)
def test_an_init_container_ends_once_and_a_sidecar_with_its_pod(
    policy: str, sidecar: bool, state: Json, over: bool
) -> None:
    container = {"name": "setup"} | ({"restartPolicy": "Always"} if sidecar else {})
    spec = {"restartPolicy": policy, "initContainers": [container], "containers": [{"name": "main"}]}
    status = [{"name": "setup", "state": state}]
    assert manifest(spec, phase="Running", initContainerStatuses=status).state_of("setup").over is over
    assert manifest(spec, phase="Succeeded", initContainerStatuses=status).state_of("setup").over
