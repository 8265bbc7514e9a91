"""Asks a person at a terminal, in plain lines."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from argorun.config.problems import Wrong
from argorun.redact.sanitize import clean
from argorun.reporters.streams import is_terminal, usable


class Prompts:
    """Writes to stderr and reads stdin. `redact` masks the secrets that are known by then."""

    def __init__(
        self,
        stdin: TextIO | None,
        stderr: TextIO,
        redact: Callable[[str], str],
        *,
        can_ask: bool,
        live: bool = False,
    ) -> None:
        self._in, self._err, self._redact = stdin, stderr, redact
        self._can_ask, self._live = can_ask, live
        self._waiting = False  # a line stands there that says for what
        self._empty = True  # the last line that was written

    @property
    def can_ask(self) -> bool:
        return self._can_ask

    def say(self, *lines: str) -> None:
        self._write("")
        for line in (part for text in lines for part in text.split("\n")):
            if line or not self._empty:  # never two empty lines, nor one at the top
                self._write(self._safe(line) + "\n")
            self._empty = not line
        self._err.flush()

    def wait_for(self, text: str) -> None:
        if self._live:
            self._write(self._safe(f"{text} …")[: shutil.get_terminal_size().columns - 1])
            self._err.flush()
            self._waiting = True

    def ask(self, question: str, default: str, check: Callable[[str], object]) -> str:
        while True:
            answer = self._read(question, default) or default
            if self._is_right(answer, check):
                return answer

    def choose(
        self,
        question: str,
        options: Sequence[str],
        default: Sequence[int],
        check: Callable[[str], object],
        *,
        several: bool = False,
    ) -> list[int | str]:
        width = len(str(len(options)))
        self.say(*(f"  {i:>{width}}  {option}" for i, option in enumerate(options, 1)))
        while True:
            typed = self._read(question, ",".join(str(i + 1) for i in default))
            parts = [p.strip() for p in typed.split(",")] if several else [typed]
            answers = [self._meant(part, options) for part in parts if part]
            if not typed and default:
                return list(default)
            if not answers or any(isinstance(a, str) and a.isdecimal() for a in answers):
                self._say_again(f"give a number from 1 to {len(options)}, or a name")
            elif all(isinstance(a, int) or self._is_right(a, check) for a in answers):
                return list(dict.fromkeys(answers))

    def confirm(self, question: str) -> bool:
        while True:
            answer = self._read(question, "Y/n").lower()
            if answer in ("", "y", "yes"):
                return True
            if answer in ("n", "no"):
                return False

    def _meant(self, typed: str, options: Sequence[str]) -> int | str:
        """The index of a number, or the text that was typed."""
        number = int(typed) if re.fullmatch("[0-9]{1,4}", typed) else 0
        return number - 1 if 1 <= number <= len(options) else typed

    def _is_right(self, answer: str, check: Callable[[str], object]) -> bool:
        try:
            check(answer)
        except Wrong as e:
            self._say_again(f"{e.text}; {e.hint}" if e.hint else e.text)
            return False
        return True

    def _say_again(self, text: str) -> None:
        self.say(f"  ✗ {text}")

    def _read(self, question: str, default: str) -> str:
        """What was typed, asked for until it is text. Raises KeyboardInterrupt at its end (Ctrl-D)."""
        while not (line := self._line(question, default)).isprintable():
            self._say_again("this is not UTF-8 text, or it has a control character: type it again")
        return line

    def _line(self, question: str, default: str) -> str:
        shown = f" [{default}]" if default else ""
        self._write(self._safe(f"{question}{shown}: "))
        self._err.flush()
        self._empty = False
        line = self._in.readline() if self._in is not None else ""
        if not line:
            self.say("")
            raise KeyboardInterrupt
        return line.strip()

    def _write(self, text: str) -> None:
        """Write in the place of the line that says what is waited for."""
        self._err.write(f"\r\x1b[K{text}" if self._waiting else text)  # erase it
        self._waiting = False

    def _safe(self, text: str) -> str:
        return clean(self._redact(text))


def prompts(environment: Mapping[str, str], *, yes: bool) -> Prompts:
    """Those of this process. Nobody is asked with --yes, in CI, or where stdin or stderr is no terminal."""
    from argorun.reporters.stderr import redactor, unmasked

    stderr = usable(unmasked(sys.stderr))
    at_terminal = sys.stdin is not None and is_terminal(sys.stdin) and is_terminal(stderr)
    can_ask = at_terminal and not yes and not environment.get("CI")
    if can_ask and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # bytes that are no text are asked for again
    live = is_terminal(stderr) and environment.get("TERM") != "dumb"
    return Prompts(sys.stdin, stderr, redactor().text, can_ask=can_ask, live=live)
