"""Recorded runs and single events for every reporter's tests."""

from __future__ import annotations

import pytest

from argorun.events import Event, LogLines, Verdict
from tests.unit.reporters.replay import recorded

T = 1767225600.0


@pytest.fixture
def green() -> list[Event]:
    """A run whose tests pass, and nothing is left."""
    return recorded("green")


@pytest.fixture
def red() -> list[Event]:
    """A run with a failed test."""
    return recorded("failed_test")


@pytest.fixture
def left_behind() -> list[Event]:
    """A run whose tests pass, and that cannot clean up."""
    return recorded("left_behind")


@pytest.fixture
def secretive() -> Event:
    """An event with text in every kind of field."""
    return Verdict(
        time=T, ok=False, exit_code=1, title="t", reason="r", hint="h", last_lines=("a", "b"), url="u"
    )


@pytest.fixture
def line() -> LogLines:
    """A line of a test's log."""
    return LogLines(
        time=T + 1,
        job="run-automation-tests-job",
        pod="run-automation-tests-job-x7k2p",
        container="tests",
        attempt=1,
        stamps=("2026-01-01T00:00:05.000000001Z",),
        texts=("text",),
    )
