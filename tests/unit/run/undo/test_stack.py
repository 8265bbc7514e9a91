"""Everything is undone, the last first, whatever goes wrong on the way; what is left is named."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from argorun.errors import AccessDenied, ArgoCDFailed
from argorun.events import LeftBehind, Undone
from argorun.kinds import Subject
from argorun.run.undo.stack import Undo, UndoStack
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

Act = Callable[[], Awaitable[str | None]]


class Undos(Scenario):
    """An undo stack, and the undos that it began, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = UndoStack(self.report)
        self.order: list[str] = []

    @property
    def emitted(self) -> list[tuple[str, ...]]:
        """The events, without their times."""
        return [
            ("undone", e.what) if isinstance(e, Undone) else ("left", e.what, e.why, e.command)
            for e in self.events
            if isinstance(e, Undone | LeftBehind)
        ]

    def add(
        self,
        name: str,
        act: Act | None = None,
        *,
        limit: float = 20.0,
        patient: bool = False,
        last: bool = False,
        swept: bool = False,
    ) -> Undo:
        async def undo() -> str | None:
            self.order.append(name)
            return await act() if act is not None else f"{name} undone"

        command, kind = f"undo {name}", Subject.TOPIC
        return self.undo.register(
            name, undo, lambda: command, kind, name, limit=limit, patient=patient, last=last, swept=swept
        )


def left(name: str, why: str, command: str) -> LeftBehind:
    return LeftBehind(time=0.0, what=name, why=why, command=command, kind=Subject.TOPIC, names=(name,))


def raising(error: BaseException) -> Act:
    async def act() -> str | None:
        raise error

    return act


async def never() -> str | None:
    await asyncio.Event().wait()
    raise AssertionError("cannot be reached")


def test_a_hurry_cuts_slow_requests_short() -> None:
    cut: list[str] = []
    undo = UndoStack(Scenario().report, lambda: cut.append("hurry"))
    assert not undo.hurried
    undo.hurry()
    assert (undo.hurried, cut) == (True, ["hurry"])


def test_the_last_is_undone_first_and_each_is_reported() -> None:
    scenario = Undos()
    for name in ("topic", "parameters", "operation"):
        scenario.add(name)
    assert scenario.undo.pending
    run(scenario.undo.unwind(90))
    assert scenario.order == ["operation", "parameters", "topic"]
    assert scenario.emitted == [("undone", f"{name} undone") for name in scenario.order]
    assert (scenario.undo.left, scenario.undo.pending) == ([], False)


def test_one_after_the_other_so_that_the_topic_outlives_what_uses_it() -> None:
    scenario = Undos()
    scenario.add("topic")

    async def slow() -> str | None:
        await asyncio.sleep(5)
        scenario.order.append("operation is over")
        return None

    scenario.add("operation", slow)
    run(scenario.undo.unwind(90))
    assert scenario.order == ["operation", "operation is over", "topic"]


def test_with_nothing_to_undo_nothing_is_emitted() -> None:
    scenario = Undos()
    run(scenario.undo.unwind(90))
    assert (scenario.emitted, scenario.undo.pending) == ([], False)


def test_an_undo_with_nothing_to_do_says_nothing() -> None:
    scenario = Undos()

    async def nothing() -> str | None:
        return None

    scenario.add("topic", nothing)
    run(scenario.undo.unwind(90))
    assert (scenario.order, scenario.emitted, scenario.undo.pending) == (["topic"], [], False)


def test_what_never_took_place_is_forgotten_and_nothing_else() -> None:
    scenario = Undos()
    topic = scenario.add("topic a")
    scenario.add("topic b")
    scenario.undo.forget(topic)
    run(scenario.undo.unwind(90))
    assert scenario.order == ["topic b"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ArgoCDFailed("Argo CD is down", "look at it"), "Argo CD is down"),
        (ValueError("no such thing"), "ValueError: no such thing"),
        (asyncio.CancelledError(), "it was canceled"),
        (ExceptionGroup("several", [OSError("x")]), "ExceptionGroup: several (1 sub-exception)"),
    ],
)
@pytest.mark.parametrize("hurried", [False, True])
def test_an_undo_that_raises_anything_is_named_and_does_not_stop_the_others(
    error: BaseException, why: str, hurried: bool
) -> None:
    scenario = Undos()
    scenario.add("first", patient=True)
    scenario.add("second", raising(error), patient=True)
    scenario.add("third", raising(error))
    scenario.add("fourth")
    if hurried:
        scenario.undo.hurry()
    run(scenario.undo.unwind(90))
    assert sorted(set(scenario.order)) == ["first", "fourth", "second", "third"]
    assert [(e.what, e.why, e.command) for e in scenario.undo.left] == [
        ("third", why, "undo third"),
        ("second", why, "undo second"),
    ]
    assert ("undone", "first undone") in scenario.emitted
    assert ("undone", "fourth undone") in scenario.emitted


def test_a_command_that_cannot_be_given_does_not_stop_the_others() -> None:
    scenario = Undos()
    scenario.add("first")

    def broken() -> str:
        raise RuntimeError("no")

    scenario.undo.register("second", raising(ArgoCDFailed("down")), broken, Subject.TOPIC)
    run(scenario.undo.unwind(90))
    assert scenario.emitted == [("left", "second", "down", ""), ("undone", "first undone")]


def test_an_undo_that_hangs_is_given_its_limit_and_no_more() -> None:
    scenario = Undos()
    scenario.add("topic")
    scenario.add("operation", never, limit=25)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await scenario.undo.unwind(90)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 25
    assert scenario.emitted == [
        ("left", "operation", "not done within 25 s", "undo operation"),
        ("undone", "topic undone"),
    ]


def test_all_that_hang_are_over_within_the_whole_budget_and_each_had_its_chance() -> None:
    scenario = Undos()
    for name in ("topic", "pods", "parameters", "operation"):
        scenario.add(name, never, limit=60)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await scenario.undo.unwind(50)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 50
    # Each that is still to come keeps five seconds for itself.
    assert [(e.what, e.why) for e in scenario.undo.left] == [
        ("operation", "not done within 35 s"),
        ("parameters", "not done within 5 s"),
        ("pods", "not done within 5 s"),
        ("topic", "not done within 5 s"),
    ]


def test_a_budget_that_is_used_up_still_gives_each_a_second() -> None:
    scenario = Undos()
    scenario.add("topic")
    scenario.add("operation", never)
    run(scenario.undo.unwind(0))
    assert scenario.emitted == [
        ("left", "operation", "not done within 1 s", "undo operation"),
        ("undone", "topic undone"),
    ]


def test_in_a_hurry_the_urgent_ones_start_at_once_and_the_patient_follow() -> None:
    scenario = Undos()
    gate = asyncio.Event()

    async def gated() -> str | None:
        await gate.wait()
        return None

    async def cancelled_by_a_person() -> None:
        scenario.add("topic", gated)
        scenario.add("pods", patient=True)
        scenario.add("settle", patient=True)
        scenario.add("parameters", gated)
        scenario.add("operation", gated)
        scenario.undo.hurry()
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        assert sorted(scenario.order) == ["operation", "parameters", "topic"]
        gate.set()
        await unwinding

    run(cancelled_by_a_person())
    assert scenario.order[3:] == ["settle", "pods"]
    assert scenario.undo.left == []


def test_in_a_hurry_a_patient_one_waits_only_for_what_it_must_come_after() -> None:
    # A topic that will not go (Kafka is away) keeps nobody from settling the workloads.
    scenario = Undos()

    async def cancelled_by_a_person() -> None:
        scenario.add("topic", never)
        scenario.add("settle", patient=True)
        scenario.add("operation")
        scenario.undo.hurry()
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        assert sorted(scenario.order) == ["operation", "settle", "topic"]
        unwinding.cancel()
        await unwinding

    run(cancelled_by_a_person())
    assert [e.what for e in scenario.undo.left] == ["topic"]


def test_what_is_registered_as_the_last_is_undone_last() -> None:
    scenario = Undos()
    scenario.add("topic")
    scenario.add("a look at the topic", last=True)
    scenario.add("operation")
    run(scenario.undo.unwind(90))
    assert scenario.order == ["operation", "topic", "a look at the topic"]


def test_what_can_be_left_to_itself_is_waited_for_only_until_somebody_hurries() -> None:
    async def waited(undo: UndoStack, seconds: float) -> tuple[bool, float]:
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(5, undo.hurry)
        ended = await undo.unless_hurried(asyncio.sleep(seconds))
        return ended, asyncio.get_running_loop().time() - began

    assert run(waited(Undos().undo, 3)) == (True, 3)
    assert run(waited(Undos().undo, 30)) == (False, 5)


def test_what_should_come_to_its_end_is_waited_for_a_little_longer_even_in_a_hurry() -> None:
    async def waited(seconds: float) -> tuple[bool, float]:
        began = asyncio.get_running_loop().time()
        undo = Undos().undo
        undo.hurry()
        ended = await undo.unless_hurried(asyncio.sleep(seconds), grace=3)
        return ended, asyncio.get_running_loop().time() - began

    assert run(waited(2)) == (True, 2)
    assert run(waited(30)) == (False, 3)


def test_what_goes_wrong_while_it_is_waited_for_is_raised() -> None:
    async def fails() -> None:
        raise ArgoCDFailed("down")

    with pytest.raises(ArgoCDFailed, match="down"):
        run(Undos().undo.unless_hurried(fails()))


def test_a_hurry_in_the_middle_starts_what_is_urgent_without_waiting_for_what_is_under_way() -> None:
    scenario = Undos()
    gate = asyncio.Event()

    async def gated() -> str | None:
        await gate.wait()
        return "pods are gone"

    async def hurried() -> None:
        scenario.add("topic")
        scenario.add("settle", patient=True)
        scenario.add("parameters")
        scenario.add("pods", gated, patient=True)
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        assert (scenario.order, scenario.undo.hurried) == (["pods"], False)
        scenario.undo.hurry()
        await asyncio.sleep(1)
        assert (sorted(scenario.order[1:]), scenario.undo.hurried) == (["parameters", "topic"], True)
        gate.set()
        await unwinding

    run(hurried())
    assert scenario.order[3:] == ["settle"]
    assert scenario.undo.left == []


def test_a_hurry_does_not_undo_anything_twice() -> None:
    scenario = Undos()
    scenario.add("topic")

    async def hurries() -> str | None:
        scenario.undo.hurry()
        await asyncio.sleep(1)
        return None

    scenario.add("operation", hurries)
    run(scenario.undo.unwind(90))
    assert sorted(scenario.order) == ["operation", "topic"]


def test_told_to_stop_at_once_everything_that_is_left_is_named_with_its_command() -> None:
    scenario = Undos()
    cut_short: list[str] = []

    async def hangs() -> str | None:
        try:
            return await never()
        except asyncio.CancelledError:
            cut_short.append("parameters")
            raise

    async def stopped() -> None:
        scenario.add("topic")
        scenario.add("parameters", hangs)
        scenario.add("operation")
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        await unwinding
        await asyncio.sleep(1)

    run(stopped())
    why = "argorun was told to stop at once"
    assert scenario.emitted == [
        ("undone", "operation undone"),
        ("left", "parameters", why, "undo parameters"),
        ("left", "topic", why, "undo topic"),
    ]
    assert (scenario.order, cut_short, scenario.undo.pending) == (
        ["operation", "parameters"],
        ["parameters"],
        False,
    )


def test_told_to_stop_at_once_among_patient_ones_names_them_too() -> None:
    scenario = Undos()

    async def stopped() -> None:
        scenario.add("pods", patient=True)
        scenario.add("settle", never, patient=True)
        scenario.undo.hurry()
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        await unwinding

    run(stopped())
    assert [e.what for e in scenario.undo.left] == ["settle", "pods"]


@pytest.mark.parametrize("ends", [None, ArgoCDFailed("down")])
def test_told_to_stop_at_once_nobody_waits_for_what_an_undo_still_does(ends: Exception | None) -> None:
    scenario = Undos()
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
        scenario.add("topic")
        scenario.add("settle", tidies_up)
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        began = asyncio.get_running_loop().time()
        await unwinding
        at_once = asyncio.get_running_loop().time() - began
        await asyncio.sleep(30)
        return at_once

    assert run(stopped()) == 0
    assert [e.what for e in scenario.undo.left] == ["settle", "topic"]
    assert acts == ["begun"], "and it is not tried again"


def test_told_to_stop_at_once_nobody_is_sent_to_do_what_needs_no_doing() -> None:
    scenario = Undos()
    scenario.add("topic")

    async def nothing() -> str | None:
        return None

    scenario.undo.register("settle", nothing, lambda: "", Subject.WORKLOADS)
    scenario.undo.abandon("no time")
    assert ([e.what for e in scenario.undo.left], scenario.undo.pending) == (["topic"], False)


def test_abandoned_before_anything_was_undone_names_all_and_touches_nothing() -> None:
    scenario = Undos()
    for name in ("topic", "parameters"):
        scenario.add(name)
    scenario.undo.abandon("no time")
    assert [dataclasses.replace(e, time=0.0) for e in scenario.undo.left] == [
        left("parameters", "no time", "undo parameters"),
        left("topic", "no time", "undo topic"),
    ]
    assert scenario.order == []


def test_what_was_left_is_not_named_again_when_the_rest_is_abandoned() -> None:
    scenario = Undos()
    topic = scenario.add("topic")
    scenario.add("operation", raising(ArgoCDFailed("down")))

    async def hangs() -> str | None:
        return await never()

    scenario.undo.forget(topic)
    scenario.add("parameters", hangs)
    scenario.undo.hurry()

    async def stopped() -> None:
        unwinding = asyncio.create_task(scenario.undo.unwind(90))
        await asyncio.sleep(1)
        unwinding.cancel()
        await unwinding

    run(stopped())
    assert [e.what for e in scenario.undo.left] == ["operation", "parameters"]


@pytest.mark.parametrize(
    "error", [ArgoCDFailed("half a JSON"), AccessDenied("a broken proxy says 403")], ids=["8", "6"]
)
def test_an_undo_that_fails_once_is_done_anyway(error: BaseException) -> None:
    scenario = Undos()
    errors = [error]

    async def once() -> str | None:
        if errors:
            raise errors.pop()
        return "topic undone"

    scenario.add("topic", once)
    run(scenario.undo.unwind(90))
    assert (scenario.order, scenario.undo.left) == (["topic", "topic"], [])
    assert scenario.emitted == [("undone", "topic undone")]


@pytest.mark.parametrize("swept", [True, False])
def test_whether_argorun_sweep_would_undo_something_of_what_is_left_is_known(swept: bool) -> None:
    scenario = Undos()
    scenario.add("topic", swept=True)
    scenario.add("parameters", raising(ArgoCDFailed("down")), swept=swept)
    run(scenario.undo.unwind(90))
    assert ([e.what for e in scenario.undo.left], scenario.undo.left_for_sweep) == (["parameters"], swept)


def test_of_a_small_budget_the_first_undo_has_half_at_least() -> None:
    scenario = Undos()
    took: list[float] = []

    async def slow() -> str | None:
        began = asyncio.get_running_loop().time()
        try:
            return await never()
        finally:
            took.append(asyncio.get_running_loop().time() - began)

    for name in ("a", "b", "c", "d", "e", "f"):
        scenario.add(name)
    scenario.add("operation", slow)
    run(scenario.undo.unwind(14))
    assert took == [8.0]
    assert [e.what for e in scenario.undo.left] == ["operation"]


@pytest.mark.parametrize("hurried", [False, True])
def test_an_undo_that_does_not_even_stop_does_not_keep_the_others_from_being_done(hurried: bool) -> None:
    scenario = Undos()

    async def hardly_stops() -> str | None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3600)
        return None

    scenario.add("topic")
    scenario.add("operation", hardly_stops, limit=20)
    if hurried:
        scenario.undo.hurry()
    run(scenario.undo.unwind(90))
    left = ("left", "operation", "it did not stop within 23 s", "undo operation")
    assert sorted(scenario.emitted) == [left, ("undone", "topic undone")]
