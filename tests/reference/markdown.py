"""Markdown that reads well on GitHub and in mkdocs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- `make reference` writes this page from the code. -->"
_NAMES = r"""(?<![\w`/.-])(
    --[a-z][\w-]+             # an option
    | \$\{?\w+\}?             # a variable
    | [A-Z]+_[A-Z_]+\b        # its name
    | [^\s<]*(?:<[^>]+>[^\s<.]*)+ # a pattern with <parts>
    | [A-Z]+(?:[/=.][A-Z]+)+(?:\.[a-z]+)?  # NAME=VALUE, DIR/JOB
    | (?:\./)?[\w]+\.yaml     # a file
)"""
_CODE = re.compile(_NAMES, re.VERBOSE)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped."""
    cells = [[cell.replace("\n", " ").replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells))


def sentence(phrase: str) -> str:
    """A phrase as a sentence: it begins with a capital, unless with a name, and ends with a full stop."""
    if not phrase:
        return ""
    first = re.match(r"\w+", phrase)
    text = phrase if first and first[0] == "argorun" else phrase[0].upper() + phrase[1:]
    return text if text[-1] in ".!?" else f"{text}."


def code(text: str) -> str:
    """The text with options, variables, patterns and files as code."""
    return _CODE.sub(r"`\1`", text)


def block(text: str, language: str = "text") -> str:
    """A code block."""
    return f"```{language}\n{text.rstrip()}\n```"


def page(title: str, *parts: str) -> str:
    """A page of these parts, with blank lines between them."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"
