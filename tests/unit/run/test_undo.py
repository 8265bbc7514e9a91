"""Everything is undone, the last first, whatever goes wrong on the way; what is left is named."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from argorun.errors import AccessDenied, ArgoCDFailed
from argorun.events import Event, LeftBehind, Undone
from argorun.run.undo import UndoStack
from tests.unit.virtual import run

Act = Callable[[], Awaitable[str | None]]


class Told(list[object]):
    """The announced events, without their times."""

    def __call__(self, event: Event) -> None:
        match event:
            case Undone():
                self.append(("undone", event.what))
            case LeftBehind():
                self.append(("left", event.what, event.why, event.command))


class Stage:
    """A clean-up and what its undos did, in their order."""

    def __init__(self) -> None:
        self.told = Told()
        self.clean = UndoStack(self.told)
        self.order: list[str] = []

    def add(
        self,
        name: str,
        act: Act | None = None,
        *,
        limit: float = 20.0,
        patient: bool = False,
        last: bool = False,
    ) -> None:
        async def undo() -> str | None:
            self.order.append(name)
            return await act() if act is not None else f"{name} undone"

        self.clean.before(name, undo, lambda: f"undo {name}", limit=limit, patient=patient, last=last)


def raising(error: BaseException) -> Act:
    async def act() -> str | None:
        raise error

    return act


async def never() -> str | None:
    await asyncio.Event().wait()
    raise AssertionError("cannot be reached")


def test_who_makes_slow_requests_is_told_of_the_hurry() -> None:
    told: list[str] = []
    clean = UndoStack(Told(), lambda: told.append("hurry"))
    assert not clean.hurried
    clean.hurry()
    assert (clean.hurried, told) == (True, ["hurry"])


def test_the_last_is_undone_first_and_each_is_told() -> None:
    stage = Stage()
    for name in ("topic", "parameters", "operation"):
        stage.add(name)
    assert stage.clean.pending
    run(stage.clean.unwind(90))
    assert stage.order == ["operation", "parameters", "topic"]
    assert stage.told == [("undone", f"{name} undone") for name in stage.order]
    assert (stage.clean.left, stage.clean.pending) == ([], False)


def test_one_after_the_other_so_that_the_topic_outlives_what_uses_it() -> None:
    stage = Stage()
    stage.add("topic")

    async def slow() -> str | None:
        await asyncio.sleep(5)
        stage.order.append("operation is over")
        return None

    stage.add("operation", slow)
    run(stage.clean.unwind(90))
    assert stage.order == ["operation", "operation is over", "topic"]


def test_nothing_to_undo_is_nothing_told() -> None:
    stage = Stage()
    run(stage.clean.unwind(90))
    assert (stage.told, stage.clean.pending) == ([], False)


def test_an_undo_with_nothing_to_do_says_nothing() -> None:
    stage = Stage()

    async def nothing() -> str | None:
        return None

    stage.add("topic", nothing)
    run(stage.clean.unwind(90))
    assert (stage.order, stage.told, stage.clean.pending) == (["topic"], [], False)


def test_what_never_took_place_is_forgotten_and_nothing_else() -> None:
    stage = Stage()
    stage.add("topic a")
    stage.add("topic b")
    stage.clean.forget("topic a")
    run(stage.clean.unwind(90))
    assert stage.order == ["topic b"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ArgoCDFailed("Argo CD is down", "look at it"), "Argo CD is down"),
        (ValueError("no such thing"), "ValueError: no such thing"),
        (asyncio.CancelledError(), "it was cancelled"),
        (ExceptionGroup("several", [OSError("x")]), "ExceptionGroup: several (1 sub-exception)"),
    ],
)
@pytest.mark.parametrize("hurried", [False, True])
def test_an_undo_that_raises_anything_is_named_and_does_not_stop_the_others(
    error: BaseException, why: str, hurried: bool
) -> None:
    stage = Stage()
    stage.add("first", patient=True)
    stage.add("second", raising(error), patient=True)
    stage.add("third", raising(error))
    stage.add("fourth")
    if hurried:
        stage.clean.hurry()
    run(stage.clean.unwind(90))
    assert sorted(set(stage.order)) == ["first", "fourth", "second", "third"]
    assert [(e.what, e.why, e.command) for e in stage.clean.left] == [
        ("third", why, "undo third"),
        ("second", why, "undo second"),
    ]
    assert ("undone", "first undone") in stage.told
    assert ("undone", "fourth undone") in stage.told


def test_a_command_that_cannot_be_given_does_not_stop_the_others() -> None:
    stage = Stage()
    stage.add("first")

    def broken() -> str:
        raise RuntimeError("no")

    stage.clean.before("second", raising(ArgoCDFailed("down")), broken)
    run(stage.clean.unwind(90))
    assert stage.told == [("left", "second", "down", ""), ("undone", "first undone")]


def test_an_undo_that_hangs_is_given_its_limit_and_no_more() -> None:
    stage = Stage()
    stage.add("topic")
    stage.add("operation", never, limit=25)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await stage.clean.unwind(90)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 25
    assert stage.told == [
        ("left", "operation", "not done within 25 s", "undo operation"),
        ("undone", "topic undone"),
    ]


def test_all_that_hang_are_over_within_the_whole_budget_and_each_had_its_chance() -> None:
    stage = Stage()
    for name in ("topic", "pods", "parameters", "operation"):
        stage.add(name, never, limit=60)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await stage.clean.unwind(50)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 50
    # Each that is still to come keeps five seconds for itself.
    assert [(e.what, e.why) for e in stage.clean.left] == [
        ("operation", "not done within 35 s"),
        ("parameters", "not done within 5 s"),
        ("pods", "not done within 5 s"),
        ("topic", "not done within 5 s"),
    ]


def test_a_budget_that_is_used_up_still_gives_each_a_second() -> None:
    stage = Stage()
    stage.add("topic")
    stage.add("operation", never)
    run(stage.clean.unwind(0))
    assert stage.told == [
        ("left", "operation", "not done within 1 s", "undo operation"),
        ("undone", "topic undone"),
    ]


def test_in_a_hurry_the_urgent_ones_start_at_once_and_the_patient_follow() -> None:
    stage = Stage()
    gate = asyncio.Event()

    async def gated() -> str | None:
        await gate.wait()
        return None

    async def cancelled_by_a_person() -> None:
        stage.add("topic", gated)
        stage.add("pods", patient=True)
        stage.add("settle", patient=True)
        stage.add("parameters", gated)
        stage.add("operation", gated)
        stage.clean.hurry()
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        assert sorted(stage.order) == ["operation", "parameters", "topic"]
        gate.set()
        await unwinding

    run(cancelled_by_a_person())
    assert stage.order[3:] == ["settle", "pods"]
    assert stage.clean.left == []


def test_in_a_hurry_a_patient_one_waits_only_for_what_it_must_come_after() -> None:
    # A topic that will not go (Kafka is away) keeps nobody from settling the workloads.
    stage = Stage()

    async def cancelled_by_a_person() -> None:
        stage.add("topic", never)
        stage.add("settle", patient=True)
        stage.add("operation")
        stage.clean.hurry()
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        assert sorted(stage.order) == ["operation", "settle", "topic"]
        unwinding.cancel()
        await unwinding

    run(cancelled_by_a_person())
    assert [e.what for e in stage.clean.left] == ["topic"]


def test_what_is_registered_as_the_last_is_undone_last() -> None:
    stage = Stage()
    stage.add("topic")
    stage.add("a look at the topic", last=True)
    stage.add("operation")
    run(stage.clean.unwind(90))
    assert stage.order == ["operation", "topic", "a look at the topic"]


def test_what_can_be_left_to_itself_is_waited_for_only_until_somebody_hurries() -> None:
    async def waited(clean: UndoStack, seconds: float) -> tuple[bool, float]:
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(5, clean.hurry)
        ended = await clean.unless_hurried(asyncio.sleep(seconds))
        return ended, asyncio.get_running_loop().time() - began

    assert run(waited(UndoStack(Told()), 3)) == (True, 3)
    assert run(waited(UndoStack(Told()), 30)) == (False, 5)


def test_what_should_come_to_its_end_is_waited_for_a_little_longer_even_in_a_hurry() -> None:
    async def waited(seconds: float) -> tuple[bool, float]:
        began = asyncio.get_running_loop().time()
        clean = UndoStack(Told())
        clean.hurry()
        ended = await clean.unless_hurried(asyncio.sleep(seconds), grace=3)
        return ended, asyncio.get_running_loop().time() - began

    assert run(waited(2)) == (True, 2)
    assert run(waited(30)) == (False, 3)


def test_what_goes_wrong_while_it_is_waited_for_is_raised() -> None:
    async def fails() -> None:
        raise ArgoCDFailed("down")

    with pytest.raises(ArgoCDFailed, match="down"):
        run(UndoStack(Told()).unless_hurried(fails()))


def test_a_hurry_in_the_middle_starts_what_is_urgent_without_waiting_for_what_is_under_way() -> None:
    stage = Stage()
    gate = asyncio.Event()

    async def gated() -> str | None:
        await gate.wait()
        return "pods are gone"

    async def hurried() -> None:
        stage.add("topic")
        stage.add("settle", patient=True)
        stage.add("parameters")
        stage.add("pods", gated, patient=True)
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        assert (stage.order, stage.clean.hurried) == (["pods"], False)
        stage.clean.hurry()
        await asyncio.sleep(1)
        assert (sorted(stage.order[1:]), stage.clean.hurried) == (["parameters", "topic"], True)
        gate.set()
        await unwinding

    run(hurried())
    assert stage.order[3:] == ["settle"]
    assert stage.clean.left == []


def test_a_hurry_does_not_undo_anything_twice() -> None:
    stage = Stage()
    stage.add("topic")

    async def hurries() -> str | None:
        stage.clean.hurry()
        await asyncio.sleep(1)
        return None

    stage.add("operation", hurries)
    run(stage.clean.unwind(90))
    assert sorted(stage.order) == ["operation", "topic"]


def test_told_to_stop_at_once_everything_that_is_left_is_named_with_its_command() -> None:
    stage = Stage()
    cut_short: list[str] = []

    async def hangs() -> str | None:
        try:
            return await never()
        except asyncio.CancelledError:
            cut_short.append("parameters")
            raise

    async def stopped() -> None:
        stage.add("topic")
        stage.add("parameters", hangs)
        stage.add("operation")
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        await unwinding
        await asyncio.sleep(1)

    run(stopped())
    why = "argorun was told to stop at once"
    assert stage.told == [
        ("undone", "operation undone"),
        ("left", "parameters", why, "undo parameters"),
        ("left", "topic", why, "undo topic"),
    ]
    assert (stage.order, cut_short, stage.clean.pending) == (
        ["operation", "parameters"],
        ["parameters"],
        False,
    )


def test_told_to_stop_at_once_among_patient_ones_names_them_too() -> None:
    stage = Stage()

    async def stopped() -> None:
        stage.add("pods", patient=True)
        stage.add("settle", never, patient=True)
        stage.clean.hurry()
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        await unwinding

    run(stopped())
    assert [e.what for e in stage.clean.left] == ["settle", "pods"]


@pytest.mark.parametrize("ends", [None, ArgoCDFailed("down")])
def test_told_to_stop_at_once_nobody_waits_for_what_an_undo_still_does(ends: Exception | None) -> None:
    stage = Stage()
    acts: list[str] = []

    async def tidies_up() -> str | None:
        acts.append("begun")
        try:
            return await never()
        finally:
            await asyncio.sleep(5)
            if ends is not None:
                raise ends

    async def stopped() -> float:
        stage.add("topic")
        stage.add("settle", tidies_up)
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        began = asyncio.get_running_loop().time()
        await unwinding
        at_once = asyncio.get_running_loop().time() - began
        await asyncio.sleep(30)
        return at_once

    assert run(stopped()) == 0
    assert [e.what for e in stage.clean.left] == ["settle", "topic"]
    assert acts == ["begun"], "and it is not tried again"


def test_told_to_stop_at_once_nobody_is_sent_to_do_what_needs_no_doing() -> None:
    stage = Stage()
    stage.add("topic")

    async def nothing() -> str | None:
        return None

    stage.clean.before("settle", nothing, lambda: "")
    stage.clean.abandon("no time")
    assert ([e.what for e in stage.clean.left], stage.clean.pending) == (["topic"], False)


def test_abandoned_before_anything_was_undone_names_all_and_touches_nothing() -> None:
    stage = Stage()
    for name in ("topic", "parameters"):
        stage.add(name)
    stage.clean.abandon("no time")
    assert [dataclasses.astuple(e)[1:] for e in stage.clean.left] == [
        ("parameters", "no time", "undo parameters"),
        ("topic", "no time", "undo topic"),
    ]
    assert stage.order == []


def test_what_was_left_is_not_named_again_when_the_rest_is_abandoned() -> None:
    stage = Stage()
    stage.add("topic")
    stage.add("operation", raising(ArgoCDFailed("down")))

    async def hangs() -> str | None:
        return await never()

    stage.clean.forget("topic")
    stage.add("parameters", hangs)
    stage.clean.hurry()

    async def stopped() -> None:
        unwinding = asyncio.create_task(stage.clean.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        await unwinding

    run(stopped())
    assert [e.what for e in stage.clean.left] == ["operation", "parameters"]


@pytest.mark.parametrize(
    "error", [ArgoCDFailed("half a JSON"), AccessDenied("a broken proxy says 403")], ids=["8", "6"]
)
def test_an_undo_that_fails_once_is_done_all_the_same(error: BaseException) -> None:
    stage = Stage()
    errors = [error]

    async def once() -> str | None:
        if errors:
            raise errors.pop()
        return "topic undone"

    stage.add("topic", once)
    run(stage.clean.unwind(90))
    assert (stage.order, stage.clean.left) == (["topic", "topic"], [])
    assert stage.told == [("undone", "topic undone")]


def test_of_a_small_budget_the_first_undo_has_half_at_least() -> None:
    stage = Stage()
    took: list[float] = []

    async def slow() -> str | None:
        began = asyncio.get_running_loop().time()
        try:
            return await never()
        finally:
            took.append(asyncio.get_running_loop().time() - began)

    for name in ("a", "b", "c", "d", "e", "f"):
        stage.add(name)
    stage.add("operation", slow)
    run(stage.clean.unwind(14))
    assert took == [8.0]
    assert [e.what for e in stage.clean.left] == ["operation"]


@pytest.mark.parametrize("hurried", [False, True])
def test_an_undo_that_does_not_even_stop_does_not_keep_the_others_from_being_done(hurried: bool) -> None:
    stage = Stage()

    async def hardly_stops() -> str | None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3600)
        return None

    stage.add("topic")
    stage.add("operation", hardly_stops, limit=20)
    if hurried:
        stage.clean.hurry()
    run(stage.clean.unwind(90))
    left = ("left", "operation", "it did not stop within 23 s", "undo operation")
    assert sorted(stage.told) == [left, ("undone", "topic undone")]
