"""Collects everything that is wrong with a configuration, to report it all at once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from argorun.errors import UsageError

WIDTH = 100  # characters; a hint that fits stands in the problem's own line
MOST = 25  # problems that are shown
LONGEST = 60  # characters of a quoted value


class Wrong(Exception):
    """A value is wrong: why, in words that follow its key, and what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.text, self.hint = text, hint


class Problem(NamedTuple):
    """One mistake, with its place (`--timeout: …`, `weather.yaml:4: …`), and what to do about it."""

    text: str
    hint: str = ""


class ConfigurationError(UsageError):
    """All mistakes that were found; the message has each of them."""

    def __init__(self, problems: list[Problem], where: str) -> None:
        first = problems[0]
        if len(problems) == 1:
            super().__init__(first.text, first.hint)
        else:
            shown = [_lines(p) for p in problems[:MOST]]
            rest = len(problems) - MOST
            super().__init__(
                f"{len(problems)} problems {where}",
                "\n".join([*shown, *([f"… and {rest} more"] if rest > 0 else [])]),
            )
        self.problems = tuple(problems)


class Problems:
    """The mistakes found so far: those of the command line, then the environment's, then the file's."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, int, Problem], None] = {}
        self._file = ""

    def __len__(self) -> int:
        return len(self._found)

    def typed(self, text: str, hint: str = "") -> None:
        """Something on the command line."""
        self._add(0, 0, 0, Problem(text, hint))

    def variable(self, text: str, hint: str = "") -> None:
        """Something in the environment or in the argocd CLI's settings."""
        self._add(1, 0, 0, Problem(text, hint))

    def written(
        self, file: str, at: tuple[int, int], text: str, hint: str = "", *, column: bool = False
    ) -> None:
        """Something in the file: its line and column, counted from 1; (0, 0) is the file as a whole."""
        self._file = file
        place = file if at == (0, 0) else f"{file}:{at[0]}:{at[1]}" if column else f"{file}:{at[0]}"
        self._add(2, *at, Problem(f"{place}: {text}", hint))

    @contextlib.contextmanager
    def of(self, flag: str) -> Iterator[None]:
        """Whatever is found wrong in the block is about this flag."""
        try:
            yield
        except Wrong as e:
            self.typed(f"{flag}: {e.text}", e.hint)

    def raise_any(self) -> None:
        """Raise ConfigurationError if anything is wrong."""
        if not self._found:
            return
        ordered = sorted(self._found, key=lambda entry: entry[:3])  # stable: else as they were found
        groups = {entry[0] for entry in ordered}
        where = {0: "on the command line", 1: "in the environment", 2: f"in {self._file}"}[min(groups)]
        raise ConfigurationError(
            [entry[3] for entry in ordered], where if len(groups) == 1 else "in the configuration"
        )

    def _add(self, group: int, line: int, column: int, problem: Problem) -> None:
        self._found.setdefault((group, line, column, problem))


def quoted(value: object) -> str:
    """A value in quotes, on one line; a long one is cut."""
    return f"'{short(str(value))}'"


def short(text: str, longest: int = LONGEST) -> str:
    """The text on one line; a long one is cut."""
    text = re.sub(r"\s+", " ", text)  # a blank at an end may be the mistake
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _lines(problem: Problem) -> str:
    if not problem.hint:
        return problem.text
    one = f"{problem.text}; {problem.hint}"
    return one if len(one) + 2 <= WIDTH else f"{problem.text}\n  {problem.hint}"
