"""An Application is taken when it is free, held by one run at a time, and given back as it was."""

from __future__ import annotations

import asyncio
import copy
import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from argorun.argocd.claim import acquire as claim_module
from argorun.argocd.claim.acquire import Claim, Lost, Reverted, Taken
from argorun.argocd.clock import Clock
from argorun.argocd.http.errors import ApiError, Denied, Slow, Unreachable
from argorun.argocd.http.retry import WaitBudget
from argorun.argocd.normal_form import normalize
from argorun.argocd.parameters.helm import Helm, helm_parameters
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.sync.operation import body, settling_options
from argorun.argocd.types import ResourceStatus
from argorun.errors import ArgoCDFailed, ArgorunError, OperationFailed, UsageError
from tests.unit.argocd import fakes
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.fakes import Lost as LostAnswer
from tests.unit.argocd.gopatch import Json, PatchFailed, applied
from tests.unit.virtual import run

PAST, NOW, FUTURE = 1_000_000_000, 1_800_000_000, 9_000_000_000  # seconds since the epoch
TOPIC = "weather_1700000000_0a1b2c3d"
SPEC: Json = {
    "source": {"repoURL": "git", "helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}},
    "syncPolicy": {"automated": {"prune": True}},
}
OURS = {"name": "kafka.topic", "value": TOPIC}
INVALID = ApiError("change", 400, 3, "application spec for weather is invalid: repository not accessible")
SLOW = Slow("Argo CD did not change Application weather within 90 s (argocd.timeout)")
GIVEN_UP = ApiError("change", 504, 4, "context deadline exceeded")


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "time", SimpleNamespace(time=lambda: NOW))
    monkeypatch.setattr(fakes, "Clock", lambda: Clock(steady=lambda: 0.0, local=lambda: NOW))


class Stage:
    """An Argo CD, and a claim of run `mine` on its Application."""

    def __init__(self, spec: Json | None = SPEC, annotations: Json | None = None) -> None:
        self.argocd = FakeArgoCD(copy.deepcopy(spec), annotations)
        self.waited: list[str] = []
        self.notices: list[str] = []
        self.claim = self.of("mine", TOPIC)

    def of(self, run_id: str, value: str) -> Claim:
        return Claim(
            self.argocd.client,
            APP,
            run_id,
            [Helm("kafka.topic", value)],
            waiting=self.waited.append,
            warn=self.notices.append,
            topics=[value],
        )

    def annotate(self, record: Record) -> None:
        annotations = self.argocd.document["metadata"].setdefault("annotations", {})
        annotations[RECORD] = msgspec.json.encode(record).decode()

    def held_by(self, run_id: str, value: str = "theirs", **more: Any) -> None:
        """Another run has put its value in."""
        self.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": value}]
        self.argocd.spec["syncPolicy"] = {"automated": {"prune": True, "enabled": False}}
        was = (HelmValue("kafka.topic", value, {"name": "kafka.topic", "value": "weather"}),)
        self.annotate(
            Record(**({"run": run_id, "until": FUTURE, "helm": was, "automated": {"prune": True}} | more))
        )

    @property
    def record(self) -> Record | None:
        return record_of(self.argocd.seen())

    @property
    def parameters(self) -> list[Json]:
        return helm_parameters(self.argocd.spec)

    async def take(self) -> None:
        await self.claim.take([], FUTURE)


def shows(status: str) -> Callable[[FakeArgoCD], object]:
    """A comparison that comes to this sync status."""
    return lambda a: a.document["status"]["sync"].update(status=status)


def recorded(**more: Any) -> Record:
    """The record of run `mine`."""
    was = HelmValue("kafka.topic", TOPIC, {"name": "kafka.topic", "value": "weather"})
    ours = Record(run="mine", until=FUTURE, helm=(was,), synced=True, topics=(TOPIC,), since=NOW)
    return msgspec.structs.replace(ours, **more)


def test_a_clock_that_is_ahead_ends_no_live_runs_operation() -> None:
    """A record's time is Argo CD's: by this machine's the run would be over 5 minutes ago."""
    stage = Stage()
    stage.argocd.clock = Clock(steady=lambda: 0.0, local=lambda: NOW + 1200)
    stage.held_by("theirs", until=NOW + 900)
    stage.argocd.runs("theirs")
    stage.argocd.meets("application", None, None, gives_back)
    run(stage.claim.free())
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
    run(stage.claim.free())
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
        "auto-sync of Application weather could not be switched off: Argo CD did not keep "
        "`automated.enabled: false`, as none before 3.1 does",
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
    seen = run(stage.claim.free())
    assert (seen, stage.argocd.calls, stage.waited) == (stage.argocd.seen(), ["application"], [])


def test_a_running_operation_is_waited_for_and_named() -> None:
    stage = Stage()
    stage.argocd.runs("")
    stage.argocd.meets("application", None, None, lambda a: a.ends())
    run(stage.claim.free())
    assert stage.waited[0] == "an operation of bob, started 2024-01-01T00:00:00Z, Running"
    assert "terminate" not in stage.argocd.calls


def test_the_end_of_what_is_waited_for_is_seen_on_the_watch_at_once() -> None:
    stage = Stage()
    stage.argocd.runs("")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(stage.claim.free())
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
        await stage.claim.free(WaitBudget(allowed))

    stage.argocd.application = slowly  # type: ignore[method-assign]
    run(waited(3 * claim_module.BUSY_POLL + 1))
    stage.argocd.runs("")
    with pytest.raises(TimeoutError):
        run(waited(2 * claim_module.BUSY_POLL + 1))


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
        waiting = asyncio.create_task(stage.claim.free())
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
        await stage.claim.free()
        await stage.take()

    run(taken())
    carried = recorded(automated={"prune": True})
    assert (stage.record, stage.parameters, len(stage.argocd.patches)) == (carried, [OURS], 1)
    assert stage.waited == []
    assert stage.notices == []
    by_hand = applied(stage.argocd.document, stage.claim.way_back())
    assert (by_hand["spec"], by_hand["metadata"].get("annotations")) == (SPEC, {})
    run(stage.claim.let_go())
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
        freeing = asyncio.create_task(stage.claim.free())
        while "terminate" not in stage.argocd.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        stage.argocd.ends("Failed")
        await freeing

    run(freed())
    assert stage.waited == []
    assert stage.notices == ["run theirs is dead and left its operation running; it is ended"]


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
                await stage.claim.free()

    run(waits())
    assert "terminate" not in stage.argocd.calls
    assert (stage.argocd.patches, stage.notices) == ([], [])


def test_a_record_whose_values_are_gone_is_dead() -> None:
    stage = Stage()
    stage.held_by("theirs")
    stage.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": "somebody's"}]
    run(stage.claim.free())
    run(stage.take())
    run(stage.claim.let_go())
    assert (stage.parameters, stage.record) == ([{"name": "kafka.topic", "value": "somebody's"}], None)


def test_a_run_whose_operation_has_just_ended_is_still_cleaning_up() -> None:
    stage = Stage()
    stage.held_by("theirs")
    finished("2099-01-01T00:00:00Z")(stage.argocd)

    async def waits() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await stage.claim.free()

    run(waits())
    assert set(stage.waited) == {"run theirs, about to sync"}


def test_a_record_that_cannot_be_read_is_taken_away() -> None:
    stage = Stage(annotations={RECORD: "{", "kept": "x"})
    run(stage.claim.free())
    run(stage.take())
    run(stage.claim.let_go())
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
    run(stage.claim.let_go())
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
    run(stage.claim.let_go())
    assert (stage.argocd.document, stage.argocd.patches) == (held, [])


def test_who_is_overtaken_while_reading_has_lost_and_has_changed_nothing() -> None:
    stage = Stage()
    stage.argocd.meets("patch", lambda a: stage.held_by("theirs"))
    with pytest.raises(Lost):
        run(stage.take())
    held = copy.deepcopy(stage.argocd.document)
    run(stage.claim.let_go())
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
    run(stage.claim.let_go())
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
    run(stage.claim.let_go())
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
        results = await asyncio.gather(stage.take(), other.take([], FUTURE), return_exceptions=True)
        assert stage.record is not None
        winner, loser = (stage.claim, other) if stage.record.run == "mine" else (other, stage.claim)
        await loser.let_go()
        await winner.let_go()
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
    """Argo CD's view is behind the settling's end: left at that, nobody would settle any more."""
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
        run(stage.claim.take(manifests, FUTURE))


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
    run(stage.claim.let_go())
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


# -- and back -------------------------------------------------------------------------------------------


def taken(stage: Stage, *, settling: bool = False) -> bool:
    """Take, and give back; whether our values stood."""

    async def both() -> bool:
        await stage.take()
        stage.argocd.calls.clear()
        stage.argocd.patches.clear()
        return await stage.claim.give_back(settling=settling, until=FUTURE)

    return run(both())


MANUAL: Json = {"source": SPEC["source"]}


def settling_record(**more: Any) -> Record:
    """What stands beside the Application meanwhile: were we killed now, the next one knows what we had."""
    return recorded(settling=True, **more)


def test_without_auto_sync_everything_is_back_by_one_patch() -> None:
    stage = Stage(MANUAL, {"kept": "x"})
    assert taken(stage)
    assert (stage.argocd.spec, stage.argocd.document["metadata"]["annotations"]) == (MANUAL, {"kept": "x"})
    assert (len(stage.argocd.patches), stage.claim.record) == (1, None)


@pytest.mark.parametrize("settling", [False, True])
def test_auto_sync_stays_off_until_the_workloads_have_settled(settling: bool) -> None:
    stage = Stage()
    assert taken(stage, settling=settling)
    assert stage.argocd.spec == SPEC | {"syncPolicy": {"automated": {"prune": True, "enabled": False}}}
    assert stage.record == settling_record(automated={"prune": True})
    run(stage.claim.release())
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


def test_settling_keeps_the_record_so_that_nobody_comes_between() -> None:
    stage = Stage(MANUAL)
    assert taken(stage, settling=True)
    assert (stage.argocd.spec, stage.record) == (MANUAL, settling_record())
    run(stage.claim.release())
    assert stage.record is None


def test_a_value_that_someone_has_changed_meanwhile_stays_theirs() -> None:
    stage = Stage(MANUAL)
    theirs = [{"name": "kafka.topic", "value": "theirs"}]

    async def changed() -> bool:
        await stage.take()
        stage.argocd.spec["source"]["helm"]["parameters"] = copy.deepcopy(theirs)
        return await stage.claim.give_back(settling=False, until=FUTURE)

    assert run(changed()) is False
    assert (stage.parameters, stage.record) == (theirs, None)


def test_where_someone_took_our_record_away_everything_is_given_back_all_the_same() -> None:
    stage = Stage()

    async def stripped() -> bool:
        await stage.take()
        del stage.argocd.document["metadata"]["annotations"][RECORD]
        stood = await stage.claim.give_back(settling=True, until=FUTURE)
        await stage.claim.release()
        return stood

    assert run(stripped())
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


OFF: Json = {"prune": True, "enabled": False}


def test_auto_sync_that_a_person_switches_off_over_our_change_stays_off() -> None:
    stage = Stage()

    def overwritten(argocd: FakeArgoCD) -> None:
        argocd.document["spec"] = copy.deepcopy(SPEC | {"syncPolicy": {"automated": OFF}})
        del argocd.document["metadata"]["annotations"]

    stage.argocd.meets("application", None, None, overwritten)
    with pytest.raises(Reverted):
        run(stage.take())
    run(stage.claim.let_go())
    assert stage.argocd.spec == SPEC | {"syncPolicy": {"automated": OFF}}
    assert stage.notices == ["auto-sync of weather was changed meanwhile; it stays as it is now"]


def test_auto_sync_that_a_person_changes_while_we_hold_it_off_stays_theirs() -> None:
    stage = Stage()
    run(stage.take())
    stage.argocd.spec["syncPolicy"]["automated"]["selfHeal"] = True
    run(stage.claim.let_go())
    assert stage.argocd.spec == SPEC | {"syncPolicy": {"automated": OFF | {"selfHeal": True}}}
    assert stage.record is None
    assert stage.notices == ["auto-sync of weather was changed meanwhile; it stays as it is now"]


@pytest.mark.parametrize(
    "former",
    [
        [{"name": "image.tag", "value": "abc"}],
        [{"name": "image.tag", "value": "abc"}, {"name": "image.tag", "value": "def"}],
        [{"name": "image.tag"}],
        [],
    ],
)
def test_an_empty_value_is_found_again_and_the_former_one_put_back(former: list[Json]) -> None:
    spec: Json = {"source": {"repoURL": "git", "helm": {"parameters": former}}}
    stage = Stage(normalize(spec))
    settings = [Helm("kafka.topic", TOPIC, string=True), Helm("image.tag", "")]
    told = stage.notices.append
    claim = Claim(stage.argocd.client, APP, "mine", settings, waiting=told, warn=told, topics=[TOPIC])

    async def there_and_back() -> bool:
        await claim.take([], FUTURE)
        assert {"name": "image.tag"} in stage.parameters
        return await claim.give_back(settling=False, until=FUTURE)

    assert run(there_and_back())
    assert stage.argocd.spec == normalize(spec)
    assert stage.record is None


def test_a_change_between_reading_and_giving_back_is_kept() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, lambda a: a.spec["source"]["helm"].update(releaseName="theirs"))
    assert taken(stage)
    assert stage.argocd.spec["source"]["helm"] == {**SPEC["source"]["helm"], "releaseName": "theirs"}
    assert len(stage.argocd.patches) == 1  # what we do not touch is no conflict


def test_a_parameter_that_someone_adds_between_reading_and_giving_back_is_kept() -> None:
    stage = Stage(MANUAL)
    theirs = {"name": "theirs", "value": "1"}
    stage.argocd.meets("patch", None, lambda a: a.spec["source"]["helm"]["parameters"].append(theirs))
    assert taken(stage)
    assert theirs in stage.argocd.spec["source"]["helm"]["parameters"]
    assert len(stage.argocd.patches) == 2


@pytest.mark.parametrize(
    "fault", [DOWN, LostAnswer(), ApiError("change", 502, 0, "x"), LostAnswer(ApiError("c", 504, 4, "x"))]
)
def test_a_patch_or_its_answer_lost_on_the_way_is_looked_after(fault: Any) -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, fault)
    assert taken(stage)
    assert (stage.argocd.spec, stage.record) == (MANUAL, None)


@pytest.mark.parametrize("settling", [False, True])
def test_a_value_that_somebodys_patch_brings_back_at_the_same_moment_is_taken_out_and_told(
    settling: bool,
) -> None:
    """Argo CD writes the spec wholesale: what they read just before our patch wins over it."""
    stage = Stage(MANUAL)

    async def overwritten() -> tuple[bool, bool]:
        await stage.take()
        theirs = copy.deepcopy(stage.argocd.spec) | {"destination": "theirs"}
        await stage.claim.give_back(settling=settling, until=FUTURE)
        await stage.claim.release()
        stays = await stage.claim.stays()
        stage.argocd.document["spec"] = theirs
        return stays, await stage.claim.stays()

    assert run(overwritten()) == (True, False)
    assert (stage.argocd.spec, stage.record) == (MANUAL | {"destination": "theirs"}, None)
    assert stage.notices == [
        "somebody's change at the same moment brought run mine's parameters back; they are taken out again"
    ]


@pytest.mark.parametrize("fault", [DOWN, Denied("show", 403, "permission denied", "")])
def test_a_last_look_that_argo_cd_does_not_answer_leaves_no_doubt(fault: Exception) -> None:
    stage = Stage(MANUAL)
    assert taken(stage)
    stage.argocd.meets("application", fault)
    assert run(stage.claim.stays())
    assert len(stage.argocd.patches) == 1


def test_nothing_is_given_back_where_nothing_was_taken() -> None:
    stage = Stage()
    assert run(stage.claim.give_back(settling=False, until=FUTURE)) is False
    assert (stage.argocd.calls, stage.claim.way_back()) == ([], [])


@pytest.mark.parametrize("failed", [INVALID, SLOW, GIVEN_UP], ids=["invalid", "slow", "given up"])
def test_where_git_is_out_of_reach_or_too_slow_the_spec_is_put_without_validation(failed: Exception) -> None:
    stage = Stage(MANUAL, {"kept": "x"})
    stage.argocd.meets("patch", None, failed)
    assert taken(stage)
    assert (stage.argocd.spec, stage.argocd.document["metadata"]["annotations"]) == (MANUAL, {"kept": "x"})
    assert stage.argocd.calls == ["application", "patch", "watch", "raw", "replace", "application"]


def test_a_change_while_argo_cd_tried_to_reach_git_is_kept() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, INVALID)
    stage.argocd.meets("raw", lambda a: a.spec["source"].update(targetRevision="theirs"))
    assert taken(stage)
    assert stage.argocd.spec["source"] == {**MANUAL["source"], "targetRevision": "theirs"}


def test_where_only_the_spec_can_be_put_the_record_goes_once_git_is_back() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, INVALID, INVALID)
    stage.argocd.meets("replace", INVALID, INVALID)
    assert taken(stage)
    assert (stage.argocd.spec, stage.record) == (MANUAL, None)
    assert stage.argocd.calls == [
        *["application", "patch", "watch", "raw", "replace", "replace_spec"],
        *["application", "patch", "watch", "raw", "replace"],
        *["application", "patch", "application"],
    ]


def test_a_put_that_is_lost_on_its_way_is_sent_again() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, INVALID, INVALID)
    stage.argocd.meets("replace", DOWN)
    assert taken(stage)
    assert (stage.argocd.spec, stage.record) == (MANUAL, None)


def test_what_cannot_be_given_back_is_told_when_patience_is_over() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, *[INVALID] * 999)
    stage.argocd.meets("replace", *[INVALID] * 999)

    async def timed() -> float:
        await stage.take()
        began = asyncio.get_running_loop().time()
        with pytest.raises(ApiError, match="repository not accessible"):
            await stage.claim.give_back(settling=False, until=FUTURE)
        return asyncio.get_running_loop().time() - began

    assert 10 < run(timed()) < 11


def test_the_command_by_hand_puts_everything_back() -> None:
    for others in (None, {"kept": "x"}):
        stage = Stage(annotations=others)
        run(stage.take())
        by_hand = applied(stage.argocd.document, stage.claim.way_back())
        assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (SPEC, others or {})
        assert stage.claim.way_out() == []


@pytest.mark.parametrize("spec", [SPEC, MANUAL])
def test_between_giving_back_and_settling_the_command_by_hand_does_what_is_left(spec: Json) -> None:
    stage = Stage(spec, {"kept": "x"})

    async def given_back() -> None:
        await stage.take()
        await stage.claim.give_back(settling=True, until=FUTURE)

    run(given_back())
    by_hand = applied(stage.argocd.document, stage.claim.way_out())
    assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (spec, {"kept": "x"})
    run(stage.claim.release())
    assert stage.claim.way_out() == [], "a patch that tests for a record which is gone cannot be sent"


# -- and another run has it by now ----------------------------------------------------------------------


@pytest.mark.parametrize("settling", [False, True])
@pytest.mark.parametrize(
    "act",
    [
        lambda s, settling: s.claim.give_back(settling=settling, until=FUTURE),
        lambda s, _: s.claim.release(),
        lambda s, _: s.claim.settle("abc", [ResourceStatus(kind="ConfigMap", name="x")], prune=True),
        lambda s, _: s.claim.check_held(),
    ],
    ids=["give back", "release", "settle", "check"],
)
def test_an_application_that_another_run_holds_by_now_is_left_alone_and_its_holder_named(
    act: Callable[[Stage, bool], Any], settling: bool
) -> None:
    stage = Stage()
    run(stage.take())
    stage.held_by("theirs", TOPIC)  # over our value, which stands still
    held = copy.deepcopy(stage.argocd.document)
    stage.argocd.patches.clear()
    with pytest.raises(Taken, match="weather is held by run theirs by now; nothing is changed"):
        run(act(stage, settling))
    assert (stage.argocd.document, stage.argocd.patches, stage.argocd.syncs) == (held, [], [])


def test_who_takes_the_application_while_it_is_put_without_validation_keeps_it() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, INVALID)
    stage.argocd.meets("raw", lambda a: stage.held_by("theirs"))
    with pytest.raises(Taken, match="run theirs"):
        taken(stage)
    assert "replace" not in stage.argocd.calls


@pytest.mark.parametrize("fault", [None, LostAnswer()], ids=["answered", "answer lost"])
def test_the_next_run_may_take_the_application_the_moment_it_is_released(fault: Any) -> None:
    stage = Stage(MANUAL)

    async def released() -> None:
        await stage.take()
        await stage.claim.give_back(settling=True, until=FUTURE)
        stage.argocd.meets("patch", fault)
        stage.argocd.meets("application", None, lambda _: stage.annotate(Record(run="theirs", until=FUTURE)))
        await stage.claim.release()

    run(released())
    assert stage.record is not None
    assert stage.record.run == "theirs"
    assert stage.argocd.spec == MANUAL


def test_who_has_lost_lets_go_and_may_try_again() -> None:
    stage = Stage()
    run(stage.take())
    stage.held_by("theirs")
    held = copy.deepcopy(stage.argocd.document)
    run(stage.claim.let_go())
    assert (stage.argocd.document, stage.claim.record) == (held, None)


def test_a_record_that_is_to_stay_until_nothing_can_arrive_keeps_the_application() -> None:
    stage = Stage()

    async def kept() -> None:
        await stage.take()
        stage.argocd.late = asyncio.get_running_loop().time() + 60
        await stage.claim.give_back(settling=True, until=FUTURE)
        assert await stage.claim.release() == pytest.approx(60)

    run(kept())
    assert stage.argocd.spec == SPEC
    assert stage.record == recorded(until=NOW + 60, settling=True)
    by_hand = applied(stage.argocd.document, stage.claim.way_out())
    assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (SPEC, {})


def is_settling(stage: Stage) -> bool:
    return stage.record is not None and stage.record.settling


def test_while_an_end_may_still_arrive_no_way_takes_the_record_away_or_begins_a_run() -> None:
    stage = Stage()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await stage.take()
        stage.argocd.late = loop.time() + 60
        await stage.claim.give_back(settling=False, until=FUTURE)
        assert is_settling(stage)
        await stage.claim.let_go()
        assert is_settling(stage)
        began = loop.time()
        await stage.claim.free()
        assert loop.time() - began >= 60 - 1

    run(main())
    assert stage.waited == ["a request to end an operation that was never answered: it would end this run's"]


# -- the workloads --------------------------------------------------------------------------------------


def status(name: str, status: str = "OutOfSync", **more: Any) -> Json:
    return {"group": "apps", "version": "v1", "kind": "Deployment", "name": name, "status": status} | more


def test_where_nothing_is_to_settle_one_resource_is_synced_that_a_sync_leaves_as_it_is() -> None:
    """Auto-sync compares with the last operation's source: one with the former parameters must come last."""
    stage = Stage()
    stage.argocd.document["status"]["resources"] = [
        status("hook", "Synced", hook=True),
        status("drifted"),
        status("fine", "Synced"),
        status("other", "Synced"),
    ]
    wanted = ResourceStatus(group="apps", version="v1", kind="Deployment", name="fine", status="Synced")
    assert run(stage.claim.any_synced()) == [wanted]
    assert stage.argocd.calls == ["refresh"]


def test_where_a_sync_would_change_every_resource_none_is_synced_for_auto_syncs_sake() -> None:
    stage = Stage()
    stage.argocd.document["status"]["resources"] = [status("drifted"), status("hook", "Synced", hook=True)]
    with pytest.raises(OperationFailed, match="no resource of weather is Synced"):
        run(stage.claim.any_synced())


def test_an_application_of_hooks_alone_has_nothing_to_sync() -> None:
    stage = Stage()
    stage.argocd.document["status"]["resources"] = [status("hook", "", hook=True)]
    assert run(stage.claim.any_synced()) == []


@pytest.mark.parametrize("spec", [SPEC, MANUAL])
def test_whether_auto_sync_is_to_be_on_again_is_known_from_the_taking(spec: Json) -> None:
    stage = Stage(spec)
    assert not stage.claim.automated
    run(stage.take())
    assert stage.claim.automated is (spec == SPEC)


def test_settling_is_a_partial_sync_of_its_own() -> None:
    stage = Stage()
    resource = ResourceStatus(group="apps", kind="Deployment", namespace="n", name="d")
    assert run(stage.claim.settle("abc", [resource])) == "mine/settle"
    assert stage.argocd.syncs == [
        {
            "infos": [{"name": "argorun-run", "value": "mine/settle"}],
            "retryStrategy": {"limit": 0},
            "revision": "abc",
            "resources": [{"group": "apps", "kind": "Deployment", "namespace": "n", "name": "d"}],
        }
    ]


def test_what_exists_only_with_our_values_is_pruned_by_the_same_sync() -> None:
    stage = Stage()
    run(stage.claim.settle("abc", [ResourceStatus(kind="ConfigMap", name="extra")], prune=True))
    assert [s.get("prune") for s in stage.argocd.syncs] == [True]


def test_where_nothing_is_out_of_sync_nothing_is_synced() -> None:
    stage = Stage()
    assert (run(stage.claim.settle(None, [])), stage.argocd.calls) == (None, [])


def test_settling_does_not_wait_for_an_operation_that_came_first() -> None:
    stage = Stage()
    stage.argocd.runs("theirs")
    with pytest.raises(OperationFailed) as e:
        run(stage.claim.settle(None, [ResourceStatus(name="d")]))
    assert e.value.message == (
        "the workloads could not be settled: run theirs, started 2024-01-01T00:00:00Z, Running came first"
    )


def test_settled_is_only_what_succeeded() -> None:
    for phase, message in (("Succeeded", ""), ("Failed", "no such image")):
        stage = Stage()
        stage.argocd.runs("mine/settle", phase=phase, message=message)
        stage.argocd.tell()
        if phase == "Succeeded":
            assert run(stage.claim.settled("mine/settle")).started_at == "2024-01-01T00:00:00Z"
        else:
            with pytest.raises(OperationFailed, match="settling ended Failed: no such image"):
                run(stage.claim.settled("mine/settle"))


@pytest.mark.parametrize(
    ("was_synced", "lags", "looks"),
    [(True, 0, 1), (True, 9, 10), (True, 99, 35), (False, 2, 3), (False, 99, 8)],
)
def test_settled_is_compared_anew_for_argo_cd_lags_behind(was_synced: bool, lags: int, looks: int) -> None:
    """For a while: something else may keep the Application from being Synced for ever."""
    stage = Stage()
    stage.argocd.document["status"]["sync"]["status"] = "Synced" if was_synced else "OutOfSync"
    run(stage.take())
    stage.argocd.calls.clear()
    stage.argocd.runs("mine/settle", phase="Succeeded")
    stage.argocd.tell()

    stage.argocd.meets("refresh", *[shows("OutOfSync")] * lags, shows("Synced"))
    run(stage.claim.settled("mine/settle", compared=True))
    assert stage.argocd.calls.count("refresh") == looks


# -- what comes late --------------------------------------------------------------------------------------


def put_back(stage: Stage) -> None:
    """A run of ours that is over: its values are put back."""
    assert taken(stage, settling=False)
    run(stage.claim.release())


def undone_within(stage: Stage, seconds: float) -> bool:
    async def looked() -> bool:
        return await stage.claim.undo_late(asyncio.get_running_loop().time() + seconds)

    return run(looked())


def test_a_change_of_ours_that_takes_effect_late_is_seen_and_put_back() -> None:
    stage = Stage()
    put_back(stage)

    async def late() -> bool:
        until = asyncio.get_running_loop().time() + 15
        looking = asyncio.create_task(stage.claim.undo_late(until))
        await asyncio.sleep(10)
        stage.held_by("mine", TOPIC)
        stage.argocd.tell()
        return await looking

    assert run(late()) is True
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


@pytest.mark.parametrize("spec", [SPEC, SPEC | {"syncPolicy": {"automated": {"prune": True}}}])
def test_what_was_left_on_purpose_is_not_taken_for_a_late_change(spec: Json) -> None:
    """Settling failed, or an end of the operation may still arrive: record and auto-sync stay as they are."""
    stage = Stage(copy.deepcopy(spec))
    assert taken(stage, settling=True)
    held = copy.deepcopy(stage.argocd.document)
    assert undone_within(stage, 0) is False
    assert stage.argocd.document == held


def test_a_record_that_a_late_write_brings_back_once_it_was_let_go_is_taken_away() -> None:
    stage = Stage()
    assert taken(stage, settling=True)
    late = copy.deepcopy(stage.argocd.document)
    run(stage.claim.release())
    stage.argocd.document = late
    assert undone_within(stage, 0) is True
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


def test_what_takes_effect_late_before_auto_sync_may_be_on_again_leaves_it_off() -> None:
    stage = Stage(SPEC | {"syncPolicy": {"automated": {"prune": True}}})
    run(stage.take())
    late = copy.deepcopy(stage.argocd.document)
    run(stage.claim.give_back(settling=True, until=FUTURE))
    stage.argocd.document = late
    assert undone_within(stage, 0) is True
    assert helm_parameters(stage.argocd.spec) == helm_parameters(SPEC)
    assert stage.argocd.spec["syncPolicy"]["automated"]["enabled"] is False
    assert is_settling(stage)


def test_an_operation_of_ours_that_starts_late_is_ended() -> None:
    stage = Stage()
    put_back(stage)
    stage.argocd.runs("mine/ab")
    stage.argocd.meets("application", None, None, lambda a: a.ends("Failed", "Operation terminated"))
    assert undone_within(stage, 0) is True
    assert "terminate" in stage.argocd.calls


def test_nobody_elses_operation_or_record_is_taken_for_a_late_one() -> None:
    stage = Stage()
    put_back(stage)
    stage.held_by("theirs")
    stage.argocd.runs("theirs")
    held = copy.deepcopy(stage.argocd.document)
    assert undone_within(stage, 15) is False
    assert stage.argocd.document == held


def test_settling_ends_an_operation_of_ours_that_came_late_and_was_in_its_way() -> None:
    stage = Stage(MANUAL)
    assert taken(stage, settling=True)
    stage.argocd.runs("mine")
    # Who holds it is read before the sync and after its refusal; the third reading sees it ended.
    stage.argocd.meets("application", None, None, None, lambda a: a.ends("Failed", "Operation terminated"))
    assert run(stage.claim.settle(None, [ResourceStatus(kind="ConfigMap", name="x")])) == "mine/settle"
    assert stage.argocd.calls.count("terminate") == 1
    assert len(stage.argocd.syncs) == 1


def test_settling_that_one_of_ours_replaced_before_its_end_was_seen_begins_anew() -> None:
    stage = Stage(MANUAL)
    assert taken(stage, settling=True)
    extra = ResourceStatus(kind="ConfigMap", name="x")

    async def settled() -> None:
        started = await stage.claim.settle("abc", [extra], prune=True)
        assert started == "mine/settle"
        stage.argocd.runs("mine")  # came late, when the settling had just ended
        terminated = stage.argocd.ends
        stage.argocd.meets("application", None, None, None, lambda _: terminated("Failed"))

        def ends(argocd: FakeArgoCD) -> None:
            argocd.picks_up()
            argocd.ends()

        stage.argocd.meets("application", None, ends)
        await stage.claim.settled(started)

    run(settled())
    assert stage.argocd.calls.count("terminate") == 1
    first, again = stage.argocd.syncs
    assert (first, first["revision"], first["prune"]) == (again, "abc", True)


def test_settling_that_somebody_else_replaced_is_not_tried_again() -> None:
    stage = Stage()
    stage.argocd.runs("theirs")
    with pytest.raises(OperationFailed, match="our operation on weather is gone: run theirs"):
        run(stage.claim.settled("mine/settle"))
    assert (stage.argocd.syncs, stage.argocd.calls.count("terminate")) == ([], 0)


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        (None, None),
        (["CreateNamespace=true"], None),
        (["PrunePropagationPolicy=orphan", "CreateNamespace=true"], ["CreateNamespace=true"]),
        (["ApplyOutOfSyncOnly=true"], []),
        (["PrunePropagationPolicy=background"], None),
    ],
)
def test_no_option_of_the_applications_keeps_anything_from_going_back(
    own: list[str] | None, sent: list[str] | None
) -> None:
    spec = {"syncPolicy": {"syncOptions": own}} if own is not None else {}
    assert settling_options(spec) == sent
    request = body("r/settle", None, [], options=settling_options(spec))
    assert request.get("syncOptions") == (None if sent is None else {"items": sent})
