"""Draws the checklist of `argorun doctor`, or writes it as one JSON document."""

from __future__ import annotations

import dataclasses
import enum
import json
import shutil
import textwrap
from collections.abc import Callable
from typing import Protocol, TextIO

from argorun.humanize import count
from argorun.redact.sanitize import clean, github_guard
from argorun.reporters.streams import LineStream, StandardStreams, is_terminal
from argorun.reporters.wording import is_pasted

LABEL = 15  # columns of a check's name
WIDEST = 110
NARROW = 60  # columns below which the text stands below the name


class Status(enum.StrEnum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNDECIDED = "undecided"  # made, and it saw too little
    SKIPPED = "skipped"  # not made


@dataclasses.dataclass(frozen=True)
class Row:
    """A check and what came of it; `exit_code` is that of a run which fails so."""

    name: str
    status: Status
    text: str
    asks: str = ""
    warnings: tuple[str, ...] = ()
    hint: str = ""
    exit_code: int = 0

    @property
    def id(self) -> str:
        """The name for programs: `sync_windows`."""
        return self.name.lower().replace(" ", "_").replace("-", "_")


class Checklist(Protocol):
    """Where the rows go. `redact` masks the secrets that are known by then."""

    redact: Callable[[str], str]

    def begin(self, name: str) -> None:
        """A check begins, which may take a while."""

    def wait(self, text: str) -> None:
        """The check that has begun waits, and for what."""

    def show(self, row: Row) -> None:
        """What came of it."""

    def end(self, exit_code: int, why: str = "") -> None:
        """All checks are made, or something ended them."""


_SIGNS = {
    Status.OK: ("✓", "ok", "\x1b[32m"),
    Status.WARNING: ("!", "!", "\x1b[33m"),
    Status.FAILED: ("✗", "x", "\x1b[31m"),
    Status.UNDECIDED: ("-", "-", "\x1b[2m"),
    Status.SKIPPED: ("-", "-", "\x1b[2m"),
}


class Drawn:
    """The checklist for people: a line each, what to do below it."""

    def __init__(self, streams: StandardStreams, redact: Callable[[str], str], title: str) -> None:
        self.redact, self._out = redact, streams.stdout
        guard = github_guard(streams.environment)
        self._lines = LineStream(self._out, guard=guard)  # whose reader may have seen enough
        terminal = is_terminal(self._out) and not streams.is_dumb
        self._live, self._color = terminal, terminal and not streams.no_color
        self._unicode = _takes(self._out, "✓✗")
        self._sign_width = 1 if self._unicode else 2  # columns
        self._width = min(WIDEST, shutil.get_terminal_size().columns - 1) if terminal else WIDEST
        self._rows: list[Row] = []
        self._begun = ""  # the check that is being made
        self._skipped: dict[str, list[str]] = {}
        self._write(title, "")

    def begin(self, name: str) -> None:
        self._begun = name
        self._progress(f"{name} …")

    def wait(self, text: str) -> None:
        said = clean(self.redact(text))
        if self._live:
            self._progress(f"{self._begun} … {said}")
        else:
            self._write(f"{'':<{self._sign_width}} {self._begun:<{LABEL}} {said}")

    def _progress(self, text: str) -> None:
        """Write a line that the next one takes the place of; where the cursor stays nothing is wrapped."""
        if self._live:
            self._lines.raw("\r\x1b[K" + f"  {text}"[: self._width])

    def show(self, row: Row) -> None:
        self._rows.append(row)
        if row.status is Status.SKIPPED:
            self._skipped.setdefault(row.text, []).append(row.name)
            return
        self._show_skipped()
        self._show(row)

    def _show_skipped(self) -> None:
        """Those that were skipped since the last row, by their reason: it is not told again and again."""
        skipped, self._skipped = self._skipped, {}
        for why, names in skipped.items():
            if len(names) == 1:
                self._show(Row(names[0], Status.SKIPPED, f"not checked: {why}"))
            else:
                self._show(
                    Row(f"{len(names)} more", Status.SKIPPED, f"not checked ({why}): {', '.join(names)}")
                )

    def _show(self, row: Row) -> None:
        below = self._live and self._width < NARROW
        indent = "  " if below else " " * (self._sign_width + LABEL + 2)
        texts = [row.text, *row.warnings] if row.text else [*row.warnings]
        lines = [line for text in texts for line in self._wrapped(text, indent)]
        beside = "" if below or not lines else lines.pop(0).lstrip()
        self._write(
            f"{self._sign(row.status)} {row.name:<{LABEL}} {beside}".rstrip(),
            *lines,
            *(at for h in row.hint.splitlines() for at in self._wrapped(h, indent + "  ")),
        )

    def end(self, exit_code: int, why: str = "") -> None:
        self._show_skipped()
        failed, warned, skipped = (
            sum(r.status is s for r in self._rows) for s in (Status.FAILED, Status.WARNING, Status.SKIPPED)
        )
        if why:
            text = f"{why}: {count(len(self._rows), 'check')} made"
        elif failed:
            text = f"no run could begin: {count(failed, 'check')} failed"
            text += f", {skipped} not made" if skipped else ""
        else:
            text = "ready to run" + (f", with {count(warned, 'warning')}" if warned else "")
        status = Status.FAILED if exit_code else Status.OK
        code = f" (exit code {exit_code})" if exit_code else ". Nothing was changed."
        self._write("", f"{self._sign(status)} {text}{code}")

    def _sign(self, status: Status) -> str:
        sign, plain, color = _SIGNS[status]
        shown = f"{sign if self._unicode else plain:<{self._sign_width}}"
        return f"{color}{shown}\x1b[0m" if self._color else shown

    def _wrapped(self, text: str, indent: str) -> list[str]:
        found = []
        for line in self.redact(text).splitlines() or [""]:
            whole = indent + clean(line)
            if is_pasted(line) or len(whole) <= self._width or not self._live:
                found.append(whole)
            else:
                width = max(self._width, len(indent) + 1)
                found += textwrap.wrap(
                    clean(line),
                    width,
                    initial_indent=indent,
                    subsequent_indent=indent,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
        return found

    def _write(self, *lines: str) -> None:
        start = "\r\x1b[K" if self._live else ""
        self._lines.raw("".join(f"{start}{line}\n" for line in lines))


class Document:
    """The checklist for programs: one JSON object at the end."""

    def __init__(self, out: TextIO, redact: Callable[[str], str], version: str) -> None:
        self.redact, self._lines, self._version = redact, LineStream(out), version
        self._rows: list[Row] = []

    def begin(self, name: str) -> None: ...

    def wait(self, text: str) -> None: ...

    def show(self, row: Row) -> None:
        self._rows.append(row)

    def end(self, exit_code: int, why: str = "") -> None:
        checks = [
            {
                "id": row.id,
                "name": row.name,
                "asks": row.asks,
                "status": row.status.value,
                "text": self.redact(row.text),
                "warnings": [self.redact(w) for w in row.warnings],
                "hint": self.redact(row.hint),
                "exit_code": row.exit_code,
            }
            for row in self._rows
        ]
        document = {
            "schema": 1,
            "version": self._version,
            "ok": exit_code == 0,
            "exit_code": exit_code,
            "ended_by": why,
            "checks": checks,
        }
        # In ASCII no text of a server drives a terminal; and GitHub's runner obeys "##[command]" anywhere.
        text = json.dumps(document, indent=2).replace("\x7f", "\\u007f").replace("##[", "##\\u005b")
        self._lines.raw(f"{text}\n")


def _takes(stream: TextIO, text: str) -> bool:
    """Whether the stream's encoding has these characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
