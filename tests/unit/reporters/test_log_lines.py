"""A test's lines as they are shown."""

from __future__ import annotations

import dataclasses

import pytest

from argorun.events import LogEnded, LogLines, LogStarted
from argorun.redact.sanitize import RESET
from argorun.reporters.log_lines import COLORS, END, HEAD, LONGEST, MOST, Labels, last, log_lines


def source(line: LogLines, **where: str) -> tuple[LogStarted, LogLines, LogEnded]:
    at = {"job": line.job, "pod": line.pod, "container": line.container} | where
    started = LogStarted(time=1.0, attempt=1, **at)
    ended = LogEnded(time=1.0, attempt=1, lines=1, complete=True, **at)
    return started, dataclasses.replace(line, **at), ended  # type: ignore[arg-type]


def test_one_source_needs_no_label(line: LogLines) -> None:
    labels, (started, text, _) = Labels(), source(line)
    labels.begin(started)
    assert log_lines(dataclasses.replace(text, texts=("a", "b")), labels) == "a\nb"


def test_sources_one_after_the_other_need_none_either(line: LogLines) -> None:
    labels = Labels()
    for job in ("prepare", "tests"):
        started, text, ended = source(line, job=job)
        labels.begin(started)
        assert log_lines(text, labels, color=True) == "text"
        labels.end(ended)


def test_jobs_that_log_at_once_have_a_label_and_in_a_terminal_a_color_each(line: LogLines) -> None:
    labels = Labels()
    jobs = [source(line, job=job, pod=f"{job}-x") for job in ("a", "b")]
    for started, _, _ in jobs:
        labels.begin(started)
    assert [log_lines(text, labels) for _, text, _ in jobs] == ["a | text", "b | text"]
    colored = [log_lines(text, labels, color=True) for _, text, _ in jobs]
    assert colored == [f"\x1b[{color}m{job}{RESET} | text" for color, job in zip(COLORS, "ab", strict=False)]


def test_a_bar_stands_before_each_line_and_its_label(line: LogLines) -> None:
    two = dataclasses.replace(line, stamps=("", ""), texts=("a", "b"))
    assert log_lines(two, Labels(), bar="│ ") == "│ a\n│ b"


def test_an_init_container_and_what_follows_it_do_not_log_at_once(line: LogLines) -> None:
    labels = Labels()
    for container, init in (("a", True), ("b", True), ("main", False)):
        started, text, _ = source(line, container=container)
        labels.begin(dataclasses.replace(started, init=init))
        assert log_lines(text, labels) == "text"


@pytest.mark.parametrize(("where", "label"), [({"container": "side"}, "side"), ({"pod": "other"}, "other")])
def test_sources_of_one_job_are_told_apart(line: LogLines, where: dict[str, str], label: str) -> None:
    labels = Labels()
    labels.begin(source(line)[0])
    started, text, _ = source(line, **where)
    labels.begin(started)
    assert log_lines(text, labels) == f"{line.job}/{label} | text"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * LONGEST, "x" * LONGEST),
        (
            "x" * 1_000_000,
            "x" * LONGEST + " … (1,000,000 characters; --log-dir and --events keep them all)",
        ),
        ("50 %\r", "50 %"),
        ("nul \x00 and \ufffd", "nul \\x00 and \ufffd"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("", ""),
    ],
)
def test_odd_lines_are_shown_sanely(line: LogLines, text: str, shown: str) -> None:
    assert log_lines(dataclasses.replace(line, texts=(text,)), Labels()) == shown


def test_a_long_last_line_is_shown_by_its_head_and_its_end() -> None:
    fits = "x" * (HEAD + END)
    assert last([fits]) == [fits]
    assert last([f"{'a' * 500_000}{'z' * 500_000}"]) == [
        f"{'a' * HEAD} … (999,550 characters more) … {'z' * END}"
    ]


def test_last_lines_are_bounded_together_and_say_how_many_are_left_out() -> None:
    lines = [f"{i:02}{'x' * 100_000}" for i in range(20)]
    shown = last(lines)
    assert shown[0] == "… (4 lines more above)"
    assert [line[:2] for line in shown[1:]] == [f"{i:02}" for i in range(4, 20)]
    assert sum(map(len, shown[1:])) <= MOST
