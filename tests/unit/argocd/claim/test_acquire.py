"""An Application is taken once it is free, and held by one run at a time."""

from __future__ import annotations

import asyncio
import copy
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from argorun.argocd.claim import acquire, restore
from argorun.argocd.claim.acquire import Lost, Reverted
from argorun.argocd.http.errors import ApiError, Slow, Unreachable
from argorun.argocd.http.retry import WaitBudget
from argorun.argocd.parameters.record import RECORD
from argorun.errors import ArgoCDFailed, ArgorunError, OperationFailed, UsageError
from tests.unit.argocd.claim.scenario import INVALID, OURS, ClaimScenario, recorded, shows, status
from tests.unit.argocd.fakes import DOWN, FakeArgoCD
from tests.unit.argocd.fakes import Lost as LostAnswer
from tests.unit.argocd.gopatch import Json, PatchFailed, applied
from tests.unit.scenario import AUTOMATED, FUTURE, NOW, PAST
from tests.unit.virtual import run

SLOW = Slow("Argo CD did not change Application weather within 90 s (argocd.timeout)")


def test_a_clock_that_is_ahead_ends_no_live_runs_operation() -> None:
    """A record's time is Argo CD's: by this machine's the run would be over 5 minutes ago."""
    scenario = ClaimScenario()
    scenario.set_time(NOW, ahead=1200)
    scenario.held_by("theirs", until=NOW + 900)
    scenario.argocd.runs("theirs")
    scenario.argocd.meets("application", None, None, gives_back)
    run(acquire.wait_until_free(scenario.claim, scenario.waited.append))
    assert ("terminate" in scenario.argocd.calls, scenario.notices) == (False, [])
    run(scenario.take())
    assert (scenario.record and scenario.record.since) == NOW


def gives_back(argocd: FakeArgoCD) -> None:
    """The other run has come to its end."""
    argocd.ends()
    argocd.document["spec"] = copy.deepcopy(AUTOMATED)
    del argocd.document["metadata"]["annotations"]


def test_a_clock_that_is_behind_waits_for_no_dead_run() -> None:
    scenario = ClaimScenario()
    scenario.set_time(NOW, ahead=-86400)
    scenario.held_by("theirs", until=NOW - 1)
    run(acquire.wait_until_free(scenario.claim, scenario.waited.append))
    assert (scenario.argocd.calls, scenario.waited) == (["application"], [])


# -- auto-sync that stays on ----------------------------------------------------------------------------


def drops_the_switch(argocd: FakeArgoCD) -> None:
    """What an Argo CD before 3.1 does with a field that it does not know."""
    argocd.spec["syncPolicy"]["automated"].pop("enabled", None)


@pytest.mark.parametrize("lost", [False, True])
def test_where_the_switch_of_auto_sync_is_dropped_all_is_given_back_and_the_cause_reported(
    lost: bool,
) -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", LostAnswer() if lost else None)
    scenario.argocd.meets("application", None, drops_the_switch)
    with pytest.raises(UsageError) as e:
        run(scenario.take())
    assert (scenario.argocd.spec, scenario.record, scenario.claim.record) == (AUTOMATED, None, None)
    assert (e.value.exit_code, e.value.message) == (
        2,
        "auto-sync of Application weather could not be switched off: Argo CD dropped "
        "`automated.enabled: false`, as versions before 3.1 do",
    )


def test_auto_sync_that_somebody_switches_on_again_is_a_claim_that_is_lost() -> None:
    scenario = ClaimScenario()
    on = {"prune": True, "enabled": True}
    scenario.argocd.meets(
        "application", None, lambda a: None, lambda a: a.spec["syncPolicy"].update(automated=on)
    )
    with pytest.raises(Reverted):
        run(scenario.take())


# -- free -----------------------------------------------------------------------------------------------


def test_an_application_that_nobody_uses_is_free_at_once() -> None:
    scenario = ClaimScenario()
    seen = run(acquire.wait_until_free(scenario.claim, scenario.waited.append))
    assert (seen, scenario.argocd.calls, scenario.waited) == (scenario.argocd.seen(), ["application"], [])


def test_a_running_operation_is_waited_for_and_named() -> None:
    scenario = ClaimScenario()
    scenario.argocd.runs("")
    scenario.argocd.meets("application", None, None, lambda a: a.ends())
    run(acquire.wait_until_free(scenario.claim, scenario.waited.append))
    assert scenario.waited[0] == "an operation of bob, started 2024-01-01T00:00:00Z, Running"
    assert "terminate" not in scenario.argocd.calls


def test_the_end_of_what_is_waited_for_is_seen_on_the_watch_at_once() -> None:
    scenario = ClaimScenario()
    scenario.argocd.runs("")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(acquire.wait_until_free(scenario.claim, scenario.waited.append))
        await asyncio.sleep(1)
        scenario.argocd.ends()
        scenario.argocd.send_change()
        await waiting
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 1


@pytest.mark.parametrize("slow", [0.0, 100.0])
def test_only_the_waiting_for_others_is_bounded_and_no_slow_answer(slow: float) -> None:
    scenario = ClaimScenario()
    scenario.argocd.runs("")
    answered = scenario.argocd.application

    async def slowly(*args: Any, **more: Any) -> Any:
        await asyncio.sleep(slow)
        return await answered(*args, **more)

    async def waited(allowed: float) -> None:
        scenario.argocd.meets("application", None, None, None, lambda a: a.ends())
        await acquire.wait_until_free(scenario.claim, scenario.waited.append, WaitBudget(allowed))

    scenario.argocd.application = slowly  # type: ignore[method-assign]
    run(waited(3 * acquire.BUSY_POLL + 1))
    scenario.argocd.runs("")
    with pytest.raises(TimeoutError):
        run(waited(2 * acquire.BUSY_POLL + 1))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "run theirs, about to sync"),
        ({"since": NOW}, "run theirs, started 2027-01-15T08:00:00Z, about to sync"),
        ({"since": NOW, "settling": True}, "run theirs, started 2027-01-15T08:00:00Z, settling"),
    ],
)
def test_another_runs_live_record_is_waited_for_and_left_alone(more: Json, said: str) -> None:
    scenario = ClaimScenario()
    scenario.held_by("theirs", **more)
    held = copy.deepcopy(scenario.argocd.document)

    async def waits() -> None:
        waiting = asyncio.create_task(acquire.wait_until_free(scenario.claim, scenario.waited.append))
        await asyncio.sleep(60)
        assert (waiting.done(), scenario.argocd.document) == (False, held)
        waiting.cancel()
        await asyncio.wait({waiting})

    run(waits())
    assert set(scenario.waited) == {said}
    assert scenario.argocd.patches == []


def finished(at: str) -> Callable[[FakeArgoCD], object]:
    return lambda a: a.runs("theirs", phase="Failed", finishedAt=at)


@pytest.mark.parametrize(
    ("more", "operation"),
    [
        ({"until": PAST}, lambda a: None),
        ({"until": PAST, "settling": True, "helm": ()}, lambda a: None),
        ({}, finished("2020-01-01T00:00:00Z")),
    ],
)
def test_the_original_from_before_a_dead_run_is_carried_on_and_put_back(
    more: Json, operation: Callable[[FakeArgoCD], object]
) -> None:
    """In one patch: were auto-sync switched on in between, Argo CD would start an operation of its own."""
    scenario = ClaimScenario()
    scenario.held_by("theirs", **more)
    if "helm" in more:  # it had put them back itself
        scenario.argocd.spec["source"] = copy.deepcopy(AUTOMATED["source"])
    operation(scenario.argocd)

    async def taken() -> None:
        await acquire.wait_until_free(scenario.claim, scenario.waited.append)
        await scenario.take()

    run(taken())
    carried = recorded(automated={"prune": True})
    assert (scenario.record, scenario.parameters, len(scenario.argocd.patches)) == (carried, [OURS], 1)
    assert scenario.waited == []
    assert scenario.notices == []
    by_hand = applied(scenario.argocd.document, scenario.claim.restoring_patch())
    assert (by_hand["spec"], by_hand["metadata"].get("annotations")) == (AUTOMATED, {})
    run(restore.let_go(scenario.claim))
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


@pytest.mark.parametrize("was", [True, False])
def test_who_comes_after_a_dead_run_leaves_the_application_synced_if_it_was_before_both(was: bool) -> None:
    """The dead run was killed before its sync: the Application is OutOfSync by its values only."""
    scenario = ClaimScenario()
    scenario.held_by("theirs", until=PAST, synced=was)
    scenario.argocd.document["status"] |= {"sync": {"status": "OutOfSync"}, "resources": [status("workload")]}
    run(scenario.take())
    assert scenario.claim.was_synced is was
    assert scenario.record is not None
    assert scenario.record.synced is was


def test_the_operation_of_a_dead_run_is_ended() -> None:
    """Killed in the middle of a test that sleeps: nobody else will end it."""
    scenario = ClaimScenario()
    scenario.held_by("theirs", until=PAST)
    scenario.argocd.runs("theirs/again")
    scenario.argocd.meets("terminate", None)

    async def freed() -> None:
        freeing = asyncio.create_task(acquire.wait_until_free(scenario.claim, scenario.waited.append))
        while "terminate" not in scenario.argocd.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        scenario.argocd.ends("Failed")
        await freeing

    run(freed())
    assert scenario.waited == []
    assert scenario.notices == ["run theirs is dead and left its operation running; argorun ends it"]


@pytest.mark.parametrize(
    ("until", "holder"),
    [(FUTURE, "theirs"), (PAST, "another"), (PAST, "")],
    ids=["its time has not passed", "another run's", "somebody's"],
)
def test_an_operation_that_may_be_followed_by_somebody_is_never_ended(until: int, holder: str) -> None:
    scenario = ClaimScenario()
    scenario.held_by("theirs", until=until)
    scenario.argocd.spec["source"]["helm"]["parameters"] = []  # and be the record dead otherwise
    scenario.argocd.runs(holder)

    async def waits() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await acquire.wait_until_free(scenario.claim, scenario.waited.append)

    run(waits())
    assert "terminate" not in scenario.argocd.calls
    assert (scenario.argocd.patches, scenario.notices) == ([], [])


def test_a_record_whose_values_are_gone_is_dead() -> None:
    scenario = ClaimScenario()
    scenario.held_by("theirs")
    scenario.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": "somebody's"}]
    run(acquire.wait_until_free(scenario.claim, scenario.waited.append))
    run(scenario.take())
    run(restore.let_go(scenario.claim))
    assert (scenario.parameters, scenario.record) == ([{"name": "kafka.topic", "value": "somebody's"}], None)


def test_a_run_whose_operation_has_just_ended_is_still_cleaning_up() -> None:
    scenario = ClaimScenario()
    scenario.held_by("theirs")
    finished("2099-01-01T00:00:00Z")(scenario.argocd)

    async def waits() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await acquire.wait_until_free(scenario.claim, scenario.waited.append)

    run(waits())
    assert set(scenario.waited) == {"run theirs, about to sync"}


def test_a_record_that_cannot_be_read_is_taken_away() -> None:
    scenario = ClaimScenario(annotations={RECORD: "{", "kept": "x"})
    run(acquire.wait_until_free(scenario.claim, scenario.waited.append))
    run(scenario.take())
    run(restore.let_go(scenario.claim))
    assert (scenario.argocd.document["metadata"]["annotations"], scenario.argocd.spec) == (
        {"kept": "x"},
        AUTOMATED,
    )


# -- take -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("annotations", [None, {"kept": "x"}])
def test_taking_puts_value_record_and_switch_in_by_one_patch(annotations: Json | None) -> None:
    scenario = ClaimScenario(annotations=annotations)
    before = scenario.argocd.seen()
    run(scenario.take())
    assert scenario.argocd.spec == {
        "destination": {"namespace": "n"},
        "source": {"repoURL": "git", "helm": {"parameters": [OURS]}},
        "syncPolicy": {"automated": {"prune": True, "enabled": False}},
    }
    assert scenario.record == recorded(automated={"prune": True})
    assert scenario.argocd.calls == ["application", "patch", "application", "application"]
    assert (scenario.claim.before, scenario.claim.record) == (before, scenario.record)


@pytest.mark.parametrize("lost", [DOWN, ApiError("change", 504, 4, "timeout")])
def test_a_lost_answer_to_a_patch_that_took_sends_no_second_one(lost: Exception) -> None:
    scenario = ClaimScenario()
    before = scenario.argocd.seen()
    scenario.argocd.meets("patch", LostAnswer(lost))
    run(scenario.take())
    assert (len(scenario.argocd.patches), scenario.claim.before) == (1, before)


def test_a_patch_that_did_not_arrive_is_sent_again() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", DOWN, ApiError("change", 503, 14, "unavailable"))
    run(scenario.take())
    assert (scenario.parameters, len(scenario.argocd.patches)) == ([OURS], 1)


def test_what_someone_changed_between_reading_and_writing_is_kept_and_given_back() -> None:
    scenario = ClaimScenario()
    theirs = [{"name": "kafka.topic", "value": "theirs"}, {"name": "new", "value": "1"}]

    def change(argocd: FakeArgoCD) -> None:
        argocd.spec["source"]["helm"]["parameters"] = copy.deepcopy(theirs)

    scenario.argocd.meets("patch", change)
    run(scenario.take())
    assert scenario.parameters == [OURS, {"name": "new", "value": "1"}]
    run(restore.let_go(scenario.claim))
    assert scenario.parameters == theirs


@pytest.mark.parametrize(
    "first",
    [
        lambda s: s.held_by("theirs"),
        lambda s: s.argocd.runs("theirs"),
        lambda s: s.argocd.runs("", phase=None),
    ],
)
def test_who_comes_second_has_lost_and_has_changed_nothing(first: Callable[[ClaimScenario], object]) -> None:
    scenario = ClaimScenario()
    first(scenario)
    held = copy.deepcopy(scenario.argocd.document)
    with pytest.raises(Lost):
        run(scenario.take())
    run(restore.let_go(scenario.claim))
    assert (scenario.argocd.document, scenario.argocd.patches) == (held, [])


def test_who_is_overtaken_while_reading_has_lost_and_has_changed_nothing() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", lambda a: scenario.held_by("theirs"))
    with pytest.raises(Lost):
        run(scenario.take())
    held = copy.deepcopy(scenario.argocd.document)
    run(restore.let_go(scenario.claim))
    # Not even auto-sync, which both had switched off: it would start the other's operation.
    assert scenario.argocd.document == held


def test_who_is_overtaken_while_the_application_is_compared_anew_has_lost() -> None:
    scenario = ClaimScenario()
    scenario.argocd.document["status"]["sync"]["status"] = "OutOfSync"
    scenario.argocd.meets("refresh", lambda a: scenario.held_by("theirs"))
    with pytest.raises(Lost):
        run(scenario.take())
    assert scenario.argocd.patches == []


def test_who_is_overwritten_right_after_has_lost_and_leaves_the_winner_alone() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("application", None, None, lambda a: scenario.held_by("theirs"))
    with pytest.raises(Lost):
        run(scenario.take())
    held = copy.deepcopy(scenario.argocd.document)
    run(restore.let_go(scenario.claim))
    assert scenario.argocd.document == held


def keep_what_git_has(argocd: FakeArgoCD) -> None:
    """What a self-healing parent does: only what Git names is put back."""
    argocd.spec["source"]["helm"] = copy.deepcopy(AUTOMATED["source"]["helm"])


def keep_all(argocd: FakeArgoCD) -> None:
    """What an ApplicationSet does: foreign annotations go, too."""
    argocd.document["spec"] = copy.deepcopy(AUTOMATED)
    argocd.document["metadata"].pop("annotations")


@pytest.mark.parametrize("owner", [keep_what_git_has, keep_all])
def test_an_owner_that_undoes_it_is_not_taken_for_another_run(owner: Callable[[FakeArgoCD], None]) -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("application", None, None, owner)
    with pytest.raises(Reverted):
        run(scenario.take())
    assert not scenario.claim.stands(scenario.argocd.seen())
    run(restore.let_go(scenario.claim))
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


def test_another_run_that_was_faster_is_no_owner() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("application", None, None, lambda a: scenario.held_by("theirs"))
    with pytest.raises(Lost) as e:
        run(scenario.take())
    assert e.type is Lost
    assert scenario.claim.rival(scenario.argocd.seen()) == str(e.value) == "run theirs"


def test_two_runs_that_take_at_once_end_with_one_winner_and_all_as_it_was() -> None:
    scenario = ClaimScenario()
    other = scenario.of("other", "others")

    async def both() -> list[object]:
        results = await asyncio.gather(
            scenario.take(), acquire.take(other, [], FUTURE), return_exceptions=True
        )
        assert scenario.record is not None
        winner, loser = (scenario.claim, other) if scenario.record.run == "mine" else (other, scenario.claim)
        await restore.let_go(loser)
        await restore.let_go(winner)
        return [type(r) for r in results if isinstance(r, BaseException)]

    assert run(both()) == [Lost]
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


def test_whether_it_was_synced_is_asked_anew_where_it_seemed_not() -> None:
    scenario = ClaimScenario()
    scenario.argocd.document["status"]["sync"]["status"] = "OutOfSync"
    scenario.argocd.meets("refresh", shows("Synced"))
    run(scenario.take())
    assert scenario.claim.before is not None
    assert scenario.claim.before.status.sync.status == "Synced"


@pytest.mark.parametrize(("lags", "synced"), [(2, True), (99, False)])
def test_what_was_settled_just_now_is_compared_anew_a_few_times(lags: int, synced: bool) -> None:
    """Argo CD's view is behind the settling's end: left at that, no run would settle again."""
    scenario = ClaimScenario()
    ended = datetime.datetime.fromtimestamp(NOW - 1, datetime.UTC).isoformat()
    scenario.argocd.runs("theirs/settle", phase="Succeeded", finishedAt=ended)

    shows("OutOfSync")(scenario.argocd)
    scenario.argocd.meets("refresh", *[shows("OutOfSync")] * lags, shows("Synced"))
    run(scenario.take())
    assert scenario.argocd.calls.count("refresh") == min(lags + 1, 8)
    assert scenario.claim.was_synced is synced


@pytest.mark.parametrize(("manifests", "kind"), [([], OperationFailed), ([{"kind": "Job"}], UsageError)])
def test_parameters_that_argo_cd_does_not_accept_end_the_run(
    manifests: list[Json], kind: type[ArgorunError]
) -> None:
    """They are wrong where the source renders without them; else it may be Git."""
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", INVALID)
    with pytest.raises(kind, match="Argo CD does not accept the parameters: repository not accessible"):
        run(acquire.take(scenario.claim, manifests, FUTURE))


def test_a_server_that_cannot_be_talked_to_at_all_is_not_tried_for_long() -> None:
    scenario = ClaimScenario()
    final = Unreachable("certificate verify failed")
    final.final = True
    scenario.argocd.meets("patch", final)
    with pytest.raises(Unreachable):
        run(scenario.take())
    assert scenario.argocd.calls == ["application", "patch"]


def test_a_patch_that_is_answered_too_late_but_took_is_found() -> None:
    scenario = ClaimScenario()

    scenario.argocd.retry_for = 0.0  # the silence has lasted longer than it
    scenario.argocd.meets("patch", LostAnswer())
    run(scenario.take())
    assert (scenario.parameters, scenario.argocd.calls.count("patch")) == ([OURS], 1)


@pytest.mark.parametrize("took", [True, False])
def test_a_patch_that_was_too_slow_is_looked_for_once_and_not_sent_again(took: bool) -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", LostAnswer(SLOW) if took else SLOW)
    if took:
        run(scenario.take())
    else:
        with pytest.raises(Slow):
            run(scenario.take())
    assert (scenario.parameters == [OURS], scenario.argocd.calls.count("patch")) == (took, 1)


def test_a_patch_that_arrives_after_all_was_put_back_changes_nothing() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", LostAnswer())
    run(scenario.take())
    (late,) = scenario.argocd.patches
    run(restore.let_go(scenario.claim))
    with pytest.raises(PatchFailed, match="resourceVersion"):
        applied(scenario.argocd.document, late)
    assert scenario.argocd.spec == AUTOMATED


def test_a_patch_is_computed_anew_where_anything_was_written_in_between() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", lambda a: a.written())
    run(scenario.take())
    assert (scenario.parameters, len(scenario.argocd.patches)) == ([OURS], 2)


def test_a_patch_that_never_takes_is_given_up_when_the_time_is_up() -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", *[DOWN] * 999)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ArgoCDFailed):
            await scenario.take()
        return asyncio.get_running_loop().time() - began

    assert 10 < run(timed()) < 11


@pytest.mark.parametrize(
    "refused",
    [
        ApiError("change", 500, 13, "Failed to update application. Too many conflicts"),
        lambda argocd: argocd.written(),  # in between: the patch's own `test` fails
    ],
    ids=["conflicts", "test"],
)
def test_a_patch_that_others_always_outrun_is_lost_to_them_and_no_fault(refused: Any) -> None:
    scenario = ClaimScenario()
    scenario.argocd.meets("patch", *[refused] * 999)
    with pytest.raises(Lost) as e:
        run(scenario.take())
    assert not isinstance(e.value, Reverted), "nobody undid what was never there"
    assert scenario.argocd.spec == AUTOMATED
