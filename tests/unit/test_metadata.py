"""What a package index shows of argorun: addresses, the README with links that lead somewhere, Pythons."""

from __future__ import annotations

import re
import tomllib
from typing import Any
from urllib.parse import urlsplit

from readme_renderer import markdown

from argorun import HOMEPAGE
from tests import pages

PYPROJECT: dict[str, Any] = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
RAW = "https://raw.githubusercontent.com/argorun/argorun/main/"


def description(text: str) -> str:
    """The long description that the build makes of a README."""
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert (hook["content-type"], hook["fragments"]) == ("text/markdown", [{"path": "README.md"}])
    for change in hook["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    return text


def addresses(text: str) -> list[str]:
    """Where the links and pictures of a README lead, as an index renders it."""
    html = markdown.render(text)
    assert html is not None
    found = re.findall(r'(?:href|src|srcset)="([^"]+)"', html)
    return [address for address in found if not address.startswith("#")]


def test_every_link_and_picture_of_the_long_description_is_absolute_and_leads_to_a_file() -> None:
    found = addresses(description(pages.page("README.md")))
    assert len(found) > 10
    assert [a for a in found if urlsplit(a).scheme != "https"] == []
    inside = [a.partition("/main/")[2].partition("#")[0] for a in found if "/argorun/argorun/" in a]
    assert [path for path in inside if not (pages.ROOT / path).exists()] == []


def test_a_link_becomes_a_page_and_a_picture_a_file_in_each_way_to_write_them() -> None:
    text = (
        "[Setup](guide/setup.md#token) [![Run](docs/run.svg)](docs/index.md) ![Run](docs/run.svg)\n"
        '<img src="docs/run.svg" alt="Run"> <a href="LICENSE">License</a>\n'
        "[Web](https://example.com/x) [Here](#try-it) [Mail](mailto:a@example.com)\n"
    )
    page = f"{HOMEPAGE}/blob/main/"
    assert description(text) == (
        f"[Setup]({page}guide/setup.md#token) [![Run]({RAW}docs/run.svg)]({page}docs/index.md) "
        f"![Run]({RAW}docs/run.svg)\n"
        f'<img src="{RAW}docs/run.svg" alt="Run"> <a href="{page}LICENSE">License</a>\n'
        "[Web](https://example.com/x) [Here](#try-it) [Mail](mailto:a@example.com)\n"
    )


def test_the_projects_addresses_are_those_of_the_code() -> None:
    urls = PROJECT["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert (urls["Homepage"], urls["Source"]) == (HOMEPAGE, HOMEPAGE)
    assert [url for url in urls.values() if not url.startswith("https://")] == []
    assert urls["Issues"] == f"{HOMEPAGE}/issues"
    assert urls["Changelog"] == f"{HOMEPAGE}/blob/main/CHANGELOG.md"


def test_every_python_from_the_oldest_to_3_14_is_named() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert (named[0], named) == (oldest, ["3.11", "3.12", "3.13", "3.14"])
