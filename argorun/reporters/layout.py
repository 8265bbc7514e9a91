"""Lays out rows and paragraphs for a terminal's width; nothing to copy is cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from argorun.redact.sanitize import clean

WIDEST = 100  # columns: longer lines are hard to read
WIDE = 90  # columns from which labels have the room of the widest screens
NARROW = 60  # columns below which what does not fit beside a label goes below it
_MORE = " …"
Styled = tuple[str, str]  # a text and its style


def flat(text: str) -> str:
    """Any foreign text in one line."""
    return " ".join(clean(text.replace("\n", " ").replace("\t", " ")).split())


def width_of(columns: int) -> int:
    """The columns that are written to; the last one is left free, for some terminals wrap after it."""
    return max(1, min(columns - 1, WIDEST))


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most so many cells, broken between words; a longer word stays whole."""
    lines, line = list[str](), ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def hanging(text: str, width: int) -> list[Text]:
    """The text wrapped at words; from the second line on it is indented."""
    first, *rest = wrapped(text, max(1, width)) or [""]
    return [Text(first), *paragraph(" ".join(rest), width, indent=2)] if rest else [Text(first)]


def paragraph(text: str, width: int, style: str = "", *, indent: int = 0, first: str = "") -> list[Text]:
    """The text wrapped at words; `first` stands in place of the first line's indent."""
    lines = wrapped(text, max(1, width - indent)) or [""]
    starts = [first or " " * indent, *[" " * indent] * (len(lines) - 1)]
    return [Text(start + line, style) for start, line in zip(starts, lines, strict=True)]


def row(sign: Styled, label: str, parts: Sequence[Styled], time: str, width: int) -> list[Text]:
    """`✓ label   part   part      time`; parts that do not fit go below, wrapped at words."""
    head = Text.assemble(sign, f" {label:<{_label_width(width)}}")
    room = width - head.cell_len - len(time) - 2 * bool(time)
    shown = [(text, style) for text, style in parts if text]
    if cell_len("   ".join(text for text, _ in shown)) <= room:
        line = head.append_text(_joined(shown))
        return [at_right(line, time, width)]
    pieces = [(piece, style) for text, style in shown for piece in wrapped(text, max(1, room))]
    if width >= NARROW and all(cell_len(text) <= room for text, _ in pieces):
        indent = " " * head.cell_len
        first = at_right(head.append(*pieces[0]), time, width)
        return [first, *(Text.assemble(indent, piece) for piece in pieces[1:])]
    below = [Text.assemble("  ", (line, style)) for text, style in shown for line in wrapped(text, width - 2)]
    return [at_right(Text.assemble(sign, f" {label}"), time, width), *below]


def live_row(
    sign: Styled, label: str, parts: Sequence[Styled], time: str, width: int, most: int = 1
) -> list[Text]:
    """The same in at most so many lines; of a text that takes more, the last words are left out."""
    lines = row(sign, label, parts, time, width)
    if len(lines) > most == 1:
        return [_one_line(sign, label, parts, time, width)]
    return ended(lines, most, width)


def ended(lines: Sequence[Text], most: int, width: int) -> list[Text]:
    """The first lines; where there are more, the last one of them ends with an ellipsis."""
    if len(lines) <= most:
        return [*lines]
    last = lines[most - 1].copy()
    last.truncate(max(1, width - len(_MORE)))
    return [*lines[: most - 1], last.append(_MORE)]


def _one_line(sign: Styled, label: str, parts: Sequence[Styled], time: str, width: int) -> Text:
    head = Text.assemble(sign, f" {label}  ")
    shown = _joined([(text, style) for text, style in parts if text])
    room = width - head.cell_len - len(time) - 2
    if room > 0:
        shown.truncate(room, overflow="ellipsis")
        head.append_text(shown)
    return head if width < head.cell_len + len(time) else at_right(head, time, width)


def padded(text: str, width: int) -> str:
    """The text in exactly so many cells, or longer where it is longer."""
    return text if cell_len(text) >= width else set_cell_size(text, width)


def _label_width(width: int) -> int:
    return 20 if width >= WIDE - 1 else 16


def _joined(parts: Sequence[Styled]) -> Text:
    return Text("   ").join(Text(text, style) for text, style in parts)


def at_right(line: Text, text: str, width: int) -> Text:
    """The line with a text, its time mostly, at its right edge."""
    line.rstrip()
    gap = max(1, width - line.cell_len - cell_len(text))
    return line.append(" " * gap + text, "dim") if text else line
