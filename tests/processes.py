"""How tests are divided among pytest's processes (`-n N --dist loadgroup`).

One by one, but for those that share servers. xdist's own mark for that has no effect with pytest 9.2.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

PARTS = 2  # of what tests/faults plays; as many processes start a Kafka for it

# The files of tests that share what costs much to make, and the group that they are.
SHARED = {
    "tests/chaos/test_chaos.py": "servers of chaos",
    "tests/chaos/test_outputs.py": "servers of outputs",
    "tests/chaos/test_terminal.py": "servers of outputs",
    "tests/readme/test_commands.py": "servers of commands",
    "tests/readme/test_init.py": "demo",
    "tests/readme/test_sweep.py": "demo",
    "tests/readme/test_install.py": "wheel",
    "tests/readme/test_wheel.py": "wheel",
    "tests/readme/test_site.py": "site",
    "tests/unit/init/test_command.py": "stand-in of init",
}

# What takes longest, and begins first. A process is given two groups at a time, so that short ones stand
# between those that must not wait for one another.
FIRST = (
    *("servers of commands", "demo", "tests/faults 0", "tests/faults 1", "wheel"),
    *("site", "stand-in of init", "servers of chaos"),
)


def group(nodeid: str) -> str:
    """What a test belongs to; one process runs all of it. Most tests belong to nothing but themselves."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/faults/"):
        return f"tests/faults {zlib.crc32(nodeid.encode()) % PARTS}"
    return SHARED.get(file, nodeid)


def part(nodeid: str) -> str:
    """The group, or everything where there is only one process."""
    return group(nodeid) if "PYTEST_XDIST_WORKER" in os.environ else ""


def rank(nodeid: str) -> int:
    """What begins first has the lowest."""
    its_group = group(nodeid)
    return FIRST.index(its_group) if its_group in FIRST else len(FIRST)


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process a group at a time, in the order of `rank`; else in that of the command line."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # by how many tests a group has, however long they take
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
