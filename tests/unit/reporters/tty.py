"""A terminal for tests: fails at all that argorun may not send, and folds lines when it is resized."""

from __future__ import annotations

import re

_TOKEN = re.compile("\x1b\\[[0-?]*[@-~]|[^\x1b]", re.DOTALL)


class Tty:
    """Lines as they were written, unfolded; rows are counted at the current width, as VTE or kitty do."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines = [""]
        self.at = (0, 0)  # line, offset in it
        self._full = False  # the last column was just written to
        self.frames: list[list[str]] = []  # after each batch of output

    def feed(self, text: str) -> Tty:
        assert "".join(_TOKEN.findall(text)) == text, "an ESC that begins no control sequence"
        for token in _TOKEN.findall(text):
            self._take(token)
        self.frames.append(self.shown())
        return self

    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.lines]

    def _take(self, token: str) -> None:
        line, offset = self.at
        written, self._full = self._full, False
        if token == "\n":
            if line + 1 == len(self.lines):
                self.lines.append("")
            self.at = (line + 1, 0)
        elif token == "\r":
            # A terminal goes to the next row only with the character after the last column.
            self.at = (line, (offset - written) // self.columns * self.columns)
        elif token == "\x1b[J":
            self.lines[line:] = [self.lines[line][:offset]]
        elif token.startswith("\x1b["):
            self._control(token)
        else:
            assert token.isprintable() or token == "\t", repr(token)
            self.lines[line] = (
                self.lines[line][:offset].ljust(offset) + token + self.lines[line][offset + 1 :]
            )
            self.at = (line, offset + 1)
            self._full = (offset + 1) % self.columns == 0

    def _control(self, token: str) -> None:
        if token[-1] == "A":
            for _ in range(int(token[2:-1])):
                self._up()
        else:
            assert token[-1] == "m" or token in ("\x1b[?2026h", "\x1b[?2026l"), repr(token)

    def _up(self) -> None:
        line, offset = self.at
        if offset >= self.columns:
            self.at = (line, offset - self.columns)
        elif line:
            last_row = max(0, -(-len(self.lines[line - 1]) // self.columns) - 1)
            self.at = (line - 1, last_row * self.columns)
