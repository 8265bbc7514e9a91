"""An operation is ours only by its run id: started once, followed to its end; nobody else's is ever ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from argorun.argocd.http.errors import ApiError, Denied, InvalidResponse
from argorun.argocd.sync import operation
from argorun.argocd.types import Application, OperationState, ResourceResult, ResourceStatus, SyncResult
from argorun.errors import ArgoCDFailed, OperationFailed
from tests.unit.argocd.fakes import APP, DOWN, IN_PROGRESS, FakeArgoCD, Lost
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

BODY = operation.body("ours")


def starting(argocd: FakeArgoCD) -> Application:
    return run(operation.start(argocd.client, APP, "ours", BODY))


# -- start ----------------------------------------------------------------------------------------------


def test_a_request_carries_the_run_id_and_switches_retries_off() -> None:
    assert operation.body("r1") == {
        "infos": [{"name": "argorun-run", "value": "r1"}],
        "retryStrategy": {"limit": 0},
    }


def test_a_partial_request_names_revision_and_resources() -> None:
    resource = ResourceStatus(
        group="apps", version="v1", kind="Deployment", namespace="n", name="d", status="OutOfSync"
    )
    assert operation.body("r1", "abc", [resource]) == {
        "infos": [{"name": "argorun-run", "value": "r1"}],
        "retryStrategy": {"limit": 0},
        "revision": "abc",
        "resources": [{"group": "apps", "kind": "Deployment", "namespace": "n", "name": "d"}],
    }


def test_an_operation_is_started_by_one_request() -> None:
    argocd = FakeArgoCD()
    seen = starting(argocd)
    assert seen.running is not None
    assert (seen.running.run_id, argocd.calls, argocd.syncs) == ("ours", ["sync"], [BODY])


@pytest.mark.parametrize(
    "lost", [DOWN, InvalidResponse("half an answer"), ApiError("sync", 502, 0, "bad gateway")]
)
def test_a_lost_answer_to_a_sync_that_took_starts_no_second_one(lost: Exception) -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", Lost(lost))
    seen = starting(argocd)
    assert seen.running is not None
    assert (seen.running.run_id, argocd.calls) == ("ours", ["sync", "application"])


def test_a_lost_answer_to_a_sync_that_is_over_already_starts_no_second_one() -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", Lost())
    argocd.meets("application", lambda a: (a.picks_up(), a.ends("Failed")))
    assert starting(argocd).state_of("ours") is not None
    assert argocd.calls == ["sync", "application"]


@pytest.mark.parametrize(
    "lost",
    [
        DOWN,
        InvalidResponse("a web page"),
        ApiError("sync", 503, 0, "unavailable"),
        ApiError("sync", 429, 8, "slow down"),
    ],
)
def test_a_sync_that_did_not_take_is_sent_again(lost: Exception) -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", lost, lost)
    seen = starting(argocd)
    assert seen.running is not None
    assert seen.running.run_id == "ours"
    assert argocd.calls == ["sync", "application", "sync", "application", "sync"]
    assert len(argocd.syncs) == 1


def test_a_lost_sync_that_shows_only_later_is_found_when_the_next_one_meets_it() -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", DOWN, lambda a: a.runs("ours"))
    seen = starting(argocd)
    assert seen.running is not None
    assert (seen.running.run_id, argocd.syncs) == ("ours", [])


@pytest.mark.parametrize("first", [None, DOWN])
def test_somebody_elses_operation_in_the_way_is_busy_and_is_left_alone(first: Exception | None) -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", *([first] if first else []), lambda a: a.runs("theirs"))
    with pytest.raises(operation.Busy, match="run theirs, started 2024-01-01T00:00:00Z, Running"):
        starting(argocd)
    assert (argocd.syncs, "terminate" in argocd.calls) == ([], False)


def test_an_operation_in_the_way_that_is_gone_when_one_looks_is_busy_too() -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", ApiError("sync", 400, 9, IN_PROGRESS))
    with pytest.raises(operation.Busy, match=r"^another operation$"):
        starting(argocd)


def test_a_sync_window_says_so_and_is_no_missing_permission() -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", Denied("sync weather", 403, "cannot sync: blocked by sync window", "hint"))
    with pytest.raises(OperationFailed) as e:
        starting(argocd)
    assert e.value.message == (
        "weather may not be synced now: it is blocked by a sync window of project default"
    )


def test_no_permission_stays_no_permission() -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", Denied("sync weather", 403, "permission denied", "hint"))
    with pytest.raises(Denied, match="permission denied"):
        starting(argocd)


@pytest.mark.parametrize(
    "text",
    ["Cannot sync to abc: auto-sync currently set to HEAD", "application is deleting", "invalid revision"],
)
def test_what_argo_cd_does_not_accept_is_not_sent_again(text: str) -> None:
    argocd = FakeArgoCD()
    argocd.meets("sync", ApiError("sync", 400, 9, text))
    with pytest.raises(OperationFailed) as e:
        starting(argocd)
    assert (e.value.message, argocd.calls) == (f"Argo CD refused to sync weather: {text}", ["sync"])


def test_a_sync_that_never_takes_is_given_up_with_the_last_error_when_the_time_is_up() -> None:
    argocd = FakeArgoCD()
    last = ApiError("sync weather", 503, 14, "no healthy upstream")
    argocd.meets("sync", *[last] * 99)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ApiError, match="no healthy upstream"):
            await operation.start(argocd.client, APP, "ours", BODY)
        return asyncio.get_running_loop().time() - began

    assert argocd.retry_for < run(timed()) < argocd.retry_for + 4


# -- who holds it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda a: None, "another operation"),
        (lambda a: a.runs("r1"), "run r1, started 2024-01-01T00:00:00Z, Running"),
        (lambda a: a.runs("r1", phase=None), "run r1, about to start"),
        (
            lambda a: a.runs("", phase="Terminating"),
            "an operation of bob, started 2024-01-01T00:00:00Z, Terminating",
        ),
        (lambda a: (a.runs(""), a.document["operation"].pop("initiatedBy")), "an operation of auto-sync"),
    ],
)
def test_a_person_who_waits_sees_for_whom(does: Callable[[FakeArgoCD], object], said: str) -> None:
    argocd = FakeArgoCD()
    does(argocd)
    assert operation.holder(argocd.seen()).startswith(said)


# -- follow ---------------------------------------------------------------------------------------------


class Following:
    """What was reported of an operation, and how it ended."""

    def __init__(self, argocd: FakeArgoCD) -> None:
        self.argocd = argocd
        self.states: list[tuple[str, str]] = []

    async def follow(self) -> OperationState:
        state = await operation.follow(
            self.argocd.client, APP, "ours", lambda s: self.states.append((s.phase, s.message))
        )
        # Nothing of it lives on.
        assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []
        return state


def test_every_state_is_reported_until_the_end() -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours", message="waiting for hooks")
    argocd.send_change()
    argocd.ends("Failed", "a hook failed")
    argocd.send_change()
    state = run(following.follow())
    assert (state.phase, state.message) == ("Failed", "a hook failed")
    assert following.states == [("Running", "waiting for hooks"), ("Failed", "a hook failed")]


def test_states_of_other_operations_are_not_reported_not_even_their_end() -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    for run_id, phase in (
        ("theirs", "Succeeded"),
        ("", "Failed"),
        ("ours/settle", "Succeeded"),
        ("ours", None),
    ):
        argocd.runs(run_id, phase=phase)
        argocd.send_change()
    argocd.runs("ours", phase="Succeeded")
    argocd.send_change()
    assert run(following.follow()).operation.run_id == "ours"
    assert following.states == [("Succeeded", "")]


@pytest.mark.parametrize("broken", [DOWN, InvalidResponse("half a frame"), Denied("watch", 403, "no", "")])
def test_a_watch_that_breaks_is_taken_up_again(broken: Exception) -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours")
    argocd.send_change()
    argocd.changes.put_nowait(broken)
    argocd.changes.put_nowait(broken)
    argocd.ends()
    argocd.send_change()
    assert run(following.follow()).phase == "Succeeded"
    assert following.states == [("Running", ""), ("Succeeded", "")]
    assert argocd.calls == ["watch", "watch", "watch"]


def test_a_watch_that_ends_is_taken_up_again_and_the_application_is_read_at_once() -> None:
    """Argo CD ends the watch of an Application that was deleted."""
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours")
    argocd.send_change()
    argocd.changes.put_nowait(None)
    argocd.changes.put_nowait(None)

    def ends() -> None:
        argocd.ends()
        argocd.send_change()

    async def followed() -> OperationState:
        asyncio.get_running_loop().call_later(operation.POLL / 2, ends)
        return await following.follow()

    assert run(followed()).phase == "Succeeded"
    assert argocd.calls == ["watch", "application", "watch", "application", "watch"]


@pytest.mark.parametrize("phase", ["Running", None])
def test_an_application_that_is_being_deleted_ends_the_following(phase: str | None) -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours", phase=phase)
    argocd.document["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:09Z"
    argocd.send_change()
    with pytest.raises(operation.Deleted, match="was deleted meanwhile"):
        run(following.follow())


def test_pruning_is_asked_for_only_where_it_is_wanted() -> None:
    resource = ResourceStatus(group="apps", kind="Deployment", namespace="n", name="d")
    assert "prune" not in operation.body("r", "abc", [resource])
    assert operation.body("r", "abc", [resource], prune=True)["prune"] is True


def test_an_end_that_the_watch_drops_is_seen_by_the_slow_read() -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours")
    argocd.meets("application", None, lambda a: a.ends())

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await following.follow()
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 2 * operation.POLL
    assert following.states == [("Running", ""), ("Succeeded", "")]


def test_an_operation_that_another_has_replaced_is_not_waited_for() -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours")
    argocd.send_change()
    argocd.meets("application", lambda a: a.runs("theirs"))
    with pytest.raises(OperationFailed) as e:
        run(following.follow())
    assert e.value.message == (
        "the run's operation on weather is gone: run theirs, started 2024-01-01T00:00:00Z, Running "
        "took its place before its end was seen"
    )


def test_an_operation_that_the_controller_has_not_looked_at_yet_is_not_gone() -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours", phase=None)
    argocd.meets("application", None, None, lambda a: a.runs("ours", phase="Succeeded"))
    assert run(following.follow()).phase == "Succeeded"


def test_a_controller_that_has_missed_the_operation_is_woken_until_it_takes_it_up() -> None:
    argocd = FakeArgoCD()
    following = Following(argocd)
    argocd.runs("ours", phase=None)
    argocd.meets("refresh", DOWN, lambda a: (a.picks_up(), a.send_change()))

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.call_later(20, lambda: (argocd.ends(), argocd.send_change()))
        await following.follow()
        return loop.time() - began

    assert run(timed()) == 20
    assert argocd.calls.count("refresh") == 2, "none once it was taken up"
    assert following.states[0] == ("Running", "")


def test_an_operation_that_the_controller_has_missed_is_ended_once_it_is_woken() -> None:
    argocd = FakeArgoCD()
    argocd.runs("ours", phase=None)
    argocd.meets("refresh", lambda a: a.picks_up())

    async def ended() -> bool:
        asyncio.get_running_loop().call_later(operation.TAKEN_UP + 2, argocd.ends)
        return await operation.end(argocd.client, APP, "ours")

    assert run(ended())
    assert argocd.calls.count("refresh") == 1
    assert argocd.calls.index("refresh") > 3, "not at once"


def test_an_argo_cd_that_stays_away_ends_the_following() -> None:
    argocd = FakeArgoCD()
    argocd.changes.put_nowait(DOWN)
    argocd.meets("application", DOWN)
    with pytest.raises(ArgoCDFailed, match="cannot be reached"):
        run(Following(argocd).follow())


def test_following_can_be_stopped_and_leaves_nothing_behind() -> None:
    argocd = FakeArgoCD()

    async def stopped() -> list[object]:
        task = asyncio.create_task(Following(argocd).follow())
        await asyncio.sleep(3)
        task.cancel()
        await asyncio.wait({task})
        return [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

    assert run(stopped()) == []


# -- end ------------------------------------------------------------------------------------------------


def ending(argocd: FakeArgoCD) -> bool:
    return run(operation.end(argocd.client, APP, "ours"))


@pytest.mark.parametrize(
    "does",
    [
        lambda a: None,
        lambda a: a.runs("theirs"),
        lambda a: a.runs(""),
        lambda a: a.runs("ours/settle"),
        lambda a: a.runs("theirs", phase=None),
        lambda a: a.runs("ours", phase="Succeeded"),
    ],
)
def test_an_operation_that_is_not_this_runs_or_over_is_left_alone(
    does: Callable[[FakeArgoCD], object],
) -> None:
    argocd = FakeArgoCD()
    does(argocd)
    assert (ending(argocd), argocd.calls) == (False, ["application"])


def test_the_runs_operation_is_ended_and_waited_for() -> None:
    argocd = FakeArgoCD()
    argocd.runs("ours")
    argocd.meets("application", None, None, None, lambda a: a.ends("Failed", "Operation terminated"))
    assert ending(argocd)
    assert argocd.calls == ["application", "terminate", "application", "application", "application"]


@pytest.mark.parametrize(("looks", "told"), [(5, 0), (60, 1)])
def test_argo_cds_own_delay_is_reported_once_and_only_where_it_is_long(looks: int, told: int) -> None:
    """It has agreed to end the operation: what is waited for is its sync wave, and no answer."""
    argocd, heard = FakeArgoCD(), list[str]()
    argocd.runs("ours")
    argocd.meets("application", *[None] * looks, lambda a: a.ends("Failed", "Operation terminated"))
    assert run(operation.end(argocd.client, APP, "ours", heard.append))
    assert argocd.calls.count("terminate") == 1
    assert len(heard) == told
    assert all("Terminating" in text for text in heard)


def test_a_terminate_that_comes_too_early_is_sent_again() -> None:
    argocd = FakeArgoCD()
    argocd.runs("ours", phase=None)
    argocd.meets("terminate", None, None, lambda a: a.picks_up())
    argocd.meets("application", None, None, None, lambda a: a.ends("Failed"))
    assert ending(argocd)
    assert argocd.calls == ["application", "terminate"] * 3 + ["application"]


@pytest.mark.parametrize("fault", [DOWN, InvalidResponse("x"), ApiError("end", 503, 14, "x")])
def test_a_terminate_that_is_lost_on_its_way_is_sent_again(fault: Exception) -> None:
    argocd = FakeArgoCD()
    argocd.runs("ours")
    argocd.meets("terminate", fault)
    argocd.meets("application", None, None, lambda a: a.ends("Failed"))
    assert ending(argocd)
    assert argocd.calls == ["application", "terminate"] * 2 + ["application"]


def test_an_operation_that_another_replaces_meanwhile_is_over_and_the_other_is_left_alone() -> None:
    argocd = FakeArgoCD()
    argocd.runs("ours")
    argocd.meets("application", None, lambda a: a.runs("theirs"))
    assert ending(argocd)
    assert argocd.calls == ["application", "terminate", "application"]


def test_not_being_allowed_to_end_it_is_reported() -> None:
    argocd = FakeArgoCD()
    argocd.runs("ours")
    argocd.meets("terminate", Denied("end the operation", 403, "permission denied", ""))
    with pytest.raises(Denied):
        ending(argocd)


# -- what it is made of ---------------------------------------------------------------------------------


def test_hooks_and_resources_are_told_apart_and_a_hook_of_two_phases_is_there_twice() -> None:
    pre = ResourceResult(
        kind="Job", name="j", hook_type="PreSync", hook_phase="Succeeded", sync_phase="PreSync"
    )
    post = ResourceResult(
        kind="Job", name="j", hook_type="PostSync", hook_phase="Running", sync_phase="PostSync"
    )
    plain = ResourceResult(group="apps", kind="Deployment", name="d", hook_phase="Running", sync_phase="Sync")
    state = OperationState(sync_result=SyncResult(resources=[pre, plain, post]))
    assert (operation.hooks(state), operation.resources(state)) == ([pre, post], [plain])
    assert [operation.key(r) for r in (pre, post, plain)] == [
        ("", "Job", "", "j", "PreSync"),
        ("", "Job", "", "j", "PostSync"),
        ("apps", "Deployment", "", "d", "Sync"),
    ]
    for empty in (OperationState(), OperationState(sync_result=SyncResult())):
        assert (operation.hooks(empty), operation.resources(empty)) == ([], [])


def test_no_hook_that_goes_leaves_its_pods_behind_whatever_the_applications_options_are() -> None:
    """When a run is ended, Argo CD deletes its hooks with the Application's PrunePropagationPolicy."""

    def spec(*options: str) -> Json:
        return {"syncPolicy": {"syncOptions": list(options)}}

    assert operation.testing_options({}) is None
    assert operation.testing_options(spec("PrunePropagationPolicy=foreground", "Replace=true")) is None
    for policy in ("orphan", "background"):
        options = spec("ServerSideApply=true", f"PrunePropagationPolicy={policy}")
        assert operation.testing_options(options) == ["ServerSideApply=true"]
    assert operation.settling_options(spec("ApplyOutOfSyncOnly=true")) == []
