"""A red run says why: from manifests and events as Kubernetes gives them to a cause, evidence and a fix."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.diagnosis.analyze import (
    LONGEST,
    Case,
    Finding,
    PodEvidence,
    cannot_start,
    diagnose,
    events,
    find,
    problems,
)
from argorun.argocd.diagnosis.reasons import COMMAND, NO_CONFIG, PULL, VOLUME
from argorun.argocd.types import ClusterEvent, Health, Info, Json, Node, Ref

BACKOFF = 'Back-off pulling image "nope:1": failed to pull and unpack image "nope:1": not found'
LIMIT = "Job has reached the specified backoff limit"


def node(name: str = "checks-x7k2p", reason: str = "Error", message: str = "") -> Node:
    info = [Info(name="Status Reason", value=reason)]
    return Node(kind="Pod", name=name, uid=name, info=info, health=Health(status="", message=message))


def container(state: Json, name: str = "main", **more: Any) -> Json:
    return {"name": name, "restartCount": 0, "lastState": {}, "state": state} | more


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def ended(code: int, reason: str = "Error", **more: Any) -> Json:
    return {"terminated": {"exitCode": code, "reason": reason} | more}


def pod(*containers: Json, name: str = "checks-x7k2p", reason: str = "Error", **live: Any) -> PodEvidence:
    status = {"phase": "Failed", "containerStatuses": list(containers)} | live.pop("status", {})
    spec = {"restartPolicy": "Never", "containers": [{"name": c["name"]} for c in containers]}
    return PodEvidence(node(name, reason), {"spec": spec | live.pop("spec", {}), "status": status})


def job(
    *pods: PodEvidence, condition: str = "BackoffLimitExceeded", message: str = LIMIT, **more: Any
) -> Case:
    conditions = [{"type": "Failed", "status": "True", "reason": condition, "message": message}]
    spec = {"activeDeadlineSeconds": 30}
    live = {"spec": spec, "status": {"conditions": conditions if condition else []}}
    return Case("Job", "checks", message, live=live, pods=pods, **more)


def event(
    reason: str, message: str, count: int = 1, at: str = "", kind: str = "Pod", type: str = "Warning"
) -> ClusterEvent:
    about = Ref(kind=kind, name="checks-x7k2p", uid="checks-x7k2p" if kind == "Pod" else "checks")
    return ClusterEvent(
        type=type, reason=reason, message=message, count=count, last_timestamp=at, involved_object=about
    )


# -- pods -------------------------------------------------------------------------------------------------

PODS: dict[str, tuple[PodEvidence, Finding]] = {
    "an exit code": (
        pod(container(ended(3))),
        Finding("exit code 3", ("pod checks-x7k2p: exit code 3",), exit_code=3),
    ),
    "a command that is not there": (
        pod(container(ended(127))),
        Finding(
            "exit code 127 (command not found)",
            ("pod checks-x7k2p: exit code 127 (command not found)",),
            COMMAND,
            exit_code=127,
        ),
    ),
    "a signal": (
        pod(container(ended(139))),
        Finding("exit code 139 (SIGSEGV)", ("pod checks-x7k2p: exit code 139 (SIGSEGV)",), exit_code=139),
    ),
    "no such signal": (
        pod(container(ended(255))),
        Finding("exit code 255", ("pod checks-x7k2p: exit code 255",), exit_code=255),
    ),
    "killed from outside": (
        pod(container(ended(137))),
        Finding(
            "exit code 137 (SIGKILL)",
            ("pod checks-x7k2p: exit code 137 (SIGKILL)",),
            "see whether it exceeded its memory limit, or was told to stop and did not",
            exit_code=137,
        ),
    ),
    "out of memory, with the limit": (
        pod(
            container(ended(137, "OOMKilled")),
            spec={"containers": [{"name": "main", "resources": {"limits": {"memory": "64Mi"}}}]},
        ),
        Finding(
            "out of memory (OOMKilled), exit code 137 (SIGKILL)",
            ("pod checks-x7k2p: out of memory (OOMKilled), exit code 137 (SIGKILL)",),
            "raise the container's resources.limits.memory (now 64Mi)",
            exit_code=137,
        ),
    ),
    "what it wrote as its termination message": (
        pod(container(ended(1, message="no broker\n  at kafka:9092"))),
        Finding("exit code 1", ("pod checks-x7k2p: exit code 1: no broker at kafka:9092",), exit_code=1),
    ),
    "no such image": (
        pod(container(waiting("ImagePullBackOff", BACKOFF)), reason="ImagePullBackOff"),
        Finding(
            "there is no such image (ImagePullBackOff)",
            (f"pod checks-x7k2p: ImagePullBackOff: {BACKOFF}",),
            PULL,
        ),
    ),
    "an image that may not be pulled": (
        pod(container(waiting("ErrImagePull", "401 Unauthorized"))),
        Finding(
            "the registry denies access to the image (ErrImagePull)",
            ("pod checks-x7k2p: ErrImagePull: 401 Unauthorized",),
            PULL,
        ),
    ),
    "a key that is not there": (
        pod(container(waiting("CreateContainerConfigError", "couldn't find key a in ConfigMap ns/b"))),
        Finding(
            "the container's configuration is missing (CreateContainerConfigError)",
            ("pod checks-x7k2p: CreateContainerConfigError: couldn't find key a in ConfigMap ns/b",),
            NO_CONFIG,
        ),
    ),
    "a program that cannot be started": (
        pod(container(ended(128, "StartError", message="exec: nope: not found"))),
        Finding(
            "the container cannot be started (StartError), exit code 128",
            (
                "pod checks-x7k2p: the container cannot be started (StartError), exit code 128: "
                "exec: nope: not found",
            ),
            COMMAND,
            exit_code=128,
        ),
    ),
    "a crash loop": (
        pod(
            container(
                waiting("CrashLoopBackOff", "back-off 20s restarting failed container"),
                restartCount=3,
                lastState=ended(2),
            )
        ),
        Finding(
            "exit code 2, restarted 3 times",
            ("pod checks-x7k2p: exit code 2, restarted 3 times",),
            "its log says why: argocd app logs",
            exit_code=2,
        ),
    ),
    "evicted": (
        pod(status={"reason": "Evicted", "message": "The node was low on resource: memory."}),
        Finding(
            "the node ran out of resources (Evicted)",
            ("pod checks-x7k2p: Evicted: The node was low on resource: memory.",),
            "set the pod's requests to what it really uses",
        ),
    ),
    "unschedulable": (
        pod(
            reason="Pending",
            status={
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available: 3 Insufficient memory.",
                    }
                ],
            },
        ),
        Finding(
            "no node takes the pod (Unschedulable)",
            ("pod checks-x7k2p: Unschedulable: 0/3 nodes are available: 3 Insufficient memory.",),
            "lower its requests, or check its nodeSelector, affinity and tolerations",
        ),
    ),
    "the container that failed among several": (
        pod(container(ended(0, "Completed"), "proxy"), container(ended(5), "tests")),
        Finding(
            "exit code 5, container tests", ("pod checks-x7k2p, container tests: exit code 5",), exit_code=5
        ),
    ),
    "a sidecar that was told to end is not why": (
        pod(container(ended(143), "proxy"), container(ended(5), "tests")),
        Finding(
            "exit code 5, container tests",
            (
                "pod checks-x7k2p, container tests: exit code 5",
                "pod checks-x7k2p, container proxy: exit code 143 (SIGTERM)",
            ),
            exit_code=5,
        ),
    ),
    "an init container": (
        pod(
            container(waiting("PodInitializing")),
            status={"initContainerStatuses": [container(ended(1), "wait-for-kafka")]},
        ),
        Finding(
            "exit code 1, container wait-for-kafka",
            ("pod checks-x7k2p, container wait-for-kafka: exit code 1",),
            exit_code=1,
        ),
    ),
    "gone since, with its exit code in the tree": (
        PodEvidence(node(message='container "main" failed with exit code 3'), gone=True),
        Finding("exit code 3", ("pod checks-x7k2p: exit code 3, now gone",), exit_code=3),
    ),
    "gone since, by its reason alone": (
        PodEvidence(node(reason="Init:ImagePullBackOff"), gone=True),
        Finding(
            "the image cannot be pulled (ImagePullBackOff)",
            ("pod checks-x7k2p: the image cannot be pulled (ImagePullBackOff), now gone",),
            PULL,
        ),
    ),
}


@pytest.mark.parametrize(("seen", "expected"), PODS.values(), ids=PODS.keys())
def test_a_job_s_pod_says_why_it_failed(seen: PodEvidence, expected: Finding) -> None:
    assert diagnose(job(seen)) == expected


def test_several_attempts_are_told_one_by_one_and_how_many_there_were() -> None:
    same = [pod(container(ended(4)), name=f"checks-{i}") for i in range(5)]
    assert diagnose(job(*same)) == Finding(
        "exit code 4 in all 5 attempts",
        (
            "2 earlier pods of checks",
            "pod checks-2 (attempt 3): exit code 4",
            "pod checks-3 (attempt 4): exit code 4",
            "pod checks-4 (attempt 5): exit code 4",
        ),
        exit_code=4,
    )
    assert diagnose(job(*same[:2])).cause == "exit code 4 in both attempts"
    other = pod(container(ended(1)), name="checks-9")
    assert diagnose(job(same[0], other)).cause == "exit code 1 in the last of 2 attempts"


def at(seen: PodEvidence, created: str) -> PodEvidence:
    return dataclasses.replace(seen, node=msgspec.structs.replace(seen.node, created_at=created))


def test_pods_that_ran_side_by_side_are_no_attempts() -> None:
    same = [pod(container(ended(4)), name=f"checks-{i}") for i in range(2)]
    lines = tuple(f"pod checks-{i}: exit code 4" for i in range(2))
    wide = job(*same)
    wide.live["spec"]["completions"] = 2
    assert diagnose(wide) == Finding("exit code 4 in 2 pods", lines, exit_code=4)
    end = {"terminated": {"exitCode": 4, "reason": "Error", "finishedAt": "2024-01-01T00:00:09Z"}}
    first = at(pod(container(end), name="checks-0"), "2024-01-01T00:00:01Z")
    beside, after = (at(same[1], f"2024-01-01T00:00:{second}Z") for second in ("02", "19"))
    assert diagnose(job(first, beside)) == Finding("exit code 4 in 2 pods", lines, exit_code=4)
    assert diagnose(job(first, after)).cause == "exit code 4 in both attempts"


def test_a_job_past_its_deadline_says_how_long_it_had_and_that_its_pod_ran() -> None:
    seen = PodEvidence(node(reason="Running"), gone=True)
    message = "Job was active longer than specified deadline"
    warning = event("DeadlineExceeded", message, kind="Job")
    assert diagnose(job(seen, condition="DeadlineExceeded", message=message, events=(warning,))) == Finding(
        "it took longer than its activeDeadlineSeconds of 30 (DeadlineExceeded)",
        ("pod checks-x7k2p: Running, now gone",),
        "raise activeDeadlineSeconds, or see what it waits for",
    )


def test_a_job_past_its_deadline_whose_pod_could_not_start_says_that_instead() -> None:
    seen = PodEvidence(node(reason="ImagePullBackOff"))
    found = diagnose(job(seen, condition="DeadlineExceeded"))
    assert found.cause == "the image cannot be pulled (ImagePullBackOff)"


def test_a_pod_that_only_runs_is_said_to_run() -> None:
    assert diagnose(job(pod(container({"running": {}}), reason="Running"), condition="")) == Finding(
        evidence=("pod checks-x7k2p: Running",)
    )


# -- what has no pod, or is not a Job ----------------------------------------------------------------------


def deployment(*pods: PodEvidence, condition: Json | None = None, **more: Any) -> Case:
    live = {
        "spec": {"progressDeadlineSeconds": 8},
        "status": {"conditions": [condition] if condition else []},
    }
    return Case("Deployment", "web", "", live=live, pods=pods, **more)


LATE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "timed out",
}


def test_a_degraded_deployment_says_what_its_pod_says() -> None:
    crashing = pod(
        container(waiting("CrashLoopBackOff"), restartCount=1, lastState=ended(1)),
        spec={"restartPolicy": "Always"},
    )
    found = diagnose(deployment(crashing, condition=LATE, log=("no broker",)))
    assert (found.cause, found.evidence) == (
        "exit code 1, restarted 1 time",
        ("pod checks-x7k2p: exit code 1, restarted 1 time",),
    )


def test_a_pod_that_runs_and_is_not_ready_says_so_with_the_probe_s_words() -> None:
    unready = pod(
        container({"running": {}}),
        reason="Running",
        spec={"restartPolicy": "Always"},
        status={"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
    )
    probe = event("Unhealthy", "Readiness probe failed: HTTP 503", 7)
    assert diagnose(deployment(unready, condition=LATE, events=(probe,))) == Finding(
        "it runs, but is not ready (NotReady)",
        (
            "pod checks-x7k2p: it runs, but is not ready (NotReady)",
            "event Unhealthy (7 times): Readiness probe failed: HTTP 503",
        ),
        "see its readinessProbe and its log: argocd app logs",
    )


def test_a_deployment_whose_pods_may_not_be_made_says_who_forbids_it() -> None:
    message = 'pods "web-1-x7k2p" is forbidden: exceeded quota: q, requested: pods=1, limited: pods=0'
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = diagnose(deployment(condition=refused))
    assert (found.cause, found.hint) == (
        "no pod can be created (FailedCreate)",
        "raise the namespace's ResourceQuota, or lower the requests",
    )


def test_a_volume_that_cannot_be_mounted_is_known_by_its_event() -> None:
    creating = pod(
        container(waiting("ContainerCreating")), reason="ContainerCreating", status={"phase": "Pending"}
    )
    mount = event("FailedMount", 'MountVolume failed for volume "v": secret "nosecret" not found', 6)
    assert diagnose(job(creating, condition="", events=(mount,))) == Finding(
        "a volume cannot be mounted (FailedMount)",
        (
            "pod checks-x7k2p: ContainerCreating",
            'event FailedMount (6 times): MountVolume failed for volume "v": secret "nosecret" not found',
        ),
        VOLUME,
    )


REFUSED = {
    "invalid": (
        "json: cannot unmarshal object into Go struct field ConfigMap.data of type string",
        "fix the",
    ),
    "no namespace": ('namespaces "nowhere" not found', "create the namespace"),
    "not permitted": (
        "resource :Namespace is not permitted in project default",
        "allow it in the AppProject",
    ),
    "no CRD": (
        'could not find example.com/Nope. Make sure the "Nope" CRD is installed',
        "install its Custom",
    ),
    "immutable": ("spec.selector: Invalid value: {}: field is immutable", "annotate it with"),
    "RBAC": (
        'secrets is forbidden: User "system:serviceaccount:a:b" cannot create',
        "allow Argo CD's controller",
    ),
    "Pod Security": ('pods "a" is forbidden: violates PodSecurity "restricted:latest"', "give the pod the"),
    "a policy": ('admission webhook "policy.example.com" denied the request', "a policy of the cluster"),
}


@pytest.mark.parametrize(("said", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_applied_says_what_to_fix(said: str, hint: str) -> None:
    found = diagnose(Case("ConfigMap", "broken", said, refused=True))
    assert found == Finding("it cannot be applied", hint=found.hint)
    assert found.hint.startswith(hint)


def test_of_a_resource_that_nothing_is_known_of_nothing_is_said() -> None:
    assert diagnose(Case("Widget", "w", "unwell")) == Finding()
    assert find([]) == Finding()


def test_of_several_resources_the_first_gives_the_cause_and_all_the_evidence() -> None:
    one, two = job(pod(container(ended(3)), name="a")), job(pod(container(ended(127)), name="b"))
    assert find([one, dataclasses.replace(two, log=("last",))]) == Finding(
        "exit code 3",
        ("pod a: exit code 3", "pod b: exit code 127 (command not found)"),
        COMMAND,
        ("last",),
        exit_code=3,
    )


# -- events -------------------------------------------------------------------------------------------------


def test_events_are_told_once_with_their_count_the_newest_last_and_few() -> None:
    known = [
        event("Failed", "Error: ErrImagePull", 4, "2026-01-01T00:00:09Z"),
        ClusterEvent(
            type="Normal", reason="Pulling", message="Pulling image", last_timestamp="2026-01-01T00:00:10Z"
        ),
        *(
            event("FailedCreate", f'pods "checks-{n}" is forbidden', 1, f"2026-01-01T00:00:0{i}Z", "Job")
            for i, n in enumerate(("aaaaa", "bbbbb"), 1)
        ),
        *(event(f"R{i}", f"m{i}", 1, f"2026-01-01T00:00:2{i}Z") for i in range(3)),
    ]
    assert events(known, ["pod checks-x7k2p: the image cannot be pulled (ErrImagePull)"]) == [
        'event FailedCreate (2 times): pods "checks-bbbbb" is forbidden',
        "event R0: m0",
        "event R1: m1",
        "event R2: m2",
    ]


def test_a_long_message_of_many_lines_is_one_line_of_whole_words_and_bounded_length() -> None:
    (line,) = events([event("Failed", "rpc error:\n" + 1000 * "secret ")], [])
    assert line.split() == ["event", "Failed:", "rpc", "error:", *(53 * ["secret"]), "…"]
    assert LONGEST - len("secret ") < len(line) <= LONGEST


# -- whether there is hope -------------------------------------------------------------------------------

STARTING = pod(
    container(waiting("ContainerCreating")), reason="ContainerCreating", status={"phase": "Pending"}
)
HOPELESS = {
    "a config error": (job(PODS["a key that is not there"][0], condition=""), True),
    "unschedulable": (job(PODS["unschedulable"][0], condition=""), True),
    "a volume": (job(STARTING, condition="", events=(event("FailedMount", "m"),)), True),
    "no pod may be made": (job(condition="", events=(event("FailedCreate", "quota", kind="Job"),)), True),
    "still pulling a large image": (job(STARTING, condition=""), False),
    "no pod yet, a suspended Job say": (job(condition=""), False),
    "a volume that was mounted in the end, a large image": (
        job(
            STARTING,
            condition="",
            events=(event("FailedMount", "m", at="1"), event("Pulling", "p", at="1", type="Normal")),
        ),
        False,
    ),
    "it runs by now, whatever was once": (
        job(
            pod(container({"running": {}}), reason="Running"),
            condition="",
            events=(event("FailedMount", "m"),),
        ),
        False,
    ),
    "a node is on its way": (
        job(
            PODS["unschedulable"][0],
            condition="",
            events=(
                event(
                    "TriggeredScaleUp",
                    "pod triggered scale-up: [{pool 3->4 (max: 9)}]",
                    at="1",
                    type="Normal",
                ),
                event("FailedScheduling", "0/3 nodes are available", at="2"),
            ),
        ),
        False,
    ),
    "no node is on its way": (
        job(
            PODS["unschedulable"][0],
            condition="",
            events=(event("NotTriggerScaleUp", "pod didn't trigger scale-up", at="1", type="Normal"),),
        ),
        True,
    ),
    "a node has come, the image has not": (
        job(
            PODS["a key that is not there"][0],
            condition="",
            events=(event("Nominated", "Pod should schedule on: nodeclaim/x", at="1", type="Normal"),),
        ),
        True,
    ),
    "it has only crashed": (deployment(PODS["a crash loop"][0]), False),
}


@pytest.mark.parametrize(("case", "hopeless"), HOPELESS.values(), ids=HOPELESS.keys())
def test_what_will_not_start_by_itself_is_told_from_what_may(case: Case, hopeless: bool) -> None:
    assert cannot_start(case) is hopeless


# -- whatever a server may send ---------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers(0, 300) | st.text(max_size=8)
states = st.dictionaries(
    st.sampled_from(["waiting", "terminated", "running"]),
    st.dictionaries(st.sampled_from(["reason", "message"]), st.text(max_size=8))
    | st.fixed_dictionaries({"exitCode": st.integers(0, 255)}),
)
statuses = st.lists(
    st.fixed_dictionaries({}, optional={"name": st.text(max_size=5), "state": states, "lastState": states}),
    max_size=3,
)


@given(statuses, st.sampled_from(["", "Running", "Error", "Init:0/1", "Init:Error"]), st.booleans())
def test_no_pod_status_is_too_strange_to_be_told_in_whole_lines(
    containers: list[Json], reason: str, there: bool
) -> None:
    live = {"status": {"phase": "Pending", "containerStatuses": containers}} if there else {}
    found = diagnose(job(PodEvidence(node(reason=reason), live)))
    assert all(line == " ".join(line.split()) for line in found.evidence)
    assert all(t.phrase for t in problems(PodEvidence(node(reason=reason), live)))
