"""Renders a run's state for rich: pure functions that return printable objects."""

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
from argorun.reporters.summary import Summary
from argorun.reporters.wording import DONE, hook_name

WIDEST_PANEL = 100
NARROW = 50  # below it, a hook shows only its name
_ROOM_FOR_DETAIL = 30
_HOOK_ROWS = 6
_ROWS_AROUND = 12  # of the summary, without its hooks, the evidence and the log
_FEWEST_LINES = 5  # of the log, however small the screen


class Glyphs(NamedTuple):
    """The signs of the rich output."""

    good: str
    bad: str
    idle: str
    spinner: str
    dot: str


UNICODE = Glyphs("✓", "✗", "·", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", " · ")
ASCII = Glyphs("+", "x", ".", "|/-\\", ", ")


def flat(text: str) -> str:
    """Any foreign text in one line."""
    return " ".join(clean(text.replace("\n", " ").replace("\t", " ")).split())


def step(event: StepEnded, glyphs: Glyphs, narrow: bool) -> Text:
    """A step that has ended."""
    sign = _sign(event, glyphs)
    return _row(sign, event.step, duration(event.seconds), flat(event.detail), narrow)


def hook(event: HookChanged, glyphs: Glyphs, now: float, narrow: bool) -> Text:
    """A hook with its status and time."""
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


def live_lines(run: Summary, operation: str, glyphs: Glyphs, now: float, size: tuple[int, int]) -> list[Text]:
    """The lines that change in place: an empty one, the current steps, the hooks, the time."""
    columns, rows = size
    narrow = columns < NARROW
    lines = [Text()] if rows >= 12 else []
    for number, started in list(run.open_steps.items())[-2:]:
        waiting = run.waiting.get(number)
        what = (
            f"waiting: {waiting.reason}"
            if waiting
            else started.detail or (operation if number is Step.FOLLOW else "")
        )
        time = duration(now - started.time)
        what = flat(what) if columns >= _ROOM_FOR_DETAIL else ""
        lines.append(_row((_spin(glyphs, now), "cyan"), started.step, time, what, narrow))
    if not run.verdict:  # later, the clean-up matters more
        lines += (hook(event, glyphs, now, narrow) for event in _notable(run, min(_HOOK_ROWS, rows - 4)))
    if run.started and rows > 3:
        application = f"{flat(run.started.application)}{glyphs.dot}run {flat(run.started.run_id)}"
        lines.append(Text(f"  {duration(now - run.started.time)}{glyphs.dot}{application}", "dim"))
    return lines


def end(
    run: Summary, glyphs: Glyphs, now: float, size: tuple[int, int]
) -> Iterator[tuple[RenderableType, bool]]:
    """The summary at the end; with each part, whether it may be wrapped (text to copy may not)."""
    columns, rows = size
    narrow = columns < NARROW
    yield Text(), True
    if run.ended_steps:
        steps = [
            Text.assemble(_sign(event, glyphs), f" {event.step} ", (duration(event.seconds), "dim"))
            for event in run.ended_steps.values()
        ]
        yield Columns(steps, padding=(0, 3)), True
    for event in run.hooks.values():
        yield hook(event, glyphs, now, narrow), True
    yield _verdict(run, glyphs, columns, rows), True
    if run.exit_code == 0:
        return
    if run.verdict and run.verdict.url:
        yield Text.assemble(("look  ", "bold"), flat(run.verdict.url)), False
    for left in run.left:
        yield Text.assemble(("left  ", "bold yellow"), flat(f"{left.what}: {left.why}")), False
        for line in clean_lines(left.command):
            yield Text.assemble(("run   ", "bold"), line), False


def _verdict(run: Summary, glyphs: Glyphs, columns: int, rows: int) -> RenderableType:
    good = run.exit_code == 0
    color = "green" if good else "red" if run.outcome == "FAILED" else "yellow"
    took = duration(run.ended.seconds) if run.ended else ""
    code = "" if good else f"exit {run.exit_code}"
    title = Text(run.outcome, f"bold {color}")
    footer = Text(glyphs.dot.join(filter(None, (code, took))), "dim")
    around = _ROWS_AROUND + len(run.hooks)
    body = Group(*_reasons(run.verdict, rows - around)) if run.verdict else Text("nothing was run", "dim")
    if columns < 40:  # no room for a border
        return Group(Text(), title, body, footer)
    return Panel(
        body,
        title=title,
        title_align="left",
        subtitle=footer,
        subtitle_align="right",
        border_style=color,
        box=box.ROUNDED if glyphs is UNICODE else box.ASCII,
        width=min(columns, WIDEST_PANEL),
        padding=(0, 1),
    )


def _reasons(verdict: Verdict, rows: int) -> Iterator[RenderableType]:
    """The reason, the evidence, the last log lines that fit into `rows`, and the hint."""
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
            yield Padding(Text.from_ansi(clean(line, color=True), no_wrap=False), (0, 0, 0, 2))
    if verdict.hint:
        yield Text()
        yield from (Text(line, "italic") for line in clean_lines(verdict.hint))


def _notable(run: Summary, room: int) -> list[HookChanged]:
    """As many hooks as fit, in their order; hooks that have ended are left out first."""
    hooks = list(run.hooks.values())
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
