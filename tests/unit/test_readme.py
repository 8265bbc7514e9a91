"""The README's links, its exit codes and the errors that it explains are right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from argorun.errors import EXIT_CODES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What Argo CD says, passed on as it is.
OTHERS_WORDS = {"permission denied (HTTP 403)", "no session information (HTTP 401)"}


def texts() -> Iterator[str]:
    """Every text in argorun's code; what is put into it is an ellipsis."""
    for path in sorted((ROOT / "argorun").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


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


def test_each_message_of_the_troubleshooting_table_is_one_that_argorun_writes() -> None:
    table = README.split("| it says | what to do |")[1].split("\n\n")[0]
    messages = [m[1] for m in re.finditer(r"^\| `([^`]+)` \|", table, re.MULTILINE)]
    assert len(messages) == len(table.splitlines()) - 2
    known = list(texts())
    pieces = {m: [p.strip() for p in m.split("…") if p.strip()] for m in messages}
    strange = {m for m in messages if not any(all(p in text for p in pieces[m]) for text in known)}
    assert strange == OTHERS_WORDS


def test_the_table_of_exit_codes_is_the_one_of_the_errors() -> None:
    table = README.split("| exit | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [
        f"| {', '.join(map(str, row.codes))} | {row.meaning} |" for row in EXIT_CODES
    ]
