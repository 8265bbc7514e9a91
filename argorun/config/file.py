"""Reads argorun.yaml into typed values; each mistake is an error that names its place."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from argorun.config.model import ApplicationRef, Parameter, Strict
from argorun.errors import UsageError

DEFAULT_FILE = "argorun.yaml"


class ArgoCDFile(Strict, frozen=True):
    """`argocd:` as written."""

    server: str | None = None
    ca: str | None = None
    insecure: bool | None = None
    plaintext: bool | None = None
    root_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    headers: dict[str, str] = {}
    timeout: str | int | None = None


class TopicFile(Strict, frozen=True):
    """One of `topics:` as written."""

    prefix: str
    parameter: str | Parameter | list[str | Parameter]
    partitions: int = -1
    replication_factor: int = -1
    config: dict[str, str | int | float | bool] = {}
    groups: str | None = None
    unverified: bool = False


class TestsFile(Strict, frozen=True):
    """`tests:` as written."""

    __test__ = False  # not a pytest class
    jobs: list[str] = []


class TimeoutsFile(Strict, frozen=True):
    """`timeouts:` as written."""

    run: str | int | None = None
    busy: str | int | None = None
    cleanup: str | int | None = None
    stuck: str | int | None = None


class File(Strict, frozen=True):
    """argorun.yaml as written; durations and places are not parsed yet."""

    application: str | ApplicationRef | None = None
    argocd: ArgoCDFile = ArgoCDFile()
    kafka: dict[str, str | int | float | bool] = {}
    topics: list[TopicFile] = []
    tests: TestsFile = TestsFile()
    timeouts: TimeoutsFile = TimeoutsFile()


def read(path: Path) -> File:
    """Read argorun.yaml. Raises UsageError, which names the line or the key."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file", "give the right one with -f FILE") from None
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: cannot be read: {getattr(e, 'strerror', None) or e}") from None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        # A password that begins with *, & or ! is taken for a name, and would be quoted as one.
        why, names = re.subn(r"(alias|anchor|tag handle|tag) ['\"].*", r"\1 ***", problem(e))
        hint = "quote a value that begins with *, & or !" if names else ""
        raise UsageError(f"{path}{at}: not valid YAML: {why}", hint) from None
    except Exception as e:  # PyYAML's constructors let more out: 2020-13-45, !!int x, a thousand brackets
        deep = isinstance(e, RecursionError)
        why = "it is nested too deeply" if deep else "a value is not valid for the type that it looks like"
        raise UsageError(f"{path}: not valid YAML: {why}") from None
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: expected keys and values, got {type(raw).__name__}")
    for where, key, known in unknown_keys(raw, File, ""):
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        place = f" in {where}" if where else ""
        raise UsageError(
            f"{path}: unknown key '{key}'{place}",
            f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}",
        )
    try:
        return msgspec.convert(raw, File, strict=True)
    except msgspec.ValidationError as e:
        message, _, at = str(e).partition(" - at ")
        where = at.strip("`").removeprefix("$.").removeprefix("$")
        raise UsageError(
            f"{path}: {where + ': ' if where else ''}{message[:1].lower()}{message[1:]}"
        ) from None


def lines(path: Path) -> dict[str, int]:
    """The line of each key, counted from 1: `argocd.server`, `kafka.bootstrap.servers`, `topics`."""
    import yaml

    found: dict[str, int] = {}
    root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    for section, value in root.value if isinstance(root, yaml.MappingNode) else ():
        found[section.value] = section.start_mark.line + 1
        for key, _ in value.value if isinstance(value, yaml.MappingNode) else ():
            found[f"{section.value}.{key.value}"] = key.start_mark.line + 1
    return found


def problem(error: Exception) -> str:
    """PyYAML's description of an error, without the lines that it would quote."""
    return str(getattr(error, "problem", None) or error)


def unknown_keys(raw: object, kind: Any, where: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each key that `kind` does not have: the place, the key, and the known keys of that place."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        for part in typing.get_args(kind):
            yield from unknown_keys(raw, part, where)
    elif origin is list and isinstance(raw, list):
        for i, item in enumerate(raw):
            yield from unknown_keys(item, typing.get_args(kind)[0], f"{where}[{i}]")
    elif isinstance(kind, type) and issubclass(kind, Strict) and isinstance(raw, dict):
        hints = typing.get_type_hints(kind)
        for key, value in raw.items():
            if key not in hints:
                yield where, str(key), list(hints)
            else:
                yield from unknown_keys(value, hints[key], f"{where}.{key}" if where else key)
