"""What programs read in events stays there: tests/data/schema-1 holds what was promised, and runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from argorun.events import SCHEMA, RunStarted, SweepStarted
from argorun.reporters.event_schema import json_schema
from argorun.reporters.json_lines import decode, encode
from tests import compatibility
from tests.compatibility import frozen, lost, promises
from tests.unit.reporters.replay import DATA

RECORDED = sorted(DATA.glob("schema-*/*.jsonl"))
NOW = sorted(DATA.glob("*.jsonl"))


def lines(path: Any) -> list[bytes]:
    return list(path.read_bytes().splitlines())


def test_the_present_events_keep_what_was_promised() -> None:
    assert list(lost(frozen(), promises())) == []


def test_what_was_added_is_promised_from_now_on() -> None:
    assert frozen() == promises(), "run `make reference`, and commit what it writes"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_file_that_was_written_before_is_read_whole(path: Any) -> None:
    events = list(decode(lines(path)))
    names = [json.loads(line)["event"] for line in lines(path)]
    assert [json.loads(encode(e))["event"] for e in events] == names


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_was_written_before_is_still_written_so_with_perhaps_more(path: Any) -> None:
    for line, event in zip(lines(path), decode(lines(path)), strict=True):
        before, now = json.loads(line), json.loads(encode(event))
        assert {name: now.get(name) for name in before} == before


def test_every_event_that_is_promised_is_in_the_recorded_files() -> None:
    seen = {json.loads(line)["event"] for path in [*RECORDED, *NOW] for line in lines(path)}
    assert seen == frozen()["events"].keys()


@pytest.mark.parametrize("path", [*RECORDED, *NOW], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_line_is_as_the_json_schema_says(path: Any) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert [e.message for line in lines(path) for e in validator.iter_errors(json.loads(line))] == []


def test_the_first_line_of_each_file_names_the_schema() -> None:
    for path in NOW:
        first = next(decode(lines(path)))
        assert isinstance(first, RunStarted | SweepStarted)
        assert (first.schema, json.loads(lines(path)[0])["schema"]) == (SCHEMA, SCHEMA)


def test_programs_learn_from_a_verdict_how_a_run_ended_and_by_which_hook() -> None:
    verdicts = {
        path.stem: (event["result"], event["hooks"])
        for path in NOW
        for event in map(json.loads, lines(path))
        if event["event"] == "verdict"
    }
    test = ["run-automation-tests-job"]
    expected = {
        "canceled": ("canceled", test),
        "failed_test": ("failed", test),
        "green": ("passed", []),
        "left_behind": ("passed", []),
        "time_ran_out": ("timed_out", test),
    }
    assert {name: verdicts[name] for name in expected} == expected


def test_programs_learn_what_is_left_without_reading_its_words() -> None:
    topic = "weather_updates_1767225600_0badcafe"
    events = [json.loads(line) for line in lines(DATA / "left_behind.jsonl")]
    left = [e for e in events if e["event"] == "left_behind"]
    fields = ("kind", "names", "namespace", "resource", "swept")
    assert [tuple(e[name] for name in fields) for e in left] == [
        ("parameters", ["weather"], "", "", True),
        ("workloads", ["weather"], "", "", False),
        ("pod", ["weather-6c9f8d7b54-m4d9t"], "weather", "Pod", False),
        ("topic", [topic], "", "", True),
        ("resource", ["settings"], "weather", "ConfigMap", False),
        ("resource", ["weather"], "weather", "Deployment.apps", False),
    ]


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    now = copy.deepcopy(frozen())
    change(now)
    return list(lost(frozen(), now))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda now: now["events"].pop("undone"), ["the event undone is gone"]),
        (lambda now: now["events"]["undone"].pop("names"), ["undone: the field names is gone"]),
        (
            lambda now: now["events"]["undone"].update(seconds={"type": "string"}),
            ['undone: the field seconds was {"type": "number"}, and is {"type": "string"}'],
        ),
        (
            lambda now: now["events"]["notice"]["level"]["enum"].remove("info"),
            ["notice: the field level is never info any longer"],
        ),
        (lambda now: now["enumerations"]["Subject"].remove("pod"), ["Subject: the value pod is gone"]),
        (lambda now: now["events"]["undone"].update(more={"type": "string"}), []),
        (lambda now: now["events"].update(teleported={}), []),
        (lambda now: now["enumerations"]["Subject"].append("moon"), []),
    ],
)
def test_what_is_taken_back_is_named_and_what_is_added_is_not(change: Any, said: list[str]) -> None:
    assert changed(change) == said


def test_a_promise_is_not_taken_back_by_writing_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    less = promises()
    del less["events"]["undone"]
    monkeypatch.setattr(compatibility, "promises", lambda: less)
    before = compatibility.FROZEN.read_bytes()
    assert compatibility.freeze() == ["the event undone is gone"]
    assert compatibility.FROZEN.read_bytes() == before
