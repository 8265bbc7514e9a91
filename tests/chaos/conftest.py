"""The two servers, started once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.ground import Ground


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with Ground.start(tmp_path_factory.mktemp("chaos")) as made:
        yield made
