"""Rows and paragraphs fit a terminal's width, and nothing to copy is cut."""

from __future__ import annotations

import pytest

from argorun.reporters.layout import live_row, paragraph, row, wrapped

SIGN = ("✓", "green")
TOPIC = "weather_updates_1795632586_02e8d1af"


def lines(width: int, *parts: str, time: str = "0.3s") -> list[str]:
    return [line.plain for line in row(SIGN, "create topic", [(part, "") for part in parts], time, width)]


def test_a_row_has_its_time_at_the_right_edge() -> None:
    assert lines(80, TOPIC, "1 partition") == [
        f"✓ create topic    {TOPIC}   1 partition        ".ljust(76) + "0.3s"
    ]


def test_what_does_not_fit_goes_below_whole() -> None:
    assert lines(40, TOPIC, "1 partition") == [
        "✓ create topic".ljust(36) + "0.3s",
        f"  {TOPIC}",
        "  1 partition",
    ]


@pytest.mark.parametrize("width", [8, 19, 39, 49, 79, 100])
def test_no_row_is_wider_than_asked_but_for_a_word_that_is(width: int) -> None:
    text = "sync stopped, parameters restored, workloads settled, topic and 1 group deleted"
    for line in lines(width, text):
        assert len(line) <= max(width, len("✓ create topic 0.3s"))


@pytest.mark.parametrize("width", [1, 5, 8, 19, 39, 79, 100])
def test_a_live_row_of_one_line_is_never_wider(width: int) -> None:
    parts = [("run-automation-tests-job", ""), ("cannot start yet: ImagePullBackOff", "")]
    (line,) = live_row(SIGN, "PostSync", parts, "21.2s", width)
    assert line.cell_len <= max(width, len("✓ PostSync  "))


@pytest.mark.parametrize(
    ("most", "shown"),
    [
        (1, ["✓ sync  an operation of ci, s…  2.6s"]),
        (2, ["✓ sync                          2.6s", "  an operation of ci, started …"]),
        (3, ["✓ sync                          2.6s", "  an operation of ci, started", "  08:31:01, Running"]),
    ],
)
def test_a_live_row_takes_the_lines_that_it_may_and_says_where_words_are_missing(
    most: int, shown: list[str]
) -> None:
    parts = [("an operation of ci, started 08:31:01, Running", "")]
    assert [line.plain for line in live_row(SIGN, "sync", parts, "2.6s", 36, most)] == shown


def test_words_are_kept_whole() -> None:
    assert wrapped("one two-and-more three", 9) == ["one", "two-and-more", "three"]
    assert [line.plain for line in paragraph("a b c", 3, indent=2, first="! ")] == ["! a", "  b", "  c"]


def test_wide_characters_count_as_two_cells() -> None:
    assert wrapped("天気 天気", 5) == ["天気", "天気"]
