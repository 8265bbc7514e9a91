"""Recorded runs (tests/data, by `make record-events`) look as they should in every output."""

from __future__ import annotations

import io
from typing import get_args

import pytest

from argorun.events import Event, Step, StepEnded, StepStarted
from argorun.reporters.json_lines import JsonLines
from tests.unit.reporters.replay import DATA, SHOWN, recorded, recordings, replay, shown

RUNS = recordings()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_looks_in_each_output_as_it_was_recorded(name: str) -> None:
    expected = {file.name: file.read_text(encoding="utf-8") for file in (SHOWN / name).iterdir()}
    assert shown(recorded(name)) == expected


@pytest.mark.parametrize("name", RUNS)
def test_json_is_written_as_it_was_read(name: str) -> None:
    stream = io.BytesIO()
    replay(recorded(name), JsonLines(stream))
    assert stream.getvalue() == (DATA / f"{name}.jsonl").read_bytes()


def test_the_recordings_hold_every_class_of_event() -> None:
    seen = {type(event) for name in RUNS for event in recorded(name)}
    assert set(get_args(Event)) - seen == set()


@pytest.mark.parametrize("name", RUNS)
def test_every_step_begins_once_and_ends_once(name: str) -> None:
    events = recorded(name)
    begun = [event.step for event in events if isinstance(event, StepStarted)]
    ended = [event.step for event in events if isinstance(event, StepEnded)]
    assert sorted(set(begun)) == sorted(begun)
    assert sorted(set(ended)) == sorted(ended)
    assert ended == begun
    assert begun[0] == (Step.PREFLIGHT if name == "sweep" else Step.PLAN)
