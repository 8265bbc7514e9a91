"""What is new about an operation and its logs is emitted, and once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from argorun.argocd.logs.container import Container
from argorun.argocd.manifests.hooks import Hook, hooks_of
from argorun.argocd.types import Node, OperationState, ResourceResult, SyncResult
from argorun.events import Event, HookStatus, Step
from argorun.run.last_lines import LAST_LINES
from argorun.run.progress import AT_ONCE, Progress
from tests.unit.scenario import Scenario

CONTAINER = Container("tests", "ns", "tests-x", "main", 2, 1)


class FollowedOperation(Scenario):
    """A Progress, its clock, and what it emitted: the events' names and their fields, without times."""

    def __init__(self, *jobs: str, logs: str = "tests") -> None:
        super().__init__()
        self.emitted: list[tuple[str, dict[str, Any]]] = []
        self.seconds: list[float] = []
        self.now = 100.0
        self.progress = Progress(self.report, jobs, logs, clock=lambda: self.now)

    def report(self, event: Event) -> None:
        fields = dataclasses.asdict(event)
        fields.pop("time")
        if "seconds" in fields:
            self.seconds.append(fields.pop("seconds"))
        self.emitted.append((type(event).__name__, fields))

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        emitted, self.emitted = self.emitted, []
        return emitted


def hook(
    phase: str, name: str = "tests", at: str = "PostSync", message: str = "", kind: str = "Job"
) -> ResourceResult:
    return ResourceResult(
        kind=kind, namespace="ns", name=name, hook_type=at, sync_phase=at, hook_phase=phase, message=message
    )


def state(*results: ResourceResult, phase: str = "Running", message: str = "") -> OperationState:
    return OperationState(phase=phase, message=message, sync_result=SyncResult(resources=list(results)))


def told_hook(status: HookStatus, name: str = "tests", **more: Any) -> tuple[str, dict[str, Any]]:
    fields = {"hook": "PostSync", "kind": "Job", "name": name, "namespace": "ns", "status": status}
    return "HookChanged", fields | {"message": "", "required": True} | more


def test_an_operations_phase_and_message_are_reported_when_they_change() -> None:
    scenario = FollowedOperation()
    for phase, message in (
        ("Running", "a"),
        ("Running", "a"),
        ("Running", "b"),
        ("Failed", "b"),
        ("Failed", "b"),
    ):
        scenario.progress.update(state(phase=phase, message=message))
    assert scenario.emitted == [
        ("OperationChanged", {"phase": "Running", "message": "a"}),
        ("OperationChanged", {"phase": "Running", "message": "b"}),
        ("OperationChanged", {"phase": "Failed", "message": "b"}),
    ]


def test_a_resource_is_reported_when_it_changes() -> None:
    scenario = FollowedOperation()
    scenario.progress.update(state())
    scenario.news()
    for status, message in (("Synced", "created"), ("Synced", "created"), ("SyncFailed", "no")):
        result = ResourceResult(
            group="apps", kind="Deployment", namespace="ns", name="d", status=status, message=message
        )
        assert scenario.progress.update(state(result)) == []
    common = {"kind": "Deployment", "name": "d", "namespace": "ns"}
    assert scenario.emitted == [
        ("ResourceChanged", common | {"status": "Synced", "message": "created"}),
        ("ResourceChanged", common | {"status": "SyncFailed", "message": "no"}),
    ]


def test_a_hook_is_reported_as_it_goes_and_its_words_only_when_it_is_over() -> None:
    scenario = FollowedOperation()
    scenario.progress.update(state())
    scenario.news()
    steps = [
        ("", ""),
        ("Running", "waiting"),
        ("Running", "still waiting"),
        ("Terminating", ""),
        ("Failed", "limit"),
    ]
    for phase, message in steps:
        changed = scenario.progress.update(state(hook(phase, message=message)))
        assert [(h.hook_phase, h.message) for h in changed] == [(phase, message)]
        assert scenario.progress.update(state(hook(phase, message=message))) == []
        scenario.now += 2
    assert scenario.emitted == [
        told_hook(HookStatus.WAITING),
        told_hook(HookStatus.RUNNING),
        told_hook(HookStatus.FAILED, message="limit"),
    ]
    assert scenario.seconds == [0, 2, 8]


def test_the_same_job_in_two_phases_is_reported_as_two() -> None:
    scenario = FollowedOperation("tests")
    scenario.progress.update(state(hook("Succeeded", at="PreSync"), hook("Running")))
    assert scenario.emitted[1:] == [
        told_hook(HookStatus.SUCCEEDED, hook="PreSync"),
        told_hook(HookStatus.RUNNING),
    ]


def test_a_job_that_appears_is_reported_before_the_operation_says_so_and_counts_from_then() -> None:
    scenario = FollowedOperation()
    scenario.progress.update(state())
    scenario.news()
    scenario.progress.expect([Hook("tests", ("PostSync",)), Hook("prepare", ("PreSync",))])
    scenario.progress.appeared(Node(kind="Job", namespace="ns", name="tests", uid="u"))
    assert scenario.news() == [told_hook(HookStatus.RUNNING)]
    scenario.now += 2
    scenario.progress.update(state(hook("Running")))
    assert scenario.news() == []
    scenario.now += 3
    scenario.progress.update(state(hook("Succeeded", message="done")))
    assert scenario.news() == [told_hook(HookStatus.SUCCEEDED, message="done")]
    assert scenario.seconds == [0, 5]


@pytest.mark.parametrize(
    "expected", [[], [Hook("other", ("PostSync",))], [Hook("tests", ("PreSync", "PostSync"))]]
)
def test_a_job_whose_phase_is_not_known_is_reported_by_the_operation(
    expected: list[Hook],
) -> None:
    scenario = FollowedOperation()
    scenario.progress.update(state())
    scenario.progress.expect(expected)
    scenario.news()
    scenario.progress.appeared(Node(kind="Job", namespace="ns", name="tests", uid="u"))
    assert scenario.news() == []
    scenario.now += 2
    scenario.progress.update(state(hook("Running")))
    assert (scenario.news(), scenario.seconds) == ([told_hook(HookStatus.RUNNING)], [2])


def test_a_bare_pod_that_is_a_hook_is_reported_as_soon_as_it_is_there() -> None:
    scenario = FollowedOperation()
    scenario.progress.expect([Hook("tests-", ("PostSync",), generated=True, kind="Pod")])
    for kind, name in (("Job", "tests-1"), ("Pod", "other"), ("Pod", "tests-1")):
        scenario.progress.appeared(Node(kind=kind, namespace="ns", name=name, uid=kind + name))
    assert scenario.news() == [told_hook(HookStatus.RUNNING, "tests-1", kind="Pod")]
    assert scenario.progress.wants_log("Pod", "tests-1")
    assert not scenario.progress.wants_log("Job", "tests-1")


def test_only_tests_are_called_required_jobs_and_bare_pods_alike() -> None:
    scenario = FollowedOperation("tests")
    kinds = ("Job", "Pod", "Workflow")
    scenario.progress.update(state(hook("Running", "other"), *(hook("Running", kind=k) for k in kinds)))
    assert [(f["name"], f["kind"], f["required"]) for _, f in scenario.emitted[1:]] == [
        ("other", "Job", False),
        ("tests", "Job", True),
        ("tests", "Pod", True),
        ("tests", "Workflow", False),
    ]


@pytest.mark.parametrize(
    ("jobs", "wanted"),
    [
        ((), ["tests", "gen-abc-postsync-1", "late"]),
        (("gen",), ["gen-abc-postsync-1"]),
        (("prepare",), ["prepare"]),
    ],
)
def test_the_logs_of_the_test_jobs_are_wanted(jobs: tuple[str, ...], wanted: list[str]) -> None:
    scenario = FollowedOperation(*jobs)
    scenario.progress.expect(
        [
            Hook("tests", ("PostSync",)),
            Hook("gen-", ("PostSync",), generated=True),
            Hook("prepare", ("PreSync",)),
        ]
    )
    scenario.progress.update(state(hook("Running", "late")))  # not among what was rendered
    names = ["tests", "gen-abc-postsync-1", "late", "prepare", "unknown"]
    assert [n for n in names if scenario.progress.wants_log("Job", n)] == wanted


@pytest.mark.parametrize(
    ("logs", "wanted"),
    [
        ("tests", ["Job tests", "Job broken", "Pod broken-pod", "Pod hook-pod"]),
        ("hooks", ["Job tests", "Job prepare", "Job late", "Job broken", "Pod broken-pod", "Pod hook-pod"]),
        (
            "all",
            [
                "Job tests",
                "Job prepare",
                "Job late",
                "Job broken",
                "Pod broken-pod",
                "Job plain",
                "Pod hook-pod",
                "Pod plain-pod",
            ],
        ),
    ],
)
def test_the_logs_that_were_asked_for_are_wanted_and_those_of_failed_hooks(
    logs: str, wanted: list[str]
) -> None:
    scenario = FollowedOperation(logs=logs)
    scenario.progress.expect([Hook("tests", ("PostSync",)), Hook("prepare", ("PreSync",))])
    scenario.progress.update(
        state(
            hook("Running", "late", "PreSync"),
            hook("Failed", "broken", "PreSync"),
            hook("Error", "broken-pod", "PreSync", kind="Pod"),
            hook("Running", "hook-pod", kind="Pod"),
        )
    )
    sources = ["Job tests", "Job prepare", "Job late", "Job broken", "Pod broken-pod", "Job plain"]
    wants = [
        s for s in [*sources, "Pod hook-pod", "Pod plain-pod"] if scenario.progress.wants_log(*s.split())
    ]
    assert wants == wanted


def test_whose_log_must_be_there_is_decided_by_the_hooks_that_have_run() -> None:
    scenario = FollowedOperation()
    scenario.progress.update(
        state(hook("Succeeded"), hook("Failed", "b"), hook("Running", "c"), hook("Succeeded", "d", "PreSync"))
    )
    assert scenario.progress.ran() == ["tests"]


def test_the_logs_have_a_verdict_of_their_own() -> None:
    scenario = FollowedOperation()
    said = [scenario.progress.logs_read()]
    for job, lines, complete in (("a", 1, True), ("b", 1200, True), ("c", 0, False), ("c", 3, False)):
        container = dataclasses.replace(CONTAINER, job=job)
        scenario.progress.ended(container, lines, complete, "" if complete else "gone")
        said.append(scenario.progress.logs_read())
    assert said == [
        "no log",
        "complete: 1 line of 1 log",
        "complete: 1,201 lines of 2 logs",
        "1,201 lines, but 1 of 3 logs is not complete: c",
        "1,204 lines, but 2 of 4 logs are not complete: c",
    ]


def test_a_jobs_end_is_awaited_until_the_operation_has_seen_it_in_every_phase() -> None:
    scenario = FollowedOperation()
    assert scenario.progress.awaits("Job", "tests")
    scenario.progress.update(state(hook("Succeeded", at="PreSync"), hook("Running")))
    assert scenario.progress.awaits("Job", "tests")
    scenario.progress.update(state(hook("Succeeded", at="PreSync"), hook("Failed")))
    assert not scenario.progress.awaits("Job", "tests")
    assert scenario.progress.awaits("Pod", "tests"), "another kind of the same name"


def test_for_whom_the_run_waits_is_reported_when_it_changes() -> None:
    scenario = FollowedOperation()
    for reason in ("run a", "run a", "run b", "run a"):
        scenario.progress.waits(Step.PARAMETERS, reason)
    assert [f["reason"] for _, f in scenario.emitted] == ["run a", "run b", "run a"]


def test_what_the_run_was_at_is_said_in_its_best_words() -> None:
    scenario = FollowedOperation()
    said = [scenario.progress.doing()]
    scenario.progress.waits(Step.PARAMETERS, "run theirs")
    said.append(scenario.progress.doing())
    for results, message in (
        ([], ""),
        ([], "waiting for healthy state of d"),
        ([hook("Running"), hook("Running", "b")], ""),
    ):
        scenario.progress.update(state(*results, message=message))
        said.append(scenario.progress.doing())
    assert said == [
        "nothing was synced yet",
        "waiting for run theirs",
        "the operation was Running",
        "waiting for healthy state of d",
        "tests, b still running",
    ]


def test_a_log_is_reported_from_its_beginning_to_its_end() -> None:
    scenario = FollowedOperation()
    scenario.progress.started(CONTAINER)
    scenario.progress.lines(CONTAINER, ["2024-01-01T00:00:00.000000000Z"] * 2, ["hello", "there"])
    scenario.progress.ended(CONTAINER, 2, False, "the pod is gone")
    common = {"job": "tests", "pod": "tests-x", "container": "main", "attempt": 2, "restart": 1}
    assert scenario.emitted == [
        ("LogStarted", common | {"init": False}),
        (
            "LogLines",
            common | {"stamps": ("2024-01-01T00:00:00.000000000Z",) * 2, "texts": ("hello", "there")},
        ),
        ("LogEnded", common | {"lines": 2, "complete": False, "reason": "the pod is gone"}),
    ]


def test_a_red_run_ends_with_the_last_lines_of_the_jobs_that_failed_each_once() -> None:
    scenario = FollowedOperation()
    for name in ("tests", "fine"):
        for i in range(LAST_LINES + 5):
            scenario.progress.lines(dataclasses.replace(CONTAINER, job=name), [""], [f"{name} {i}"])
    assert scenario.progress.last_lines() == ()
    scenario.progress.update(
        state(
            hook("Failed", at="PreSync"), hook("Error"), hook("Succeeded", "fine"), hook("Failed", "silent")
        )
    )
    assert scenario.progress.last_lines() == tuple(f"tests {i}" for i in range(5, LAST_LINES + 5))


def failed_after(*written: tuple[dict[str, Any], list[str]]) -> tuple[str, tuple[str, ...]]:
    """Whose last lines a red run shows, and which, where these were written before the Job failed."""
    scenario = FollowedOperation()
    for log, texts in written:
        container = dataclasses.replace(CONTAINER, **{"attempt": 1, "restart": 0} | log)
        scenario.progress.lines(container, [""] * len(texts), texts)
    scenario.progress.update(state(hook("Failed")))
    return scenario.progress.log_of(), scenario.progress.last_lines()


def test_of_several_attempts_the_last_lines_are_the_newest_ones_and_say_so() -> None:
    one, two = {"pod": "tests-a"}, {"pod": "tests-b", "attempt": 2}
    assert failed_after((one, ["a"])) == ("", ("a",))
    assert failed_after((one, ["a"]), (two, ["b"]), (one, ["late"])) == ("attempt 2, pod tests-b", ("b",))
    assert failed_after((one, ["a"]), (one | {"restart": 1}, ["b"])) == ("restart 1", ("b",))


def test_of_pods_that_ran_side_by_side_each_last_line_says_whose_it_is() -> None:
    pods = [({"pod": f"tests-{name}"}, [f"{name}{i}" for i in range(9)]) for name in "abcd"]
    of, lines = failed_after(*pods)
    assert of == "3 of 4 logs"
    assert lines == tuple(f"tests-{name} | {name}{i}" for name in "bcd" for i in range(3, 9))
    beside = [({"name": "main"}, ["m"]), ({"name": "proxy"}, ["p"]), ({"name": "i", "init": True}, ["i"])]
    assert failed_after(*beside) == ("2 of 3 logs", ("main | m", "proxy | p"))


def test_a_line_that_is_written_again_and_again_takes_one_place_and_is_counted() -> None:
    waits: tuple[dict[str, Any], list[str]] = ({}, ["Waiting for the broker"])
    lines = ("connecting", "Waiting for the broker (repeated 57 times)", "gave up")
    assert failed_after(({}, ["connecting"]), *[waits] * 57, ({}, ["gave up"])) == ("", lines)
    assert failed_after(({}, ["", ""]))[1] == (" (repeated 2 times)",)


def test_only_a_job_whose_manifest_says_so_runs_several_pods_that_are_no_attempts() -> None:
    scenario = FollowedOperation()
    jobs: dict[str, dict[str, Any]] = {
        "one": {},
        "both": {"parallelism": 1, "completions": 1},
        "wide": {"parallelism": 3},
    }
    jobs |= {"long": {"completions": 3}, "odd": {"parallelism": "3"}}
    annotations = {"argocd.argoproj.io/hook": "PostSync"}
    manifests = [
        {"kind": "Job", "metadata": {"name": name, "annotations": annotations}, "spec": spec}
        for name, spec in jobs.items()
    ]
    scenario.progress.expect(hooks_of(manifests))
    assert [name for name in [*jobs, "unknown"] if scenario.progress.is_parallel(name)] == ["wide", "long"]


def test_of_thousands_of_resources_few_are_reported_in_one_go_and_none_is_left_out() -> None:
    scenario = FollowedOperation()
    applied = [ResourceResult(kind="ConfigMap", name=f"c-{i}", status="Synced") for i in range(1000)]
    hook_runs = hook("Running")
    goes: list[int] = []
    while not goes or scenario.progress.behind:
        changed = scenario.progress.update(state(hook_runs, *applied))
        goes.append(len([fields for name, fields in scenario.news() if name == "ResourceChanged"]))
        assert changed == ([hook_runs] if len(goes) == 1 else [])
    assert goes == [AT_ONCE] * (1000 // AT_ONCE)
