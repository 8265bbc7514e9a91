"""What is still on the screen is known, however wide its characters are."""

from __future__ import annotations

import pytest

from argorun.reporters.on_screen import LAST_LINES, OnScreen, folded


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("", 1),
        ("x" * 20, 1),
        ("x" * 21, 2),
        ("天" * 9, 1),
        ("天" * 10, 2),
        ("🚀" * 40, 5),
        ("\x1b[31m" + "x" * 20 + "\x1b[0m", 1),
        ("a\tb\tc\td", 2),
    ],
)
def test_a_line_takes_the_rows_that_a_terminal_makes_of_it(line: str, rows: int) -> None:
    assert (folded(line, 20), OnScreen().add_log("tests", line, 0, 20)) == (rows, rows)


def test_the_last_lines_below_a_row_are_counted() -> None:
    on_screen = OnScreen()
    assert on_screen.add_log("tests", "one\ntwo\nthree", 10, 20) == 3
    assert on_screen.add_log("tests", "x" * 30 + "\nfive", 13, 20) == 3
    assert [on_screen.log_lines(["tests", "tests"], row) for row in (10, 11, 14, 15, 16)] == [5, 4, 2, 1, 0]


def test_of_a_flood_only_the_last_lines_are_known() -> None:
    on_screen = OnScreen()
    assert on_screen.add_log("tests", "\n".join(map(str, range(20_000))), 0, 20) == 20_000
    assert on_screen.log_lines(["tests"], 0) == LAST_LINES


def test_of_several_logs_none_is_counted() -> None:
    on_screen = OnScreen()
    on_screen.add_log("tests", "one", 0, 20)
    on_screen.add_log("more", "one", 1, 20)
    assert on_screen.log_lines(["tests", "more"], 0) == 0
