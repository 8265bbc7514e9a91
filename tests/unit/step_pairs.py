"""Reads the steps out of a run's or a sweep's events: each begins, and ends before the next one begins."""

from __future__ import annotations

from collections.abc import Iterable

from argorun.events import Event, Step, StepEnded, StepStarted


def endings(events: Iterable[Event]) -> list[tuple[Step, bool]]:
    """The steps in their order, each with whether it was good. AssertionError where they do not pair up."""
    found, begun = list[tuple[Step, bool]](), None
    for event in events:
        if isinstance(event, StepStarted):
            assert begun is None, f"{event.step} began within {begun}"
            begun = event.step
        elif isinstance(event, StepEnded):
            assert event.step == begun, f"{event.step} ended, and had not begun"
            found.append((event.step, event.ok))
            begun = None
    assert begun is None, f"{begun} never ended"
    return found
