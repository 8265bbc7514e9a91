"""A fault in any step: the run goes on and ends right, or ends with the right code, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.cells import CELLS, SAMPLE, Cell
from tests.faults.runs import LINES, Outcome

TABLE = [
    pytest.param(cell, id=name, marks=() if name in SAMPLE else pytest.mark.full)
    for name, cell in CELLS.items()
]


@pytest.mark.parametrize("cell", TABLE)
def test_a_fault_in_a_step(cell: Cell, played: Callable[[], Outcome | None]) -> None:
    outcome = played()
    assert outcome is not None
    assert min(outcome.met) > 0, f"the fault never struck: {outcome}"
    assert (outcome.code, outcome.left, outcome.named) == (cell.code, [], {}), str(outcome)
    if cell.logged:
        assert (outcome.lines, outcome.complete) == (list(LINES), True), str(outcome)
