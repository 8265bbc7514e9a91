"""For all tests here that need them: the wheel of this checkout, and the environment of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from argorun.sandbox.demo import DemoEnvironment, demo_environment
from tests.readme import installs
from tests.threads import in_a_thread

LIMIT = 240.0  # seconds to start the servers, and to stop them; no test depends on it


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once."""
    return installs.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoEnvironment]:
    """The demo's servers, started once; each test leaves its Application as it was."""
    with in_a_thread(demo_environment(), "demo", LIMIT) as (environment, _):
        yield environment
