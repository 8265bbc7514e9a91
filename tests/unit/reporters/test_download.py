"""A download is shown: its size, how far it is, and that it is done."""

from __future__ import annotations

import itertools
import os
import pty
import re

import pytest

from argorun.reporters import download


def test_outside_a_terminal_a_line_now_and_then_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = itertools.count(0.0, 1.0)
    with download.shown("Apache Kafka 4.3.1", 40_000_000, environ={}, now=lambda: next(clock)) as arrived:
        for size in (4_000_000, 6_000_000, 10_000_000, -2_000_000, 2_000_000, 20_000_000):
            arrived(size)
    assert capsys.readouterr() == (
        "",
        "Fetching Apache Kafka 4.3.1: 40 MB, only this once.\n"
        "  20 of 40 MB (50%)\n"
        "  40 of 40 MB (100%)\n"
        "Fetched 40 MB in 10.0s.\n",
    )


def test_a_small_rest_is_not_said_to_be_nothing() -> None:
    assert [download.megabytes(size) for size in (300_000, 1_000_000, 41_480_000)] == [
        "0.3 MB",
        "1 MB",
        "41 MB",
    ]


def test_a_download_that_fails_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), download.shown("Kafka", 5, environ={}):
        raise ZeroDivisionError
    assert capsys.readouterr().err == "Fetching Kafka: 0.0 MB, only this once.\n"


HIDES_THE_CURSOR = "\x1b[?25l"  # which a process that is killed would leave so


def read(terminal: int, *, until: str) -> str:
    """What a terminal has got, to the end of the line that begins so: it comes in pieces."""
    text = ""
    while not (until in text and text.endswith("\n")):
        text += os.read(terminal, 100_000).decode(errors="replace")
    return text


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with download.shown("Kafka", 2_000_000, environ={"TERM": term}) as arrived:
            arrived(1_000_000)
            arrived(1_000_000)
        terminal.flush()
        text = read(reader, until="Fetched 2 MB in ")
    os.close(reader)
    assert text.startswith("Fetching Kafka: 2 MB, only this once.\r\n")
    assert re.search(r"Fetched 2 MB in \d+\.\ds\.\r\n$", text)
    assert ("2.0/2.0 MB" in text) == (term == "xterm")
    assert HIDES_THE_CURSOR not in text


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_sees_that_a_start_goes_on_and_nothing_of_it_stays(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with download.starting("Kafka", environ={"TERM": term}):
            pass
        print("started", file=terminal, flush=True)
        text = read(reader, until="started")
    os.close(reader)
    assert ("Kafka starts" in text) == (term == "xterm")
    assert HIDES_THE_CURSOR not in text
    assert text.endswith("\x1b[2Kstarted\r\n" if term == "xterm" else "started\r\n")
