"""An Application is given back as it was before the run, and another run's is left alone."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from argorun.argocd.claim import acquire, restore, settling_sync
from argorun.argocd.claim.acquire import Reverted
from argorun.argocd.claim.claim import Claim, HeldByAnother
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.normal_form import normalize
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD, Record
from argorun.argocd.types import ResourceStatus
from tests.unit.argocd.claim.stage import (
    FUTURE,
    INVALID,
    MANUAL,
    NOW,
    SPEC,
    TOPIC,
    Stage,
    is_settling,
    recorded,
    taken,
)
from tests.unit.argocd.claim.test_acquire import SLOW
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.fakes import Lost as LostAnswer
from tests.unit.argocd.gopatch import Json, applied
from tests.unit.virtual import run

GIVEN_UP = ApiError("change", 504, 4, "context deadline exceeded")


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
    run(restore.release(stage.claim))
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


def test_settling_keeps_the_record_so_that_nobody_comes_between() -> None:
    stage = Stage(MANUAL)
    assert taken(stage, settling=True)
    assert (stage.argocd.spec, stage.record) == (MANUAL, settling_record())
    run(restore.release(stage.claim))
    assert stage.record is None


def test_a_value_that_someone_has_changed_meanwhile_stays_theirs() -> None:
    stage = Stage(MANUAL)
    theirs = [{"name": "kafka.topic", "value": "theirs"}]

    async def changed() -> bool:
        await stage.take()
        stage.argocd.spec["source"]["helm"]["parameters"] = copy.deepcopy(theirs)
        return await restore.give_back(stage.claim, settling=False, until=FUTURE)

    assert run(changed()) is False
    assert (stage.parameters, stage.record) == (theirs, None)


def test_where_someone_took_our_record_away_everything_is_given_back_all_the_same() -> None:
    stage = Stage()

    async def stripped() -> bool:
        await stage.take()
        del stage.argocd.document["metadata"]["annotations"][RECORD]
        stood = await restore.give_back(stage.claim, settling=True, until=FUTURE)
        await restore.release(stage.claim)
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
    run(restore.let_go(stage.claim))
    assert stage.argocd.spec == SPEC | {"syncPolicy": {"automated": OFF}}
    assert stage.notices == ["auto-sync of weather was changed meanwhile; it stays as it is now"]


def test_auto_sync_that_a_person_changes_while_we_hold_it_off_stays_theirs() -> None:
    stage = Stage()
    run(stage.take())
    stage.argocd.spec["syncPolicy"]["automated"]["selfHeal"] = True
    run(restore.let_go(stage.claim))
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
    claim = Claim(stage.argocd.client, APP, "mine", settings, warn=told, topics=[TOPIC])

    async def there_and_back() -> bool:
        await acquire.take(claim, [], FUTURE)
        assert {"name": "image.tag"} in stage.parameters
        return await restore.give_back(claim, settling=False, until=FUTURE)

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
        await restore.give_back(stage.claim, settling=settling, until=FUTURE)
        await restore.release(stage.claim)
        stays = await restore.verify(stage.claim)
        stage.argocd.document["spec"] = theirs
        return stays, await restore.verify(stage.claim)

    assert run(overwritten()) == (True, False)
    assert (stage.argocd.spec, stage.record) == (MANUAL | {"destination": "theirs"}, None)
    assert stage.notices == [
        "somebody's change at the same moment brought run mine's parameters back; argorun removes them again"
    ]


@pytest.mark.parametrize("fault", [DOWN, Denied("show", 403, "permission denied", "")])
def test_a_last_look_that_argo_cd_does_not_answer_leaves_no_doubt(fault: Exception) -> None:
    stage = Stage(MANUAL)
    assert taken(stage)
    stage.argocd.meets("application", fault)
    assert run(restore.verify(stage.claim))
    assert len(stage.argocd.patches) == 1


def test_nothing_is_given_back_where_nothing_was_taken() -> None:
    stage = Stage()
    assert run(restore.give_back(stage.claim, settling=False, until=FUTURE)) is False
    assert (stage.argocd.calls, stage.claim.restoring_patch()) == ([], [])


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
            await restore.give_back(stage.claim, settling=False, until=FUTURE)
        return asyncio.get_running_loop().time() - began

    assert 10 < run(timed()) < 11


def test_the_command_by_hand_puts_everything_back() -> None:
    for others in (None, {"kept": "x"}):
        stage = Stage(annotations=others)
        run(stage.take())
        by_hand = applied(stage.argocd.document, stage.claim.restoring_patch())
        assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (SPEC, others or {})
        assert stage.claim.releasing_patch() == []


@pytest.mark.parametrize("spec", [SPEC, MANUAL])
def test_between_giving_back_and_settling_the_command_by_hand_does_what_is_left(spec: Json) -> None:
    stage = Stage(spec, {"kept": "x"})

    async def given_back() -> None:
        await stage.take()
        await restore.give_back(stage.claim, settling=True, until=FUTURE)

    run(given_back())
    by_hand = applied(stage.argocd.document, stage.claim.releasing_patch())
    assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (spec, {"kept": "x"})
    run(restore.release(stage.claim))
    assert stage.claim.releasing_patch() == [], "a patch that tests for a record which is gone cannot be sent"


@pytest.mark.parametrize("settling", [False, True])
@pytest.mark.parametrize(
    "act",
    [
        lambda s, settling: restore.give_back(s.claim, settling=settling, until=FUTURE),
        lambda s, _: restore.release(s.claim),
        lambda s, _: settling_sync.start(
            s.claim, "abc", [ResourceStatus(kind="ConfigMap", name="x")], prune=True
        ),
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
    with pytest.raises(
        HeldByAnother, match="weather is now held by run theirs; argorun changes nothing in it"
    ):
        run(act(stage, settling))
    assert (stage.argocd.document, stage.argocd.patches, stage.argocd.syncs) == (held, [], [])


def test_who_takes_the_application_while_it_is_put_without_validation_keeps_it() -> None:
    stage = Stage(MANUAL)
    stage.argocd.meets("patch", None, INVALID)
    stage.argocd.meets("raw", lambda a: stage.held_by("theirs"))
    with pytest.raises(HeldByAnother, match="run theirs"):
        taken(stage)
    assert "replace" not in stage.argocd.calls


@pytest.mark.parametrize("fault", [None, LostAnswer()], ids=["answered", "answer lost"])
def test_the_next_run_may_take_the_application_the_moment_it_is_released(fault: Any) -> None:
    stage = Stage(MANUAL)

    async def released() -> None:
        await stage.take()
        await restore.give_back(stage.claim, settling=True, until=FUTURE)
        stage.argocd.meets("patch", fault)
        stage.argocd.meets("application", None, lambda _: stage.annotate(Record(run="theirs", until=FUTURE)))
        await restore.release(stage.claim)

    run(released())
    assert stage.record is not None
    assert stage.record.run == "theirs"
    assert stage.argocd.spec == MANUAL


def test_who_has_lost_lets_go_and_may_try_again() -> None:
    stage = Stage()
    run(stage.take())
    stage.held_by("theirs")
    held = copy.deepcopy(stage.argocd.document)
    run(restore.let_go(stage.claim))
    assert (stage.argocd.document, stage.claim.record) == (held, None)


def test_a_record_that_is_to_stay_until_nothing_can_arrive_keeps_the_application() -> None:
    stage = Stage()

    async def kept() -> None:
        await stage.take()
        stage.argocd.late = asyncio.get_running_loop().time() + 60
        await restore.give_back(stage.claim, settling=True, until=FUTURE)
        assert await restore.release(stage.claim) == pytest.approx(60)

    run(kept())
    assert stage.argocd.spec == SPEC
    assert stage.record == recorded(until=NOW + 60, settling=True)
    by_hand = applied(stage.argocd.document, stage.claim.releasing_patch())
    assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (SPEC, {})


def test_while_an_end_may_still_arrive_no_way_takes_the_record_away_or_begins_a_run() -> None:
    stage = Stage()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await stage.take()
        stage.argocd.late = loop.time() + 60
        await restore.give_back(stage.claim, settling=False, until=FUTURE)
        assert is_settling(stage)
        await restore.let_go(stage.claim)
        assert is_settling(stage)
        began = loop.time()
        await acquire.wait_until_free(stage.claim, stage.waited.append)
        assert loop.time() - began >= 60 - 1

    run(main())
    assert stage.waited == ["an unanswered request to end an operation, which could still end this run's"]
