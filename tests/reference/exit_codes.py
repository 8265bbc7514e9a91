"""docs/reference/exit-codes.md."""

from __future__ import annotations

from argorun.errors import EXIT_CODES
from tests.reference.markdown import page as whole
from tests.reference.markdown import table

RUN = """\
argorun's exit code says how a run or a sweep ended. Of several reasons one decides: a signal, else what ended
the tests (1 to 9), else 10."""
SAME = "In the [events](events.md), `run_ended` has the same code, and `verdict` the one before the clean-up."
SWEEP = "A sweep ends with one of these. It is 6 in place of 10 where a permission was missing."
OTHERS = """\
Every command ends with 2 where it is given an option or an argument that it does not know, and with 70 where
something happened that should not: that is a bug, please report it."""


def page() -> str:
    """The page."""
    codes = [(", ".join(map(str, row.codes)), row) for row in EXIT_CODES]
    run = table(["exit", "`argorun run`"], [[code, row.meaning] for code, row in codes])
    sweep = table(["exit", "`argorun sweep`"], [[code, row.sweep] for code, row in codes if row.sweep])
    return whole("Exit codes", RUN, run, SAME, SWEEP, sweep, OTHERS)
