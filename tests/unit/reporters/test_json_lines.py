"""Machines get one JSON object for each event, and can read a whole run back."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from argorun.errors import UsageError
from argorun.events import Event, LogLines, Planned, Step, StepEnded, StepStarted, Undone, Verdict
from argorun.kinds import PlannedKind, Subject
from argorun.reporters.json_lines import EventsFile, JsonLines, decode, encode


def written(events: list[Event]) -> str:
    stream = io.BytesIO()
    reporter = JsonLines(stream)
    for event in events:
        reporter.report(event)
    reporter.close()
    return stream.getvalue().decode()


def test_an_event_is_one_object_on_a_line() -> None:
    started = StepStarted(time=1767225600.5, step=Step.TOPICS, detail="t")
    assert written([started, StepEnded(time=1.0, step=Step.PLAN, ok=True, seconds=0.1)]) == (
        '{"event":"step_started","time":1767225600.5,"step":"topics","detail":"t"}\n'
        '{"event":"step_ended","time":1.0,"step":"plan","ok":true,"seconds":0.1,"detail":"","counts":{}}\n'
    )


def test_every_line_names_its_event_first(green: list[Event]) -> None:
    lines = written(green).splitlines()
    assert len(lines) == len(green)
    assert [next(iter(json.loads(line))) for line in lines] == ["event"] * len(green)
    assert json.loads(lines[-1]) == {"event": "run_ended"} | dataclasses.asdict(green[-1])


def test_a_line_can_be_read_as_soon_as_it_happened(green: list[Event]) -> None:
    raw = io.BytesIO()
    JsonLines(io.BufferedWriter(_Kept(raw))).report(green[0])  # type: ignore[arg-type]
    assert raw.getvalue() == encode(green[0])


class _Kept(io.RawIOBase):
    def __init__(self, target: io.BytesIO) -> None:
        self.target = target

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self.target.write(data)


def test_a_run_can_be_read_back(green: list[Event], red: list[Event]) -> None:
    for events in (green, red):
        assert list(decode(map(encode, events))) == events


def test_seconds_are_written_in_milliseconds_and_never_with_an_exponent(line: LogLines) -> None:
    event = StepEnded(time=1767225600.1234567, step=Step.LOGS, ok=True, seconds=1.2753999726555776e-05)
    limits = Planned(time=0.0004, what="t", kind=PlannedKind.TIMEOUTS, limits={"run": 1 / 3})
    late = dataclasses.replace(line, time=1.00049)
    assert [json.loads(text) for text in written([event, limits, late]).splitlines()] == [
        json.loads(encode(event)) | {"time": 1767225600.123, "seconds": 0.0},
        json.loads(encode(limits)) | {"time": 0.0, "limits": {"run": 0.333}},
        json.loads(encode(late)) | {"time": 1.0},
    ]
    assert re.findall(r"\de[-+]?\d", written([event, limits])) == []


def test_events_and_fields_of_a_newer_argorun_are_left_out(red: list[Event]) -> None:
    newer = b'{"event":"teleported","time":1.0}\n'
    more = encode(red[0]).replace(b"}", b',"new_field":{"a":[1]}}')
    assert list(decode([newer, b"\n", more])) == [red[0]]


@pytest.mark.parametrize(
    "newer",
    [
        b'{"event":"step_started","time":1.0,"step":"teleport"}',
        b'{"event":"hook_changed","time":1.0,"hook":"PreSync","kind":"Job","name":"a","namespace":"b",'
        b'"status":"skipped","message":"","required":false,"seconds":0.0}',
        b'{"event":"notice","time":1.0,"level":"error","text":"t"}',
    ],
)
def test_an_event_of_a_newer_argoruns_step_status_or_level_is_left_out(newer: bytes) -> None:
    assert list(decode([newer])) == []


def test_a_newer_argoruns_kind_is_read_as_other() -> None:
    newer = b'{"event":"undone","time":1.0,"what":"w","seconds":0.1,"kind":"moon","parts":["moon","topic"]}'
    (event,) = decode([newer])
    parts = (Subject.OTHER, Subject.TOPIC)
    assert event == Undone(time=1.0, what="w", seconds=0.1, kind=Subject.OTHER, parts=parts)


@pytest.mark.parametrize("line", [b"no JSON", b"[]", b'{"event":"notice"}', b"{}"])
def test_a_line_that_is_no_event_is_named(line: bytes, green: list[Event]) -> None:
    with pytest.raises(UsageError) as caught:
        list(decode([encode(green[0]), line]))
    assert caught.value.message.startswith("line 2 is not an event of argorun: ")


def test_any_text_can_be_written(line: LogLines) -> None:
    half = dataclasses.replace(line, texts=("half \ud83d",))
    assert list(decode([encode(half)])) == [dataclasses.replace(line, texts=("half \\ud83d",))]


def test_a_test_cannot_give_github_commands_through_json(line: LogLines) -> None:
    event = dataclasses.replace(line, texts=("##[error]x",))
    assert b"##[" not in encode(event)
    assert json.loads(encode(event))["text"] == "##[error]x"


@pytest.mark.parametrize(
    "text", ["\x9b2J", "\x7f", "a\u202eb", "#\u200b#[error]", "\u2028", "\U000e0001", "\x1b["]
)
def test_json_drives_no_terminal_and_no_runner_and_is_read_back_as_it_was(line: LogLines, text: str) -> None:
    written = encode(dataclasses.replace(line, texts=(f"ä {text} 👩",)))
    assert (text not in written.decode(), written.decode().rstrip("\n").isprintable()) == (True, True)
    assert json.loads(written)["text"] == f"ä {text} 👩"


def test_an_events_file_holds_the_run(tmp_path: Path, red: list[Event]) -> None:
    path = tmp_path / "events.jsonl"
    reporter = EventsFile(path)
    for event in red:
        reporter.report(event)
    reporter.close()
    reporter.drain(None)
    assert list(decode(path.read_bytes().splitlines())) == red


def test_an_events_file_that_cannot_be_opened_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        EventsFile(tmp_path / "no" / "events.jsonl")
    assert caught.value.message == (
        f"the events file {tmp_path}/no/events.jsonl cannot be written: No such file or directory"
    )


def test_a_verdict_s_last_lines_come_back_as_they_were(secretive: Event) -> None:
    assert isinstance(secretive, Verdict)
    assert list(decode([encode(secretive)])) == [secretive]


def test_each_line_of_a_log_is_an_event_of_its_own(line: LogLines) -> None:
    two = dataclasses.replace(line, stamps=("1", "2"), texts=("a", "b"))
    written = [json.loads(text) for text in encode(two).splitlines()]
    common = {"event": "log_line", "time": line.time, "job": line.job, "pod": line.pod}
    common |= {"container": line.container, "attempt": 1, "restart": 0}
    assert written == [common | {"stamp": "1", "text": "a"}, common | {"stamp": "2", "text": "b"}]
    assert [e.texts for e in decode(encode(two).splitlines()) if isinstance(e, LogLines)] == [("a",), ("b",)]
