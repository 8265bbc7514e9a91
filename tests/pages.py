"""The documentation as tests read it: pages, sections, code blocks, headings and links."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^ *<!-- ([^\n]*) -->\n\Z", flags=re.MULTILINE)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)


class Link(NamedTuple):
    """A link or an image of a page, and where it stands there."""

    text: str
    target: str
    at: int


class Block(NamedTuple):
    """A code block of a page, without its fence and its indentation."""

    page: str
    language: str
    text: str
    mark: str  # the comment in the line above, which a reader does not see; empty where there is none
    at: int  # where it stands in the page


def paths() -> list[str]:
    """Every page for people, by its path in the repository; those that are not written yet are left out."""
    here = (
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "config/README.md",
        "bench/README.md",
        "tests/README.md",
    )
    return [p for p in here if (ROOT / p).exists()] + [
        p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "docs").rglob("*.md"))
    ]


def page(path: str) -> str:
    """The text of one page."""
    return (ROOT / path).read_text(encoding="utf-8")


def section(path: str, heading: str) -> str:
    """What stands on a page below a heading, up to the next one of the same level or a higher one."""
    text = _without_code(page(path))
    (start,) = re.finditer(rf"^(#+) {re.escape(heading)}$", text, flags=re.MULTILINE)
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", flags=re.MULTILINE).search(text, start.end())
    return page(path)[start.end() : end.start() if end else None]


def blocks(language: str) -> list[Block]:
    """Every code block in this language, of all pages."""
    return [b for path in paths() for b in _blocks(path) if b.language == language]


def _blocks(path: str) -> Iterator[Block]:
    text = page(path)
    for found in FENCE.finditer(text):
        mark = MARK.search(text, 0, found.start())
        yield Block(path, found[2], textwrap.dedent(found[3]), mark[1] if mark else "", found.start())


def phrases(path: str) -> list[str]:
    """Everything that stands in `backticks` on a page, outside of code blocks."""
    return re.findall(r"`([^`]+)`", _without_code(page(path)))


def anchors(path: str) -> dict[str, int]:
    """The anchors of a page's headings as GitHub makes them, and where each heading stands."""
    seen: Counter[str] = Counter()
    found = {}
    for heading in re.finditer(r"^#+ (.+)$", _without_code(page(path)), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        anchor = re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-")
        found[f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor] = heading.start()
        seen[anchor] += 1
    return found


def links(path: str) -> list[Link]:
    """Every link and image of a page; what is in code is none."""
    text = re.sub(r"`[^`\n]*`", lambda m: "-" * len(m[0]), _without_code(page(path)))
    return [Link(m[1], m[2], m.start()) for m in re.finditer(r"\[([^\]]+)\]\(([^)\s]+)\)", text)]


def prose(path: str) -> str:
    """A page without its code blocks: each position stays."""
    return _without_code(page(path))


def _without_code(text: str) -> str:
    """The same text with blank lines in place of its code blocks: every position stays."""
    return FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
