"""The documentation's links lead somewhere, on GitHub and on the site; its pages read alike on both."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tests import pages

CITATION = re.compile(r"\b(docs/[\w/-]+\.md)#([\w-]+)")


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
    listed = [to for to, _ in relative("docs/index.md") if to.startswith("docs/") and to.endswith(".md")]
    written = [path for path in pages.paths() if path.startswith("docs/") and path != "docs/index.md"]
    assert sorted(listed) == written


def test_the_address_of_the_repository_is_one() -> None:
    """Whoever moves the repository changes it everywhere at once."""
    settings = (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (address,) = re.findall(r"^repo_url: (.*)$", settings, flags=re.MULTILINE)
    texts = [settings, *(pages.page(path) for path in pages.paths())]
    named = {found for text in texts for found in re.findall(r"https://[\w.]+/[\w-]+/argorun\b", text)}
    assert {re.sub("raw.githubusercontent", "github", n) for n in named} == {address}


@pytest.mark.parametrize("path", [p for p in pages.paths() if p.startswith("docs/")])
def test_a_page_of_the_site_is_read_alike_by_github_and_by_mkdocs(path: str) -> None:
    """mkdocs takes four blanks for a level of a list, and a list only after a blank line or in a list."""
    strange = []
    before = ""
    for line in pages.prose(path).splitlines():
        item = re.match(r"( *)([-*]|\d+\.) ", line)
        if item and (len(item[1]) % 4 or not (before == "" or re.match(r" *([-*]|\d+\.) |  ", before))):
            strange.append(line)
        before = line.rstrip()
    strange += [f.group()[:20] for f in pages.FENCE.finditer(pages.page(path)) if len(f[1]) % 4]
    assert strange == []
    assert re.findall(r"^ *(!!!|\?\?\?|:::|=== \"|> \[!).*$", pages.prose(path), flags=re.MULTILINE) == []
