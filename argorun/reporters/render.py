"""Draws a run for rich: pure functions from what is known of it to things that can be printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from argorun.events import HookChanged, HookStatus, Step, StepEnded, Verdict
from argorun.humanize import duration
from argorun.redact.sanitize import clean, clean_lines
from argorun.reporters.log_lines import last
from argorun.reporters.summary import Tally
from argorun.reporters.wording import DONE, hook_name

WIDEST_PANEL = 100
NARROW = 50  # below it, a hook's phase and status give way to its name
_ROOM_FOR_DETAIL = 30
_HOOK_ROWS = 6
_ROWS_AROUND = 12  # of the summary, beside its hooks, the evidence and the log
_FEWEST_LINES = 5  # of the log, however small the screen


class Glyphs(NamedTuple):
    """The few signs that are drawn."""

    good: str
    bad: str
    idle: str
    spinner: str
    dot: str


UNICODE = Glyphs("✓", "✗", "·", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", " · ")
ASCII = Glyphs("+", "x", ".", "|/-\\", ", ")


def flat(text: str) -> str:
    """Foreign text of any shape in one line."""
    return " ".join(clean(text.replace("\n", " ").replace("\t", " ")).split())


def step(event: StepEnded, glyphs: Glyphs, narrow: bool) -> Text:
    sign = _sign(event, glyphs)
    return _row(sign, event.step, duration(event.seconds), flat(event.detail), narrow)


def hook(event: HookChanged, glyphs: Glyphs, now: float, narrow: bool) -> Text:
    glyph, style = {
        HookStatus.SUCCEEDED: (glyphs.good, "green"),
        HookStatus.FAILED: (glyphs.bad, "red"),
        HookStatus.RUNNING: (_spin(glyphs, now), "cyan"),
        HookStatus.WAITING: (glyphs.idle, "dim"),
    }[event.status]
    seconds = event.seconds
    if event.status is HookStatus.RUNNING:
        seconds += max(0.0, now - event.time)
    time = "" if event.status is HookStatus.WAITING else duration(seconds)
    name = hook_name(event)
    if narrow:
        return Text.assemble((glyph, style), f" {time:>6} ", name)
    text = Text.assemble((glyph, style), f" {clean(event.hook):<9}", (f"{event.status:<9}", style))
    return text.append(f"{time:>7}", "dim").append(f"  {name}")


def region(tally: Tally, operation: str, glyphs: Glyphs, now: float, size: tuple[int, int]) -> list[Text]:
    """The lines that change in place: an empty one, the current steps, the hooks, the time."""
    columns, rows = size
    narrow = columns < NARROW
    lines = [Text()] if rows >= 12 else []
    for number, started in list(tally.open_steps.items())[-2:]:
        waiting = tally.waiting.get(number)
        what = (
            f"waiting: {waiting.reason}"
            if waiting
            else started.detail or (operation if number is Step.FOLLOW else "")
        )
        time = duration(now - started.time)
        what = flat(what) if columns >= _ROOM_FOR_DETAIL else ""
        lines.append(_row((_spin(glyphs, now), "cyan"), started.step, time, what, narrow))
    if not tally.verdict:  # later, what is cleaned up matters
        lines += (hook(event, glyphs, now, narrow) for event in _notable(tally, min(_HOOK_ROWS, rows - 4)))
    if tally.started and rows > 3:
        application = f"{flat(tally.started.application)}{glyphs.dot}run {flat(tally.started.run_id)}"
        lines.append(Text(f"  {duration(now - tally.started.time)}{glyphs.dot}{application}", "dim"))
    return lines


def summary(
    tally: Tally, glyphs: Glyphs, now: float, size: tuple[int, int]
) -> Iterator[tuple[RenderableType, bool]]:
    """What stays at the end; with each part, whether it may be wrapped (what will be copied may not)."""
    columns, rows = size
    narrow = columns < NARROW
    yield Text(), True
    if tally.ended_steps:
        steps = [
            Text.assemble(_sign(event, glyphs), f" {event.step} ", (duration(event.seconds), "dim"))
            for event in tally.ended_steps.values()
        ]
        yield Columns(steps, padding=(0, 3)), True
    for event in tally.hooks.values():
        yield hook(event, glyphs, now, narrow), True
    yield _verdict(tally, glyphs, columns, rows), True
    if tally.exit_code == 0:
        return
    if tally.verdict and tally.verdict.url:
        yield Text.assemble(("look  ", "bold"), flat(tally.verdict.url)), False
    for left in tally.left:
        yield Text.assemble(("left  ", "bold yellow"), flat(f"{left.what}: {left.why}")), False
        for line in clean_lines(left.command):
            yield Text.assemble(("run   ", "bold"), line), False


def _verdict(tally: Tally, glyphs: Glyphs, columns: int, rows: int) -> RenderableType:
    good = tally.exit_code == 0
    colour = "green" if good else "red" if tally.outcome == "FAILED" else "yellow"
    took = duration(tally.ended.seconds) if tally.ended else ""
    code = "" if good else f"exit {tally.exit_code}"
    title = Text(tally.outcome, f"bold {colour}")
    footer = Text(glyphs.dot.join(filter(None, (code, took))), "dim")
    around = _ROWS_AROUND + len(tally.hooks)
    body = Group(*_reasons(tally.verdict, rows - around)) if tally.verdict else Text("nothing was run", "dim")
    if columns < 40:  # a border would take what little there is
        return Group(Text(), title, body, footer)
    return Panel(
        body,
        title=title,
        title_align="left",
        subtitle=footer,
        subtitle_align="right",
        border_style=colour,
        box=box.ROUNDED if glyphs is UNICODE else box.ASCII,
        width=min(columns, WIDEST_PANEL),
        padding=(0, 1),
    )


def _reasons(verdict: Verdict, rows: int) -> Iterator[RenderableType]:
    """Why, what shows it, the last lines of the log as far as the screen has `rows` for all, what to do."""
    yield Text(flat(verdict.title), "bold")
    if verdict.ok:
        return
    yield from map(Text, clean_lines(verdict.reason))
    if verdict.evidence:
        yield Text()
        yield from (Text(line) for line in clean_lines("\n".join(verdict.evidence)))
    if verdict.last_lines:
        yield Text()
        room = max(_FEWEST_LINES, rows - 2 * len(verdict.evidence))
        if verdict.log_of:
            yield Text(flat(f"log of {verdict.log_of}"), "dim")
        for line in last(verdict.last_lines[-room:]):
            yield Padding(Text.from_ansi(clean(line, colour=True), no_wrap=False), (0, 0, 0, 2))
    if verdict.hint:
        yield Text()
        yield from (Text(line, "italic") for line in clean_lines(verdict.hint))


def _notable(tally: Tally, room: int) -> list[HookChanged]:
    """As many hooks as there is room for, in their order; those that are done give way first."""
    hooks = list(tally.hooks.values())
    by_interest = sorted(hooks, key=lambda event: (event.status in DONE, -event.time))
    kept = {id(event) for event in by_interest[: max(0, room)]}
    return [event for event in hooks if id(event) in kept]


def _row(sign: tuple[str, str], name: str, time: str, what: str, narrow: bool) -> Text:
    """A step in the columns that the hooks have too: sign, name, time, what."""
    text = Text.assemble(sign, f" {name:<10}" if narrow else f" {name:<18}", (f"{time:>7}", "dim"))
    return text.append(f"  {what}", "" if sign[1] == "red" else "dim") if what else text


def _sign(event: StepEnded, glyphs: Glyphs) -> tuple[str, str]:
    return (glyphs.good, "green") if event.ok else (glyphs.bad, "red")


def _spin(glyphs: Glyphs, now: float) -> str:
    return glyphs.spinner[int(now * 10) % len(glyphs.spinner)]
