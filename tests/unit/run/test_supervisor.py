"""A run ends in one exit code, and is cleaned up whatever ended it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from argorun.argocd.diagnosis.analyze import Finding
from argorun.config.model import Timeouts
from argorun.errors import (
    ArgoCDFailed,
    ArgorunError,
    InternalError,
    NoTestRan,
    StillBusy,
    TestsFailed,
    UsageError,
)
from argorun.events import Canceling, Event, LeftBehind, Notice, RunEnded, RunStarted, Undone, Verdict
from argorun.kinds import Result, Subject
from argorun.reporters.dispatcher import Dispatcher
from argorun.run import supervisor as module
from argorun.run.steps import Run
from argorun.run.supervisor import STOPPING, Supervisor
from argorun.run.undo.stack import UndoStack
from argorun.signals import SIGNALS, Interrupts
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

Steps = Callable[["SupervisedRun"], Awaitable[ArgorunError | None]]
AT_ONCE = "argorun was told to stop at once"


async def nothing_found() -> Finding:
    return Finding()


class SupervisedRun(Scenario):
    """A run whose steps are one function, with one urgent and one patient undo; its own reporter."""

    url = "https://argocd/applications/weather"

    def __init__(self, steps: Steps, topic: Steps | None = None, pods: Steps | None = None) -> None:
        super().__init__()
        self.configure(timeouts=Timeouts(run=600.0))
        self.flushed = 0
        self.breaks: Exception | None = None  # raised at each event
        self.dispatcher = Dispatcher([self])
        self.undo = UndoStack(self.dispatcher)
        self.progress = SimpleNamespace(
            doing=lambda: "tests still running",
            running=lambda: ("tests",),
            last_lines=lambda running: ("last line",),
            log_of=lambda running: "attempt 2, pod tests-x",
        )
        self.finding: Callable[[], Awaitable[Finding]] = nothing_found
        self.asked: list[ArgorunError] = []
        self._steps = steps
        self.undone: list[str] = []
        self._register("pods", pods, patient=True)
        self._register("topic", topic)

    def _register(self, name: str, act: Steps | None, patient: bool = False) -> None:
        async def undo() -> str | None:
            if act is not None:
                await act(self)
            self.undone.append(name)
            return f"{name} gone"

        swept, kind = name == "topic", Subject.TOPIC
        command = f"rm {name}"
        self.undo.register(name, undo, lambda: command, kind, name, limit=60, patient=patient, swept=swept)

    def report(self, event: Event) -> None:
        super().report(event)
        if self.breaks is not None:
            raise self.breaks

    def flush(self) -> None:
        self.flushed += 1

    def announce(self) -> None:
        self.dispatcher(RunStarted(time=0.0, run_id="", application="", url="", version=""))

    async def steps(self) -> ArgorunError | None:
        return await self._steps(self)

    async def why(self, error: ArgorunError) -> Finding:
        self.asked.append(error)
        return await self.finding()

    async def clean_up(self) -> None:
        await self.undo.unwind(90)

    def undoing(self) -> list[str]:
        return ["topics"]

    def abandon(self, why: str) -> None:
        self.undo.abandon(why)

    def code(self, *, saves_logs: bool = False) -> int:
        async def supervised() -> int:
            supervisor = Supervisor(cast(Run, self), self.dispatcher, Interrupts(), saves_logs=saves_logs)
            return await supervisor.supervise()

        return run(supervised())

    @property
    def verdict(self) -> Verdict:
        """The only one, whenever it was emitted."""
        (verdict,) = self.all(Verdict)
        return dataclasses.replace(verdict, time=0.0)

    @property
    def undone_and_left(self) -> list[str]:
        """What was undone and what was left, in order."""
        return [
            e.what if isinstance(e, Undone) else f"{e.what}: {e.why} ({e.command})"
            for e in self.events
            if isinstance(e, Undone | LeftBehind)
        ]


async def green(_: SupervisedRun) -> None:
    await asyncio.sleep(1)


def ending(error: Exception) -> Steps:
    async def steps(_: SupervisedRun) -> ArgorunError | None:
        await asyncio.sleep(1)
        raise error

    return steps


def verdict_is(error: ArgorunError) -> Steps:
    async def steps(_: SupervisedRun) -> ArgorunError | None:
        return error

    return steps


async def forever(_: SupervisedRun) -> None:
    await asyncio.Event().wait()


def signals(*signums: int, pause: float = 1.0, then: Steps = forever) -> Steps:
    """This process is sent these signals, with pauses before and between them, and goes on."""

    async def steps(scenario: SupervisedRun) -> ArgorunError | None:
        async def send() -> None:
            for signum in signums:
                await asyncio.sleep(pause)
                os.kill(os.getpid(), signum)

        sending.append(asyncio.create_task(send()))
        return await then(scenario)

    sending: list[asyncio.Task[None]] = []  # kept, so that it is not collected
    return steps


BOTH = ["topic gone", "pods gone"]


# -- exit codes ------------------------------------------------------------------------------------------


def test_green_is_0_and_everything_is_undone() -> None:
    scenario = SupervisedRun(green)
    assert scenario.code() == 0
    assert scenario.undone_and_left == BOTH
    assert scenario.verdict == Verdict(
        time=0.0,
        ok=True,
        exit_code=0,
        title="the tests passed",
        url=scenario.url,
        result=Result.PASSED,
    )


def test_a_red_verdict_is_its_code_with_reason_hint_and_last_lines() -> None:
    error = TestsFailed("tests failed", "look", reason="Job tests: limit", hooks=["tests"])
    scenario = SupervisedRun(verdict_is(error))
    assert scenario.code() == 1
    assert scenario.undone_and_left == BOTH
    assert scenario.verdict == Verdict(
        time=0.0,
        ok=False,
        exit_code=1,
        title="tests failed",
        reason="Job tests: limit",
        hint="look",
        last_lines=("last line",),
        url=scenario.url,
        log_of="attempt 2, pod tests-x",
        result=Result.FAILED,
        hooks=("tests",),
    )


def finding(scenario: SupervisedRun, result: Finding | Exception, seconds: float = 1.0) -> None:
    """What the cluster says, after so many seconds."""

    async def asked() -> Finding:
        await asyncio.sleep(seconds)
        assert scenario.undone == [], "while the pods are there"
        if isinstance(result, Exception):
            raise result
        return result

    scenario.finding = asked


def test_a_red_verdict_says_what_the_cluster_says_asked_before_anything_is_undone() -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("tests failed", "look", reason="Job tests: limit")))
    finding(scenario, Finding("exit code 3", ("pod a: exit code 3",), "fix it", ("not shown",)))
    assert (scenario.code(), scenario.undone_and_left) == (1, BOTH)
    assert scenario.verdict == Verdict(
        time=0.0,
        ok=False,
        exit_code=1,
        title="tests: the test exited with code 3",
        reason="Job tests: limit",
        evidence=("pod a: exit code 3",),
        hint="fix it",
        last_lines=("last line",),
        url=scenario.url,
        log_of="attempt 2, pod tests-x",
        result=Result.FAILED,
    )


def test_the_log_of_a_workload_stands_in_where_no_test_has_written_any() -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("tests failed")))
    scenario.progress.last_lines = lambda running: ()
    finding(scenario, Finding(log=("no broker",)))
    scenario.code()
    assert (scenario.verdict.last_lines, scenario.verdict.log_of) == (("no broker",), "")


def test_of_a_run_past_its_time_the_lines_of_what_still_runs_are_shown() -> None:
    scenario = SupervisedRun(forever)
    scenario.progress.last_lines = lambda running: (f"running: {running}",)
    scenario.code()
    assert scenario.verdict.last_lines == ("running: True",)
    assert (scenario.verdict.result, scenario.verdict.hooks) == (Result.TIMED_OUT, ("tests",))


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (TestsFailed("x"), Result.FAILED),
        (NoTestRan("x"), Result.NO_TEST),
        (StillBusy("x"), Result.ERROR),
        (InternalError("x"), Result.ERROR),
    ],
)
def test_a_program_need_not_read_the_words_of_a_verdict(error: ArgorunError, result: Result) -> None:
    scenario = SupervisedRun(verdict_is(error))
    scenario.code()
    assert (scenario.verdict.result, scenario.verdict.exit_code) == (result, error.exit_code)


def test_an_error_while_the_cluster_is_asked_changes_nothing_but_is_said() -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("tests failed")))
    finding(scenario, KeyError("oops"))
    assert (scenario.code(), scenario.undone_and_left, scenario.verdict.title) == (1, BOTH, "tests failed")
    assert scenario.verdict.evidence == ("(not all could be read: KeyError: 'oops')",)


def test_a_green_run_and_one_that_a_signal_ended_are_not_asked_about() -> None:
    for scenario in (SupervisedRun(green), SupervisedRun(signals(signal.SIGINT))):
        scenario.code()
        assert scenario.asked == []


def test_a_signal_while_the_cluster_is_asked_ends_that_and_hides_nothing() -> None:
    scenario = SupervisedRun(signals(signal.SIGINT, pause=2.0, then=verdict_is(TestsFailed("tests failed"))))
    finding(scenario, Finding("never read"), seconds=3600)
    assert (scenario.code(), scenario.verdict.title, scenario.undone_and_left) == (1, "tests failed", BOTH)
    assert scenario.undo.hurried


@pytest.mark.parametrize("error", [UsageError("no such parameter"), ArgoCDFailed("down")])
def test_an_error_on_the_way_is_its_code_and_everything_is_undone(error: ArgorunError) -> None:
    scenario = SupervisedRun(ending(error))
    assert (scenario.code(), scenario.verdict.title, scenario.undone_and_left) == (
        error.exit_code,
        error.message,
        BOTH,
    )


def test_an_error_inside_argorun_is_70_says_what_to_attach_and_is_cleaned_up_anyway() -> None:
    scenario = SupervisedRun(ending(KeyError("oops")))
    assert (scenario.code(), scenario.undone_and_left) == (70, BOTH)
    assert scenario.verdict.title == "an error inside argorun: KeyError: 'oops'"
    assert scenario.verdict.hint == (
        "please report it, with this text and `argorun --version`:\nhttps://github.com/argorun/argorun/issues"
    )
    assert scenario.verdict.reason.startswith("Traceback (most recent call last):")
    assert scenario.verdict.reason.endswith("KeyError: 'oops'\n")


def test_a_run_past_its_time_is_4_says_what_it_was_at_and_is_cleaned_up() -> None:
    scenario = SupervisedRun(forever)
    assert (scenario.code(), scenario.undone_and_left) == (4, BOTH)
    assert (scenario.verdict.title, scenario.verdict.hint) == (
        "time ran out after 600 s: tests still running",
        "raise --timeout or timeouts.run",
    )


async def cannot(_: SupervisedRun) -> None:
    raise ArgoCDFailed("down")


def test_green_with_something_left_behind_is_10() -> None:
    scenario = SupervisedRun(green, topic=cannot)
    assert (scenario.code(), scenario.verdict.exit_code) == (10, 0)
    assert scenario.undone_and_left == ["topic: down (rm topic)", "pods gone"]


@pytest.mark.parametrize("topic", [None, cannot])
def test_the_sweep_is_offered_only_for_what_it_would_see_to(topic: Steps | None) -> None:
    scenario = SupervisedRun(green, topic=topic, pods=cannot)
    assert scenario.code() == 10
    assert [t for t in scenario.notices if "argorun sweep" in t] == (
        ["topics and parameters that are left behind can also wait for argorun sweep"] if topic else []
    )


def test_red_with_something_left_behind_stays_what_it_was() -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("tests failed")), topic=cannot)
    assert (scenario.code(), scenario.undone_and_left) == (1, ["topic: down (rm topic)", "pods gone"])


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "No space left on device"), 10), (BrokenPipeError(), 0)]
)
def test_green_that_could_not_be_written_down_is_10_but_a_closed_pipe_is_no_verdict(
    error: Exception, code: int
) -> None:
    scenario = SupervisedRun(green)
    scenario.breaks = error
    assert (scenario.code(), scenario.undone) == (code, ["topic", "pods"])


def test_a_dry_run_gives_no_verdict_unless_it_is_a_red_one() -> None:
    for steps, verdicts in ((green, 0), (verdict_is(UsageError("no")), 1)):
        scenario = SupervisedRun(steps)
        scenario.configure(dry_run=True)
        scenario.code()
        assert len(scenario.all(Verdict)) == verdicts


def test_a_person_who_watches_sees_what_is_new_many_times_a_second() -> None:
    scenario = SupervisedRun(green)
    scenario.code()
    assert scenario.flushed >= 15  # in one second


# -- signals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_the_steps_and_the_clean_up_hurries(signum: signal.Signals, code: int) -> None:
    scenario = SupervisedRun(signals(signum))
    assert (scenario.code(), scenario.undone_and_left) == (code, BOTH)
    assert (scenario.verdict.exit_code, scenario.verdict.title) == (code, f"interrupted by {signum.name}")
    assert scenario.undo.hurried


def test_a_signal_is_acknowledged_before_anything_else_happens() -> None:
    scenario = SupervisedRun(signals(signal.SIGINT, then=hardly_stops))
    scenario.code()
    first = next(e for e in scenario.events if not isinstance(e, RunStarted | Notice))
    acknowledged = Canceling(time=0.0, signal="SIGINT", sync=False, parameters=False, topics=True)
    assert dataclasses.replace(first, time=0.0) == acknowledged


def test_the_handlers_are_gone_in_the_end() -> None:
    before = [signal.getsignal(s) for s in SIGNALS]
    SupervisedRun(green).code()
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_steps_that_take_their_time_to_stop_are_waited_for_before_anything_is_undone() -> None:
    order: list[str] = []

    async def stubborn(scenario: SupervisedRun) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(STOPPING / 2)
            order.append(f"stopped, {scenario.undone} undone")

    scenario = SupervisedRun(signals(signal.SIGINT, then=stubborn))
    assert (scenario.code(), order, scenario.undone_and_left) == (130, ["stopped, [] undone"], BOTH)


async def hardly_stops(scenario: SupervisedRun) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(3600)
        scenario.undone.append("and only now it stopped")


def test_steps_that_hardly_stop_are_not_waited_for_forever() -> None:
    scenario = SupervisedRun(signals(signal.SIGINT, then=hardly_stops))
    assert (scenario.code(), scenario.undone_and_left) == (130, BOTH)
    assert scenario.undone == ["topic", "pods"]


def test_after_a_second_signal_nothing_is_waited_for_that_hardly_stops() -> None:
    scenario = SupervisedRun(signals(signal.SIGINT, signal.SIGTERM), topic=hardly_stops)
    assert scenario.code() == 130
    assert scenario.undone_and_left == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


@pytest.mark.parametrize("pause", [0.0, 0.4, 0.9])
def test_a_nervous_second_key_press_ends_no_clean_up(pause: float) -> None:
    scenario = SupervisedRun(signals(signal.SIGINT, signal.SIGINT, pause=pause), topic=green)
    assert (scenario.code(), scenario.undone_and_left) == (130, BOTH)


@pytest.mark.parametrize(
    ("second", "pause"), [(signal.SIGINT, 1.1), (signal.SIGTERM, 1.0), (signal.SIGTERM, 0.1)]
)
def test_a_second_signal_in_the_clean_up_ends_that_too_and_names_what_is_left(
    second: signal.Signals, pause: float
) -> None:
    scenario = SupervisedRun(signals(signal.SIGINT, second, pause=pause), topic=forever)
    assert scenario.code() == 130
    assert scenario.undone == []
    assert scenario.undone_and_left == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


def test_a_second_signal_while_the_steps_still_stop_undoes_nothing_and_names_all() -> None:
    async def stubborn(_: SupervisedRun) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)

    scenario = SupervisedRun(signals(signal.SIGINT, signal.SIGINT, pause=1.1, then=stubborn))
    assert (scenario.code(), scenario.undone) == (130, [])
    assert scenario.undone_and_left == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


def kills(signum: int) -> Steps:
    async def undo(_: SupervisedRun) -> None:
        os.kill(os.getpid(), signum)
        await asyncio.sleep(5)

    return undo


def test_a_first_signal_in_the_clean_up_of_a_green_run_hurries_it_and_is_its_end() -> None:
    async def slow(scenario: SupervisedRun) -> None:
        await asyncio.sleep(20)
        assert scenario.undo.hurried

    scenario = SupervisedRun(green, topic=kills(signal.SIGTERM), pods=slow)
    assert (scenario.code(), scenario.undone_and_left) == (143, BOTH)


def test_a_signal_in_the_clean_up_of_a_red_run_does_not_hide_why_it_was_red() -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("tests failed")), topic=kills(signal.SIGINT))
    assert (scenario.code(), scenario.undone_and_left) == (1, BOTH)


def test_a_clean_up_that_breaks_names_what_is_left_and_is_an_error_inside_argorun() -> None:
    scenario = SupervisedRun(green)

    async def breaks() -> None:
        raise KeyError("oops")

    scenario.clean_up = breaks  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        scenario.code()
    why = "an error inside argorun: KeyError: 'oops'"
    assert scenario.undone_and_left == [f"topic: {why} (rm topic)", f"pods: {why} (rm pods)"]


def test_a_clean_up_that_is_ended_before_it_began_names_what_is_left() -> None:
    scenario = SupervisedRun(green)

    async def is_ended() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    scenario.clean_up = is_ended  # type: ignore[method-assign]
    assert scenario.code() == 10
    assert scenario.undone_and_left == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


@pytest.mark.parametrize(
    ("keeps", "saves", "hint"),
    [
        (False, False, "argorun run --keep-topics keeps the topic; --log-dir logs saves whole logs"),
        (False, True, "argorun run --keep-topics keeps the topic"),
        (True, False, "--log-dir logs saves whole logs"),
        (True, True, ""),
    ],
)
def test_what_is_next_is_nothing_that_the_run_has_done(keeps: bool, saves: bool, hint: str) -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("no")))
    scenario.configure(timeouts=Timeouts(run=600.0), keep_topics=keeps)
    assert scenario.code(saves_logs=saves) == 1
    assert scenario.verdict.hint == hint


def test_what_is_next_needs_nothing_that_is_gone_after_the_demo() -> None:
    scenario = SupervisedRun(verdict_is(TestsFailed("no")))
    scenario.configure(timeouts=Timeouts(run=600.0), linked=False)
    assert (scenario.code(), scenario.verdict.hint) == (1, "")


# -- from a Config ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True])
def test_a_run_ends_with_its_code_and_closes_its_connections_and_who_keeps_topics_need_not_delete(
    monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    whole = WholeRun(monkeypatch, SupervisedRun(verdict_is(TestsFailed("no"))))
    assert whole.execute(keep) == 1
    assert (whole.closed, whole.kept) == (2, [keep])
    assert whole.first_and_last == ("RunStarted", "RunEnded", 1)


class WholeRun:
    """What `execute` does around a run, whose connections are counted only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scenario: SupervisedRun) -> None:
        self.closed, self.kept = 0, list[bool]()
        self.reporter = Scenario()
        whole = self

        class Connection:
            def __init__(self, *arguments: Any, **options: Any) -> None:
                whole.kept.extend(options[o] for o in ("keep",) if o in options)

            async def __aenter__(self) -> Connection:
                return self

            async def __aexit__(self, *_: object) -> None:
                whole.closed += 1

        def made(config: object, emit: Any, client: object, topics: object, *, mask: object) -> SupervisedRun:
            scenario.dispatcher = emit
            return scenario

        monkeypatch.setattr(module, "RestClient", Connection)
        monkeypatch.setattr(module, "Topics", Connection)
        monkeypatch.setattr(module, "Run", made)

    def execute(self, keep: bool = False) -> int:
        config = SimpleNamespace(
            argocd=SimpleNamespace(server="argocd"),
            kafka={},
            secrets=(),
            keep_topics=keep,
            sources={},
            given=lambda key: key,
        )
        return run(module.execute(cast(Any, config), Dispatcher([self.reporter])))

    @property
    def first_and_last(self) -> tuple[str, str, int]:
        first, *_, last = self.reporter.events
        assert isinstance(last, RunEnded)
        return type(first).__name__, type(last).__name__, last.exit_code


def test_an_error_inside_argorun_in_the_clean_up_takes_the_last_event_from_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = SupervisedRun(green)
    monkeypatch.setattr(scenario, "clean_up", functools.partial(ending(KeyError("oops")), scenario))
    whole = WholeRun(monkeypatch, scenario)
    with pytest.raises(KeyError):
        whole.execute()
    assert whole.first_and_last == ("RunStarted", "RunEnded", 70)


def test_a_signal_at_the_very_beginning_takes_the_first_event_from_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = SupervisedRun(forever)
    first = scenario.announce

    def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        first()

    monkeypatch.setattr(scenario, "announce", interrupted)
    whole = WholeRun(monkeypatch, scenario)
    assert whole.execute() == 130
    assert whole.first_and_last == ("RunStarted", "RunEnded", 130)
