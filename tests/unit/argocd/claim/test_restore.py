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
from tests.unit.argocd.claim.scenario import INVALID, ClaimScenario, is_settling, recorded, taken
from tests.unit.argocd.claim.test_acquire import SLOW
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.fakes import Lost as LostAnswer
from tests.unit.argocd.gopatch import Json, applied
from tests.unit.scenario import AUTOMATED, FUTURE, NOW, SPEC, TOPIC
from tests.unit.virtual import run

GIVEN_UP = ApiError("change", 504, 4, "context deadline exceeded")


def settling_record(**more: Any) -> Record:
    """What stands beside the Application meanwhile: were we killed now, the next one knows what we had."""
    return recorded(settling=True, **more)


def test_without_auto_sync_everything_is_back_by_one_patch() -> None:
    scenario = ClaimScenario(SPEC, {"kept": "x"})
    assert taken(scenario)
    assert (scenario.argocd.spec, scenario.argocd.document["metadata"]["annotations"]) == (
        SPEC,
        {"kept": "x"},
    )
    assert (len(scenario.argocd.patches), scenario.claim.record) == (1, None)


@pytest.mark.parametrize("settling", [False, True])
def test_auto_sync_stays_off_until_the_workloads_have_settled(settling: bool) -> None:
    scenario = ClaimScenario()
    assert taken(scenario, settling=settling)
    assert scenario.argocd.spec == AUTOMATED | {
        "syncPolicy": {"automated": {"prune": True, "enabled": False}}
    }
    assert scenario.record == settling_record(automated={"prune": True})
    run(restore.release(scenario.claim))
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


def test_settling_keeps_the_record_so_that_nobody_comes_between() -> None:
    scenario = ClaimScenario(SPEC)
    assert taken(scenario, settling=True)
    assert (scenario.argocd.spec, scenario.record) == (SPEC, settling_record())
    run(restore.release(scenario.claim))
    assert scenario.record is None


def test_a_value_that_someone_has_changed_meanwhile_stays_theirs() -> None:
    scenario = ClaimScenario(SPEC)
    theirs = [{"name": "kafka.topic", "value": "theirs"}]

    async def changed() -> bool:
        await scenario.take()
        scenario.argocd.spec["source"]["helm"]["parameters"] = copy.deepcopy(theirs)
        return await restore.give_back(scenario.claim, settling=False, until=FUTURE)

    assert run(changed()) is False
    assert (scenario.parameters, scenario.record) == (theirs, None)


def test_where_someone_took_our_record_away_everything_is_given_back_anyway() -> None:
    scenario = ClaimScenario()

    async def stripped() -> bool:
        await scenario.take()
        del scenario.argocd.document["metadata"]["annotations"][RECORD]
        stood = await restore.give_back(scenario.claim, settling=True, until=FUTURE)
        await restore.release(scenario.claim)
        return stood

    assert run(stripped())
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


OFF: Json = {"prune": True, "enabled": False}


def test_auto_sync_that_a_person_switches_off_over_our_change_stays_off() -> None:
    scenario = ClaimScenario()

    def overwritten(argocd: FakeArgoCD) -> None:
        argocd.document["spec"] = copy.deepcopy(AUTOMATED | {"syncPolicy": {"automated": OFF}})
        del argocd.document["metadata"]["annotations"]

    scenario.argocd.meets("application", None, None, overwritten)
    with pytest.raises(Reverted):
        run(scenario.take())
    run(restore.let_go(scenario.claim))
    assert scenario.argocd.spec == AUTOMATED | {"syncPolicy": {"automated": OFF}}
    assert scenario.notices == ["auto-sync of weather was changed meanwhile; it stays as it is now"]


def test_auto_sync_that_a_person_changes_while_we_hold_it_off_stays_theirs() -> None:
    scenario = ClaimScenario()
    run(scenario.take())
    scenario.argocd.spec["syncPolicy"]["automated"]["selfHeal"] = True
    run(restore.let_go(scenario.claim))
    assert scenario.argocd.spec == AUTOMATED | {"syncPolicy": {"automated": OFF | {"selfHeal": True}}}
    assert scenario.record is None
    assert scenario.notices == ["auto-sync of weather was changed meanwhile; it stays as it is now"]


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
    scenario = ClaimScenario(normalize(spec))
    settings = [Helm("kafka.topic", TOPIC, string=True), Helm("image.tag", "")]
    warn = scenario.emitter.warn
    claim = Claim(scenario.argocd.client, APP, "mine", settings, warn=warn, topics=[TOPIC])

    async def there_and_back() -> bool:
        await acquire.take(claim, [], FUTURE)
        assert {"name": "image.tag"} in scenario.parameters
        return await restore.give_back(claim, settling=False, until=FUTURE)

    assert run(there_and_back())
    assert scenario.argocd.spec == normalize(spec)
    assert scenario.record is None


def test_a_change_between_reading_and_giving_back_is_kept() -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, lambda a: a.spec["source"]["helm"].update(releaseName="theirs"))
    assert taken(scenario)
    assert scenario.argocd.spec["source"]["helm"] == {**AUTOMATED["source"]["helm"], "releaseName": "theirs"}
    assert len(scenario.argocd.patches) == 1  # what we do not touch is no conflict


def test_a_parameter_that_someone_adds_between_reading_and_giving_back_is_kept() -> None:
    scenario = ClaimScenario(SPEC)
    theirs = {"name": "theirs", "value": "1"}
    scenario.argocd.meets("patch", None, lambda a: a.spec["source"]["helm"]["parameters"].append(theirs))
    assert taken(scenario)
    assert theirs in scenario.argocd.spec["source"]["helm"]["parameters"]
    assert len(scenario.argocd.patches) == 2


@pytest.mark.parametrize(
    "fault", [DOWN, LostAnswer(), ApiError("change", 502, 0, "x"), LostAnswer(ApiError("c", 504, 4, "x"))]
)
def test_a_patch_or_its_answer_lost_on_the_way_is_looked_after(fault: Any) -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, fault)
    assert taken(scenario)
    assert (scenario.argocd.spec, scenario.record) == (SPEC, None)


@pytest.mark.parametrize("settling", [False, True])
def test_a_value_that_somebodys_patch_brings_back_at_the_same_moment_is_taken_out_and_reported(
    settling: bool,
) -> None:
    """Argo CD writes the spec wholesale: what they read just before our patch wins over it."""
    scenario = ClaimScenario(SPEC)

    async def overwritten() -> tuple[bool, bool]:
        await scenario.take()
        theirs = copy.deepcopy(scenario.argocd.spec) | {"destination": "theirs"}
        await restore.give_back(scenario.claim, settling=settling, until=FUTURE)
        await restore.release(scenario.claim)
        stays = await restore.verify(scenario.claim)
        scenario.argocd.document["spec"] = theirs
        return stays, await restore.verify(scenario.claim)

    assert run(overwritten()) == (True, False)
    assert (scenario.argocd.spec, scenario.record) == (SPEC | {"destination": "theirs"}, None)
    assert scenario.notices == [
        "somebody's change at the same moment brought run mine's parameters back; argorun removes them again"
    ]


@pytest.mark.parametrize("fault", [DOWN, Denied("show", 403, "permission denied", "")])
def test_a_last_look_that_argo_cd_does_not_answer_leaves_no_doubt(fault: Exception) -> None:
    scenario = ClaimScenario(SPEC)
    assert taken(scenario)
    scenario.argocd.meets("application", fault)
    assert run(restore.verify(scenario.claim))
    assert len(scenario.argocd.patches) == 1


def test_nothing_is_given_back_where_nothing_was_taken() -> None:
    scenario = ClaimScenario()
    assert run(restore.give_back(scenario.claim, settling=False, until=FUTURE)) is False
    assert (scenario.argocd.calls, scenario.claim.restoring_patch()) == ([], [])


@pytest.mark.parametrize("failed", [INVALID, SLOW, GIVEN_UP], ids=["invalid", "slow", "given up"])
def test_where_git_is_out_of_reach_or_too_slow_the_spec_is_put_without_validation(failed: Exception) -> None:
    scenario = ClaimScenario(SPEC, {"kept": "x"})
    scenario.argocd.meets("patch", None, failed)
    assert taken(scenario)
    assert (scenario.argocd.spec, scenario.argocd.document["metadata"]["annotations"]) == (
        SPEC,
        {"kept": "x"},
    )
    assert scenario.argocd.calls == ["application", "patch", "watch", "raw", "replace", "application"]


def test_a_change_while_argo_cd_tried_to_reach_git_is_kept() -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, INVALID)
    scenario.argocd.meets("raw", lambda a: a.spec["source"].update(targetRevision="theirs"))
    assert taken(scenario)
    assert scenario.argocd.spec["source"] == {**SPEC["source"], "targetRevision": "theirs"}


def test_where_only_the_spec_can_be_put_the_record_goes_once_git_is_back() -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, INVALID, INVALID)
    scenario.argocd.meets("replace", INVALID, INVALID)
    assert taken(scenario)
    assert (scenario.argocd.spec, scenario.record) == (SPEC, None)
    assert scenario.argocd.calls == [
        *["application", "patch", "watch", "raw", "replace", "replace_spec"],
        *["application", "patch", "watch", "raw", "replace"],
        *["application", "patch", "application"],
    ]


def test_a_put_that_is_lost_on_its_way_is_sent_again() -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, INVALID, INVALID)
    scenario.argocd.meets("replace", DOWN)
    assert taken(scenario)
    assert (scenario.argocd.spec, scenario.record) == (SPEC, None)


def test_what_cannot_be_given_back_is_reported_when_the_time_is_up() -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, *[INVALID] * 999)
    scenario.argocd.meets("replace", *[INVALID] * 999)

    async def timed() -> float:
        await scenario.take()
        began = asyncio.get_running_loop().time()
        with pytest.raises(ApiError, match="repository not accessible"):
            await restore.give_back(scenario.claim, settling=False, until=FUTURE)
        return asyncio.get_running_loop().time() - began

    assert 10 < run(timed()) < 11


def test_the_command_by_hand_puts_everything_back() -> None:
    for others in (None, {"kept": "x"}):
        scenario = ClaimScenario(annotations=others)
        run(scenario.take())
        by_hand = applied(scenario.argocd.document, scenario.claim.restoring_patch())
        assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (AUTOMATED, others or {})
        assert scenario.claim.releasing_patch() == []


@pytest.mark.parametrize("spec", [AUTOMATED, SPEC])
def test_between_giving_back_and_settling_the_command_by_hand_does_what_is_left(spec: Json) -> None:
    scenario = ClaimScenario(spec, {"kept": "x"})

    async def given_back() -> None:
        await scenario.take()
        await restore.give_back(scenario.claim, settling=True, until=FUTURE)

    run(given_back())
    by_hand = applied(scenario.argocd.document, scenario.claim.releasing_patch())
    assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (spec, {"kept": "x"})
    run(restore.release(scenario.claim))
    assert scenario.claim.releasing_patch() == [], (
        "a patch that tests for a record which is gone cannot be sent"
    )


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
    act: Callable[[ClaimScenario, bool], Any], settling: bool
) -> None:
    scenario = ClaimScenario()
    run(scenario.take())
    scenario.held_by("theirs", TOPIC)  # over our value, which stands still
    held = copy.deepcopy(scenario.argocd.document)
    scenario.argocd.patches.clear()
    with pytest.raises(
        HeldByAnother, match="weather is now held by run theirs; argorun changes nothing in it"
    ):
        run(act(scenario, settling))
    assert (scenario.argocd.document, scenario.argocd.patches, scenario.argocd.syncs) == (held, [], [])


def test_who_takes_the_application_while_it_is_put_without_validation_keeps_it() -> None:
    scenario = ClaimScenario(SPEC)
    scenario.argocd.meets("patch", None, INVALID)
    scenario.argocd.meets("raw", lambda a: scenario.held_by("theirs"))
    with pytest.raises(HeldByAnother, match="run theirs"):
        taken(scenario)
    assert "replace" not in scenario.argocd.calls


@pytest.mark.parametrize("fault", [None, LostAnswer()], ids=["answered", "answer lost"])
def test_the_next_run_may_take_the_application_the_moment_it_is_released(fault: Any) -> None:
    scenario = ClaimScenario(SPEC)

    async def released() -> None:
        await scenario.take()
        await restore.give_back(scenario.claim, settling=True, until=FUTURE)
        scenario.argocd.meets("patch", fault)
        scenario.argocd.meets(
            "application", None, lambda _: scenario.annotate(Record(run="theirs", until=FUTURE))
        )
        await restore.release(scenario.claim)

    run(released())
    assert scenario.record is not None
    assert scenario.record.run == "theirs"
    assert scenario.argocd.spec == SPEC


def test_who_has_lost_lets_go_and_may_try_again() -> None:
    scenario = ClaimScenario()
    run(scenario.take())
    scenario.held_by("theirs")
    held = copy.deepcopy(scenario.argocd.document)
    run(restore.let_go(scenario.claim))
    assert (scenario.argocd.document, scenario.claim.record) == (held, None)


def test_a_record_that_is_to_stay_until_nothing_can_arrive_keeps_the_application() -> None:
    scenario = ClaimScenario()

    async def kept() -> None:
        await scenario.take()
        scenario.argocd.late = asyncio.get_running_loop().time() + 60
        await restore.give_back(scenario.claim, settling=True, until=FUTURE)
        assert await restore.release(scenario.claim) == pytest.approx(60)

    run(kept())
    assert scenario.argocd.spec == AUTOMATED
    assert scenario.record == recorded(until=NOW + 60, settling=True)
    by_hand = applied(scenario.argocd.document, scenario.claim.releasing_patch())
    assert (by_hand["spec"], by_hand["metadata"]["annotations"]) == (AUTOMATED, {})


def test_while_an_end_may_still_arrive_no_way_takes_the_record_away_or_begins_a_run() -> None:
    scenario = ClaimScenario()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await scenario.take()
        scenario.argocd.late = loop.time() + 60
        await restore.give_back(scenario.claim, settling=False, until=FUTURE)
        assert is_settling(scenario)
        await restore.let_go(scenario.claim)
        assert is_settling(scenario)
        began = loop.time()
        await acquire.wait_until_free(scenario.claim, scenario.waited.append)
        assert loop.time() - began >= 60 - 1

    run(main())
    assert scenario.waited == ["an unanswered request to end an operation, which could still end this run's"]
