"""The documentation's links, exit codes and messages are right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

from argorun.errors import EXIT_CODES
from tests import pages

CITATION = re.compile(r"\b(docs/[\w-]+\.md)#([\w-]+)")
# What Argo CD says, passed on as it is.
OTHERS_WORDS = {"permission denied (HTTP 403)"}


def texts() -> Iterator[str]:
    """Every text in argorun's code; what is put into it is an ellipsis."""
    for path in sorted((pages.ROOT / "argorun").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def relative(path: str) -> list[tuple[str, str]]:
    """The links of a page into the repository: the path each leads to, and its anchor or an empty text."""
    parts = [urlsplit(link.target) for link in pages.links(path)]
    folder = (pages.ROOT / path).parent
    return [
        (str((folder / p.path).resolve().relative_to(pages.ROOT)) if p.path else path, p.fragment)
        for p in parts
        if not p.scheme
    ]


def citations() -> list[tuple[str, str, str]]:
    """Every reference to a heading of docs/ in the code and its tests: the file, the page and the anchor."""
    code = [path for folder in ("argorun", "tests") for path in sorted((pages.ROOT / folder).rglob("*.py"))]
    return [
        (str(path.relative_to(pages.ROOT)), cited[1], cited[2])
        for path in code
        for cited in CITATION.finditer(path.read_text(encoding="utf-8"))
    ]


def test_every_page_is_read() -> None:
    assert {"README.md", "config/README.md", "docs/index.md", "docs/argocd-facts.md"} <= set(pages.paths())
    assert sum(len(relative(path)) for path in pages.paths()) > 50


@pytest.mark.parametrize("path", pages.paths())
def test_every_link_into_the_repository_leads_to_a_file(path: str) -> None:
    assert [to for to, _ in relative(path) if not (pages.ROOT / to).exists()] == []


@pytest.mark.parametrize("path", pages.paths())
def test_every_anchor_of_a_link_is_a_heading_of_that_page(path: str) -> None:
    assert [(to, anchor) for to, anchor in relative(path) if anchor and anchor not in pages.anchors(to)] == []


def test_every_fact_that_the_code_cites_is_a_heading() -> None:
    cited = citations()
    headings = {page: pages.anchors(page) for page in {page for _, page, _ in cited} & set(pages.paths())}
    assert [c for c in cited if c[2] not in headings.get(c[1], {})] == []
    assert {page for _, page, _ in cited} >= {"docs/argocd-facts.md", "docs/kafka-facts.md"}


@pytest.mark.parametrize("path", pages.paths())
def test_every_other_link_is_an_address_of_the_web(path: str) -> None:
    parts = [urlsplit(link.target) for link in pages.links(path)]
    strange = [p.geturl() for p in parts if p.scheme and (p.scheme != "https" or "." not in p.netloc)]
    assert strange == []


@pytest.mark.parametrize("path", pages.paths())
def test_a_link_that_says_above_or_below_points_there(path: str) -> None:
    headings = pages.anchors(path)
    inside = [(link, link.target[1:]) for link in pages.links(path) if link.target.startswith("#")]
    assert [(link.text, to) for link, to in inside if link.text == "below" and headings[to] < link.at] == []
    assert [(link.text, to) for link, to in inside if link.text == "above" and headings[to] > link.at] == []


def test_the_index_lists_every_page_of_the_documentation_once() -> None:
    listed = [to for to, _ in relative("docs/index.md") if PurePosixPath(to).parent == PurePosixPath("docs")]
    written = [path for path in pages.paths() if path.startswith("docs/") and path != "docs/index.md"]
    assert sorted(listed) == written


def test_each_message_of_the_troubleshooting_tables_is_one_that_argorun_writes() -> None:
    rows = re.findall(r"^\|.*\|$", pages.section("docs/troubleshooting.md", "Messages"), re.MULTILINE)
    rows = [row for row in rows if row not in ("| message | what to do |", "|---|---|")]
    messages = [m[1] for row in rows for m in [re.match(r"\| `([^`]+)` \| .+\|", row)] if m]
    assert len(messages) == len(rows) > 60
    known = list(texts())
    pieces = {m: [p.strip() for p in m.split("…") if p.strip()] for m in messages}
    strange = {m for m in messages if not any(all(p in text for p in pieces[m]) for text in known)}
    assert strange == OTHERS_WORDS


def test_the_table_of_exit_codes_is_the_one_of_the_errors() -> None:
    table = pages.page("README.md").split("| exit | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == [
        f"| {', '.join(map(str, row.codes))} | {row.meaning} |" for row in EXIT_CODES
    ]
