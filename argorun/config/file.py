"""Reads argorun.yaml as it is written into typed values that know their lines."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from argorun.config import checks, document
from argorun.config.document import DEFAULT_FILE, At, Items, Keys, Node, Scalar
from argorun.config.model import PARAMETER_FORMS, ApplicationRef, Parameter, Strict
from argorun.config.problems import Problems
from argorun.config.reader import INVALID, Reader, Wants
from argorun.redact.secrets import in_address, is_parameter, is_secret_property, of_properties

ADDRESSES = ("server", "bootstrap.servers")  # may have a password in front of an @
PLAIN = ("null", "bool")  # no secret: with "false" masked, little could be read
A_NUMBER = "a whole number"
SWITCH = Wants("true or false")
TEXT = Wants("a text")
A_FILE = Wants("the name of a file")
PLACE = f"a Helm parameter's name, or {PARAMETER_FORMS['kustomize']}"

Duration = Annotated[str | int | None, Wants("a duration like 90s, 15m or 1h30m", checks.duration)]
Properties = dict[str, str | int | float | bool]


class ArgoCDFile(Strict, frozen=True):
    """`argocd:` as written."""

    server: Annotated[str | None, Wants("HOST or HOST:PORT", checks.server)] = None
    ca: Annotated[str | None, A_FILE] = None
    insecure: Annotated[bool | None, SWITCH] = None
    plaintext: Annotated[bool | None, SWITCH] = None
    root_path: Annotated[str | None, TEXT] = None
    client_cert: Annotated[str | None, A_FILE] = None
    client_key: Annotated[str | None, A_FILE] = None
    headers: Annotated[
        dict[str, str], Wants("keys and values: {NAME: VALUE}", secret=True, verbatim=True)
    ] = {}
    timeout: Duration = None


class TopicFile(Strict, frozen=True):
    """One of `topics:` as written."""

    prefix: Annotated[str, Wants("a text", checks.prefix, name="PREFIX")]
    parameter: Annotated[
        str | Parameter | list[Annotated[str | Parameter, Wants(PLACE)]], Wants(PLACE, checks.places)
    ]
    partitions: Annotated[int, Wants(A_NUMBER, checks.count)] = -1
    replication_factor: Annotated[int, Wants(A_NUMBER, checks.count)] = -1
    config: Annotated[Properties, Wants("keys and values: {retention.ms: 3600000}")] = {}
    groups: Annotated[str | None, TEXT] = None
    unverified: Annotated[bool, SWITCH] = False


class TestsFile(Strict, frozen=True):
    """`tests:` as written."""

    __test__ = False  # not a pytest class
    jobs: Annotated[
        list[Annotated[str, Wants("a name", checks.not_empty)]], Wants("a list: [run-tests]")
    ] = []


class TimeoutsFile(Strict, frozen=True):
    """`timeouts:` as written."""

    run: Duration = None
    busy: Duration = None
    cleanup: Duration = None
    stuck: Annotated[str | int | None, Wants("a duration, or 0", checks.duration_or_none)] = None


class File(Strict, frozen=True):
    """argorun.yaml as written; durations and places are checked, but not parsed yet."""

    application: Annotated[
        str | ApplicationRef | None,
        Wants("a name, or {name:, namespace:, project:}", checks.application),
    ] = None
    argocd: Annotated[ArgoCDFile, Wants("keys and values: {server: HOST}")] = ArgoCDFile()
    kafka: Annotated[Properties, Wants("keys and values: {bootstrap.servers: HOST:PORT}", secret=True)] = {}
    topics: Annotated[
        list[Annotated[TopicFile, Wants("keys and values: {prefix: PREFIX, parameter: NAME}")]],
        Wants("a list of topics: [{prefix: PREFIX, parameter: NAME}]"),
    ] = []
    tests: Annotated[TestsFile, Wants("keys and values: {jobs: [NAME]}")] = TestsFile()
    timeouts: Annotated[TimeoutsFile, Wants("keys and values: {run: 15m}")] = TimeoutsFile()


@dataclasses.dataclass(frozen=True)
class Written:
    """What a file says, what it is called, and where each key is."""

    file: File = dataclasses.field(default_factory=File)
    name: str = ""  # as the user gave it; empty where there is no file
    folder: Path = Path()  # what its paths are relative to
    lines: Mapping[tuple[str | int, ...], At] = dataclasses.field(default_factory=dict)

    def at(self, *path: str | int) -> At:
        """The line and the column of a key or an entry."""
        return self.lines.get(path, (0, 0))

    @property
    def called(self) -> str:
        """The file's name, for a message about what it lacks."""
        return self.name or DEFAULT_FILE


def read(
    given: Path | None, folder: Path, problems: Problems, mask: Callable[..., None] = lambda *secrets: None
) -> Written:
    """What the given file says, else the folder's argorun.yaml; mistakes go to `problems`.

    Without either, and where a file cannot be read at all, everything in it is a default. Secrets in it go to
    `mask`.
    """
    path = given or folder / DEFAULT_FILE
    if given is None and not os.path.lexists(path):
        return Written(folder=folder)
    # A Path has dropped one slash of a URL.
    name = re.sub(r"^([a-z]+:)/(?=[^/])", r"\1//", str(given)) if given else DEFAULT_FILE
    root = document.read_document(path, name, problems)
    nothing = Written(name=name, folder=path.parent)
    if root is None:
        return nothing
    if not isinstance(root, Keys):
        kind = root.kind if isinstance(root, Scalar) else "list"
        problems.written(name, (0, 0), f"expected keys and values, got {kind}")
        return nothing
    secrets = of_file(root)
    mask(*secrets)
    reader = Reader(name, problems, secrets, ELSEWHERE)
    file = reader.struct(File, root, (), root.at)
    return dataclasses.replace(nothing, file=File() if file is INVALID else file, lines=reader.lines)


def of_file(root: Node) -> set[str]:
    """The texts in the file that are secrets, by their keys; wherever they stand."""
    everything = list(_pairs(root, set()))
    pairs = [(k.text, v.text) for k, v in everything if isinstance(v, Scalar) and v.kind not in PLAIN]
    secrets = {part for key, text in pairs if key in ADDRESSES for part in in_address(text)}
    secrets |= of_properties(dict(pairs))
    for key, value in everything:
        if key.text in ("headers", "kafka"):  # in the place of keys and values, all may stand in one text
            whole = [value] if not isinstance(value, Keys) else []
            each = [v for _, v in (*value.entries, *value.repeated)] if isinstance(value, Keys) else []
            hidden = whole or (each if key.text == "headers" else [])
        else:
            hidden = [value] if is_secret_property(key.text) or is_parameter(key.text) else []
        secrets |= {text for node in hidden for text in _texts(node, set())}
    return {text for text in secrets if text.strip() and "${" not in text}  # a variable's name is no secret


def _texts(node: Node, seen: set[int]) -> Iterator[str]:
    """Each text in a node, those of keys, too."""
    if isinstance(node, Scalar):
        yield from () if node.kind in PLAIN else (node.text,)
    elif id(node) not in seen:
        seen.add(id(node))
        inner = (
            [n for e in (*node.entries, *node.repeated) for n in e] if isinstance(node, Keys) else node.items
        )
        for each in inner:
            yield from _texts(each, seen)


def _pairs(node: Node, seen: set[int]) -> Iterator[tuple[Scalar, Node]]:
    """Each key with its value, at any depth, once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Keys):
        for key, value in (*node.entries, *node.repeated):
            yield key, value
            yield from _pairs(value, seen)
    elif isinstance(node, Items):
        for item in node.items:
            yield from _pairs(item, seen)


def _elsewhere() -> dict[str, str]:
    """Where each key belongs that is at one place only: `jobs` under `tests:`."""
    places: dict[str, list[str]] = {}
    for section, kind in (
        ("under argocd:", ArgoCDFile),
        ("in an entry of topics:", TopicFile),
        ("under tests:", TestsFile),
        ("under timeouts:", TimeoutsFile),
    ):
        for key in kind.__struct_fields__:
            places.setdefault(key, []).append(section)
    return {key: found[0] for key, found in places.items() if len(found) == 1}


ELSEWHERE = _elsewhere()
