"""What becomes of the command blocks of the documentation: each is run by a test, or says why it is not."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests import pages
from tests.pages import Block

# A block without a mark is run, and ends with 0. Marks:
EXITS = re.compile(r"exits (\d+)")
REAL = re.compile(r"run on the real stack: \S.*")
NOT_RUN = re.compile(r"not run: \S.*")


class Commands(NamedTuple):
    """A block of commands: who runs it, and how it ends."""

    block: Block
    run: str  # "here" (a real Kafka and the stand-in), "real" (the real stack as well) or "nowhere"
    code: int


def commands_of(block: Block) -> Commands:
    """AssertionError where its mark is none of those above."""
    if exits := EXITS.fullmatch(block.mark):
        return Commands(block, "here", int(exits[1]))
    if REAL.fullmatch(block.mark):
        return Commands(block, "real", 0)
    if NOT_RUN.fullmatch(block.mark):
        return Commands(block, "nowhere", 0)
    assert block.mark == "", f"{block.page}: what does {block.mark!r} mean?"
    return Commands(block, "here", 0)


def for_users() -> list[Commands]:
    """Every block of commands that a user may copy, in the order of the pages."""
    theirs = [b for b in pages.blocks("sh") if b.page in USERS_PAGES]
    return [commands_of(block) for block in theirs]


USERS_PAGES = [p for p in pages.paths() if p in ("README.md", "config/README.md") or p.startswith("docs/")]
