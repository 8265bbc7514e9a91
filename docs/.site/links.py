"""Lets links that leave docs/ lead to the repository: a site has only docs/."""

from __future__ import annotations

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", flags=re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The page with addresses in the repository in place of relative paths out of docs/; code stays."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def absolute(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[1]))
        if path.startswith("docs/"):
            return link[0]
        return f"{config.extra['tree']}/{path}{link[2] or ''}"

    parts = CODE.split(markdown)
    return "".join(part if i % 2 else LINK.sub(absolute, part) for i, part in enumerate(parts))
