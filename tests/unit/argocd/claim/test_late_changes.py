"""What takes effect late, after it went unanswered, is undone."""

from __future__ import annotations

import asyncio
import copy

import pytest

from argorun.argocd.claim import late_changes, restore
from argorun.argocd.parameters.helm import helm_parameters
from tests.unit.argocd.claim.stage import FUTURE, SPEC, TOPIC, Stage, is_settling, taken
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run


def put_back(stage: Stage) -> None:
    """A run of ours that is over: its values are put back."""
    assert taken(stage, settling=False)
    run(restore.release(stage.claim))


def undone_within(stage: Stage, seconds: float) -> bool:
    async def looked() -> bool:
        return await late_changes.undo(stage.claim, asyncio.get_running_loop().time() + seconds)

    return run(looked())


def test_a_change_of_ours_that_takes_effect_late_is_seen_and_put_back() -> None:
    stage = Stage()
    put_back(stage)

    async def late() -> bool:
        until = asyncio.get_running_loop().time() + 15
        looking = asyncio.create_task(late_changes.undo(stage.claim, until))
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
    run(restore.release(stage.claim))
    stage.argocd.document = late
    assert undone_within(stage, 0) is True
    assert (stage.argocd.spec, stage.record) == (SPEC, None)


def test_what_takes_effect_late_before_auto_sync_may_be_on_again_leaves_it_off() -> None:
    stage = Stage(SPEC | {"syncPolicy": {"automated": {"prune": True}}})
    run(stage.take())
    late = copy.deepcopy(stage.argocd.document)
    run(restore.give_back(stage.claim, settling=True, until=FUTURE))
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
