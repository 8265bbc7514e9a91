"""Makes foreign text safe to show: it cannot control a terminal or a CI runner.

The rules:

- A tab stays, and so does every printable character.
- A complete escape sequence (CSI, OSC, DCS, a charset switch, ...) is removed: it has no text of its own.
  Only colors (SGR, `ESC [ ... m`) stay where the caller allows them, and are reset at the end of the line.
- Every other control character becomes visible as Python would write it: C0, C1, DEL, a lone ESC, the marks
  and overrides that reorder text ("Trojan Source"), line separators, lone surrogates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

RESET = "\x1b[0m"

_SEQUENCE_OR_CONTROL = re.compile(
    "(?P<sgr>\x1b\\[[0-9;:]*m)"
    "|(?P<sequence>"
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI
    "|\x1b\\][^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)"  # OSC: window title, hyperlink, clipboard
    "|\x1b[PX^_][^\x1b\x9c]*(?:\x1b\\\\|\x9c)"  # DCS, SOS, PM, APC
    "|\x1b[ -/]+[0-~]"  # a character set or the like
    "|\x1b[0-OQ-WYZ\\\\`-~]"  # two characters; not those that open one of the above
    ")"
    "|[\x00-\x08\x0a-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # reorder what is around them
    "\u2028\u2029\ud800-\udfff]"
)

# The characters that the culture-sensitive comparison in GitHub's runner ignores: controls, formats,
# variation selectors.
_IGNORABLE = (
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    "\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Characters that can move the cursor, reverse the line or hide, and are no ASCII controls.
UNSEEN = re.compile(f"{_IGNORABLE}|[\x85\u2028\u2029\ud800-\udfff]")
_GITHUB_COMMAND = re.compile(rf"(?:\s|{_IGNORABLE})*:{_IGNORABLE}*:")
_GITHUB_OLD_COMMAND = re.compile(rf"#{_IGNORABLE}*#{_IGNORABLE}*\[")


def clean(text: str, *, color: bool = False) -> str:
    """One line of foreign text, safe to print. With `color` its SGR sequences stay, reset at the end."""
    if text.isprintable():  # nearly every line, at the speed of C
        return text
    text = text.rstrip("\r\n")
    safe = _SEQUENCE_OR_CONTROL.sub(_keep_color if color else _drop_color, text)
    return safe + RESET if "\x1b" in safe else safe


def clean_lines(text: str) -> list[str]:
    """The lines of a message, without colors and without blank lines at both ends."""
    return [clean(line).rstrip() for line in text.strip().split("\n")] if text.strip() else []


def for_github(line: str) -> str:
    """The line, changed so that GitHub's runner takes it for no command.

    The runner executes `::name::` after any leading blanks, and the older `##[name]` anywhere in a line; its
    comparison ignores zero-width characters (actions/runner, src/Runner.Common/ActionCommand.cs).
    A space or a zero-width character in front would thus not help: this puts a bar before `::`, and writes
    `##[` as `## [`.
    """
    if _GITHUB_COMMAND.match(line):
        line = "| " + line
    return _GITHUB_OLD_COMMAND.sub("## [", line) if "#" in line else line


def github_guard(environment: Mapping[str, str]) -> Callable[[str], str] | None:
    """`for_github` if GitHub's runner reads the output, else None."""
    return for_github if environment.get("GITHUB_ACTIONS") == "true" else None


def _drop_color(match: re.Match[str]) -> str:
    return "" if match["sgr"] or match["sequence"] else _visible(match[0])


def _keep_color(match: re.Match[str]) -> str:
    return match["sgr"] or ("" if match["sequence"] else _visible(match[0]))


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
