"""Completes the command line in a shell: names and files, or silently nothing."""

from __future__ import annotations

import contextlib
import os
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

YAML = (".yaml", ".yml")


def applications(context: typer.Context, incomplete: str) -> list[str]:
    """The Applications that the token sees, asked for at Argo CD; nothing is kept on this machine."""
    return _silently(lambda: _matching(_applications(context.params), incomplete))


def jobs(context: typer.Context, incomplete: str) -> list[str]:
    """The tests in the configuration."""
    return _silently(lambda: _matching(_configured(context.params).tests.jobs, incomplete))


def prefixes(context: typer.Context, incomplete: str) -> list[str]:
    """The prefixes in the configuration."""
    return _silently(lambda: _matching((t.prefix for t in _configured(context.params).topics), incomplete))


def yaml_files(incomplete: str) -> list[str]:
    """YAML files, and the folders on the way to them."""
    return _silently(lambda: _paths(incomplete, lambda name: name.endswith(YAML)))


def files(incomplete: str) -> list[str]:
    """Files of any kind, and folders."""
    return _silently(lambda: _paths(incomplete, lambda name: True))


def folders(incomplete: str) -> list[str]:
    """Folders."""
    return _silently(lambda: _paths(incomplete, lambda name: False, folders=True))


def _silently(complete: Callable[[], list[str]]) -> list[str]:
    """What there is to complete; nothing on any error: a shell waits at its prompt."""
    from argorun import signals

    signals.handle_with(lambda signum: os._exit(128 + signum))
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            return complete()
        except Exception:
            return []


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


def _applications(given: dict[str, Any]) -> list[str]:
    from argorun.init.names import application_names

    server, ca = given.get("server"), given.get("ca")
    return application_names(_file(given), server, ca, os.environ, Path.cwd())


def _configured(given: dict[str, Any]) -> Any:
    """What the file says; nothing is asked for."""
    from argorun.config.file import read
    from argorun.config.problems import Problems

    return read(_file(given), Path.cwd(), Problems()).file


def _file(given: dict[str, Any]) -> Path | None:
    return Path(given["file"]) if given.get("file") else None


def _paths(incomplete: str, wanted: Callable[[str], bool], *, folders: bool = False) -> list[str]:
    """The entries that begin so; `folders` are wanted themselves, too.

    A folder alone is shown with, or as, what is in it: a shell would take it for the whole word.
    """
    found = _entries(incomplete, wanted)
    while len(found) == 1 and found[0].endswith(os.sep):
        inside = _entries(found[0], wanted)
        if folders:
            return [*found, *inside]
        found = inside
    return found


def _entries(incomplete: str, wanted: Callable[[str], bool]) -> list[str]:
    folder, name = os.path.split(incomplete)
    shown = os.path.join(folder, "") if folder else ""
    found = []
    with os.scandir(os.path.expanduser(folder) or ".") as entries:
        for entry in entries:
            if not entry.name.startswith(name) or (entry.name.startswith(".") and not name):
                continue
            if entry.is_dir():
                found.append(f"{shown}{entry.name}{os.sep}")
            elif wanted(entry.name):
                found.append(f"{shown}{entry.name}")
    return sorted(found)


BY_NAME: dict[str, Callable[..., list[str]]] = {
    "application": applications,
    "job": jobs,
    "topic": prefixes,
    "file": yaml_files,
    "ca": files,
    "events": files,
    "log_dir": folders,
}
"""What completes a parameter, by its name: the same in every command."""


def install(commands: typer.Typer) -> None:
    """Give the parameters of all commands what completes them. Only a shell that completes needs it."""
    for command in commands.registered_commands:
        for name, hint in typing.get_type_hints(command.callback, include_extras=True).items():
            for info in getattr(hint, "__metadata__", ()):
                if name in BY_NAME:
                    info.autocompletion = BY_NAME[name]
