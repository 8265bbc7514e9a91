"""Whatever befalls a run, and in whatever order: what it promises holds.

`make test` carries out a plan for each thing, `make test-all` plans that hypothesis draws, more of them with
ARGORUN_CHAOS=300. The plan of a failure is printed: give it to `run_plan`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from argorun.argocd.parameters.record import RECORD
from argorun.events import LogLines
from argorun.reporters.json_lines import encode
from argorun.sandbox.standin import Timings
from tests.canceled import connections_cancelled
from tests.chaos.ground import Ground
from tests.chaos.planned_run import FOREIGN, Seen, run_plan
from tests.chaos.plans import PLANS, Broken, Deed, How, Kind, Plan, Strike, sample
from tests.unit.kafka.standin import Lost
from tests.unit.step_pairs import endings

EXAMPLES = int(os.environ.get("ARGORUN_CHAOS", "40"))
SOAK = "ARGORUN_CHAOS" in os.environ


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The stand-in alone, with nothing that takes its time."""
    with Ground.start(tmp_path_factory.mktemp("faults"), with_kafka=False, timings=Timings()) as made:
        yield made


SAMPLE = (
    *sample(),
    # What has gone wrong once.
    Plan(broken=(Broken(Kind.SYNC, 0, How.UNANSWERED), Broken(Kind.PATCH, 0, How.UNANSWERED))),
    Plan(kafka=(("create", Lost(0.1)),), strikes=(Strike(18, Deed.INT),)),
    Plan(rival=True, dead_record=True, strikes=(Strike(30, Deed.OUR_PARAMETER),)),
)


@pytest.mark.parametrize("plan", SAMPLE, ids=lambda plan: plan.brief)
def test_a_run_keeps_its_promises_whatever_befalls_it_once(quick: Ground, plan: Plan) -> None:
    keeps_its_promises(quick, plan)


@pytest.mark.full
@given(plan=PLANS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not SOAK,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate, *([Phase.shrink] if SOAK else [])],
)
def test_a_run_keeps_its_promises_whatever_befalls_it(quick: Ground, plan: Plan) -> None:
    keeps_its_promises(quick, plan)


def keeps_its_promises(ground: Ground, plan: Plan) -> None:
    """Carry the plan out; AssertionError where the run broke a promise."""
    with connections_cancelled():
        seen = run_plan(ground, plan, Path(ground.folder, "tests.log"))
    told = "".join(encode(e).decode() for e in seen.events)
    assert broken_promises(seen, ground.standin.token) == [], f"{plan}\nexit {seen.code}\n{told}"
    ground.remove(seen.app.name)


def broken_promises(seen: Seen, secret: str) -> list[str]:
    endings(seen.events)  # each step that begins ends
    return [*exit_code(seen), *topics(seen), *application(seen), *operations(seen), *told(seen, secret)]


def exit_code(seen: Seen) -> Iterator[str]:
    verdict = seen.verdict
    assert verdict is not None, "a run ends with a verdict"
    if verdict.exit_code == 70:
        yield f"an error inside argorun: {verdict.reason}"
    if seen.signals and (verdict.ok or verdict.exit_code > 128):
        right = {128 + seen.signals[0]}
    elif verdict.ok:
        right = {10 if seen.left else 0}
    else:
        right = {verdict.exit_code}
    if seen.code not in right and not (verdict.ok and seen.signals and seen.code == 0):
        yield f"exit {seen.code}, and not {right}"


def topics(seen: Seen) -> Iterator[str]:
    named = " ".join(e.what for e in seen.left)
    for name in seen.broker.held.keys() - set(FOREIGN):
        if name not in named:
            yield f"topic {name} is left and not named"
    for name in set(FOREIGN) - seen.broker.held.keys():
        yield f"topic {name} was somebody else's"


def application(seen: Seen) -> Iterator[str]:
    named = {e.what for e in seen.left}
    app = seen.app.until(lambda a: "operation" not in a) if "the run's operation" not in named else {}
    if not app or "the parameters" in named:
        return
    record = app["metadata"].get("annotations", {}).get(RECORD, "")
    if '"run":"dead"' in record:
        return  # the run ended before its turn came: what a killed one left is as it was
    if app["spec"] != seen.expected:
        yield f"the spec is {app['spec']}, not {seen.expected}"
    if record and "the workloads' settings" not in named:
        yield f"a record is left: {record}"


def operations(seen: Seen) -> Iterator[str]:
    for state in seen.finished:
        (run_id,) = (i["value"] for i in state["operation"].get("info", [{"value": ""}]))
        if run_id in seen.foreign and state["phase"] != "Succeeded":
            yield f"somebody else's operation ended {state['phase']}: {state.get('message')}"
    ours = Counter(topic for topic in seen.ran_on)
    for topic, times in ours.items():
        if times > 1:
            yield f"the tests ran {times} times on {topic}"
        if topic.startswith("weather") and topic in FOREIGN:
            yield f"the tests ran on {topic}"


def told(seen: Seen, secret: str) -> Iterator[str]:
    drawn = {name for act, name in seen.broker.asked if act == "create"}
    for event in seen.events:
        if secret in encode(event).decode():
            yield f"a secret is told: {event}"
        for text in event.texts if isinstance(event, LogLines) else ():
            if text.startswith("on ") and text[3:] not in drawn:
                yield f"a line of another run's log: {text}"
            if text.startswith("on rival"):
                yield f"a line of the rival's log: {text}"
