"""The checklist: a line each, what to do below it, nothing twice, and the same for programs."""

from __future__ import annotations

import io
import json

import pytest

from argorun.reporters.checklist import Document, Drawn, Row, Status
from argorun.reporters.streams import StandardStreams

LINE = "p, role:argorun, applications, sync, default/weather, allow"
ROWS = (
    Row("configuration", Status.OK, "argorun.yaml"),
    Row("Argo CD", Status.OK, "v3.6.1 at https://argocd.example.com, no proxy"),
    Row("clock", Status.WARNING, "", warnings=("the clock of this machine is 1h00m ahead of Argo CD's",)),
    Row("permissions", Status.FAILED, "the token s3cret misses some", hint=f"add:\n{LINE}", exit_code=6),
    Row("tests", Status.SKIPPED, "see permissions"),
    Row("owner", Status.SKIPPED, "see permissions"),
    Row("groups", Status.SKIPPED, "no Kafka broker is configured"),
    Row("timeouts", Status.OK, "run 15m"),
)


def redact(text: str) -> str:
    return text.replace("s3cret", "***")


class Terminal(io.TextIOWrapper):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def stream(encoding: str = "utf-8", *, terminal: bool = False) -> io.TextIOWrapper:
    kind = Terminal if terminal else io.TextIOWrapper
    return kind(io.BytesIO(), encoding=encoding, newline="")


def written(out: io.TextIOWrapper) -> str:
    out.flush()
    buffer = out.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(out.encoding)


def drawn(out: io.TextIOWrapper, *rows: Row, code: int, why: str = "", **environment: str) -> str:
    checklist = Drawn(StandardStreams(out, out, environment), redact, "argorun 1.0, doctor: weather")
    for row in rows:
        checklist.begin(row.name)
        checklist.show(row)
    checklist.end(code, why)
    return written(out)


def test_each_check_has_its_line_and_what_is_skipped_is_told_once() -> None:
    assert drawn(stream(), *ROWS, code=6) == (
        "argorun 1.0, doctor: weather\n"
        "\n"
        "✓ configuration   argorun.yaml\n"
        "✓ Argo CD         v3.6.1 at https://argocd.example.com, no proxy\n"
        "! clock           the clock of this machine is 1h00m ahead of Argo CD's\n"
        "✗ permissions     the token *** misses some\n"
        "                    add:\n"
        f"                    {LINE}\n"
        "- 2 more          not checked (see permissions): tests, owner\n"
        "- groups          not checked: no Kafka broker is configured\n"
        "✓ timeouts        run 15m\n"
        "\n"
        "✗ no run could begin: 1 check failed, 3 not made (exit code 6)\n"
    )


@pytest.mark.parametrize(
    ("rows", "end"),
    [
        (ROWS[:2], "✓ ready to run. Nothing was changed.\n"),
        (ROWS[:3], "✓ ready to run, with 1 warning. Nothing was changed.\n"),
    ],
)
def test_good_news_read_as_such(rows: tuple[Row, ...], end: str) -> None:
    assert drawn(stream(), *rows, code=0).endswith(f"\n\n{end}")


def test_one_that_was_ended_says_how_far_it_came() -> None:
    assert drawn(stream(), *ROWS[:2], code=130, why="interrupted by SIGINT").endswith(
        "\n✗ interrupted by SIGINT: 2 checks made (exit code 130)\n"
    )


def test_without_unicode_the_signs_are_ascii() -> None:
    text = drawn(stream("ascii"), *ROWS, code=6)
    assert text.isascii()
    assert [line.split()[0] for line in text.splitlines() if line[:1].strip()] == [
        "argorun", "ok", "ok", "!", "x", "-", "-", "ok", "x",
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_stands_below_a_text_begins_where_it_does(encoding: str) -> None:
    two = Row("clock", Status.WARNING, "one", warnings=("another",))
    lines = drawn(stream(encoding), two, code=0).splitlines()
    assert lines[2].index("one") == lines[3].index("another")


def test_a_terminal_gets_colors_and_the_check_that_is_being_made() -> None:
    shown = drawn(stream(terminal=True), *ROWS[:2], code=0)
    assert "\r\x1b[K  configuration …" in shown
    assert "\x1b[32m✓\x1b[0m configuration   argorun.yaml\n" in shown
    plain = drawn(stream(terminal=True), *ROWS[:2], code=0, NO_COLOR="1")
    assert "\x1b[32m" not in plain
    assert "\x1b" not in drawn(stream(terminal=True), *ROWS[:2], code=0, TERM="dumb")


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [
        (True, "\r\x1b[K  Argo CD …\r\x1b[K  Argo CD … trying again: connect"),
        (False, "  Argo CD         trying again: connection refused (***)\n"),
    ],
)
def test_what_a_check_waits_for_is_told_on_its_line_or_on_one_of_its_own(
    terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "34")
    out = stream(terminal=terminal)
    checklist = Drawn(StandardStreams(out, out, {}), redact, "argorun")
    checklist.begin("Argo CD")
    checklist.wait("trying again: connection refused (s3cret)")
    assert written(out).endswith(shown)


def test_in_a_narrow_terminal_prose_is_wrapped_and_what_is_pasted_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    lines = [
        line.rpartition("\r\x1b[K")[2]
        for line in drawn(stream(terminal=True), ROWS[2], ROWS[3], code=6, NO_COLOR="1").split("\n")
    ]
    assert lines[2:] == [
        "! clock",
        "  the clock of this machine is 1h00m ahead of",
        "  Argo CD's",
        "✗ permissions",
        "  the token *** misses some",
        "    add:",
        f"    {LINE}",
        "",
        "✗ no run could begin: 1 check failed (exit code 6)",
        "",
    ]


EVIL = Row("Argo CD", Status.FAILED, "no\n::error::x", hint="\u202e##[error]x\x7f\x9b2J", exit_code=8)


def test_what_a_server_says_is_no_command_of_githubs_runner() -> None:
    lines = drawn(stream(), EVIL, code=8, GITHUB_ACTIONS="true").splitlines()
    assert [line.split(maxsplit=1) for line in lines[3:5]] == [
        ["|", "::error::x"],
        ["\\u202e##", "[error]x\\x7f\\x9b2J"],
    ]


def test_a_document_drives_no_terminal_and_no_runner_and_holds_every_character() -> None:
    out = stream()
    document = Document(out, redact, "1.0")
    document.show(EVIL)
    document.end(8)
    text = written(out)
    assert all(c == "\n" or " " <= c <= "~" for c in text), text
    assert "##[" not in text
    assert json.loads(text)["checks"][0]["hint"] == EVIL.hint


def test_programs_get_one_document_with_every_check() -> None:
    out = stream()
    document = Document(out, redact, "1.0")
    for row in ROWS:
        document.begin(row.name)
        document.show(row)
    document.end(6)
    made = json.loads(written(out))
    assert {k: v for k, v in made.items() if k != "checks"} == {
        "schema": 1,
        "version": "1.0",
        "ok": False,
        "exit_code": 6,
        "ended_by": "",
    }
    assert [c["name"] for c in made["checks"]] == [r.name for r in ROWS]
    assert Row("sync windows", Status.OK, "").id == "sync_windows"
    assert made["checks"][3] == {
        "id": "permissions",
        "name": "permissions",
        "asks": "",
        "status": "failed",
        "text": "the token *** misses some",
        "warnings": [],
        "hint": f"add:\n{LINE}",
        "exit_code": 6,
    }
