"""The wheel of this checkout, for all tests of how it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readme import installs


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once."""
    return installs.build(tmp_path_factory.mktemp("wheel"))
