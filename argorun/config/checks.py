"""Checks of single values, wherever they were given: each raises Wrong."""

from __future__ import annotations

import re
from pathlib import Path

from argorun.config.model import PARAMETER_FORMS, ApplicationRef, Parameter
from argorun.config.problems import Wrong, quoted, short
from argorun.kafka import names

_HELM_NAME = re.compile(r"([^\\,=]|\\.)+")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?|([0-9]+)")
# The time when a run ends must be a date: of each unit no more digits than those of 11, 2, 3 and 3 years. The
# schema, which cannot add, says the same.
_DIGITS = (5, 6, 8, 8)


def duration(value: str | int, *, least: float = 1) -> float:
    """Seconds of `90`, `90s`, `15m`, `1h30m`; no less than `least`."""
    match = _DURATION.fullmatch(str(value).strip())
    hint = "write it like 90, 90s, 15m or 1h30m"
    if not str(value).strip():
        raise Wrong("is empty", hint)
    if match is None or not match[0]:
        raise Wrong(f"{quoted(value)} is not a duration", hint)
    if any(len(n or "") > digits for n, digits in zip(match.groups(), _DIGITS, strict=True)):
        raise Wrong(f"{quoted(value)} is too long", "give at most 99999h")
    seconds = sum(int(n or 0) * unit for n, unit in zip(match.groups(), (3600, 60, 1, 1), strict=True))
    if seconds < least:
        raise Wrong(f"{quoted(value)} is too short", f"give at least {least:.0f}s")
    return float(seconds)


def duration_or_none(value: str | int) -> float:
    """Seconds; 0 is allowed, too."""
    return duration(value, least=0)


def application(named: str | ApplicationRef) -> ApplicationRef:
    """An Application by its name or as `NAMESPACE/NAME`."""
    typed = named if isinstance(named, str) else None
    if isinstance(named, str):
        if not named.strip():
            raise Wrong("is empty", "write NAME or NAMESPACE/NAME")
        namespace, _, name = named.rpartition("/")
        named = ApplicationRef(name=name, namespace=namespace or None)
    for part in (named.name, named.namespace):
        if part is not None and not _NAME.fullmatch(part):
            hint = "write NAME or NAMESPACE/NAME, in lower-case letters, digits, - and ."
            if "${" in part:
                hint = "name it on the command line: argorun run NAME"
            raise Wrong(f"{quoted(typed or part)} is not a valid name of an Application", hint)
    return named


def prefix(value: str) -> str:
    """The prefix of a topic's name."""
    if problem := names.check_prefix(value):
        raise Wrong(f"{quoted(value)} {problem}" if problem.startswith("contains") else problem)
    return value


def count(value: int) -> int:
    """A number of partitions or replicas."""
    if value != -1 and not 1 <= value < 2**15:
        raise Wrong(f"{value} is not possible", "give 1 to 32767, or -1 for the broker's default")
    return value


def places(value: str | Parameter | list[str | Parameter]) -> tuple[Parameter, ...]:
    """Where a topic's name goes: one place, or several."""
    listed = value if isinstance(value, list) else [value]
    made = tuple(Parameter(helm=p) if isinstance(p, str) else p for p in listed)
    if not made:
        raise Wrong("is empty", "name the Helm parameter that takes the topic's name")
    hint = f"write {' or '.join(PARAMETER_FORMS.values())}"
    for p in made:
        if len(p.given) != 1:
            raise Wrong(f"must be either {' or '.join(PARAMETER_FORMS)}", hint)
        parts = [p.place] if isinstance(p.place, str) else [p.place.configmap, p.place.key]
        if not all(part.strip() for part in parts):
            raise Wrong("has an empty name", hint)
        if p.helm is not None:
            helm_parameter(p.helm)
    return made


def is_helm_name(name: str) -> bool:
    """Whether `helm --set NAME=VALUE` takes it for one name: a comma begins the next one there."""
    return _HELM_NAME.fullmatch(name) is not None


def helm_parameter(value: str) -> str:
    """The name of one Helm parameter."""
    if not is_helm_name(value):
        raise Wrong(
            f"{quoted(value)} is not one Helm parameter",
            "write each by itself; a , or = in its name needs a \\ before it",
        )
    return value


def server(value: str) -> tuple[str, str]:
    """HOST or HOST:PORT, and the path below which Argo CD is served."""
    if not value.strip():
        raise Wrong("is empty", "write HOST or HOST:PORT")
    host, _, root = without_scheme(value).partition("/")
    hint = "write HOST or HOST:PORT"
    if "${" in value:
        hint = "${NAME} is not replaced here: set the variable ARGOCD_SERVER"
    shown = quoted(without_password(value))
    if host[:1] in ("", ":") or "://" in without_scheme(value) or re.search(r"[\s@?#$]", host):
        raise Wrong(f"{shown} is not an Argo CD server", hint)
    port = re.search(r":([^:\]]*)$", host)
    if port and not (re.fullmatch("[0-9]{1,5}", port[1]) and 0 < int(port[1]) < 65536):
        raise Wrong(f"{shown} does not have a valid port", hint)
    return host, root


def header(name: str, value: str) -> None:
    """A header's name and value; the value may be a secret."""
    if not _HEADER.fullmatch(name) or not re.fullmatch(r"[ -~]*", value):
        raise Wrong("name or value cannot be sent as an HTTP header")


def existing_file(folder: Path, name: str) -> Path:
    """The path of a file that is there; a relative one is below `folder`."""
    if not name.strip():
        raise Wrong("is empty", "is the variable set that it comes from?")
    try:
        path = folder / Path(name).expanduser()
        if path.is_file():
            return path
        if path.is_dir():
            raise Wrong(f"{short(str(path), 200)} is a directory", "name the file in it")
    except (OSError, RuntimeError, ValueError):  # may not be looked at; ~NAME without such a user
        path = folder / name
    raise Wrong(f"there is no file {short(str(path), 200)}")


def scalar(value: str | int | float | bool) -> str:
    """A value as librdkafka and Kafka's topic configuration write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def without_scheme(value: str) -> str:
    """A server without the scheme and a slash at its end."""
    return re.sub(r"^https?://", "", value.strip(), flags=re.IGNORECASE).rstrip("/")


def without_password(value: str) -> str:
    """An address without what stands before its @."""
    return re.sub(r"[^/\s?#,]*@", "***@", value)


def not_empty(value: str) -> str:
    """A text of at least one character."""
    if not value.strip():
        raise Wrong("is empty")
    return value
