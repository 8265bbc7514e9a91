"""The exit codes as `--help` lists them, in two columns."""

from __future__ import annotations

import itertools

from argorun.errors import EXIT_CODES

GAP = 2  # characters between the columns


def of_a_run() -> str:
    """The end of `argorun run --help`."""
    return _table([(row.codes, row.brief or row.meaning) for row in EXIT_CODES])


def of_a_sweep() -> str:
    """The end of `argorun sweep --help`; a sweep has fewer."""
    return _table([(row.codes, row.sweep) for row in EXIT_CODES if row.sweep])


def _table(rows: list[tuple[tuple[int, ...], str]]) -> str:
    cells = [f"{codes[0]:>3}  {text}" for codes, text in rows if len(codes) == 1]
    half = -(-len(cells) // 2)
    pairs = itertools.zip_longest(cells[:half], cells[half:], fillvalue="")
    width = max(map(len, cells[:half])) + GAP
    columns = [f"{left:<{width}}{right}".rstrip() for left, right in pairs]
    signals = [f"  {', '.join(map(str, codes))}  {text}" for codes, text in rows if len(codes) > 1]
    # \b: typer leaves the lines as they are
    return "\n".join(["\b", "Exit codes:", *columns, *signals]) + "\n"
