"""What Argo CD leaves alone in an object: rules of JSON pointers and jq paths, carried out as it does. Pure.

To compare two objects it first takes out of both what a rule points at (source:
util/argo/normalizers/diff_normalizer.go): a pointer by a JSON patch's `remove`, an expression by jq's `del`;
a rule that does not apply to an object leaves it as it is. Of jq only paths are understood, with `[]`,
`select(… == …)`, `|`, `,` and `?`: what people write there.
"""

from __future__ import annotations

import copy
import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from argorun.argocd.http.errors import typed
from argorun.argocd.types import IgnoreRule, Json

GROUP, KIND = "argoproj.io", "Application"
RESPECT = "RespectIgnoreDifferences=true"  # the sync option by which a sync writes none of it, too


class NotUnderstood(Exception):
    """A jq expression beyond what is understood here."""


class DoesNotApply(Exception):
    """What a rule points at is not there: it leaves the object as it is."""


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


def written(spec: Json, doing: str) -> list[IgnoreRule]:
    """An Application's own rules. Raises InvalidResponse, which says what argorun was `doing`."""
    return typed(spec.get("ignoreDifferences") or [], list[IgnoreRule], doing)


def respected(spec: Json, doing: str) -> list[IgnoreRule]:
    """Those of them that its syncs keep to as well, not only its comparisons."""
    options = (spec.get("syncPolicy") or {}).get("syncOptions") or ()
    return written(spec, doing) if RESPECT in options else []


def matching(
    rules: Iterable[IgnoreRule], name: str, namespace: str, group: str = GROUP, kind: str = KIND
) -> list[IgnoreRule]:
    """The rules about this object; group and kind may be globs, name and namespace may not."""
    return [
        r
        for r in rules
        if fnmatch.fnmatchcase(group, r.group)
        and fnmatch.fnmatchcase(kind, r.kind)
        and r.name in ("", name)
        and r.namespace in ("", namespace)
    ]


def without(thing: Json, rules: Iterable[IgnoreRule]) -> Json:
    """The object without what the rules ignore; an expression that is not understood ignores nothing."""
    for rule in rules:
        for pointer in rule.json_pointers or ():
            thing = removed(thing, [steps(pointer)])
        for expression in rule.jq_path_expressions or ():
            try:
                paths = parsed(expression)
                thing = removed(thing, [c for path in paths for c in concrete(thing, path)])
            except (NotUnderstood, DoesNotApply):
                continue
    return thing


def not_understood(rules: Iterable[IgnoreRule]) -> list[str]:
    """The rules' expressions that are not understood."""
    found = []
    for expression in (e for rule in rules for e in rule.jq_path_expressions or ()):
        try:
            parsed(expression)
        except NotUnderstood:
            found.append(expression)
    return found


# -- taking out ----------------------------------------------------------------------------------------


def steps(pointer: str) -> list[str]:
    """A JSON pointer's steps (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def removed(thing: Json, paths: Sequence[Sequence[str | int]]) -> Json:
    """A copy of the object without these places, the last first, for a list's later elements move up."""
    thing = copy.deepcopy(thing)
    for path in sorted(paths, key=lambda p: [(isinstance(s, int), s) for s in p], reverse=True):
        if not path:
            continue
        parent = at(thing, path[:-1])
        last = path[-1]
        if isinstance(parent, dict) and isinstance(last, str):
            parent.pop(last, None)
        elif isinstance(parent, list) and str(last).isdecimal() and int(last) < len(parent):
            del parent[int(last)]
    return thing


def at(thing: Any, path: Sequence[str | int]) -> Any:
    """What stands at a place; None where there is no such place."""
    for step in path:
        if isinstance(thing, dict):
            thing = thing.get(step)
        elif isinstance(thing, list) and str(step).isdecimal() and int(step) < len(thing):
            thing = thing[int(step)]
        else:
            return None
    return thing


def concrete(thing: Any, path: Path, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of an object that a path leads to. Raises DoesNotApply where jq would fail."""
    if not path:
        yield before
        return
    step, rest = path[0], path[1:]
    if isinstance(step, Select):
        if step.takes(thing):
            yield from concrete(thing, rest, before)
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
            yield from concrete(value, rest, (*before, key))
    else:
        if thing is not None and not isinstance(thing, dict if isinstance(step, str) else list):
            raise DoesNotApply
        yield from concrete(at(thing, [step]), rest, (*before, step))


# -- jq's paths ----------------------------------------------------------------------------------------

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
        """The token ahead; the next one is ahead then. `kind` is empty at the end."""
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
    """What stands between two pipes."""
    paths = [_path(tokens)]
    while tokens.next_is("sign", ","):
        tokens.take()
        paths.append(_path(tokens))
    return paths


def _path(tokens: _Tokens) -> Path:
    """What stands between two commas: `.` alone, or steps."""
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
    """What stands in select's brackets, the closing one included."""
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
    """A quoted string's text; jq's escapes other than of quotes and backslashes are not understood."""
    if re.search(r'\\[^"\\]', text):
        raise NotUnderstood(text)
    return re.sub(r"\\(.)", r"\1", text)
