"""Checks what was typed on the command line, before anything that is missing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from argorun.config import checks
from argorun.config.model import Assignment, Flags
from argorun.config.problems import Problems, Wrong, quoted


def check_run(flags: Flags, folder: Path, problems: Problems) -> None:
    """The flags of `argorun run`; those of --set are checked by `assignments`."""
    if flags.application is not None:
        with problems.of("APPLICATION"):
            application(flags.application, folder)
    check_where(flags.server, flags.ca, flags.bootstrap_servers, folder, problems)
    if flags.topic is not None:
        with problems.of("--topic"):
            checks.prefix(flags.topic)
    if flags.parameter:
        with problems.of("--parameter"):
            checks.helm_parameter(flags.parameter)
    if flags.timeout is not None:
        with problems.of("--timeout"):
            checks.duration(flags.timeout)
    for flag, values in (
        ("--parameter", [flags.parameter]),
        ("--revision", [flags.revision]),
        ("--job", flags.jobs),
    ):
        check_not_empty(flag, values, problems)


def check_where(
    server: str | None, ca: str | None, bootstrap_servers: str | None, folder: Path, problems: Problems
) -> None:
    """The flags that say where Argo CD and Kafka are."""
    if server is not None:
        with problems.of("--server"):
            checks.server(server)
    if ca is not None:
        with problems.of("--ca"):
            checks.existing_file(folder, ca)
    check_not_empty("--bootstrap-servers", [bootstrap_servers], problems)


def check_outputs(events: Path | None, log_dir: Path | None, problems: Problems) -> None:
    """Where files are to be written; whether they can be is seen when they are opened."""
    if events is not None and (os.path.isdir(events) or not os.path.isdir(events.parent)):
        why = "Is a directory" if os.path.isdir(events) else "No such file or directory"
        problems.typed(
            f"the events file {events} cannot be written: {why}",
            "give --events a path in a directory that exists and that you may write to",
        )
    if log_dir is not None and os.path.exists(log_dir) and not os.path.isdir(log_dir):
        problems.typed(
            f"the log directory {log_dir} cannot be created: Not a directory",
            "give --log-dir a directory that you may write to",
        )


def check_not_empty(flag: str, values: Iterable[str | None], problems: Problems) -> None:
    """An empty value is what a variable leaves that is not set: `--revision "$SHA"`."""
    if any(value is not None and not value.strip() for value in values):
        problems.typed(f"{flag}: is empty", "is the variable set that it comes from?")


def application(name: str, folder: Path) -> None:
    """The argument of `argorun run`; a file's name is a valid one of an Application, and never meant."""
    if name.endswith((".yaml", ".yml")) and os.path.isfile(folder / name):
        raise Wrong(f"{quoted(name)} is a file", f"give it with -f: argorun run -f {name}")
    checks.application(name)


def assignments(flags: Flags, taken: set[str], problems: Problems) -> tuple[Assignment, ...]:
    """The parameters of --set and --set-string; each once, and none that takes a topic's name (`taken`)."""
    made: dict[str, Assignment] = {}
    given = [("--set", False, t) for t in flags.sets] + [("--set-string", True, t) for t in flags.set_strings]
    for flag, string, text in given:
        name, sign, value = text.partition("=")
        if any(0xD800 <= ord(c) < 0xE000 for c in text):  # bytes that Python could not decode
            problems.typed(f"{flag} {name!a}: the text is not UTF-8")
        elif not sign or not name:
            shown = f" {name}" if name and name.replace(".", "").replace("_", "").isalnum() else ""
            problems.typed(f"{flag}{shown}: expected NAME=VALUE")
        elif not checks.is_helm_name(name):
            problems.typed(f"{flag} {name}: a , begins another parameter", "give each one by itself")
        elif name in taken:
            problems.typed(f"{flag} {name}: the parameter takes the topic's name")
        elif name in made:
            problems.typed(f"{flag} {name}: the parameter is set twice")
        else:
            made[name] = Assignment(name=name, value=value, string=string)
    return tuple(made.values())
