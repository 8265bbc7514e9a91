"""What takes effect late, after it went unanswered, is undone."""

from __future__ import annotations

import asyncio
import copy

import pytest

from argorun.argocd.claim import late_changes, restore
from argorun.argocd.parameters.helm import helm_parameters
from tests.unit.argocd.claim.scenario import ClaimScenario, is_settling, taken
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import AUTOMATED, FUTURE, TOPIC
from tests.unit.virtual import run


def put_back(scenario: ClaimScenario) -> None:
    """This run is over: its values are put back."""
    assert taken(scenario, settling=False)
    run(restore.release(scenario.claim))


def undone_within(scenario: ClaimScenario, seconds: float) -> bool:
    async def looked() -> bool:
        return await late_changes.undo(scenario.claim, asyncio.get_running_loop().time() + seconds)

    return run(looked())


def test_a_change_of_this_run_that_takes_effect_late_is_seen_and_put_back() -> None:
    scenario = ClaimScenario()
    put_back(scenario)

    async def late() -> bool:
        until = asyncio.get_running_loop().time() + 15
        looking = asyncio.create_task(late_changes.undo(scenario.claim, until))
        await asyncio.sleep(10)
        scenario.held_by("mine", TOPIC)
        scenario.argocd.send_change()
        return await looking

    assert run(late()) is True
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


@pytest.mark.parametrize("spec", [AUTOMATED, AUTOMATED | {"syncPolicy": {"automated": {"prune": True}}}])
def test_what_was_left_on_purpose_is_not_taken_for_a_late_change(spec: Json) -> None:
    """Settling failed, or an end of the operation may still arrive: record and auto-sync stay as they are."""
    scenario = ClaimScenario(copy.deepcopy(spec))
    assert taken(scenario, settling=True)
    held = copy.deepcopy(scenario.argocd.document)
    assert undone_within(scenario, 0) is False
    assert scenario.argocd.document == held


def test_a_record_that_a_late_write_brings_back_once_it_was_let_go_is_taken_away() -> None:
    scenario = ClaimScenario()
    assert taken(scenario, settling=True)
    late = copy.deepcopy(scenario.argocd.document)
    run(restore.release(scenario.claim))
    scenario.argocd.document = late
    assert undone_within(scenario, 0) is True
    assert (scenario.argocd.spec, scenario.record) == (AUTOMATED, None)


def test_what_takes_effect_late_before_auto_sync_may_be_on_again_leaves_it_off() -> None:
    scenario = ClaimScenario(AUTOMATED | {"syncPolicy": {"automated": {"prune": True}}})
    run(scenario.take())
    late = copy.deepcopy(scenario.argocd.document)
    run(restore.give_back(scenario.claim, settling=True, until=FUTURE))
    scenario.argocd.document = late
    assert undone_within(scenario, 0) is True
    assert helm_parameters(scenario.argocd.spec) == helm_parameters(AUTOMATED)
    assert scenario.argocd.spec["syncPolicy"]["automated"]["enabled"] is False
    assert is_settling(scenario)


def test_an_operation_of_this_run_that_starts_late_is_ended() -> None:
    scenario = ClaimScenario()
    put_back(scenario)
    scenario.argocd.runs("mine/ab")
    scenario.argocd.meets("application", None, None, lambda a: a.ends("Failed", "Operation terminated"))
    assert undone_within(scenario, 0) is True
    assert "terminate" in scenario.argocd.calls


def test_nobody_elses_operation_or_record_is_taken_for_a_late_one() -> None:
    scenario = ClaimScenario()
    put_back(scenario)
    scenario.held_by("theirs")
    scenario.argocd.runs("theirs")
    held = copy.deepcopy(scenario.argocd.document)
    assert undone_within(scenario, 15) is False
    assert scenario.argocd.document == held
