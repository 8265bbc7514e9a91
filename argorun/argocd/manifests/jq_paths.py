"""Paths of a jq expression, and the places they lead to. Pure.

Only paths are understood, with `[]`, `select(… == …)`, `|`, `,` and `?`: what people write in
ignoreDifferences.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from argorun.argocd.manifests.json_pointer import at


class NotUnderstood(Exception):
    """The jq expression is more than the paths that are understood here."""


class DoesNotApply(Exception):
    """The path does not fit the object: jq would fail."""


@dataclass(frozen=True)
class Each:
    """jq's `[]`; `optional` with a `?` behind it."""

    optional: bool = False


@dataclass(frozen=True)
class Select:
    """jq's `select(path == value)`, several joined by `or`."""

    allowed: tuple[tuple[tuple[str, ...], Any], ...]

    def takes(self, value: Any) -> bool:
        return any(at(value, path) == wanted for path, wanted in self.allowed)


Step = str | int | Each | Select
Path = tuple[Step, ...]


def places(thing: Any, path: Path, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of an object that a path leads to. Raises DoesNotApply."""
    if not path:
        yield before
        return
    step, rest = path[0], path[1:]
    if isinstance(step, Select):
        if step.takes(thing):
            yield from places(thing, rest, before)
    elif isinstance(step, Each):
        if isinstance(thing, dict):
            inner: Iterable[tuple[str | int, Any]] = thing.items()
        elif isinstance(thing, list):
            inner = enumerate(thing)
        elif step.optional:
            return
        else:
            raise DoesNotApply
        for key, value in inner:
            yield from places(value, rest, (*before, key))
    else:
        if thing is not None and not isinstance(thing, dict if isinstance(step, str) else list):
            raise DoesNotApply
        yield from places(at(thing, [step]), rest, (*before, step))


_STRING = r'"((?:[^"\\]|\\.)*)"'
_TOKEN = re.compile(
    r"\s*(?:"
    r"\.(?P<key>[A-Za-z_][A-Za-z0-9_]*)"
    rf"|\.{_STRING.replace('(', '(?P<dotted>', 1)}"
    rf"|\.?\[\s*{_STRING.replace('(', '(?P<bracketed>', 1)}\s*\]"
    rf"|{_STRING.replace('(', '(?P<string>', 1)}"
    r"|\.?\[\s*(?P<index>\d+)\s*\]"
    r"|\.?\[\s*(?P<each>)\]"
    r"|(?P<select>select)\s*\("
    r"|(?P<sign>==|[|,?)]|or\b)"
    r"|(?P<number>-?\d+)"
    r"|(?P<word>true|false|null)\b"
    r"|(?P<dot>\.)"
    r")\s*"
)
KEYS = ("key", "dotted", "bracketed")


def parsed(expression: str) -> list[Path]:
    """The paths of a jq expression: `.a.b[] | select(.name == "x") | .value, .c`. Raises NotUnderstood.

    As in jq a comma binds tighter than a pipe.
    """
    tokens = _Tokens(expression)
    paths = _alternatives(tokens)
    while tokens.next_is("sign", "|"):
        tokens.take()
        paths = [(*first, *then) for first, then in itertools.product(paths, _alternatives(tokens))]
    if tokens.kind or () in paths:
        raise NotUnderstood(expression)
    return paths


class _Tokens:
    """An expression's tokens, one ahead."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.kind, self.value = "", ""
        self.take()

    def take(self) -> str:
        """Return the token ahead and move on; `kind` is empty at the end."""
        value, self.kind, self.value = self.value, "", ""
        if self._at < len(self._text):
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                raise NotUnderstood(self._text)
            self._at = match.end()
            self.kind = str(match.lastgroup)
            self.value = match[self.kind]
        return value

    def next_is(self, kind: str, *values: str) -> bool:
        return self.kind == kind and (not values or self.value in values)


def _alternatives(tokens: _Tokens) -> list[Path]:
    """The paths between two pipes."""
    paths = [_path(tokens)]
    while tokens.next_is("sign", ","):
        tokens.take()
        paths.append(_path(tokens))
    return paths


def _path(tokens: _Tokens) -> Path:
    """The path between two commas: `.` alone, or steps."""
    if tokens.kind == "dot":
        tokens.take()
        return ()
    steps: list[Step] = []
    while True:
        if tokens.kind in KEYS:
            steps.append(_plain(tokens.take()))
        elif tokens.kind == "index":
            steps.append(int(tokens.take()))
        elif tokens.kind == "each":
            tokens.take()
            steps.append(Each())
        elif tokens.kind == "select":
            tokens.take()
            steps.append(_select(tokens))
        elif tokens.next_is("sign", "?") and steps:
            tokens.take()
            steps[-1] = Each(optional=True) if isinstance(steps[-1], Each) else steps[-1]
        elif steps:
            return tuple(steps)
        else:
            raise NotUnderstood("no path")


def _select(tokens: _Tokens) -> Select:
    """The condition in select's parentheses, up to and with the closing one."""
    allowed = [_condition(tokens)]
    while tokens.next_is("sign", "or"):
        tokens.take()
        allowed.append(_condition(tokens))
    if not tokens.next_is("sign", ")"):
        raise NotUnderstood("select")
    tokens.take()
    return Select(tuple(allowed))


def _condition(tokens: _Tokens) -> tuple[tuple[str, ...], Any]:
    keys: list[str] = []
    while tokens.kind in KEYS:
        keys.append(_plain(tokens.take()))
    if not keys or not tokens.next_is("sign", "=="):
        raise NotUnderstood("select")
    tokens.take()
    kind, value = tokens.kind, tokens.take()
    if kind == "string":
        return tuple(keys), _plain(value)
    if kind == "number":
        return tuple(keys), int(value)
    if kind == "word":
        return tuple(keys), {"true": True, "false": False, "null": None}[value]
    raise NotUnderstood("select")


def _plain(text: str) -> str:
    """The text of a quoted string; only escaped quotes and backslashes are understood."""
    if re.search(r'\\[^"\\]', text):
        raise NotUnderstood(text)
    return re.sub(r"\\(.)", r"\1", text)
