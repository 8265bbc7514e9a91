"""Everything a configuration is made from, with a record of where each value was given."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from argorun.config.file import Written
from argorun.config.model import CliSettings
from argorun.config.problems import Problems
from argorun.config.words import place_of
from argorun.redact.secrets import is_secret_property

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_GITHUB = re.compile(r"\$\{\{\s*\w+\.(\w+)\s*\}\}")
_SHELL = re.compile(r"\$\{(\w+):?[-=?+]")

Mask = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Lack:
    """Something that is given nowhere: its name, the ways to give it, and the message if it is all."""

    key: str  # argocd, token, kafka, application or topics
    name: str
    ways: str
    message: str


@dataclasses.dataclass
class Inputs:
    """Flags, environment, file and the argocd CLI's settings, while they become a configuration.

    What is wrong is collected in `problems`, what is given nowhere in `lacks`, and where each value was given
    in `sources`, by its key in argorun.yaml.
    """

    written: Written
    environment: Mapping[str, str]
    cli: CliSettings
    folder: Path  # of the files that flags name
    problems: Problems
    mask: Mask
    lacks: list[Lack] = dataclasses.field(default_factory=list)
    sources: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mask((self.environment.get("ARGOCD_AUTH_TOKEN") or "").strip())

    def first(self, key: str, *given: tuple[str, str | None]) -> str | None:
        """The first value that is given, each with its source; the source is remembered."""
        for source, value in given:
            if value:
                self.sources[key] = source
                return value
        return None

    def line(self, *path: str | int) -> str:
        """The source of what the file says: `weather.yaml:4`, or an empty string."""
        at = self.written.at(*path)
        return f"{self.written.name}:{at[0]}" if at != (0, 0) else ""

    def note_lines(self, *prefix: str) -> None:
        """Remember the lines of the file's keys directly below this one."""
        for path in self.written.lines:
            if path[:-1] == prefix and isinstance(path[-1], str):
                self.sources[".".join(map(str, path))] = self.line(*path)

    def wrong(self, key: tuple[str | int, ...], text: str, hint: str = "") -> None:
        """A problem of a value in the file; the text follows the key."""
        self.problems.written(self.written.name, self.written.at(*key), f"{place_of(key)}{text}", hint)

    def expand(self, key: tuple[str, ...], value: str) -> str | None:
        """The value with each ${NAME} replaced; None if that is not possible. The variables are secrets."""
        before = len(self.problems)

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.environment:
                self.wrong(
                    key,
                    f" uses ${{{name}}}, but {name} is not set in the environment",
                    f"export {name}, or in GitHub Actions set it under env:",
                )
            self.mask(self.environment.get(name, ""))
            return self.environment.get(name, "")

        if found := _GITHUB.search(value):
            name = found[1]
            self.wrong(
                key,
                " uses ${{ … }}, which GitHub replaces in workflows only",
                f"write ${{{name}}}, and set {name} under env: in the workflow",
            )
        elif found := _SHELL.search(value):
            self.wrong(
                key, f" uses a default for ${{{found[1]}}}, which only a shell has", f"write ${{{found[1]}}}"
            )
        expanded = _VARIABLE.sub(replace, value)
        names = _VARIABLE.findall(value)
        secret = is_secret_property(key[-1]) or key[:2] == ("argocd", "headers")
        if secret and names and not expanded and all(n in self.environment for n in names):
            self.wrong(
                key,
                f" uses ${{{names[0]}}}, and {names[0]} is empty",
                "in GitHub Actions: the secret is not there, or the run may not see it",
            )
        return expanded if len(self.problems) == before else None
