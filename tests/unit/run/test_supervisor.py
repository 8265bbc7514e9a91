"""A run ends in one exit code, and is cleaned up whatever ended it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from argorun.argocd.diagnosis.analyze import Finding
from argorun.errors import ArgoCDFailed, ArgorunError, TestsFailed, UsageError
from argorun.events import Event, LeftBehind, Notice, Undone, Verdict
from argorun.reporters.dispatcher import Dispatcher
from argorun.run import supervisor as module
from argorun.run.steps import Run
from argorun.run.supervisor import STOPPING, Supervisor
from argorun.run.undo import UndoStack
from argorun.signals import SIGNALS
from tests.unit.virtual import run

Steps = Callable[["Stage"], Awaitable[ArgorunError | None]]
AT_ONCE = "argorun was told to stop at once"


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two signals are two key presses by the loop's clock."""
    clock = SimpleNamespace(time=lambda: 0.0, monotonic=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr(module, "time", clock)


async def nothing_found() -> Finding:
    return Finding()


class Reporter:
    """Keeps what it is told; `breaks` once it has been told something."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flushed = 0
        self.breaks: Exception | None = None

    def report(self, event: Event) -> None:
        self.events.append(event)
        if self.breaks is not None:
            raise self.breaks

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None: ...


class Stage:
    """A run whose steps are one function, with one urgent and one patient undo."""

    config = SimpleNamespace(timeouts=SimpleNamespace(run=600.0), dry_run=False)
    url = "https://argocd/applications/weather"

    def __init__(self, steps: Steps, topic: Steps | None = None, pods: Steps | None = None) -> None:
        self.reporter = Reporter()
        self.dispatcher = Dispatcher([self.reporter])
        self.clean = UndoStack(self.dispatcher)
        self.progress = SimpleNamespace(
            doing=lambda: "tests still running",
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

        self.clean.before(name, undo, lambda: f"rm {name}", limit=60, patient=patient)

    async def steps(self) -> ArgorunError | None:
        return await self._steps(self)

    async def why(self, error: ArgorunError) -> Finding:
        self.asked.append(error)
        return await self.finding()

    async def clean_up(self) -> None:
        await self.clean.unwind(90)

    def code(self) -> int:
        return run(Supervisor(cast(Run, self), self.dispatcher).supervise())

    @property
    def verdict(self) -> Verdict:
        (verdict,) = [e for e in self.reporter.events if isinstance(e, Verdict)]
        return verdict

    @property
    def told(self) -> list[str]:
        """What was undone and what was left, in order."""
        return [
            e.what if isinstance(e, Undone) else f"{e.what}: {e.why} ({e.command})"
            for e in self.reporter.events
            if isinstance(e, Undone | LeftBehind)
        ]


async def green(_: Stage) -> None:
    await asyncio.sleep(1)


def ending(error: Exception) -> Steps:
    async def steps(_: Stage) -> ArgorunError | None:
        await asyncio.sleep(1)
        raise error

    return steps


def verdict_is(error: ArgorunError) -> Steps:
    async def steps(_: Stage) -> ArgorunError | None:
        return error

    return steps


async def for_ever(_: Stage) -> None:
    await asyncio.Event().wait()


def signals(*signums: int, pause: float = 1.0, then: Steps = for_ever) -> Steps:
    """This process is sent these signals, with pauses before and between them, and goes on."""

    async def steps(stage: Stage) -> ArgorunError | None:
        async def send() -> None:
            for signum in signums:
                await asyncio.sleep(pause)
                os.kill(os.getpid(), signum)

        sending.append(asyncio.create_task(send()))
        return await then(stage)

    sending: list[asyncio.Task[None]] = []  # kept, so that it is not collected
    return steps


BOTH = ["topic gone", "pods gone"]


# -- exit codes ------------------------------------------------------------------------------------------


def test_green_is_0_and_everything_is_undone() -> None:
    stage = Stage(green)
    assert stage.code() == 0
    assert stage.told == BOTH
    assert stage.verdict == Verdict(time=0.0, ok=True, exit_code=0, title="the tests passed", url=stage.url)


def test_a_red_verdict_is_its_code_with_reason_hint_and_last_lines() -> None:
    stage = Stage(verdict_is(TestsFailed("tests failed", "look", reason="Job tests: limit")))
    assert stage.code() == 1
    assert stage.told == BOTH
    assert stage.verdict == Verdict(
        time=0.0,
        ok=False,
        exit_code=1,
        title="tests failed",
        reason="Job tests: limit",
        hint="look",
        last_lines=("last line",),
        url=stage.url,
        log_of="attempt 2, pod tests-x",
    )


def finding(stage: Stage, result: Finding | Exception, seconds: float = 1.0) -> None:
    """What the cluster says, after so many seconds."""

    async def asked() -> Finding:
        await asyncio.sleep(seconds)
        assert stage.undone == [], "while the pods are there"
        if isinstance(result, Exception):
            raise result
        return result

    stage.finding = asked


def test_a_red_verdict_says_what_the_cluster_says_asked_before_anything_is_undone() -> None:
    stage = Stage(verdict_is(TestsFailed("tests failed", "look", reason="Job tests: limit")))
    finding(stage, Finding("exit code 3", ("pod a: exit code 3",), "mend it", ("not shown",)))
    assert (stage.code(), stage.told) == (1, BOTH)
    assert stage.verdict == Verdict(
        time=0.0,
        ok=False,
        exit_code=1,
        title="tests failed: exit code 3",
        reason="Job tests: limit",
        evidence=("pod a: exit code 3",),
        hint="mend it",
        last_lines=("last line",),
        url=stage.url,
        log_of="attempt 2, pod tests-x",
    )


def test_the_log_of_a_workload_stands_in_where_no_test_has_written_any() -> None:
    stage = Stage(verdict_is(TestsFailed("tests failed")))
    stage.progress.last_lines = lambda running: ()
    finding(stage, Finding(log=("no broker",)))
    stage.code()
    assert (stage.verdict.last_lines, stage.verdict.log_of) == (("no broker",), "")


def test_of_a_run_past_its_time_the_lines_of_what_still_runs_are_shown() -> None:
    stage = Stage(for_ever)
    stage.progress.last_lines = lambda running: (f"running: {running}",)
    stage.code()
    assert stage.verdict.last_lines == ("running: True",)


def test_an_error_while_the_cluster_is_asked_changes_nothing_but_is_said() -> None:
    stage = Stage(verdict_is(TestsFailed("tests failed")))
    finding(stage, KeyError("oops"))
    assert (stage.code(), stage.told, stage.verdict.title) == (1, BOTH, "tests failed")
    assert stage.verdict.evidence == ("(not all could be read: KeyError: 'oops')",)


def test_a_green_run_and_one_that_a_signal_ended_are_not_asked_about() -> None:
    for stage in (Stage(green), Stage(signals(signal.SIGINT))):
        stage.code()
        assert stage.asked == []


def test_a_signal_while_the_cluster_is_asked_ends_that_and_hides_nothing() -> None:
    stage = Stage(signals(signal.SIGINT, pause=2.0, then=verdict_is(TestsFailed("tests failed"))))
    finding(stage, Finding("never told"), seconds=3600)
    assert (stage.code(), stage.verdict.title, stage.told) == (1, "tests failed", BOTH)
    assert stage.clean.hurried


@pytest.mark.parametrize("error", [UsageError("no such parameter"), ArgoCDFailed("down")])
def test_an_error_on_the_way_is_its_code_and_everything_is_undone(error: ArgorunError) -> None:
    stage = Stage(ending(error))
    assert (stage.code(), stage.verdict.title, stage.told) == (error.exit_code, error.message, BOTH)


def test_an_error_inside_argorun_is_70_says_what_to_attach_and_is_cleaned_up_all_the_same() -> None:
    stage = Stage(ending(KeyError("oops")))
    assert (stage.code(), stage.told) == (70, BOTH)
    assert stage.verdict.title == "an error inside argorun: KeyError: 'oops'"
    assert stage.verdict.hint == "please report it, with this text and `argorun --version`"
    assert stage.verdict.reason.startswith("Traceback (most recent call last):")
    assert stage.verdict.reason.endswith("KeyError: 'oops'\n")


def test_a_run_past_its_time_is_4_says_what_it_was_at_and_is_cleaned_up() -> None:
    stage = Stage(for_ever)
    assert (stage.code(), stage.told) == (4, BOTH)
    assert (stage.verdict.title, stage.verdict.hint) == (
        "time ran out after 600 s: tests still running",
        "raise --timeout or timeouts.run",
    )


async def cannot(_: Stage) -> None:
    raise ArgoCDFailed("down")


def test_green_with_something_left_behind_is_10() -> None:
    stage = Stage(green, topic=cannot)
    assert (stage.code(), stage.verdict.exit_code) == (10, 0)
    assert stage.told == ["topic: down (rm topic)", "pods gone"]


@pytest.mark.parametrize("topic", [None, cannot])
def test_the_sweep_is_offered_only_for_what_it_would_see_to(topic: Steps | None) -> None:
    stage = Stage(green, topic=topic, pods=cannot)
    assert stage.code() == 10
    told = [e.text for e in stage.reporter.events if isinstance(e, Notice)]
    assert [t for t in told if "argorun sweep" in t] == (
        ["topics and parameters that are left behind can also wait for argorun sweep"] if topic else []
    )


def test_red_with_something_left_behind_stays_what_it_was() -> None:
    stage = Stage(verdict_is(TestsFailed("tests failed")), topic=cannot)
    assert (stage.code(), stage.told) == (1, ["topic: down (rm topic)", "pods gone"])


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "No space left on device"), 10), (BrokenPipeError(), 0)]
)
def test_green_that_could_not_be_written_down_is_10_but_a_closed_pipe_is_no_verdict(
    error: Exception, code: int
) -> None:
    stage = Stage(green)
    stage.reporter.breaks = error
    assert (stage.code(), stage.undone) == (code, ["topic", "pods"])


def test_a_dry_run_gives_no_verdict_unless_it_is_a_red_one() -> None:
    for steps, verdicts in ((green, 0), (verdict_is(UsageError("no")), 1)):
        stage = Stage(steps)
        stage.config = SimpleNamespace(timeouts=Stage.config.timeouts, dry_run=True)
        stage.code()
        assert len([e for e in stage.reporter.events if isinstance(e, Verdict)]) == verdicts


def test_whoever_watches_is_shown_what_is_new_many_times_a_second() -> None:
    stage = Stage(green)
    stage.code()
    assert stage.reporter.flushed >= 15  # in one second


# -- signals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_the_steps_and_the_clean_up_hurries(signum: signal.Signals, code: int) -> None:
    stage = Stage(signals(signum))
    assert (stage.code(), stage.told) == (code, BOTH)
    assert (stage.verdict.exit_code, stage.verdict.title) == (code, f"interrupted by {signum.name}")
    assert stage.clean.hurried


def test_the_handlers_are_gone_in_the_end() -> None:
    before = [signal.getsignal(s) for s in SIGNALS]
    Stage(green).code()
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_steps_that_take_their_time_to_stop_are_waited_for_before_anything_is_undone() -> None:
    order: list[str] = []

    async def stubborn(stage: Stage) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(STOPPING / 2)
            order.append(f"stopped, {stage.undone} undone")

    stage = Stage(signals(signal.SIGINT, then=stubborn))
    assert (stage.code(), order, stage.told) == (130, ["stopped, [] undone"], BOTH)


async def hardly_stops(stage: Stage) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(3600)
        stage.undone.append("and only now it stopped")


def test_steps_that_hardly_stop_are_not_waited_for_forever() -> None:
    stage = Stage(signals(signal.SIGINT, then=hardly_stops))
    assert (stage.code(), stage.told) == (130, BOTH)
    assert stage.undone == ["topic", "pods"]


def test_after_a_second_signal_nothing_is_waited_for_that_hardly_stops() -> None:
    stage = Stage(signals(signal.SIGINT, signal.SIGTERM), topic=hardly_stops)
    assert stage.code() == 130
    assert stage.told == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


def test_a_key_press_that_a_wrapper_passes_on_once_more_is_one_key_press() -> None:
    stage = Stage(signals(signal.SIGINT, signal.SIGINT, pause=0.4), topic=green)
    assert (stage.code(), stage.told) == (130, BOTH)


@pytest.mark.parametrize(
    ("second", "pause"), [(signal.SIGINT, 1.0), (signal.SIGTERM, 1.0), (signal.SIGTERM, 0.1)]
)
def test_a_second_signal_in_the_clean_up_ends_that_too_and_names_what_is_left(
    second: signal.Signals, pause: float
) -> None:
    stage = Stage(signals(signal.SIGINT, second, pause=pause), topic=for_ever)
    assert stage.code() == 130
    assert stage.undone == []
    assert stage.told == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


def test_a_second_signal_while_the_steps_still_stop_undoes_nothing_and_names_all() -> None:
    async def stubborn(_: Stage) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)

    stage = Stage(signals(signal.SIGINT, signal.SIGINT, then=stubborn))
    assert (stage.code(), stage.undone) == (130, [])
    assert stage.told == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


def kills(signum: int) -> Steps:
    async def undo(_: Stage) -> None:
        os.kill(os.getpid(), signum)
        await asyncio.sleep(5)

    return undo


def test_a_first_signal_in_the_clean_up_of_a_green_run_hurries_it_and_is_its_end() -> None:
    async def slow(stage: Stage) -> None:
        await asyncio.sleep(20)
        assert stage.clean.hurried

    stage = Stage(green, topic=kills(signal.SIGTERM), pods=slow)
    assert (stage.code(), stage.told) == (143, BOTH)


def test_a_signal_in_the_clean_up_of_a_red_run_does_not_hide_why_it_was_red() -> None:
    stage = Stage(verdict_is(TestsFailed("tests failed")), topic=kills(signal.SIGINT))
    assert (stage.code(), stage.told) == (1, BOTH)


def test_a_clean_up_that_breaks_names_what_is_left_and_is_an_error_inside_argorun() -> None:
    stage = Stage(green)

    async def breaks() -> None:
        raise KeyError("oops")

    stage.clean_up = breaks  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        stage.code()
    why = "an error inside argorun: KeyError: 'oops'"
    assert stage.told == [f"topic: {why} (rm topic)", f"pods: {why} (rm pods)"]


def test_a_clean_up_that_is_ended_before_it_began_names_what_is_left() -> None:
    stage = Stage(green)

    async def is_ended() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    stage.clean_up = is_ended  # type: ignore[method-assign]
    assert stage.code() == 10
    assert stage.told == [f"topic: {AT_ONCE} (rm topic)", f"pods: {AT_ONCE} (rm pods)"]


# -- from a Config ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True])
def test_a_run_ends_with_its_code_and_closes_its_connections_and_who_keeps_topics_need_not_delete(
    monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    order: list[str] = []
    kept: list[object] = []

    class Connection:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            kept.extend(options[o] for o in ("keep",) if o in options)

        async def __aenter__(self) -> Connection:
            return self

        async def __aexit__(self, *_: object) -> None:
            order.append("closed")

    def made(config: object, emit: Any, client: object, topics: object, *, mask: object) -> Stage:
        stage = Stage(verdict_is(TestsFailed("no")))
        stage.dispatcher = emit
        return stage

    monkeypatch.setattr(module, "RestClient", Connection)
    monkeypatch.setattr(module, "Topics", Connection)
    monkeypatch.setattr(module, "Run", made)
    reporter = Reporter()
    config = SimpleNamespace(argocd=None, kafka={}, secrets=(), keep_topics=keep)
    assert run(module.execute(cast(Any, config), Dispatcher([reporter]))) == 1
    assert (order, kept) == (["closed", "closed"], [keep])
    assert [type(e).__name__ for e in reporter.events][-1] == "RunEnded"
    assert reporter.events[-1].exit_code == 1  # type: ignore[union-attr]
