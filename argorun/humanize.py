"""Formats durations and counts for people, and finds the name that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

MISSPELT = 0.85  # likeness of a name to itself, misspelt


def duration(seconds: float) -> str:
    """`0.4s`, `12.0s`, `1m02s`, `1h00m`."""
    seconds = max(0.0, seconds)
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def count(number: int, noun: str) -> str:
    """`1 line`, `2 lines`, `20,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def limit(seconds: float) -> str:
    """A time limit as people write it: `90s`, `15m`, `1h30m`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole}s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def did_you_mean(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """`did you mean NAME?` with the known name that is most alike, or an empty text.

    `likeness` is 1 for the same name; 0.4 is enough where the known ones are few.
    """
    near = nearest(name, known, likeness)
    return f"did you mean {near}?" if near else ""


def misspelt(name: str, known: Iterable[str]) -> str:
    """The known name that is nearly the same, or an empty text; `step-1` is not `step-2` misspelt."""
    numbers = re.findall(r"\d+", name)
    return nearest(name, [k for k in known if re.findall(r"\d+", k) == numbers], MISSPELT)


def nearest(name: str, known: Iterable[str], likeness: float) -> str:
    """The known name that is most alike, or an empty text."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)), "")
