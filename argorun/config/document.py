"""Reads a YAML file into nodes that know their lines; nothing is interpreted."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from argorun.config.problems import Problems, Wrong, quoted

if TYPE_CHECKING:
    import yaml

DEFAULT_FILE = "argorun.yaml"
LARGEST = 256 * 1024  # bytes
_NAMES = re.compile(r"(alias|anchor|tag handle|tag) ['\"].*")
QUOTE = "quote a value that begins with *, & or !"
_IN_BRACKETS = ("while parsing a flow sequence", "while parsing a flow mapping")
_TAG = "tag:yaml.org,2002:"

At = tuple[int, int]
"""Line and column, counted from 1."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Scalar:
    """A single value: its text as written, and what YAML 1.1 takes it for."""

    text: str
    kind: str  # str, int, float, bool, null or timestamp; "wrong" for what has been reported
    plain: bool  # without quotes
    at: At


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    at: At


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Keys:
    """Keys and values, each key once; what is merged in (`<<`) comes last."""

    entries: tuple[tuple[Scalar, Node], ...]
    at: At
    repeated: tuple[tuple[Scalar, Node], ...] = ()  # a key that was given before; its value may be a secret


Node = Scalar | Items | Keys
Entry = tuple[Scalar, Node]


def read_document(path: Path, name: str, problems: Problems) -> Node | None:
    """The nodes of the file, which is called `name`; None, and a problem, where there are none."""
    try:
        text = _text(path)
    except Wrong as e:
        problems.written(name, (0, 0), e.text, e.hint)
        return None
    try:
        composed = _compose(text, name, problems)
        return None if composed is None else _Converter(name, problems).node(composed)
    except RecursionError:
        problems.written(name, (0, 0), "not valid YAML: it is nested too deeply")
        return None


def _text(path: Path) -> str:
    try:
        if path.is_fifo() and not str(path).startswith(("/dev/", "/proc/")):  # it can be waited for forever
            raise Wrong("is a named pipe", "give a file, or redirect it: -f /dev/stdin")
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise Wrong("there is no such file", _instead(path)) from None
    except IsADirectoryError:
        inside = path / DEFAULT_FILE
        raise Wrong("is a directory", f"did you mean {inside}?" if os.path.isfile(inside) else "") from None
    except (OSError, ValueError) as e:
        raise Wrong(f"cannot be read: {getattr(e, 'strerror', None) or e}") from None
    if len(raw) > LARGEST:
        raise Wrong(f"is larger than {LARGEST // 1024} KiB", "is it a configuration of argorun?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise Wrong("is not UTF-8 text", "save it as UTF-8; it is UTF-16 now" if utf16 else "") from None


def _instead(path: Path) -> str:
    """What to give in place of a file that is not there."""
    if re.match(r"[a-z]+:/", str(path)):
        return "it is a URL: download it, and give the file with -f FILE"
    if str(path) == "-":
        return "write -f /dev/stdin for the standard input"
    return _similar(path) or "give the right one with -f FILE"


def _similar(path: Path) -> str:
    """A hint with the file beside it that has nearly the same name, or an empty string."""
    try:
        beside = [p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.75)
    return f"did you mean {path.parent / near[0]}?" if near else ""


def _compose(text: str, name: str, problems: Problems) -> yaml.Node | None:
    """PyYAML's nodes; the one problem of a text that is not valid YAML."""
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as e:
        at = _at(text, e.position)
        character = f"U+{int(e.character):04X}"
        problems.written(name, at, f"not valid YAML: it contains the character {character}", column=True)
        return None
    except yaml.MarkedYAMLError as e:
        at, why, hint = _syntax(e)
        problems.written(name, at, why, hint, column=True)
        return None
    except RecursionError:
        raise
    except Exception:  # PyYAML lets more out: an escape that is no character, a version of 5,000 digits
        problems.written(name, (0, 0), "not valid YAML: an escape or a directive is not valid")
        return None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == f"{_TAG}null"):
        problems.written(name, (0, 0), "is empty", "`argorun init` writes one")
        return None
    return root


def _at(text: str, position: int) -> At:
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def _mark(mark: yaml.Mark | None) -> At:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _syntax(error: yaml.MarkedYAMLError) -> tuple[At, str, str]:
    """Place, text and hint of a syntax error. PyYAML's own text, without a name that may be a password."""
    problem, at = str(error.problem or error), _mark(error.problem_mark or error.context_mark)
    if problem == "but found another document":
        return at, "a second document begins here (---)", "a configuration is one document"
    if problem.startswith("found unexpected end of stream") and "quoted scalar" in str(error.context):
        return _mark(error.context_mark), "not valid YAML: the quote that begins here is never closed", ""
    if "'\\t'" in problem:
        return at, "not valid YAML: a tab, where only spaces are allowed", "indent with spaces"
    if "'<stream end>'" in problem and error.context in _IN_BRACKETS:
        return _mark(error.context_mark), "not valid YAML: the bracket that begins here is never closed", ""
    if problem.startswith("expected <block end>"):
        return at, "not valid YAML: the indentation does not fit what is above", ""
    problem = problem.replace("'<stream end>'", "the end of the file")
    if problem.startswith("found undefined alias"):
        return at, "not valid YAML: an alias (*NAME) without its anchor (&NAME)", QUOTE
    # A password that begins with *, & or ! is taken for a name, and would be quoted as one.
    why, names = _NAMES.subn(r"\1 ***", problem)
    hint = QUOTE if names else ""
    if "mapping values are not allowed" in problem:
        hint = "check the indentation, the space after each colon, and quote a value that contains a colon"
    elif "could not find expected ':'" in problem:
        hint = "write KEY: VALUE, with a space after the colon"
    return at, f"not valid YAML: {why}", hint


class _Converter:
    """Makes Nodes of PyYAML's: merges what `<<` names, and reports keys that are given twice."""

    def __init__(self, name: str, problems: Problems) -> None:
        self._name, self._problems = name, problems
        self._made: dict[int, Node | None] = {}  # by the node's identity; None while it is being made

    def node(self, raw: yaml.Node) -> Node:
        import yaml

        at = _mark(raw.start_mark)
        if id(raw) in self._made:
            made = self._made[id(raw)]
            if made is None:
                self._problems.written(self._name, at, "an alias (*NAME) that contains itself")
            return made or Scalar("", "wrong", True, at)
        self._made[id(raw)] = None
        if isinstance(raw, yaml.MappingNode):
            entries, repeated = self._entries(raw)
            made = Keys(tuple(entries), at, tuple(repeated))
        elif isinstance(raw, yaml.SequenceNode):
            made = Items(tuple(self.node(item) for item in raw.value), at)
        else:
            made = Scalar(str(raw.value), self._kind(raw.tag, at), getattr(raw, "style", None) is None, at)
        self._made[id(raw)] = made
        return made

    def _kind(self, tag: str, at: At) -> str:
        kind = tag.removeprefix(_TAG)
        if kind in ("str", "int", "float", "bool", "null", "timestamp"):
            return kind
        if kind not in ("value", "merge"):  # a lone = or <<
            self._problems.written(
                self._name,
                at,
                "a YAML tag (!NAME), which is not known here",
                "quote a value that begins with !",
            )
        return "str"

    def _entries(self, raw: yaml.MappingNode) -> tuple[list[Entry], list[Entry]]:
        repeated: list[Entry] = []
        found: dict[str, tuple[Scalar, Node]] = {}
        merged: list[tuple[Scalar, Node]] = []
        first_merge: At | None = None
        for raw_key, raw_value in raw.value:
            at = _mark(raw_key.start_mark)
            if raw_key.tag == f"{_TAG}merge":
                if first_merge is not None:
                    text = f"duplicate key '<<' (first on line {first_merge[0]})"
                    self._problems.written(self._name, at, text, "merge several by one: <<: [*A, *B]")
                first_merge = first_merge or at
                merged += self._merged(raw_value)
                continue
            key, value = self.node(raw_key), self.node(raw_value)
            if not isinstance(key, Scalar):
                self._problems.written(
                    self._name, at, "a key must be a single word, and this is a list or a mapping"
                )
            elif key.text in found:
                first = found[key.text][0].at[0]
                self._problems.written(
                    self._name, at, f"duplicate key {quoted(key.text)} (first on line {first})"
                )
                repeated.append((key, value))
            else:
                found[key.text] = key, value
        for key, value in merged:
            found.setdefault(key.text, (key, value))
        return list(found.values()), repeated

    def _merged(self, raw: yaml.Node) -> list[tuple[Scalar, Node]]:
        """The entries that `<<: *NAME` or `<<: [*A, *B]` brings; of several with one key the first."""
        node = self.node(raw)
        sources = node.items if isinstance(node, Items) else (node,)
        entries: dict[str, tuple[Scalar, Node]] = {}
        for source in sources:
            if isinstance(source, Keys):
                for key, value in source.entries:
                    entries.setdefault(key.text, (key, value))
            else:
                self._problems.written(
                    self._name, source.at, "<< merges keys and values, and this has none", "write <<: *NAME"
                )
        return list(entries.values())
