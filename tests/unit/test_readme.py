"""The README's own pointers lead to where they say."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_a_link_that_says_above_or_below_points_there_and_every_link_inside_has_its_heading() -> None:
    headings = {
        re.sub(r"[^\w -]", "", m[1].lower()).replace(" ", "-"): m.start()
        for m in re.finditer(r"^#+ (.+)$", README, re.MULTILINE)
    }
    links = [(m[1], m[2], m.start()) for m in re.finditer(r"\[([^\]]+)\]\(#([^)]+)\)", README)]
    assert links
    assert [to for _, to, _ in links if to not in headings] == []
    assert [(text, to) for text, to, at in links if text == "below" and headings[to] < at] == []
    assert [(text, to) for text, to, at in links if text == "above" and headings[to] > at] == []
