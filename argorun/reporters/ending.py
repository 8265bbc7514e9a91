"""Renders the end of a run for rich: how, why, what is left, the time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from argorun.events import Verdict
from argorun.humanize import count, duration
from argorun.redact.sanitize import clean, clean_lines
from argorun.reporters import wording
from argorun.reporters.layout import NARROW, at_right, flat, padded, paragraph, width_of, wrapped
from argorun.reporters.log_lines import last
from argorun.reporters.render import Glyphs
from argorun.reporters.summary import Summary
from argorun.reporters.time_spent import segments

LONGEST_BAR = 60  # cells
_FEWEST_LINES = 5  # of the log, however small the screen
_ENOUGH = 5  # last lines of the log that are still on the screen: then none is repeated


def end(
    run: Summary, glyphs: Glyphs, size: tuple[int, int], visible: int, said: Collection[str] = ()
) -> Iterator[Text]:
    """The lines at the end; `visible` is how many of the log's last lines are still on the screen.

    So are Argo CD's messages in `said`. No line is to be wrapped: what may be is wrapped already, and the
    rest is to be copied.
    """
    columns, rows = size
    width = width_of(columns)
    yield Text()
    head = list(_headline(run, glyphs, width))
    yield from head
    blocks = [*_why(run, width, said), *_left(run, width)] if run.exit_code else []
    tail = [*_next(run, width), *_kept(run, width)]
    time = list(_time(run, glyphs, width)) if run.followed else []
    log = run.verdict.last_lines if run.verdict and not run.canceled else ()
    room = rows - len(head) - len(blocks) - len(tail) - len(time) - 6
    repeated = [] if visible >= min(_ENOUGH, len(log)) else log[-max(_FEWEST_LINES, room) :]
    if repeated and run.verdict:
        blocks += _log(run.verdict, repeated, len(log) - len(repeated), width)
    if blocks or tail:
        yield Text()
    yield from blocks
    yield from tail
    yield from time


def _headline(run: Summary, glyphs: Glyphs, width: int) -> Iterator[Text]:
    """` PASSED   run-tests · log complete (9 lines)      14.8s`, and what is left below it."""
    color = {"PASSED": "green", "OK": "green", "FAILED": "red"}.get(run.outcome, "yellow")
    label = {"OK": " OK: ", "CANCELED": " CANCELED "}.get(run.outcome, f" {run.outcome}   ")
    code = f"argorun exit {run.exit_code}" if run.exit_code else ""
    took = glyphs.dot.join(filter(None, (code, duration(run.ended.seconds) if run.ended else "")))
    indent = len(label) if width >= NARROW and len(label) < 20 else 2
    text = headline(run, glyphs)
    lines = wrapped(text, max(1, width - len(label) - 2)) if indent > 2 else wrapped(text, width - indent)
    if indent == 2:
        head = Text(label.rstrip(), f"bold {color}")
        fits = head.cell_len + 2 + len(took) <= width
        yield at_right(head, took if fits else "", width)
        if not fits:
            yield Text(f"  {took}", "dim")
    for index, line in enumerate(lines):
        first = index == 0 and indent > 2
        shown = Text.assemble((label, f"bold {color}"), line) if first else Text(" " * indent + line)
        if first and shown.cell_len + 2 + len(took) <= width:
            shown = at_right(shown, took, width)
            took = ""
        yield shown
    if took and indent > 2:
        yield Text(" " * indent + took, "dim")
    for text in wording.remains(run):
        yield from paragraph(text, width, indent=indent)


def headline(run: Summary, glyphs: Glyphs) -> str:
    """What stands beside the outcome."""
    if run.canceled:
        return wording.canceled_by(run)
    if run.verdict is None:
        if run.exit_code == 0:
            return "ready to run. Nothing was changed."
        return "no verdict" if run.touched else "nothing was changed"
    return glyphs.dot.join(wording.passed(run)) if run.verdict.ok else flat(run.verdict.title)


def _why(run: Summary, width: int, said: Collection[str]) -> Iterator[Text]:
    """The reason and what the cluster shows, but for what was said above."""
    verdict = run.verdict
    if verdict is None or verdict.ok or run.canceled:
        return
    lines = [*clean_lines(verdict.reason), *clean_lines("\n".join(verdict.evidence))]
    yield from _section("why", [line for line in lines if line not in said], width)


def _log(verdict: Verdict, lines: Sequence[str], more: int, width: int) -> Iterator[Text]:
    """The log's last lines, which may be longer than the screen is wide."""
    about = [flat(verdict.log_of)] if verdict.log_of else []
    about += [f"({count(more, 'line')} more above)"] if more else []
    shown = [Text.from_ansi(clean(line, color=True), no_wrap=True) for line in last(lines)]
    if about or width < NARROW:
        yield from _section("log", [", ".join(about)] if about else [""], width)
    indent = " " * (11 if width >= NARROW else 2)
    for index, line in enumerate(shown):
        label = _label("log") if not about and index == 0 and width >= NARROW else Text(indent)
        yield label.append_text(line)


def _next(run: Summary, width: int) -> Iterator[Text]:
    """What to do, and where to look; no page of a server that could not be reached or asked."""
    verdict = run.verdict
    if verdict is None or verdict.ok or run.canceled:
        return
    yield from _section("next", clean_lines(verdict.hint), width)
    if verdict.url and run.touched:
        yield from _to_copy("link", [flat(verdict.url)], width)


def _left(run: Summary, width: int) -> Iterator[Text]:
    """What could not be undone, each with the command that does it."""
    for left in run.left:
        yield from _section("left", [flat(": ".join(filter(None, (left.what, left.why))))], width, "yellow")
        yield from _to_copy("run", clean_lines(left.command), width)


def _kept(run: Summary, width: int) -> Iterator[Text]:
    """The topics that stay, and the commands that delete them."""
    for kept in run.kept:
        yield from _to_copy("kept", [f"topic {flat(kept.topic)}"], width)
        yield from _to_copy("delete", clean_lines(kept.command), width)


def _time(run: Summary, glyphs: Glyphs, width: int) -> Iterator[Text]:
    """A bar that shows where the time went, and its legend."""
    indent = 11 if width >= NARROW else 2
    room = max(1, min(LONGEST_BAR, width - indent))
    parts = segments(run.spent.parts, room, glyphs.parts)
    if not parts:
        return
    yield Text()
    bar = Text(" " * indent) if width < NARROW else _label("time")
    for part in parts:
        bar.append(part.glyph * part.cells, part.color)
    yield bar
    line = Text(" " * indent)
    for number, part in enumerate(parts):
        entry = Text.assemble((part.glyph, part.color), f" {part.legend}")
        if line.cell_len > indent and line.cell_len + 3 + entry.cell_len > width:
            yield line
            line = Text(" " * indent)
        line.append_text(Text("   " if number and line.cell_len > indent else "").append_text(entry))
    yield line


def _section(label: str, lines: Sequence[str], width: int, style: str = "") -> Iterator[Text]:
    """`   why     text`, wrapped at words; on a narrow screen the text goes below the label.

    Lines to copy stay whole.
    """
    if not lines:
        return
    indent = 11 if width >= NARROW else 2
    if width < NARROW:
        yield Text(label, "bold")
    for index, line in enumerate(lines):
        room = cell_len(line) + indent if wording.is_pasted(line) else width
        for number, text in enumerate(paragraph(line, room, style, indent=indent)):
            if index == number == 0 and width >= NARROW:
                yield _label(label).append(text.plain[indent:], style)
            else:
                yield text


def _to_copy(label: str, lines: Sequence[str], width: int) -> Iterator[Text]:
    """The same for what is copied: the terminal folds it, so that a copy of it is whole."""
    for index, line in enumerate(lines):
        if width >= NARROW:
            yield (_label(label) if index == 0 else Text(" " * 11)).append(line)
            continue
        if index == 0:
            yield Text(label, "bold")
        yield Text(f"  {line}")


def _label(label: str) -> Text:
    return Text.assemble("   ", (padded(label, 8), "bold"))
