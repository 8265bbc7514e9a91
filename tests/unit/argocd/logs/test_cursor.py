"""How far a log was read: by stamp and number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.logs.cursor import Cursor, sortable
from tests.unit.argocd.containers import EPOCH, SECOND, stamped


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_stamps_sort_as_the_times_they_stand_for(a: int, b: int) -> None:
    a, b = EPOCH + a % (10**6 * SECOND), EPOCH + b % (10**6 * SECOND)
    assert (sortable(stamped(a)) < sortable(stamped(b))) == (a < b)
    assert (sortable(stamped(a)) == sortable(stamped(b))) == (a == b)


def test_lines_with_one_stamp_and_one_text_are_still_so_many_lines() -> None:
    cursor = Cursor()
    assert [cursor.is_new("1") for _ in range(3)] == [True] * 3
    cursor.resume()
    assert [cursor.is_new("1") for _ in range(5)] == [False, False, False, True, True]


def test_a_line_that_is_stamped_a_little_earlier_than_the_one_before_it_is_not_lost() -> None:
    cursor = Cursor()
    assert [cursor.is_new(s) for s in ("5", "3", "5")] == [True] * 3
    cursor.resume()
    assert [cursor.is_new(s) for s in ("1", "5", "3", "5", "4", "6", "5")] == [False] * 4 + [True] * 3
