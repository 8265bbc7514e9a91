"""Formats durations and counts for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.4s`, `12.0s`, `1m02s`, `1h00m`."""
    seconds = max(0.0, seconds)
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def limit(seconds: float) -> str:
    """A whole number of seconds as people write it: `90s`, `15m`, `1h30m`."""
    whole = round(seconds)
    if whole < 120 or whole % 60:
        return f"{whole}s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{hours}h" if hours else f"{minutes}m"


def count(number: int, noun: str) -> str:
    """`1 line`, `2 lines`, `20,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
