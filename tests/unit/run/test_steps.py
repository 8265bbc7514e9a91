"""A whole run on an Argo CD and a Kafka in memory: each step that begins ends, before the next one begins."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from argorun.argocd.http.errors import Denied
from argorun.argocd.manifests.keys import Key
from argorun.config.model import ArgoCD, Timeouts
from argorun.events import Event, Step, StepStarted, TopicKept, Verdict
from argorun.kafka.retry import Limits
from argorun.kafka.topics import Topics
from argorun.reporters.dispatcher import Dispatcher
from argorun.run.steps import Run
from argorun.run.supervisor import Supervisor
from argorun.signals import Interrupts
from tests.unit.argocd.fakes import FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.kafka.standin import Answer, LostAnswer
from tests.unit.scenario import READS_SETTINGS, SETTINGS, SPEC, Scenario
from tests.unit.step_pairs import endings
from tests.unit.virtual import run

CHECKS: Json = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "checks", "annotations": {"argocd.argoproj.io/hook": "PostSync"}},
    "spec": {"template": {"spec": READS_SETTINGS}},
}
REFUSED = Denied("do this", 403, "permission denied", "")
PLAN, PREFLIGHT, TOPICS, PARAMETERS, SYNC, FOLLOW, LOGS, VERDICT, CLEANUP = Step
AT_ONCE = (signal.SIGINT, signal.SIGTERM)


class ArgoCDThatTests(FakeArgoCD):
    """Its controller runs the test Job in each operation that has hooks; the Job takes 5 s."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.source = [SETTINGS, CHECKS]
        self.end: str | None = "Complete"  # the Job's condition in the end; None: it runs forever
        self.refuses = False  # every request
        self.stubborn = False  # no request is answered, and none stops when it is canceled

    async def _do(self, method: str, act: Callable[[], Any]) -> Any:
        if self.refuses:
            raise REFUSED
        if self.stubborn:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(3600)
        return await super()._do(method, act)

    async def controls(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            state = self.document["status"].get("operationState")
            if state is not None and state["phase"] == "Terminating":
                self.ends("Failed", "Operation terminated")
            elif "operation" in self.document and state is None:
                self.picks_up()
                if "resources" in self.syncs[-1]:
                    self.carries_out()
                    self.ends()
                else:
                    await self._test()
                self.send_change()

    async def _test(self) -> None:
        for manifest in self.renders():
            self.made(manifest)
        state = self.document["status"]["operationState"]
        hook = {"kind": "Job", "group": "batch", "version": "v1", "namespace": "n", "name": "checks"}
        hook |= {"hookType": "PostSync", "syncPhase": "PostSync", "status": "Synced"}
        state["syncResult"] = {"resources": [hook | {"hookPhase": "Running"}], "source": self.spec["source"]}
        self.send_change()
        if self.end is None:
            return
        await asyncio.sleep(5)
        if state["phase"] == "Running":
            good = self.end == "Complete"
            self.objects[Key("batch", "Job", "n", "checks")]["status"] = {
                "conditions": [{"type": self.end, "status": "True"}]
            }
            state["syncResult"]["resources"] = [hook | {"hookPhase": "Succeeded" if good else "Failed"}]
            self.ends("Succeeded" if good else "Failed")


class BrokenSettings(ArgoCD, frozen=True):
    """The first that a run asks them breaks it."""

    @property
    def warnings(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("a bug")


class WholeRun(Scenario):
    """One run; `at` has what happens once a step has begun."""

    argocd: ArgoCDThatTests

    def __init__(self, **config: Any) -> None:
        super().__init__(argocd=ArgoCDThatTests())
        self.configure(**config)
        self.at: dict[Step, Callable[[], object]] = {}
        self.run: Run | None = None

    def report(self, event: Event) -> None:
        super().report(event)
        if isinstance(event, StepStarted):
            self.at.pop(event.step, lambda: None)()

    def ends_with(self) -> int:
        """The run's exit code."""
        return run(self.with_controller(self._supervise()))

    async def _supervise(self) -> int:
        dispatcher = Dispatcher([self])
        limits = Limits(create=3, usable=3, delete=3, gone=3, request=1)
        async with Topics(self.config.kafka, admin=self.broker, limits=limits) as topics:
            self.run = Run(self.config, dispatcher, self.argocd.client, topics)
            return await Supervisor(self.run, dispatcher, Interrupts()).supervise()

    @property
    def steps(self) -> list[Step]:
        """The steps that were taken, in their order."""
        return [step for step, _ in endings(self.events)]

    @property
    def failed(self) -> list[Step]:
        return [step for step, good in endings(self.events) if not good]


def kills(*signums: int) -> Callable[[], object]:
    return lambda: [os.kill(os.getpid(), signum) for signum in signums]


def test_a_green_run_takes_its_nine_steps_in_order() -> None:
    scenario = WholeRun()
    assert scenario.ends_with() == 0
    assert scenario.steps == list(Step)
    assert (scenario.failed, scenario.left) == ([], [])


def test_a_red_run_takes_them_too_and_its_verdict_is_not_good() -> None:
    scenario = WholeRun()
    scenario.argocd.end = "Failed"
    assert scenario.ends_with() == 1
    assert (scenario.steps, scenario.failed) == (list(Step), [VERDICT])


@pytest.mark.parametrize(
    ("answer", "code", "kept"), [(Answer(29), 6, 0), (Answer(44), 2, 0), (LostAnswer(), 0, 1)]
)
def test_a_topic_that_was_refused_is_not_said_to_be_kept(answer: Any, code: int, kept: int) -> None:
    scenario = WholeRun(keep_topics=True)
    scenario.broker.faults["create"] = collections.deque([answer])
    assert scenario.ends_with() == code
    assert len(scenario.all(TopicKept)) == kept


def test_a_dry_run_ends_after_the_preflight() -> None:
    scenario = WholeRun(dry_run=True)
    assert scenario.ends_with() == 0
    assert (scenario.steps, scenario.failed) == ([PLAN, PREFLIGHT], [])


def test_a_run_past_its_time_reads_the_logs_after_the_step_that_took_too_long() -> None:
    scenario = WholeRun(timeouts=Timeouts(run=60))
    scenario.argocd.end = None
    assert scenario.ends_with() == 4
    assert scenario.steps == [PLAN, PREFLIGHT, TOPICS, PARAMETERS, SYNC, FOLLOW, LOGS, CLEANUP]
    assert scenario.failed == [FOLLOW]


def breaks(scenario: WholeRun, step: Step) -> None:
    """An error comes up in this step."""

    def bug(*_: object) -> Any:
        raise RuntimeError("a bug")

    def in_logs() -> None:
        assert scenario.run is not None
        scenario.run.progress.ran = bug  # type: ignore[method-assign]

    def in_verdict() -> None:
        scenario.argocd.objects[Key("", "ConfigMap", "n", "settings")]["data"]["topic"] = "theirs"

    if step is PLAN:
        scenario.configure(argocd=BrokenSettings(server="argocd", token="t"))
    elif step is TOPICS:
        scenario.broker.faults["create"] = collections.deque([Answer(29)])
    elif step is LOGS:
        scenario.at[step] = in_logs
    elif step is VERDICT:
        scenario.at[step] = in_verdict
    else:
        scenario.at[step] = lambda: setattr(scenario.argocd, "refuses", True)


@pytest.mark.parametrize(
    ("step", "code", "then"),
    [
        (PLAN, 70, []),
        (PREFLIGHT, 6, []),
        (TOPICS, 6, [CLEANUP]),
        (PARAMETERS, 6, [CLEANUP]),
        (SYNC, 6, [CLEANUP]),
        (FOLLOW, 6, [LOGS, CLEANUP]),
        (LOGS, 70, [LOGS, CLEANUP]),
        (VERDICT, 3, [CLEANUP]),
        (CLEANUP, 10, []),
    ],
)
def test_an_error_ends_its_step_and_no_further_one_begins_but_the_clean_up(
    step: Step, code: int, then: list[Step]
) -> None:
    """Where the operation has begun, the logs are read for the verdict."""
    scenario = WholeRun()
    breaks(scenario, step)
    assert scenario.ends_with() == code
    before = list(Step)[: list(Step).index(step)]
    assert scenario.steps == [*before, step, *then]
    assert step in scenario.failed


@pytest.mark.parametrize("step", [s for s in Step if s not in (PLAN, CLEANUP)])
def test_a_signal_ends_the_step_that_is_open_and_the_clean_up_follows(step: Step) -> None:
    scenario = WholeRun()
    scenario.at[step] = kills(signal.SIGINT)
    assert scenario.ends_with() == 130
    before = list(Step)[: list(Step).index(step)]
    assert [s for s in scenario.steps if s is not CLEANUP] == [*before, step]
    assert (CLEANUP in scenario.steps) is (step is not PREFLIGHT), "where there is something to undo"


def test_a_signal_in_the_clean_up_ends_nothing_before_its_time() -> None:
    scenario = WholeRun()
    scenario.at[CLEANUP] = kills(signal.SIGTERM)
    assert (scenario.ends_with(), scenario.steps, scenario.failed) == (143, list(Step), [])


@pytest.mark.parametrize("step", list(Step)[1:])
def test_two_signals_end_the_run_and_leave_no_step_open(step: Step) -> None:
    scenario = WholeRun()
    scenario.at[step] = kills(*AT_ONCE)
    assert scenario.ends_with() - 128 in AT_ONCE
    assert scenario.steps == list(Step)[: list(Step).index(step) + 1]


@pytest.mark.parametrize(("signums", "then"), [((signal.SIGINT,), [CLEANUP]), (AT_ONCE, [])])
def test_a_step_that_hardly_stops_is_ended_before_the_next_one_begins_and_once(
    signums: tuple[int, ...], then: list[Step]
) -> None:
    scenario = WholeRun()

    def hangs() -> None:
        scenario.argocd.stubborn = True
        asyncio.get_running_loop().call_later(1.0, kills(*signums))

    scenario.at[PARAMETERS] = hangs
    assert scenario.ends_with() - 128 in signums
    assert scenario.steps == [PLAN, PREFLIGHT, TOPICS, PARAMETERS, *then]
    assert PARAMETERS in scenario.failed


def test_where_another_run_is_faster_parameters_and_sync_are_tried_again_each_with_a_start_and_an_end() -> (
    None
):
    scenario = WholeRun()

    def overwritten(argocd: FakeArgoCD) -> None:
        argocd.document["spec"]["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": "x"}]
        argocd.document["metadata"].pop("annotations", None)
        argocd.written()

    def another_run_syncs(argocd: FakeArgoCD) -> None:
        argocd.runs("theirs")
        asyncio.get_running_loop().call_later(3.0, argocd.ends)

    scenario.argocd.meets("sync", another_run_syncs)
    scenario.at[SYNC] = lambda: scenario.argocd.meets("application", overwritten)
    assert scenario.ends_with() == 0
    again = [PARAMETERS, SYNC]
    assert scenario.steps == [PLAN, PREFLIGHT, TOPICS, *again, *again, *again, FOLLOW, LOGS, VERDICT, CLEANUP]
    (verdict,) = scenario.all(Verdict)
    assert verdict.ok
