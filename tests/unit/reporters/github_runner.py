"""How GitHub's runner finds commands in what a step prints: its parser again, for tests.

Source: actions/runner, src/Runner.Common/ActionCommand.cs (TryParseV2 before TryParse), a line at a time
as .NET's ReadLine gives them. .NET compares strings by culture: characters without weight count for nothing.
"""

from __future__ import annotations

import re
import unicodedata

# The commands that the runner knows; any other is text.
NAMES = {
    "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice",
    "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
}  # fmt: skip
WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def commands(written: str, names: set[str] = NAMES) -> list[str]:
    """The names of the commands that the runner would obey."""
    found = [new(line) or old(line) for line in re.split(r"\r\n|\r|\n", written)]
    return [name for name in found if name is not None and name in names]


def new(line: str) -> str | None:
    """`::name key=value::data`, after blanks."""
    line = weighed(line.lstrip(WHITE))
    if not line.startswith("::"):
        return None
    info, separator, _ = line[2:].partition("::")
    return info.partition(" ")[0] if separator else None


INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
    + "".join(map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)


def old(line: str) -> str | None:
    """`##[name key=value;]data`, anywhere."""
    _, prefix, rest = weighed(line).partition("##[")
    info, separator, _ = rest.partition("]")
    return info.partition(" ")[0] if prefix and separator else None


def weighed(line: str) -> str:
    """Without the characters that have no weight: controls but white space, formats, variation selectors."""
    return "".join(c for c in line if not weightless(c))


def weightless(character: str) -> bool:
    if character in WHITE:
        return False
    return unicodedata.category(character) in ("Cc", "Cf") or character in INVISIBLE
