"""Says what a run or a sweep still needs, and how to give it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from argorun.config.document import DEFAULT_FILE
from argorun.config.inputs import Inputs, Lack
from argorun.errors import UsageError

START = "`argorun init` writes an argorun.yaml; `argorun demo` shows a run"
VARIABLES = ("ARGOCD_SERVER", "ARGOCD_AUTH_TOKEN", "KAFKA_BOOTSTRAP_SERVERS")
LOGIN = "ARGOCD_AUTH_TOKEN, or `argocd login`"

KAFKA = Lack(
    "kafka",
    "Kafka",
    "--bootstrap-servers, KAFKA_BOOTSTRAP_SERVERS, or kafka: {bootstrap.servers: LIST}",
    "no Kafka broker is configured",
)
SERVER = Lack(
    "argocd",
    "Argo CD",
    "--server, ARGOCD_SERVER, `argocd login`, or argocd: {server: HOST}",
    "no Argo CD server is configured",
)
TOKEN = Lack("token", "a token", LOGIN, "no token for Argo CD")
APPLICATION = Lack(
    "application", "application", "argorun run APPLICATION, or application: NAME", "no Application to run"
)
TOPIC = Lack(
    "topics",
    "topic",
    "--topic PREFIX --parameter NAME, or topics: [{prefix: PREFIX, parameter: NAME}]",
    "no topic is configured",
)
PREFIX = Lack(
    "topics",
    "topic",
    "--topic PREFIX, or topics: [{prefix: PREFIX, parameter: NAME}]",
    "no topic is configured",
)
PARAMETER = Lack(
    "topics",
    "parameter",
    "--parameter NAME: the Helm parameter that takes the topic's name",
    "the topic has no parameter",
)


def token(bare: str) -> Lack:
    """No token for this server."""
    return Lack("token", "a token", LOGIN, f"no token for Argo CD at {bare}")


def hint(lack: Lack, file: str) -> str:
    """How to give what is missing, where nothing else is."""
    if lack.key == "token":
        return "export ARGOCD_AUTH_TOKEN (argocd account generate-token), or run `argocd login`"
    verb = "name it:" if lack.key == "application" else "give"
    in_file = lack.ways.endswith(("}", "}]", ": NAME"))
    return f"{verb} {lack.ways}" + (f" in {file or DEFAULT_FILE}" if in_file else "")


def error(what: str, inputs: Inputs, *, typed: bool) -> UsageError:
    """One error for everything that is missing. `what` is run or sweep; `typed`: flags were given."""
    lacks, name = inputs.lacks, inputs.written.name
    notes = list(_variables(lacks, inputs.environment))
    if len(lacks) == 1 and (name or typed):
        lack = lacks[0]
        return UsageError(lack.message, "\n".join([hint(lack, name), *notes]))
    if name:
        begin = f"{name} does not say all that a {what} needs"
    else:
        line = "the command line does not say all" if typed else "nothing on the command line"
        begin = f"no {DEFAULT_FILE} in {_tilde(inputs.folder, inputs.environment)}, and {line}"
        notes += [f"there is {other}: give it with -f" for other in _other_names(inputs.folder)]
        notes.append(START)
    items = [f"{lack.name} ({lack.ways})" for lack in lacks]
    indent = ",\n" + " " * len("missing: ")
    return UsageError(begin, "\n".join([f"missing: {indent.join(items)}", *notes]))


def _tilde(folder: Path, environment: Mapping[str, str]) -> str:
    """The folder, with ~ for the user's own."""
    home = environment.get("HOME") or ""
    if home and home != "/" and folder.is_relative_to(home):
        return str(Path("~") / folder.relative_to(home))
    return str(folder)


def _other_names(folder: Path) -> list[str]:
    return [
        name for name in ("argorun.yml", ".argorun.yaml", "Argorun.yaml") if os.path.isfile(folder / name)
    ]


def _variables(lacks: list[Lack], environment: Mapping[str, str]) -> Iterator[str]:
    """Notes on variables that are empty, or that have nearly the right name."""
    others = [
        n for n, v in environment.items() if v and n.startswith(("ARGO", "KAFKA")) and n not in VARIABLES
    ]
    for variable in VARIABLES:
        if not any(variable in lack.ways for lack in lacks):
            continue
        if variable in environment:
            yield f"{variable} is set, and empty"
        for near in difflib.get_close_matches(variable, others, n=1, cutoff=0.7):
            yield f"{near} is set; the variable's name is {variable}"
