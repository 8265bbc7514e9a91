"""Which reporters `--output` and `--events` open, and that a bad file is refused before any output."""

from __future__ import annotations

import dataclasses
import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from argorun.cli.options import Output
from argorun.errors import UsageError
from argorun.events import Event, LogLines
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.json_lines import decode, encode
from argorun.reporters.open import OPENERS, open_reporters
from argorun.reporters.picture import main, picture
from argorun.reporters.streams import usable


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as stream:
        yield stream
    os.close(outer)


@pytest.fixture
def pipe() -> TextIO:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)


def chosen(output: str, environ: dict[str, str], stdout: TextIO, stderr: TextIO) -> list[str]:
    reporters = open_reporters(output, environ=environ, stdout=stdout, stderr=stderr)
    return [type(reporter).__name__ for reporter in reporters]


def test_auto_is_rich_at_a_terminal_and_else_plain(terminal: TextIO, pipe: TextIO) -> None:
    assert chosen("auto", {}, terminal, terminal) == ["Terminal"]
    assert chosen("auto", {"CI": "false"}, pipe, terminal) == ["Terminal"]
    assert chosen("auto", {"CI": "true"}, terminal, terminal) == ["Plain"]
    assert chosen("auto", {"TERM": "dumb"}, terminal, terminal) == ["Plain"]
    assert chosen("auto", {}, terminal, pipe) == ["Plain"]


@pytest.mark.parametrize(
    ("output", "name"), [("rich", "Terminal"), ("plain", "Plain"), ("json", "JsonLines")]
)
def test_a_named_output_is_opened_anywhere(output: str, name: str, pipe: TextIO) -> None:
    assert chosen(output, {"CI": "true"}, pipe, pipe) == [name]


def test_the_command_line_offers_every_output() -> None:
    assert {output.value for output in Output} == {"auto", *OPENERS}


def test_an_events_file_that_cannot_be_opened_ends_it_before_anything_is_written(pipe: TextIO) -> None:
    with pytest.raises(UsageError):
        open_reporters("json", Path("/no/such/directory/x"), environ={}, stdout=pipe, stderr=pipe)
    assert isinstance(pipe, io.TextIOWrapper)
    assert pipe.buffer.getvalue() == b""  # type: ignore[attr-defined]


@pytest.mark.parametrize("output", sorted(OPENERS))
def test_every_output_works_on_an_ascii_stream(
    output: str, red: list[Event], pipe: TextIO, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    dispatch = Dispatcher(open_reporters(output, path, environ={}, stdout=pipe, stderr=pipe))
    for event in red:
        dispatch(event)
    dispatch.close()
    assert dispatch.failures == []
    assert list(decode(path.read_bytes().splitlines())) == red
    text = pipe.buffer.getvalue()  # type: ignore[attr-defined]
    assert text.isascii()
    assert b"run-automation-tests-job: the test exited with code 3" in text


def test_no_output_shows_a_secret(red: list[Event], pipe: TextIO, tmp_path: Path) -> None:
    secret = "synchronization tasks"
    for output in OPENERS:
        path = tmp_path / output
        dispatch = Dispatcher(open_reporters(output, path, environ={}, stdout=pipe, stderr=pipe), [secret])
        for event in red:
            dispatch(event)
        dispatch.close()
        assert secret not in path.read_text()
    text = pipe.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert ("one or more ***" in text, secret in text) == (True, False)


def test_under_github_a_red_run_gives_no_command_in_any_output(red: list[Event], pipe: TextIO) -> None:
    for output in OPENERS:
        dispatch = Dispatcher(
            open_reporters(output, environ={"GITHUB_ACTIONS": "true"}, stdout=pipe, stderr=pipe)
        )
        for event in red:
            dispatch(event)
        dispatch.close()
    lines = pipe.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if line.lstrip().startswith("::") or "##[" in line] == []


def test_rich_is_imported_only_where_it_is_used() -> None:
    script = (
        "import sys; from argorun.reporters.open import open_reporters; open_reporters('plain');"
        "open_reporters('json'); sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_closed_standard_streams_break_nothing() -> None:
    script = (
        "from argorun.events import Notice; from argorun.reporters.dispatcher import Dispatcher\n"
        "from argorun.reporters.open import open_reporters\n"
        "for output in ('plain', 'json', 'rich'):\n"
        "    dispatch = Dispatcher(open_reporters(output))\n"
        "    dispatch(Notice(time=1.0, level='info', text='x')); dispatch.close()\n"
        "    assert not dispatch.failures\n"
    )
    shell = f'exec "{sys.executable}" -c "$0" >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell, script], check=False).returncode == 0


def test_a_picture_of_a_run_shows_its_log_and_its_end(red: list[Event], tmp_path: Path) -> None:
    source, target, again = (tmp_path / name for name in ("events.jsonl", "run.svg", "again.svg"))
    source.write_bytes(b"".join(map(encode, red)))
    main(str(source), str(target))
    main(str(source), str(again))
    svg = target.read_text(encoding="utf-8").replace("&#160;", " ")
    assert svg.startswith("<svg")
    assert [text in svg for text in ("FAILED", "collected 2 items", "exit 1", "✗", "\x1b")] == [True] * 4 + [
        False
    ]
    assert target.read_bytes() == again.read_bytes()


def test_a_character_that_an_encoding_lacks_is_written_in_another_way() -> None:
    raw = io.BytesIO()
    stream = usable(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("deleting the topic … ✓ 天")
    stream.flush()
    assert raw.getvalue() == b"deleting the topic ... \\u2713 \\u5929"


def test_in_a_picture_each_row_of_a_log_has_its_bar(line: LogLines) -> None:
    shown = picture([dataclasses.replace(line, texts=("word " * 30,))], width=50)
    assert shown.count("│") == 4
