"""The command line of `argorun init`, as typed and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from argorun.config import checks
from argorun.config.flags import application, check_where
from argorun.config.load import CheckProperties
from argorun.config.model import CliSettings
from argorun.config.problems import Problems, Wrong, quoted
from argorun.redact.secrets import is_secret_property

BOOTSTRAP = "bootstrap.servers"
_ADDRESS = re.compile(r"(?:[A-Za-z_]+://)?(?:[^\s,:/@\[\]]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_VARIABLE = re.compile(r"\$\{\w+\}")


@dataclass(frozen=True, kw_only=True)
class InitFlags:
    """The command line of `argorun init`, as typed."""

    application: str | None = None
    file: Path | None = None
    topics: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    server: str | None = None
    ca: str | None = None
    bootstrap_servers: str | None = None
    kafka: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the answers are made from."""

    flags: InitFlags
    environment: Mapping[str, str]
    folder: Path  # of the files that flags name
    cli: CliSettings | None  # the argocd CLI's login
    mask: Callable[..., None]  # takes what is a secret
    check_properties: CheckProperties


def check_flags(
    flags: InitFlags, folder: Path, problems: Problems, check_properties: CheckProperties
) -> dict[str, str]:
    """The properties of --kafka; everything that is wrong on the command line goes to `problems`."""
    if flags.application is not None:
        with problems.of("APPLICATION"):
            application(flags.application, folder)
    check_where(flags.server, flags.ca, None, folder, problems)
    for flag, values, check in (
        ("--topic", flags.topics, checks.prefix),
        ("--parameter", flags.parameters, lambda value: checks.helm_parameter(text(value))),
        ("--job", flags.jobs, text),
        ("--bootstrap-servers", [flags.bootstrap_servers], servers),
    ):
        for value in values:
            if value is not None:
                with problems.of(flag):
                    check(writable(value))
    if flags.topics and flags.parameters and len(flags.topics) != len(flags.parameters):
        problems.typed(
            f"--topic is given {len(flags.topics)} times, and --parameter {len(flags.parameters)} times",
            "give one --topic for each --parameter",
        )
    return _properties(flags, problems, check_properties)


def _properties(flags: InitFlags, problems: Problems, check_properties: CheckProperties) -> dict[str, str]:
    found: dict[str, str] = {}
    for typed in flags.kafka:
        name, sign, value = typed.partition("=")
        with problems.of("--kafka"):
            if not sign or not name:
                raise Wrong(f"{quoted(name)} is no PROPERTY=VALUE")  # it may be a password
            if name == BOOTSTRAP:
                raise Wrong(f"{BOOTSTRAP} has an option of its own", "give --bootstrap-servers LIST")
            if name in found:
                raise Wrong(f"{name} is given twice")
            if is_secret_property(name) and not _VARIABLE.fullmatch(value):
                raise Wrong(
                    f"{name}: a secret does not belong in a file", f"write '{name}=${{NAME}}', in quotes"
                )
            found[name] = writable(value)
    known = {name: _VARIABLE.sub("x", value) for name, value in found.items() if _is_text(name, value)}
    for _, problem, hint in check_properties(known) if known else ():
        problems.typed(f"--kafka: {problem.removeprefix('kafka.')}", hint)
    return found


def _is_text(name: str, value: str) -> bool:
    """Whether a property can be checked: what a variable holds is not known, but a secret may be any text."""
    return not _VARIABLE.search(value) or is_secret_property(name) or name == "sasl.username"


def servers(value: str) -> str:
    """A list of HOST:PORT."""
    if not value.strip():
        raise Wrong("is empty", "write HOST:PORT, several with commas")
    for address in writable(value).split(","):
        if not _ADDRESS.fullmatch(address.strip()):
            raise Wrong(
                f"{quoted(checks.without_password(address))} is not HOST:PORT",
                "write HOST:PORT, several with commas",
            )
    return value


def text(value: str) -> str:
    """A text that is not empty."""
    return writable(checks.not_empty(value))


def writable(value: str) -> str:
    """A text that a file can hold: UTF-8, without control characters."""
    if any(0xD800 <= ord(c) < 0xE000 for c in value):
        raise Wrong(f"{value!a} is not UTF-8 text")
    if any(not c.isprintable() for c in value):
        raise Wrong(f"{value!a} contains a control character")
    return value
