"""Before the sync, the manifests tell what may cost a log, and what stands where a test Job is missing."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.hooks.lint import Gap, check_ends, gap, restart_warnings, run_again, warnings
from argorun.argocd.types import Json
from argorun.errors import UsageError

HOOK = "argocd.argoproj.io/hook"
POLICY = "argocd.argoproj.io/hook-delete-policy"
GONE = "its log may vanish before it is read"


def job(name: str = "checks", hook: str = "PostSync", ttl: int | None = None, **annotations: str) -> Json:
    named = {k.replace("__", "/"): v for k, v in annotations.items()} | ({HOOK: hook} if hook else {})
    spec = {} if ttl is None else {"ttlSecondsAfterFinished": ttl}
    return {"kind": "Job", "metadata": {"name": name, "annotations": named}, "spec": spec}


def with_policy(policy: str, **more: str) -> Json:
    made = job(**more)
    made["metadata"]["annotations"][POLICY] = policy
    return made


def helm(name: str, hook: str, kind: str = "Job", policy: str = "") -> Json:
    annotations = {"helm.sh/hook": hook} | ({"helm.sh/hook-delete-policy": policy} if policy else {})
    return {"kind": kind, "metadata": {"name": name, "annotations": annotations}, "spec": {}}


GENERATED: Json = {"kind": "Job", "metadata": {"generateName": "prepare-", "annotations": {HOOK: "PreSync"}}}
PILES_UP = (
    "hook Job prepare-… has generateName, and no delete policy fits that: each run leaves one more Job "
    "behind; give it a name"
)
POLICY_SAID = f"test Job checks has the delete policy HookSucceeded: {GONE}; make it BeforeHookCreation"

WARNED: dict[str, tuple[Json, list[str]]] = {
    "nothing is wrong": (job(), []),
    "BeforeHookCreation": (with_policy("BeforeHookCreation"), []),
    "HookSucceeded": (with_policy("HookSucceeded"), [POLICY_SAID]),
    "HookFailed, among others": (
        with_policy("BeforeHookCreation, HookFailed"),
        [POLICY_SAID.replace("HookSucceeded", "HookFailed")],
    ),
    "Helm's own policy": (helm("checks", "post-install", policy="hook-succeeded"), [POLICY_SAID]),
    "deleted soon": (
        job(ttl=60),
        [
            f"test Job checks is deleted 60 s after its end (ttlSecondsAfterFinished): {GONE}; leave this "
            "out: the next sync deletes the Job"
        ],
    ),
    "deleted at once": (
        job(ttl=0),
        [
            f"test Job checks is deleted 0 s after its end (ttlSecondsAfterFinished): {GONE}; leave this "
            "out: the next sync deletes the Job"
        ],
    ),
    "deleted a day later": (job(ttl=86400), []),
    "a hook that is no test may vanish": (with_policy("HookSucceeded", hook="PreSync"), []),
    "a generated name": (GENERATED, [PILES_UP]),
    "a bare Pod's generated name": (GENERATED | {"kind": "Pod"}, [PILES_UP.replace("Job", "Pod")]),
    "a bare Pod's policy": (
        with_policy("HookSucceeded") | {"kind": "Pod"},
        [POLICY_SAID.replace("Job", "Pod")],
    ),
    "a generated name that is cleaned up": (
        GENERATED | {"spec": {"ttlSecondsAfterFinished": 60}},
        [],
    ),
    "a Job that is no hook": (job(hook="", ttl=0), []),
    "no Job": ({"kind": "ConfigMap", "metadata": {"name": "checks"}}, []),
    "hardly an object": ({"kind": "Job"}, []),
}


@pytest.mark.parametrize(("manifest", "expected"), WARNED.values(), ids=WARNED.keys())
def test_what_may_cost_a_log_or_leave_a_job_is_told_with_the_fix(manifest: Json, expected: list[str]) -> None:
    assert warnings([manifest], []) == expected


def test_only_the_named_jobs_are_tests() -> None:
    manifests = [with_policy("HookSucceeded", name="other"), with_policy("HookSucceeded")]
    assert warnings(manifests, ["checks"]) == [POLICY_SAID]


def pod(hook: str = "PostSync", name: str = "checks", **spec: str) -> Json:
    return {"kind": "Pod", "metadata": {"name": name, "annotations": {HOOK: hook}}, "spec": spec}


def test_a_test_job_that_wants_no_pod_is_refused() -> None:
    none = {"kind": "Job", "metadata": {"name": "checks", "annotations": {HOOK: "PostSync"}}}
    check_ends([none | {"spec": {"completions": 1}}], ["other"])
    with pytest.raises(UsageError, match="test Job checks has completions: 0: it runs no pod"):
        check_ends([none | {"spec": {"completions": 0}}], [])


@pytest.mark.parametrize("policy", [{}, {"restartPolicy": "Always"}], ids=["by default", "said"])
@pytest.mark.parametrize("jobs", [[], ["checks"]])
def test_a_test_pod_that_never_ends_is_refused(policy: dict[str, str], jobs: list[str]) -> None:
    with pytest.raises(
        UsageError, match="test Pod checks has restartPolicy Always: it never ends"
    ) as refused:
        check_ends([pod(**policy)], jobs)
    assert refused.value.hint.startswith("write restartPolicy: Never")


def test_a_pod_that_ends_or_is_no_test_may_have_any_policy() -> None:
    ends = [pod(restartPolicy=p) for p in ("Never", "OnFailure")]
    check_ends([*ends, pod("PreSync", "prepare"), job(), {"kind": "Pod"}], [])
    check_ends([*ends, pod(name="server")], ["checks"])


FIX = "annotate it with argocd.argoproj.io/hook: PostSync"
GAPS: dict[str, tuple[list[Json], list[str], Gap | None]] = {
    "it is there": ([job()], ["checks"], None),
    "any will do": ([job()], [], None),
    "it is a bare Pod": ([pod()], ["checks"], None),
    "a bare Pod will do": ([pod()], [], None),
    "it is a plain Pod": (
        [{"kind": "Pod", "metadata": {"name": "checks"}}],
        ["checks"],
        Gap(
            "hook Job or Pod checks",
            f"checks is there, but as a plain Pod: {FIX}\nit has: no hook Job or Pod at all",
            taken=True,
        ),
    ),
    "none is there": ([], [], Gap("PostSync Job or Pod", "it has: no hook Job or Pod at all", False)),
    "another one is there": (
        [job("prepare", "PreSync,Sync")],
        ["checks"],
        Gap("hook Job or Pod checks", "it has: prepare (PreSync, Sync)"),
    ),
    "it is a plain Job": (
        [job(hook="")],
        ["checks"],
        Gap(
            "hook Job or Pod checks",
            f"checks is there, but as a plain Job: {FIX}\nit has: no hook Job or Pod at all",
            taken=True,
        ),
    ),
    "it is a hook of the deletion": (
        [job(hook="PostDelete")],
        ["checks"],
        Gap(
            "hook Job or Pod checks",
            f"checks is a hook for PostDelete, which no sync runs: {FIX}\nit has: no hook Job or Pod at all",
            taken=True,
        ),
    ),
    "it is a Helm test": (
        [helm("checks", "test")],
        ["checks"],
        Gap(
            "hook Job or Pod checks",
            f"Job checks is a Helm test (helm.sh/hook: test), which Argo CD ignores: {FIX}\n"
            "it has: no hook Job or Pod at all",
            taken=True,
        ),
    ),
    "Helm tests are all there is": (
        [helm("web-test-connection", "test", "Pod"), job("prepare", "PreSync")],
        [],
        Gap(
            "PostSync Job or Pod",
            f"Pod web-test-connection is a Helm test (helm.sh/hook: test), which Argo CD ignores: {FIX}\n"
            "it has: prepare (PreSync)",
        ),
    ),
    "a Helm test beside a real one is nobody's business": ([helm("t", "test", "Pod"), job()], [], None),
}


@pytest.mark.parametrize(("manifests", "jobs", "expected"), GAPS.values(), ids=GAPS.keys())
def test_a_missing_test_is_told_by_what_is_there_in_its_place(
    manifests: list[Json], jobs: list[str], expected: Gap | None
) -> None:
    assert gap(manifests, jobs) == expected


# -- pods that go on with the former topic -----------------------------------------------------------------


def workload(kind: str = "Deployment", checksum: str = "", mounted: bool = False, **spec: Any) -> Json:
    pods: Json = {"containers": [{"name": "main", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}
    if mounted:
        pods["volumes"] = [{"name": "v", "configMap": {"name": "settings"}}]
    template = {"metadata": {"annotations": {"checksum": checksum}}, "spec": pods}
    return {"kind": kind, "metadata": {"name": "svc"}, "spec": {"template": template, **spec}}


@pytest.mark.parametrize(
    ("ours", "former", "configmaps", "told"),
    [
        (workload(), workload(), {"settings"}, "reads ConfigMap settings at its start"),
        (workload(), workload(), {"others"}, ""),
        (workload(checksum="b"), workload(checksum="a"), {"settings"}, ""),
        (workload(mounted=True), workload(mounted=True), {"settings"}, "mounts ConfigMap settings"),
        (workload(mounted=True), workload(mounted=True), {"others"}, ""),
        (workload("Job"), workload("Job"), {"settings"}, ""),
        (
            workload("StatefulSet", "b", updateStrategy={"type": "OnDelete"}),
            workload("StatefulSet", "a", updateStrategy={"type": "OnDelete"}),
            {"settings"},
            "OnDelete in its update strategy",
        ),
        (
            workload("StatefulSet", "b", updateStrategy={"rollingUpdate": {"partition": 1}}),
            workload("StatefulSet", "a", updateStrategy={"rollingUpdate": {"partition": 1}}),
            {"settings"},
            "a partition in its update strategy",
        ),
    ],
)
def test_a_workload_whose_pods_keep_the_former_topic_is_told(
    ours: Json, former: Json, configmaps: set[str], told: str
) -> None:
    texts = list(restart_warnings([ours], [former], configmaps))
    assert [told in text for text in texts] == ([True] if told else [])


def forced(value: str, options: str = "Force=true,Replace=true", **annotations: str) -> Json:
    metadata = {"name": "once", "annotations": {"argocd.argoproj.io/sync-options": options} | annotations}
    return {"kind": "Job", "metadata": metadata, "spec": {"value": value}}


@pytest.mark.parametrize(
    ("ours", "former", "options", "told"),
    [
        (forced("b"), [forced("a")], [], ["Job once"]),
        (forced("b", "Replace=true"), [forced("a", "Replace=true")], ["Force=true"], ["Job once"]),
        (forced("b", "Replace=true"), [forced("a", "Replace=true")], [], []),
        (forced("a"), [forced("a")], [], []),
        (forced("b"), [], [], []),
        (
            forced("b", **{"argocd.argoproj.io/hook": "Sync"}),
            [forced("a", **{"argocd.argoproj.io/hook": "Sync"})],
            [],
            [],
        ),
    ],
)
def test_a_plain_job_that_runs_again_when_it_is_put_back_is_told(
    ours: Json, former: list[Json], options: list[str], told: list[str]
) -> None:
    texts = list(run_again([ours], former, options))
    assert [text.partition(" is no hook and has the sync option Force=true")[0] for text in texts] == told
