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
from argorun.argocd.clock import Clock
from argorun.argocd.http.errors import ApiError, Slow, Unreachable
from argorun.argocd.http.retry import WaitBudget
from argorun.argocd.parameters.record import RECORD
from argorun.errors import ArgoCDFailed, ArgorunError, OperationFailed, UsageError
from tests.unit.argocd.claim.stage import (
    FUTURE,
    INVALID,
    NOW,
    OURS,
    PAST,
    SPEC,
    Stage,
    recorded,
    shows,
    status,
)
from tests.unit.argocd.fakes import DOWN, FakeArgoCD
from tests.unit.argocd.fakes import Lost as LostAnswer
from tests.unit.argocd.gopatch import Json, PatchFailed, applied
from tests.unit.virtual import run

SLOW = Slow("Argo CD did not change Application weather within 90 s (argocd.timeout)")


def test_a_clock_that_is_ahead_ends_no_live_runs_operation() -> None:
    """A record's time is Argo CD's: by this machine's the run would be over 5 minutes ago."""
    stage = Stage()
    stage.argocd.clock = Clock(steady=lambda: 0.0, local=lambda: NOW + 1200)
    stage.held_by("theirs", until=NOW + 900)
    stage.argocd.runs("theirs")
    stage.argocd.meets("application", None, None, gives_back)
    run(acquire.wait_until_free(stage.claim, stage.waited.append))
    assert ("terminate" in stage.argocd.calls, stage.notices) == (False, [])
    run(stage.take())
    assert (stage.record and stage.record.since) == NOW


def gives_back(argocd: FakeArgoCD) -> None:
    """The other run has come to its end."""
    argocd.ends()
    argocd.document["spec"] = copy.deepcopy(SPEC)
    del argocd.document["metadata"]["annotations"]


def test_a_clock_that_is_behind_waits_for_no_dead_run() -> None:
    stage = Stage()
    stage.argocd.clock = Clock(steady=lambda: 0.0, local=lambda: NOW - 86400)
    stage.held_by("theirs", until=NOW - 1)
    run(acquire.wait_until_free(stage.claim, stage.waited.append))
    assert (stage.argocd.calls, stage.waited) == (["application"], [])


# -- auto-sync that stays on ----------------------------------------------------------------------------


def drops_the_switch(argocd: FakeArgoCD) -> None:
    """What an Argo CD before 3.1 does with a field that it does not know."""
    argocd.spec["syncPolicy"]["automated"].pop("enabled", None)


@pytest.mark.parametrize("lost", [False, True])
def test_where_the_switch_of_auto_sync_is_dropped_all_is_given_back_and_the_cause_told(lost: bool) -> None:
    stage = Stage()
    stage.argocd.meets("patch", LostAnswer() if lost else None)
    stage.argocd.meets("application", None, drops_the_switch)
    with pytest.raises(UsageError) as e:
        run(stage.take())
    assert (stage.argocd.spec, stage.record, stage.claim.record) == (SPEC, None, None)
    assert (e.value.exit_code, e.value.message) == (
        2,
        "auto-sync of Application weather could not be switched off: Argo CD dropped "
        "`automated.enabled: false`, as versions before 3.1 do",
    )


def test_auto_sync_that_somebody_switches_on_again_is_a_claim_that_is_lost() -> None:
    stage = Stage()
    on = {"prune": True, "enabled": True}
    stage.argocd.meets(
        "application", None, lambda a: None, lambda a: a.spec["syncPolicy"].update(automated=on)
    )
    with pytest.raises(Reverted):
        run(stage.take())


# -- free -----------------------------------------------------------------------------------------------


def test_an_application_that_nobody_uses_is_free_at_once() -> None:
    stage = Stage()
    seen = run(acquire.wait_until_free(stage.claim, stage.waited.append))
    assert (seen, stage.argocd.calls, stage.waited) == (stage.argocd.seen(), ["application"], [])


def test_a_running_operation_is_waited_for_and_named() -> None:
    stage = Stage()
    stage.argocd.runs("")
    stage.argocd.meets("application", None, None, lambda a: a.ends())
    run(acquire.wait_until_free(stage.claim, stage.waited.append))
    assert stage.waited[0] == "an operation of bob, started 2024-01-01T00:00:00Z, Running"
    assert "terminate" not in stage.argocd.calls


def test_the_end_of_what_is_waited_for_is_seen_on_the_watch_at_once() -> None:
    stage = Stage()
    stage.argocd.runs("")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(acquire.wait_until_free(stage.claim, stage.waited.append))
        await asyncio.sleep(1)
        stage.argocd.ends()
        stage.argocd.tell()
        await waiting
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 1


@pytest.mark.parametrize("slow", [0.0, 100.0])
def test_only_the_waiting_for_others_is_bounded_and_no_slow_answer(slow: float) -> None:
    stage = Stage()
    stage.argocd.runs("")
    answered = stage.argocd.application

    async def slowly(*args: Any, **more: Any) -> Any:
        await asyncio.sleep(slow)
        return await answered(*args, **more)

    async def waited(allowed: float) -> None:
        stage.argocd.meets("application", None, None, None, lambda a: a.ends())
        await acquire.wait_until_free(stage.claim, stage.waited.append, WaitBudget(allowed))

    stage.argocd.application = slowly  # type: ignore[method-assign]
    run(waited(3 * acquire.BUSY_POLL + 1))
    stage.argocd.runs("")
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
    stage = Stage()
    stage.held_by("theirs", **more)
    held = copy.deepcopy(stage.argocd.document)

    async def waits() -> None:
        waiting = asyncio.create_task(acquire.wait_until_free(stage.claim, stage.waited.append))
        await asyncio.sleep(60)
        assert (waiting.done(), stage.argocd.document) == (False, held)
        waiting.cancel()
        await asyncio.wait({waiting})

    run(waits())
    assert set(stage.waited) == {said}
    assert stage.argocd.patches == []


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
    stage = Stage()
    stage.held_by("theirs", **more)
    if "helm" in more:  # it had put them back itself
        stage.argocd.spec["source"] = copy.deepcopy(SPEC["source"])
    operation(stage.argocd)

    async def taken() -> None:
        await acquire.wait_until_free(stage.claim, stage.waited.append)
        await stage.take()

    run(taken())
    carried = recorded(automated={"prune": True})
    assert (stage.record, stage.parameters, len(stage.argocd.patches)) == (carried, [OURS], 1)
    assert stage.waited == []
    assert stage.notices == []
    by_hand = applied(stage.argocd.document, stage.claim.restoring_patch())
    assert (by_hand["spec"], by_hand["metadata"].get("annotations")) == (SPEC, {})
    run(restore.let_go(stage.claim))
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


@pytest.mark.parametrize("was", [True, False])
def test_who_comes_after_a_dead_run_leaves_the_application_synced_if_it_was_before_both(was: bool) -> None:
    """The dead run was killed before its sync: the Application is OutOfSync by its values only."""
    stage = Stage()
    stage.held_by("theirs", until=PAST, synced=was)
    stage.argocd.document["status"] |= {"sync": {"status": "OutOfSync"}, "resources": [status("workload")]}
    run(stage.take())
    assert stage.claim.was_synced is was
    assert stage.record is not None
    assert stage.record.synced is was


def test_the_operation_of_a_dead_run_is_ended() -> None:
    """Killed in the middle of a test that sleeps: nobody else will end it."""
    stage = Stage()
    stage.held_by("theirs", until=PAST)
    stage.argocd.runs("theirs/again")
    stage.argocd.meets("terminate", None)

    async def freed() -> None:
        freeing = asyncio.create_task(acquire.wait_until_free(stage.claim, stage.waited.append))
        while "terminate" not in stage.argocd.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        stage.argocd.ends("Failed")
        await freeing

    run(freed())
    assert stage.waited == []
    assert stage.notices == ["run theirs is dead and left its operation running; argorun ends it"]


@pytest.mark.parametrize(
    ("until", "holder"),
    [(FUTURE, "theirs"), (PAST, "another"), (PAST, "")],
    ids=["its time has not passed", "another run's", "somebody's"],
)
def test_an_operation_that_may_be_followed_by_somebody_is_never_ended(until: int, holder: str) -> None:
    stage = Stage()
    stage.held_by("theirs", until=until)
    stage.argocd.spec["source"]["helm"]["parameters"] = []  # and be the record dead otherwise
    stage.argocd.runs(holder)

    async def waits() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await acquire.wait_until_free(stage.claim, stage.waited.append)

    run(waits())
    assert "terminate" not in stage.argocd.calls
    assert (stage.argocd.patches, stage.notices) == ([], [])


def test_a_record_whose_values_are_gone_is_dead() -> None:
    stage = Stage()
    stage.held_by("theirs")
    stage.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": "somebody's"}]
    run(acquire.wait_until_free(stage.claim, stage.waited.append))
    run(stage.take())
    run(restore.let_go(stage.claim))
    assert (stage.parameters, stage.record) == ([{"name": "kafka.topic", "value": "somebody's"}], None)


def test_a_run_whose_operation_has_just_ended_is_still_cleaning_up() -> None:
    stage = Stage()
    stage.held_by("theirs")
    finished("2099-01-01T00:00:00Z")(stage.argocd)

    async def waits() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await acquire.wait_until_free(stage.claim, stage.waited.append)

    run(waits())
    assert set(stage.waited) == {"run theirs, about to sync"}


def test_a_record_that_cannot_be_read_is_taken_away() -> None:
    stage = Stage(annotations={RECORD: "{", "kept": "x"})
    run(acquire.wait_until_free(stage.claim, stage.waited.append))
    run(stage.take())
    run(restore.let_go(stage.claim))
    assert (stage.argocd.document["metadata"]["annotations"], stage.argocd.spec) == ({"kept": "x"}, SPEC)


# -- take -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("annotations", [None, {"kept": "x"}])
def test_taking_puts_value_record_and_switch_in_by_one_patch(annotations: Json | None) -> None:
    stage = Stage(annotations=annotations)
    before = stage.argocd.seen()
    run(stage.take())
    assert stage.argocd.spec == {
        "source": {"repoURL": "git", "helm": {"parameters": [OURS]}},
        "syncPolicy": {"automated": {"prune": True, "enabled": False}},
    }
    assert stage.record == recorded(automated={"prune": True})
    assert stage.argocd.calls == ["application", "patch", "application", "application"]
    assert (stage.claim.before, stage.claim.record) == (before, stage.record)


@pytest.mark.parametrize("lost", [DOWN, ApiError("change", 504, 4, "timeout")])
def test_a_lost_answer_to_a_patch_that_took_sends_no_second_one(lost: Exception) -> None:
    stage = Stage()
    before = stage.argocd.seen()
    stage.argocd.meets("patch", LostAnswer(lost))
    run(stage.take())
    assert (len(stage.argocd.patches), stage.claim.before) == (1, before)


def test_a_patch_that_did_not_arrive_is_sent_again() -> None:
    stage = Stage()
    stage.argocd.meets("patch", DOWN, ApiError("change", 503, 14, "unavailable"))
    run(stage.take())
    assert (stage.parameters, len(stage.argocd.patches)) == ([OURS], 1)


def test_what_someone_changed_between_reading_and_writing_is_kept_and_given_back() -> None:
    stage = Stage()
    theirs = [{"name": "kafka.topic", "value": "theirs"}, {"name": "new", "value": "1"}]

    def change(argocd: FakeArgoCD) -> None:
        argocd.spec["source"]["helm"]["parameters"] = copy.deepcopy(theirs)

    stage.argocd.meets("patch", change)
    run(stage.take())
    assert stage.parameters == [OURS, {"name": "new", "value": "1"}]
    run(restore.let_go(stage.claim))
    assert stage.parameters == theirs


@pytest.mark.parametrize(
    "first",
    [
        lambda s: s.held_by("theirs"),
        lambda s: s.argocd.runs("theirs"),
        lambda s: s.argocd.runs("", phase=None),
    ],
)
def test_who_comes_second_has_lost_and_has_changed_nothing(first: Callable[[Stage], object]) -> None:
    stage = Stage()
    first(stage)
    held = copy.deepcopy(stage.argocd.document)
    with pytest.raises(Lost):
        run(stage.take())
    run(restore.let_go(stage.claim))
    assert (stage.argocd.document, stage.argocd.patches) == (held, [])


def test_who_is_overtaken_while_reading_has_lost_and_has_changed_nothing() -> None:
    stage = Stage()
    stage.argocd.meets("patch", lambda a: stage.held_by("theirs"))
    with pytest.raises(Lost):
        run(stage.take())
    held = copy.deepcopy(stage.argocd.document)
    run(restore.let_go(stage.claim))
    # Not even auto-sync, which both had switched off: it would start the other's operation.
    assert stage.argocd.document == held


def test_who_is_overtaken_while_the_application_is_compared_anew_has_lost() -> None:
    stage = Stage()
    stage.argocd.document["status"]["sync"]["status"] = "OutOfSync"
    stage.argocd.meets("refresh", lambda a: stage.held_by("theirs"))
    with pytest.raises(Lost):
        run(stage.take())
    assert stage.argocd.patches == []


def test_who_is_overwritten_right_after_has_lost_and_leaves_the_winner_alone() -> None:
    stage = Stage()
    stage.argocd.meets("application", None, None, lambda a: stage.held_by("theirs"))
    with pytest.raises(Lost):
        run(stage.take())
    held = copy.deepcopy(stage.argocd.document)
    run(restore.let_go(stage.claim))
    assert stage.argocd.document == held


def keep_what_git_has(argocd: FakeArgoCD) -> None:
    """What a self-healing parent does: only what Git names is put back."""
    argocd.spec["source"]["helm"] = copy.deepcopy(SPEC["source"]["helm"])


def keep_all(argocd: FakeArgoCD) -> None:
    """What an ApplicationSet does: foreign annotations go, too."""
    argocd.document["spec"] = copy.deepcopy(SPEC)
    argocd.document["metadata"].pop("annotations")


@pytest.mark.parametrize("owner", [keep_what_git_has, keep_all])
def test_an_owner_that_undoes_it_is_told_from_another_run(owner: Callable[[FakeArgoCD], None]) -> None:
    stage = Stage()
    stage.argocd.meets("application", None, None, owner)
    with pytest.raises(Reverted):
        run(stage.take())
    assert not stage.claim.stands(stage.argocd.seen())
    run(restore.let_go(stage.claim))
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


def test_another_run_that_was_faster_is_no_owner() -> None:
    stage = Stage()
    stage.argocd.meets("application", None, None, lambda a: stage.held_by("theirs"))
    with pytest.raises(Lost) as e:
        run(stage.take())
    assert e.type is Lost
    assert stage.claim.rival(stage.argocd.seen()) == str(e.value) == "run theirs"


def test_two_runs_that_take_at_once_end_with_one_winner_and_all_as_it_was() -> None:
    stage = Stage()
    other = stage.of("other", "others")

    async def both() -> list[object]:
        results = await asyncio.gather(stage.take(), acquire.take(other, [], FUTURE), return_exceptions=True)
        assert stage.record is not None
        winner, loser = (stage.claim, other) if stage.record.run == "mine" else (other, stage.claim)
        await restore.let_go(loser)
        await restore.let_go(winner)
        return [type(r) for r in results if isinstance(r, BaseException)]

    assert run(both()) == [Lost]
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


def test_whether_it_was_synced_is_asked_anew_where_it_seemed_not() -> None:
    stage = Stage()
    stage.argocd.document["status"]["sync"]["status"] = "OutOfSync"
    stage.argocd.meets("refresh", shows("Synced"))
    run(stage.take())
    assert stage.claim.before is not None
    assert stage.claim.before.status.sync.status == "Synced"


@pytest.mark.parametrize(("lags", "synced"), [(2, True), (99, False)])
def test_what_was_settled_just_now_is_compared_anew_a_few_times(lags: int, synced: bool) -> None:
    """Argo CD's view is behind the settling's end: left at that, no run would settle again."""
    stage = Stage()
    ended = datetime.datetime.fromtimestamp(NOW - 1, datetime.UTC).isoformat()
    stage.argocd.runs("theirs/settle", phase="Succeeded", finishedAt=ended)

    shows("OutOfSync")(stage.argocd)
    stage.argocd.meets("refresh", *[shows("OutOfSync")] * lags, shows("Synced"))
    run(stage.take())
    assert stage.argocd.calls.count("refresh") == min(lags + 1, 8)
    assert stage.claim.was_synced is synced


@pytest.mark.parametrize(("manifests", "kind"), [([], OperationFailed), ([{"kind": "Job"}], UsageError)])
def test_parameters_that_argo_cd_does_not_accept_end_the_run(
    manifests: list[Json], kind: type[ArgorunError]
) -> None:
    """They are wrong where the source renders without them; else it may be Git."""
    stage = Stage()
    stage.argocd.meets("patch", INVALID)
    with pytest.raises(kind, match="Argo CD does not accept the parameters: application spec for weather"):
        run(acquire.take(stage.claim, manifests, FUTURE))


def test_a_server_that_cannot_be_talked_to_at_all_is_not_tried_for_long() -> None:
    stage = Stage()
    final = Unreachable("certificate verify failed")
    final.final = True
    stage.argocd.meets("patch", final)
    with pytest.raises(Unreachable):
        run(stage.take())
    assert stage.argocd.calls == ["application", "patch"]


def test_a_patch_that_is_answered_too_late_but_took_is_found() -> None:
    stage = Stage()

    stage.argocd.retry_for = 0.0  # the silence has lasted longer than it
    stage.argocd.meets("patch", LostAnswer())
    run(stage.take())
    assert (stage.parameters, stage.argocd.calls.count("patch")) == ([OURS], 1)


@pytest.mark.parametrize("took", [True, False])
def test_a_patch_that_was_too_slow_is_looked_for_once_and_not_sent_again(took: bool) -> None:
    stage = Stage()
    stage.argocd.meets("patch", LostAnswer(SLOW) if took else SLOW)
    if took:
        run(stage.take())
    else:
        with pytest.raises(Slow):
            run(stage.take())
    assert (stage.parameters == [OURS], stage.argocd.calls.count("patch")) == (took, 1)


def test_a_patch_that_arrives_after_all_was_put_back_changes_nothing() -> None:
    stage = Stage()
    stage.argocd.meets("patch", LostAnswer())
    run(stage.take())
    (late,) = stage.argocd.patches
    run(restore.let_go(stage.claim))
    with pytest.raises(PatchFailed, match="resourceVersion"):
        applied(stage.argocd.document, late)
    assert stage.argocd.spec == SPEC


def test_a_patch_is_computed_anew_where_anything_was_written_in_between() -> None:
    stage = Stage()
    stage.argocd.meets("patch", lambda a: a.written())
    run(stage.take())
    assert (stage.parameters, len(stage.argocd.patches)) == ([OURS], 2)


def test_a_patch_that_never_takes_is_given_up_when_patience_is_over() -> None:
    stage = Stage()
    stage.argocd.meets("patch", *[DOWN] * 999)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ArgoCDFailed):
            await stage.take()
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
    stage = Stage()
    stage.argocd.meets("patch", *[refused] * 999)
    with pytest.raises(Lost) as e:
        run(stage.take())
    assert not isinstance(e.value, Reverted), "nobody undid what was never there"
    assert stage.argocd.spec == SPEC
