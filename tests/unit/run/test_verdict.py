"""Green only if every required test Job ran in this very operation and succeeded."""

from __future__ import annotations

import pytest

from argorun.argocd.sync.hook_results import Intruder, Vanished
from argorun.argocd.types import OperationState, ResourceResult, SyncResult
from argorun.errors import ArgorunError, NoTestRan, OperationFailed, TestsFailed, TimedOut
from argorun.run.verdict import cannot_start, is_required, judge, suspects

TESTS = "run-automation-tests-job"


def hook(
    name: str = TESTS, phase: str = "Succeeded", kind: str = "Job", at: str = "PostSync", message: str = ""
) -> ResourceResult:
    return ResourceResult(
        kind=kind, name=name, hook_type=at, hook_phase=phase, sync_phase=at, message=message
    )


def resource(name: str, status: str = "Synced", message: str = "") -> ResourceResult:
    return ResourceResult(
        kind="Deployment", name=name, status=status, hook_phase="Running", sync_phase="Sync", message=message
    )


def ended(phase: str, *results: ResourceResult, message: str = "") -> OperationState:
    return OperationState(phase=phase, message=message, sync_result=SyncResult(resources=list(results)))


def told(error: ArgorunError | None) -> tuple[type, str, str, str] | None:
    return None if error is None else (type(error), error.message, error.hint, error.reason)


SEVERAL = "one or more synchronization tasks completed unsuccessfully"


def test_green_when_the_operation_and_the_named_job_succeeded() -> None:
    state = ended("Succeeded", resource("hellotilt"), hook("create-topic", at="PreSync"), hook())
    assert judge(state, [TESTS]) is None


def test_green_when_nothing_is_named_and_every_post_sync_job_succeeded() -> None:
    assert judge(ended("Succeeded", hook("a"), hook("b")), []) is None


def test_green_with_two_named_jobs_that_both_succeeded() -> None:
    assert judge(ended("Succeeded", hook("a"), hook("b", at="Sync"), hook("c")), ["b", "a"]) is None


def test_a_failed_test_job_is_1_with_the_hooks_message() -> None:
    state = ended(
        "Failed", hook(phase="Failed", message="Job has reached the specified backoff limit"), message=SEVERAL
    )
    assert told(judge(state, [TESTS])) == (
        TestsFailed,
        f"{TESTS} failed",
        "",
        f"Job {TESTS}: Job has reached the specified backoff limit",
    )


def test_a_test_job_in_error_is_1_too_and_names_each_failed_job_once() -> None:
    state = ended(
        "Failed",
        hook("a", "Error"),
        hook("b", "Failed", message="no"),
        hook("a", "Failed", at="Sync"),
        message=SEVERAL,
    )
    assert told(judge(state, ["a", "b"])) == (TestsFailed, "a, b failed", "", "Job b: no")


def test_a_failed_test_job_is_1_also_where_something_else_failed_beside_it() -> None:
    state = ended("Failed", hook("clean-up", "Failed", at="SyncFail"), hook(phase="Failed"), message=SEVERAL)
    assert told(judge(state, [TESTS])) == (TestsFailed, f"{TESTS} failed", "", "")


def test_a_failed_pre_sync_hook_is_3_although_no_test_ran() -> None:
    state = ended(
        "Failed", hook("create-topic-job", "Failed", at="PreSync", message="backoff limit"), message=SEVERAL
    )
    assert told(judge(state, [TESTS])) == (
        OperationFailed,
        "PreSync hook create-topic-job failed",
        "",
        "Job create-topic-job: backoff limit",
    )


def test_a_failed_post_sync_hook_that_is_no_test_is_3() -> None:
    state = ended("Failed", hook(), hook("delete-topic-job", "Failed"), message=SEVERAL)
    assert told(judge(state, [TESTS])) == (
        OperationFailed,
        "PostSync hook delete-topic-job failed",
        "",
        SEVERAL,
    )


def test_a_failed_hook_that_is_not_a_job_is_3() -> None:
    state = ended("Failed", hook("w", "Failed", kind="Workflow"), message=SEVERAL)
    assert told(judge(state, [])) == (OperationFailed, "PostSync hook w failed", "", SEVERAL)


def test_a_resource_that_could_not_be_applied_is_3_with_its_message() -> None:
    state = ended("Failed", resource("hellotilt", "SyncFailed", "admission webhook said no"), message=SEVERAL)
    assert told(judge(state, [])) == (
        OperationFailed,
        "Deployment hellotilt failed",
        "",
        "Deployment hellotilt: admission webhook said no",
    )


def test_an_operation_that_failed_before_it_did_anything_says_argo_cds_words() -> None:
    state = OperationState(phase="Error", message="ComparisonError: repository not found")
    assert told(judge(state, [TESTS])) == (
        OperationFailed,
        "the operation ended Error",
        "",
        "ComparisonError: repository not found",
    )


def test_an_operation_ended_by_someone_else_is_3_even_with_the_test_job_cut_down_in_it() -> None:
    state = ended("Failed", hook(phase="Failed", message="killed"), message="Operation terminated")
    assert told(judge(state, [TESTS])) == (
        OperationFailed,
        "the operation was ended by someone else",
        "",
        f"Job {TESTS}: killed",
    )


def test_a_named_job_that_is_no_hook_of_the_operation_is_9_and_says_what_ran() -> None:
    state = ended("Succeeded", hook("other"), hook("first", at="PreSync"))
    assert told(judge(state, [TESTS, "other"])) == (
        NoTestRan,
        f"no test ran: {TESTS} is not among the hooks of this operation",
        "it ran: other, first",
        "",
    )


def test_a_named_job_that_is_an_ordinary_resource_is_9() -> None:
    job = ResourceResult(kind="Job", name=TESTS, status="Synced", hook_phase="Succeeded", sync_phase="Sync")
    assert told(judge(ended("Succeeded", job), [TESTS])) == (
        NoTestRan,
        f"no test ran: {TESTS} is not among the hooks of this operation",
        "it ran: no hook at all",
        "",
    )


@pytest.mark.parametrize(
    "results",
    [[], [hook("a", at="PreSync")], [hook("a", kind="Pod", at="Sync")], [hook("a", kind="Workflow")]],
)
def test_no_post_sync_job_at_all_is_9_and_says_how_to_have_one(results: list[ResourceResult]) -> None:
    assert told(judge(ended("Succeeded", *results), [])) == (
        NoTestRan,
        "no test ran: the operation had no PostSync Job or Pod",
        "annotate the test with argocd.argoproj.io/hook: PostSync, or name it under tests.jobs",
        "",
    )


def test_an_operation_without_a_result_is_9() -> None:
    assert type(judge(OperationState(phase="Succeeded"), [])) is NoTestRan


@pytest.mark.parametrize("phase", ["", "Running", "Terminating"])
def test_a_test_job_whose_end_was_not_seen_is_9_and_never_green(phase: str) -> None:
    assert told(judge(ended("Succeeded", hook(phase=phase)), [TESTS])) == (
        NoTestRan,
        f"no test ran: {TESTS} did not end in this operation",
        "",
        "",
    )


def test_it_says_why_a_test_job_has_no_end_of_its_own() -> None:
    error = judge(ended("Succeeded", hook(phase="", message="it made no Job")), [TESTS])
    assert error is not None
    assert error.reason == f"Job {TESTS}: it made no Job"


def test_an_operation_that_failed_over_nothing_of_its_own_is_3_and_says_how_the_tests_ended() -> None:
    state = ended("Failed", resource("web"), hook(message="it succeeded"), message=SEVERAL)
    assert told(judge(state, [TESTS])) == (
        OperationFailed,
        "the operation ended Failed",
        "",
        f"{SEVERAL}\nJob {TESTS}: it succeeded",
    )


def test_a_hook_in_two_phases_must_succeed_in_both() -> None:
    def both(first: str, second: str) -> OperationState:
        return ended("Succeeded", hook(phase=first, at="PreSync"), hook(phase=second))

    assert judge(both("Succeeded", "Succeeded"), [TESTS]) is None
    assert type(judge(both("Succeeded", "Failed"), [TESTS])) is TestsFailed
    assert type(judge(both("Failed", "Succeeded"), [TESTS])) is TestsFailed
    assert type(judge(both("Succeeded", "Running"), [TESTS])) is NoTestRan


@pytest.mark.parametrize(
    ("name", "named", "is_it"),
    [
        ("tests", "tests", True),
        ("tests-1a2b3c4-postsync-1700000000", "tests", True),
        ("tests-1a2b3c4-postsync-1700000000", "tests-", True),
        ("tests1a2b3c4-postsync-1700000000", "tests", True),  # generateName without a dash at its end
        ("tests-postsync-1700000000", "tests", True),  # no revision
        ("tests-1a2b3c4-syncfail-1700000000", "tests", True),
        ("tests-1.2.3-postsync-1700000000", "tests-", True),  # a chart's version
        ("tests-1.2.3-r-postsync-1700000000", "tests-", True),
        ("tests-a-1.2.3-postsync-1700000000", "tests-", False),
        ("tests-2", "tests", False),
        ("tests-of-others-1a2b3c4-postsync-1700000000", "tests", False),
        ("my-tests", "tests", False),
        ("tests-1a2b3c4-postsync-", "tests", False),
        ("testsX1a2b3c4-postsync-17", "tests.1a2b3c4", False),  # a name is no pattern
        ("tests", "test", False),
    ],
)
def test_a_generated_name_counts_as_the_name_it_was_made_from(name: str, named: str, is_it: bool) -> None:
    assert is_required(hook(name), [named]) is is_it


def test_a_generated_job_is_green_and_never_missing() -> None:
    assert judge(ended("Succeeded", hook("tests-1a2b3c4-postsync-1700000000")), ["tests"]) is None


@pytest.mark.parametrize("jobs", [[], [TESTS]])
def test_a_job_or_a_bare_pod_is_a_test_and_nothing_else(jobs: list[str]) -> None:
    assert [is_required(hook(kind=k), jobs) for k in ("Job", "Pod", "Workflow")] == [True, True, False]


def test_where_no_job_is_named_only_post_sync_counts() -> None:
    phases = ("PreSync", "Sync", "PostSync", "SyncFail")
    assert [is_required(hook(at=p), []) for p in phases] == [False, False, True, False]
    assert [is_required(hook(at=p), [TESTS]) for p in phases] == [True] * 4


# -- what cannot start, and what to ask the cluster about ------------------------------------------------


@pytest.mark.parametrize(
    ("result", "jobs", "expected"),
    [
        (hook(), [TESTS], (TestsFailed, f"{TESTS} cannot start")),
        (hook(), [], (TestsFailed, f"{TESTS} cannot start")),
        (hook("prepare", at="PreSync"), [TESTS], (OperationFailed, "PreSync hook prepare cannot start")),
        (hook("later"), [TESTS], (OperationFailed, "PostSync hook later cannot start")),
        (resource("web"), [TESTS], (OperationFailed, "Deployment web cannot start")),
    ],
)
def test_what_cannot_start_is_1_where_it_is_a_test_and_3_otherwise(
    result: ResourceResult, jobs: list[str], expected: tuple[type, str]
) -> None:
    error = cannot_start(result, jobs, 60)
    assert (type(error), error.message) == expected
    assert error.reason == (
        f"no pod of {result.name} could start within 60 s (timeouts.stuck); Argo CD would wait forever"
    )


def test_of_a_failed_operation_what_failed_is_asked_about_test_jobs_first() -> None:
    results = (hook("other", "Failed"), hook(phase="Failed"), resource("web", "SyncFailed"), hook("fine"))
    state = ended("Failed", *results)
    for error in (TestsFailed("x"), OperationFailed("x")):
        assert [r.name for r in suspects(error, state, [TESTS])] == [TESTS, "other", "web"]


def test_of_a_run_past_its_time_what_it_waited_for_is_asked_about() -> None:
    state = ended("Running", resource("web"), hook("done"), hook(phase="Running"))
    assert [r.name for r in suspects(TimedOut("x"), state, [TESTS])] == [TESTS, "web"]


def test_nothing_is_asked_about_what_somebody_ended_or_what_is_no_failure_of_the_sync() -> None:
    failed = ended("Failed", hook(phase="Failed"), message="Operation terminated")
    assert suspects(OperationFailed("x"), failed, []) == []
    for error in (Intruder(hook(), "Application other"), Vanished(hook())):
        assert suspects(error, ended("Failed", hook(phase="Failed")), []) == [], "it is known"
    assert suspects(NoTestRan("x"), ended("Succeeded", hook(phase="Failed")), []) == []
