"""A fault in any step: the run goes on and ends right, or ends with the right code, and leaves nothing."""

from __future__ import annotations

import pytest

from tests.faults.cells import CELLS, Cell
from tests.faults.stage import LINES, Outcome


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_fault_in_a_step(cell: Cell, outcomes: dict[str, Outcome | BaseException | None]) -> None:
    outcome = outcomes[cell.name]
    if isinstance(outcome, BaseException):
        raise outcome
    assert outcome is not None
    assert min(outcome.met) > 0, f"the fault never struck: {outcome}"
    assert (outcome.code, outcome.left, outcome.named) == (cell.code, [], {}), str(outcome)
    if cell.logged:
        assert (outcome.lines, outcome.complete) == (list(LINES), True), str(outcome)
