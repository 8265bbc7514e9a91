"""Turns a file's nodes into typed structs, or says plainly what does not fit.

Nothing is converted by a library: every sentence that a user reads is written here, in `words` or in
`checks`. What looks like a secret is never quoted.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from argorun.config import checks, words
from argorun.config.document import At, Items, Keys, Node, Scalar
from argorun.config.model import Strict
from argorun.config.problems import Problems, Wrong
from argorun.config.words import Path
from argorun.redact.redactor import SHORTEST
from argorun.redact.secrets import is_secret_property

MOST_NODES = 50_000  # a small file whose aliases hold aliases can have billions
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_TRUE = ("true", "yes", "on")


@dataclasses.dataclass(frozen=True)
class Wants:
    """What a field wants, in the user's words, and a check that raises Wrong.

    `name` stands for a value in an example. `secret` values are never quoted, `verbatim` ones are taken as
    they are written, whatever YAML reads.
    """

    form: str
    check: Callable[[Any], object] | None = None
    name: str = "NAME"
    secret: bool = False
    verbatim: bool = False


class Missing:
    """Not given, or given without a value (`tests:`); the default holds."""


class Invalid:
    """Given, and wrong: the problem has been reported."""


MISSING: Final = Missing()
INVALID: Final = Invalid()


class Reader:
    """Reads one file's nodes; what is wrong goes to `problems`, the lines of what is there to `lines`.

    `secrets` are texts that are never quoted, `elsewhere` says where a key belongs that is misplaced.
    """

    def __init__(
        self, name: str, problems: Problems, secrets: Collection[str], elsewhere: Mapping[str, str]
    ) -> None:
        self._name, self._problems = name, problems
        self._secrets, self._elsewhere = secrets, elsewhere
        self._left = MOST_NODES
        self.lines: dict[Path, At] = {}

    def struct(self, kind: type[Strict], node: Keys, path: Path, at: At) -> Any:
        """A struct of this kind; INVALID if a field that it needs is missing or wrong."""
        hints, required = _fields(kind)
        given: dict[str, Any] = {}
        meant = set()  # fields that a misspelt key was to be
        for key, value in node.entries:
            here = (*path, key.text)
            self.lines[here] = key.at
            if key.text in hints:
                given[key.text] = self._field(hints[key.text], value, here, key.at)
            else:
                name = "***" if self._is_secret(key.text) else key.text
                problem, field = words.unknown_key(name, list(hints), path, self._elsewhere)
                meant.add(field)
                self._wrong(key.at, (), problem)
        missing = [f for f in required if given.get(f, MISSING) is MISSING and f not in meant]
        if missing:
            form = {f: _parts(hints[f])[1].name for f in required}
            there = {f: v for f, v in given.items() if v is not MISSING and not self._is_secret(v)}
            self._wrong(at, (), words.missing_keys(path, missing, form, there))
        fields = {f: v for f, v in given.items() if v is not MISSING and v is not INVALID}
        return kind(**fields) if fields.keys() >= set(required) else INVALID

    def _field(self, hint: Any, node: Node, path: Path, at: At) -> Any:
        kinds, wants = _parts(hint)
        if isinstance(node, Scalar) and node.kind == "null":
            return MISSING
        return self._checked(kinds, wants, node, path, at)

    def _checked(self, kinds: list[Any], wants: Wants, node: Node, path: Path, at: At) -> Any:
        before = len(self._problems)
        value = self._value(kinds, wants, node, path, at)
        if value is INVALID or wants.check is None or len(self._problems) > before:
            return value
        try:
            wants.check(value)
        except Wrong as e:
            shown = Wrong(f"{wants.form}; got a secret") if self._is_secret(value) else e
            self._wrong(at, path, shown)
            return INVALID
        return value

    def _value(self, kinds: list[Any], wants: Wants, node: Node, path: Path, at: At) -> Any:
        self._left -= 1
        if self._left == 0:
            self._wrong((0, 0), (), Wrong("is too large", "its aliases (*NAME) stand for too many values"))
        if self._left <= 0 or (isinstance(node, Scalar) and node.kind == "wrong"):
            return INVALID
        listed = next((k for k in kinds if typing.get_origin(k) is list), None)
        if isinstance(node, Items) and listed is not None:
            return self._list(listed, wants, node, path)
        if isinstance(node, Keys):
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, Strict):
                    return self.struct(kind, node, path, at)
                if typing.get_origin(kind) is dict:
                    return self._mapping(wants, node, path)
        names = listed is not None and _parts(typing.get_args(listed)[0])[0] == [str]
        if isinstance(node, Scalar) and names and str not in kinds:
            one = self._checked([str], _parts(typing.get_args(listed)[0])[1], node, path, at)  # jobs: NAME
            return one if one is INVALID else [one]
        try:
            if isinstance(node, Scalar):
                return self._scalar(kinds, wants, node)
            raise Wrong(f"{wants.form}; got {words.got(node)}")
        except Wrong as e:
            self._wrong(at, path, e)
            return INVALID

    def _list(self, kind: Any, wants: Wants, node: Items, path: Path) -> Any:
        kinds, item = _parts(typing.get_args(kind)[0])
        made = []
        for i, entry in enumerate(node.items):
            here = (*path, i)
            self.lines[here] = entry.at
            if isinstance(entry, Scalar) and entry.kind == "null":
                self._wrong(entry.at, here, Wrong("is empty"))
            else:
                value = self._checked(kinds, item, entry, here, entry.at)
                made += [] if value is INVALID else [value]
        return made if made or not node.items else INVALID

    def _mapping(self, wants: Wants, node: Keys, path: Path) -> dict[str, str | bool]:
        """Free keys, each with a single value."""
        made: dict[str, str | bool] = {}
        for key, value in node.entries:
            here = (*path, key.text)
            self.lines[here] = key.at
            try:
                if not (isinstance(value, Scalar) and value.kind == "wrong"):
                    made[key.text] = self._free(key.text, value, wants)
            except Wrong as e:
                self._wrong(key.at, here, e)
        return made

    def _free(self, key: str, node: Node, wants: Wants) -> str | bool:
        if not isinstance(node, Scalar):
            secret = wants.verbatim or is_secret_property(key)
            raise Wrong(f"one value; got {words.got(node)}", "" if secret else words.one_value(node))
        if node.kind == "null":
            raise Wrong("has no value")
        if wants.verbatim or is_secret_property(key) or not node.plain:
            return node.text
        if node.kind == "bool":
            return node.text.lower() in _TRUE
        if node.kind == "int" and not _DECIMAL.fullmatch(node.text):
            raise words.octal("one value", node, show=not self._is_secret(node.text), quote=True)
        return node.text.replace("_", "") if node.kind == "int" else node.text

    def _scalar(self, kinds: list[Any], wants: Wants, node: Scalar) -> str | int | bool:
        text = node.text
        if str in kinds and (node.kind == "str" or int in kinds or wants.verbatim):
            return text
        if bool in kinds and node.kind == "bool":
            return text.lower() in _TRUE
        show = not (wants.secret or self._is_secret(text))
        if int in kinds and node.kind == "int":
            if _DECIMAL.fullmatch(text) and len(text) < 20:
                return int(text)
            raise words.octal(wants.form, node, show=show)
        if str in kinds and node.kind in words.KINDS:
            raise words.trap(wants.form, node, show=show)
        raise Wrong(f"{wants.form}; got {words.got(node, show=show)}", words.instead(node))

    def _is_secret(self, value: object) -> bool:
        text = checks.without_password(value) if isinstance(value, str) else repr(value)
        found = (secret for secret in self._secrets if secret in text)
        # One of a few characters is only one as a whole word, as for the Redactor.
        return any(len(s) >= SHORTEST or re.search(rf"(?<!\w){re.escape(s)}(?!\w)", text) for s in found)

    def _wrong(self, at: At, path: Path, problem: Wrong) -> None:
        key = f"{words.place_of(path)}: " if path else ""
        self._problems.written(self._name, at, f"{key}{problem.text}", problem.hint)


@functools.cache
def _fields(kind: type[Strict]) -> tuple[dict[str, Any], list[str]]:
    """The type hints of a struct's fields, and the names of those that it needs."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return hints, [f.name for f in msgspec.structs.fields(kind) if f.required]


def _parts(hint: Any) -> tuple[list[Any], Wants]:
    """The kinds that a type hint allows, without None, and what it wants."""
    wants = Wants("one value")
    if typing.get_origin(hint) is typing.Annotated:
        hint, *more = typing.get_args(hint)
        wants = next((m for m in more if isinstance(m, Wants)), wants)
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = [k for k in (typing.get_args(hint) if union else (hint,)) if k is not type(None)]
    return kinds, wants
