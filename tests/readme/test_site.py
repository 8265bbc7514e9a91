"""The documentation as a site: mkdocs builds it without a warning, and it asks no other server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import pages

# What a browser fetches by itself, unlike a link that somebody follows.
FETCHED = re.compile(r"<(?:script|img|iframe|source)[^>]* src=\"?([^\"\s>]+)|<link[^>]* href=\"?([^\"\s>]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        build, cwd=pages.ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def test_each_page_is_on_the_site_and_in_its_navigation(site: Path) -> None:
    written = {p.removeprefix("docs/").removesuffix(".md") for p in pages.paths() if p.startswith("docs/")}
    built = {p.relative_to(site).with_suffix("").as_posix() for p in site.rglob("*.html")}
    assert built == written | {"404"}
    shown = re.findall(r'href="?([\w./-]+)\.html', (site / "index.html").read_text(encoding="utf-8"))
    assert written - set(shown) == set()


def test_the_site_asks_no_other_server_for_anything(site: Path) -> None:
    fetched = {
        address
        for page in site.rglob("*.html")
        for both in FETCHED.findall(page.read_text(encoding="utf-8"))
        for address in both
        if address
    }
    assert any(address.endswith(".css") for address in fetched)
    assert [a for a in fetched if re.match(r"(https?:)?//", a)] == []
    styles = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*.css"))
    assert re.findall(r"@import[^;]*;|url\((?:https?:)?//[^)]*\)", styles) == []


def test_a_link_out_of_docs_leads_to_the_repository(site: Path) -> None:
    settings = (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^  tree: (\S+)", settings, flags=re.MULTILINE)
    tutorial = (site / "tutorial.html").read_text(encoding="utf-8")
    assert f'href="{tree}/config/README.md"' in tutorial
    assert "../config" not in tutorial


def test_the_index_has_the_pages_in_the_order_of_the_navigation() -> None:
    navigation = (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    in_order = re.findall(r"[\w/-]+\.md", navigation)
    listed = [link.target for link in pages.links("docs/index.md") if link.target.endswith(".md")]
    assert ["index.md", *listed] == in_order
    assert yaml.safe_load(f"nav:\n{navigation}")
