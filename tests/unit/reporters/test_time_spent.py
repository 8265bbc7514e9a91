"""Where a run's time went: added up from its events, and drawn in proportion."""

from __future__ import annotations

import dataclasses

import pytest

from argorun.events import Event, HookChanged, HookStatus, Step, StepEnded, StepStarted, Verdict, Waiting
from argorun.reporters.time_spent import TimeSpent, in_words, segments
from tests.unit.reporters.replay import recorded, recordings

RUNS = HookChanged(
    time=10.0,
    hook="PreSync",
    kind="Job",
    name="prepare",
    namespace="n",
    status=HookStatus.RUNNING,
    message="",
    required=False,
    seconds=0.0,
)
TEST = dataclasses.replace(RUNS, time=15.0, hook="PostSync", name="tests", required=True)
EVENTS: list[Event] = [
    StepStarted(time=0.0, step=Step.PLAN),
    StepStarted(time=1.0, step=Step.PARAMETERS),
    Waiting(time=2.0, step=Step.PARAMETERS, reason="another run"),
    StepEnded(time=6.0, step=Step.PARAMETERS, ok=True, seconds=5.0),
    StepStarted(time=7.0, step=Step.FOLLOW),
    RUNS,
    dataclasses.replace(RUNS, time=13.0, status=HookStatus.SUCCEEDED),
    TEST,
    dataclasses.replace(TEST, time=19.0, status=HookStatus.SUCCEEDED),
    Verdict(time=20.0, ok=True, exit_code=0, title="t"),
    StepStarted(time=20.0, step=Step.CLEANUP),
    StepEnded(time=22.0, step=Step.CLEANUP, ok=True, seconds=2.0),
]


def spent(events: list[Event]) -> dict[str, float]:
    time = TimeSpent()
    for event in events:
        time.add(event)
    return time.parts


def test_the_time_goes_to_the_tests_the_other_hooks_argo_cd_and_argoruns_own_steps() -> None:
    assert spent(EVENTS) == {
        "prepare": 3.0,
        "waiting": 4.0,
        "Argo CD": 6.0,
        "PreSync": 3.0,
        "tests": 4.0,
        "clean up": 2.0,
    }


@pytest.mark.parametrize("name", [name for name in recordings() if name != "sweep"])
def test_the_parts_are_the_whole_run(name: str) -> None:
    events = recorded(name)
    assert sum(spent(events).values()) == pytest.approx(events[-1].time - events[0].time)


@pytest.mark.parametrize("width", [6, 20, 37, 60])
def test_the_bar_is_as_wide_as_asked_and_in_proportion(width: int) -> None:
    parts = spent(EVENTS)
    bar = segments(parts, width, "#=+-*o")
    assert sum(part.cells for part in bar) == width
    assert all(part.cells >= 1 for part in bar)
    ratios = [part.cells - width * seconds / 22 for part, seconds in zip(bar, parts.values(), strict=True)]
    assert max(map(abs, ratios)) <= 1.5
    assert len({part.glyph for part in bar}) == len(bar)


def test_a_bar_without_room_or_with_one_part_is_left_out() -> None:
    assert segments({"prepare": 1.0, "tests": 2.0}, 1, "#=") == []
    assert segments({"prepare": 0.01, "tests": 2.0}, 20, "#=") == []


def test_in_words_it_is_one_line() -> None:
    assert in_words({"prepare": 1.1, "PreSync": 0.01, "tests": 62.0}) == "prepare 1.1s, tests 1m02s"
