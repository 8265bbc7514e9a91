"""What CONTRIBUTING.md asks of the code and a linter does not check."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "argorun").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PROSE = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(p for p in (ROOT / "config").rglob("*") if p.is_file()),
]

# The words that the dictionary of ARCHITECTURE.md retired, and British spellings.
RETIRED = re.compile(
    r"\b(mend(s|ed)?|for ever|any more|of ours|all the same|in vain"
    r"|wayback|way back|byhand|veil(ed)?|secrecy|tally|wire"
    r"|behaviour|honour(s|ed)?|colours?|neighbour|cancell(ed|ing)|labell(ed|ing)|recognise[ds]?)\b",
    re.IGNORECASE,
)
# Private by name, and still what their library's users are to use.
PUBLIC = {"_asdict", "_replace", "_fields", "_TRANSPORT", "_exit"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_a_module_opens_with_one_sentence_of_at_most_15_words(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    first = docstring.split("\n\n")[0]
    assert "\n" not in first
    assert first.endswith(".")
    assert len(first.split()) <= 15, first


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_no_test_reaches_into_a_private_attribute(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    reached = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match(r"_[^_]", node.attr)
        and node.attr not in PUBLIC
        and ast.unparse(node.value) not in ("self", "cls", "super()")
    ]
    assert reached == []


OWN_WAY = re.compile(r'sys\.executable, "-m", "argorun"|"PATH": os\.environ')
HELPER = ROOT / "tests" / "checkout.py"


@pytest.mark.parametrize("path", [p for p in TESTS if p not in (HELPER, Path(__file__))], ids=name)
def test_what_tests_start_is_the_argorun_of_this_checkout(path: Path) -> None:
    """Another one may be installed: the command and its environment come from tests/checkout.py."""
    assert OWN_WAY.findall(path.read_text(encoding="utf-8")) == []


def words(path: Path) -> Iterator[str]:
    """The comments, strings and names of tests of a Python file, or all of another one."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield text
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or "FSTRING" in tokenize.tok_name[token.type]:
            yield token.string
        elif token.type == tokenize.NAME and token.string.startswith("test_"):
            yield token.string.replace("_", " ")


# This file has to name the words.
@pytest.mark.parametrize("path", [p for p in (*PACKAGE, *TESTS, *PROSE) if p != Path(__file__)], ids=name)
def test_nothing_uses_a_retired_word_or_a_british_spelling(path: Path) -> None:
    assert [m[0] for text in words(path) for m in RETIRED.finditer(text)] == []
