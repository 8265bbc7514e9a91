"""Renders a run's rows and live lines for rich: pure functions that return texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from argorun.events import Canceling, HookChanged, HookStatus, LogStarted, RunStarted, Step, StepEnded
from argorun.humanize import count, duration, limit
from argorun.redact.sanitize import clean
from argorun.reporters import wording
from argorun.reporters.layout import Styled, ended, flat, live_row, paragraph, row, width_of
from argorun.reporters.summary import DONE, Summary

_LIVE_ROWS = 12  # of all that the run is doing
_LIVE_HOOKS = 6
_HELD = 2  # notices that wait for the end of their step
_HELD_ROWS = 2  # of each


class Glyphs(NamedTuple):
    """The signs of the rich output."""

    good: str
    bad: str
    stopped: str
    log: str  # above a log
    log_bar: str  # before each of its lines
    spinner: str
    dot: str
    parts: str  # of the bar that shows where the time went


UNICODE = Glyphs("✓", "✗", "–", "▸", "│ ", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", " · ", "█▒▓░▞▚")
ASCII = Glyphs("+", "x", "-", ">", "| ", "|/-\\", ", ", "#=+-*o")


def header(event: RunStarted, columns: int) -> list[Text]:
    """`argorun 0.1.0  weather  run 0badcafe` and, as far right as it fits, the Application's page."""
    width = width_of(columns)
    head = Text(flat(f"argorun {event.version}"), "bold")
    head.append(f"  {flat(event.application)}  run {flat(event.run_id)}")
    url = flat(event.url)
    gap = width - head.cell_len - len(url)
    if gap >= 2:
        return [head.append(" " * gap).append(url, "dim"), Text()]
    lines = [Text(line.plain) for line in paragraph(head.plain, width)] if head.cell_len > width else [head]
    return [*lines, *([Text(url, "dim")] if url else []), Text()]


def step(event: StepEnded, run: Summary, glyphs: Glyphs, columns: int) -> list[Text]:
    """A step that has ended, with what came of it."""
    width, time = width_of(columns), duration(event.seconds)
    sign = (glyphs.good, "green") if event.ok else (glyphs.bad, "red")
    label = wording.STEPS[event.step]
    details = _details(event, run)
    if run.canceling and not event.ok and event.step is not Step.CLEANUP:
        sign, details = (glyphs.stopped, "yellow"), [(("stopped", "yellow"),)]
    first, *others = details or [()]
    rows = row(sign, label, first, time, width)
    for parts in others:
        rows += row((" ", ""), "", parts, "", width)
    return rows


def _details(event: StepEnded, run: Summary) -> list[Sequence[Styled]]:
    """What stands beside a step: a line for each topic, what was set, the commit."""
    text = flat(event.detail)
    match event.step:
        case Step.TOPICS if run.topics:
            created = [(flat(t.topic), count(t.partitions, "partition")) for t in run.topics]
            return [((name, ""), (partitions, "dim")) for name, partitions in created]
        case Step.PARAMETERS if event.ok and run.parameters:
            topics = [t.topic for t in run.topics]
            return [((", ".join(wording.parameter_brief(p, topics) for p in run.parameters), ""),)]
        case Step.PARAMETERS | Step.SYNC if event.ok and not (event.step is Step.SYNC and run.synced):
            return [(("somebody else was faster; trying again", "dim"),)]
        case Step.SYNC if run.synced and event.ok:
            return [((wording.revision(run.synced), ""),)]
        case Step.CLEANUP if run.left:
            left = f"{len(run.left)} left behind, see below"
            return [((text, ""), (left, "red"))]
        case _:
            return [((text, ""),)] if text else []


def hook(event: HookChanged, glyphs: Glyphs, columns: int) -> list[Text]:
    """A hook that has ended."""
    failed = event.status is HookStatus.FAILED
    sign = (glyphs.bad, "red") if failed else (glyphs.good, "green")
    parts = [(wording.hook_name(event), "")]
    if failed:
        parts.append((flat(event.message) or "failed", "red"))
    return row(sign, clean(event.hook), parts, duration(event.seconds), width_of(columns))


def stopped_hook(event: HookChanged, run: Summary, glyphs: Glyphs, now: float, columns: int) -> list[Text]:
    """A hook that had not ended when the run did."""
    became = wording.hook_stopped(event, run)
    bad = became.startswith("cannot start")
    sign = (glyphs.bad, "red") if bad else (glyphs.stopped, "yellow")
    parts = [(wording.hook_name(event), ""), (became, "red" if bad else "yellow")]
    seconds = duration(event.seconds + max(0.0, now - event.time))
    return row(sign, clean(event.hook), parts, seconds, width_of(columns))


def log_header(event: LogStarted, run: Summary, glyphs: Glyphs, columns: int) -> list[Text]:
    """The line above a log: whose it is."""
    sign, label = (glyphs.log, "cyan"), clean(run.phase_of(event.job)) or "log"
    return row(sign, label, [(clean(event.job), ""), (wording.pod_of(event), "dim")], "", width_of(columns))


def canceling(event: Canceling, columns: int) -> list[Text]:
    """The answer to a signal, at once."""
    by, again = ("^C", "Ctrl-C again") if event.signal == "SIGINT" else (event.signal, "a second signal")
    text = f"{by} canceling: {wording.canceling(event)} ({again} {wording.AT_ONCE})"
    return paragraph(text, width_of(columns), "bold yellow")


def notice(text: str, columns: int, *, warning: bool) -> list[Text]:
    """Something that a person should know, wrapped at words."""
    if not warning:
        return paragraph(flat(text), width_of(columns), indent=2)
    return paragraph(flat(text), width_of(columns), "yellow", indent=2, first="! ")


# -- the lines that change in place ----------------------------------------------------------------------


def live_lines(
    run: Summary, held: Sequence[str], glyphs: Glyphs, now: float, size: tuple[int, int]
) -> list[Text]:
    """An empty line, what the run is doing and what it waits for, and the time."""
    columns, rows = size
    width = width_of(columns)
    lines = [Text()] if rows >= 12 else []
    lines += _doing(run, glyphs, now, width, max(1, min(_LIVE_ROWS, rows - 4)))
    for text in held[-_HELD:]:
        lines += ended(paragraph(flat(text), width, "yellow", indent=2), _HELD_ROWS, width)
    if run.started and rows > 3:
        lines.append(_bottom(run, run.started, glyphs, now, width))
    return lines


def _bottom(run: Summary, started: RunStarted, glyphs: Glyphs, now: float, width: int) -> Text:
    """The time, and what Ctrl-C does in as many words as fit."""
    whole = f" of {limit(started.limit)}" if started.limit and not run.verdict else ""
    hints = ["Ctrl-C cancels and cleans up", "Ctrl-C cancels"]
    if run.canceling:
        hints = [f"Ctrl-C again {wording.AT_ONCE}", "Ctrl-C again quits now"]
    elif run.verdict or Step.CLEANUP in run.open_steps:
        hints = ["Ctrl-C hurries the clean-up", "Ctrl-C hurries"]
    time = f"  {duration(now - started.time)}{whole}"
    lines = [f"{time}{glyphs.dot}{hint}" for hint in hints]
    return Text(next((line for line in lines if len(line) <= width), time), "dim")


def _doing(run: Summary, glyphs: Glyphs, now: float, width: int, room: int) -> Iterator[Text]:
    """What each open step does and waits for, in about `room` lines."""
    spin = (glyphs.spinner[int(now * 10) % len(glyphs.spinner)], "cyan")
    for number, started in list(run.open_steps.items())[-2:]:
        time = duration(now - started.time)
        if number is Step.FOLLOW:
            yield from _following(run, spin, now, width, room, time)
            continue
        waiting = run.waiting.get(number)
        text = f"waiting: {waiting.reason}" if waiting else started.detail
        if number is Step.CLEANUP:
            done = f"{run.undone.what} {glyphs.good}" if run.undone else ""
            text = waiting.reason if waiting else done
        again = next(iter(run.retrying.values()), None)
        what = (wording.retrying(again), "yellow") if again else (flat(text), "dim")
        yield from live_row(spin, wording.STEPS[number], [what], time, width, room)


def _following(run: Summary, spin: Styled, now: float, width: int, room: int, time: str) -> Iterator[Text]:
    """The hooks that run, or what Argo CD waits for; and what cannot start yet."""
    rows: list[tuple[str, list[Styled], str]] = []
    shown = run.running[-min(_LIVE_HOOKS, room) :]
    for event in shown:
        delay = run.delay(event)
        status = (wording.delay(delay, now), "yellow") if delay else (str(event.status), "cyan")
        seconds = duration(event.seconds + max(0.0, now - event.time))
        rows.append((clean(event.hook), [(wording.hook_name(event), ""), status], seconds))
    for event in run.hooks.values():
        if event.status in DONE and run.is_read(event):
            status = (f"{event.status}, reading the rest of its log", "cyan")
            rows.append(
                (clean(event.hook), [(wording.hook_name(event), ""), status], duration(event.seconds))
            )
    for again in run.retrying.values():
        rows.append(("sync", [(wording.retrying(again), "yellow")], time))
    named = {(event.kind, event.name) for event in shown}
    others = [d for d in run.delays.values() if (d.kind, d.name) not in named]
    for other in others[: max(0, room - len(rows))]:
        what = clean(f"{other.kind}/{other.name}")
        rows.append(("sync", [(what, ""), (wording.delay(other, now), "yellow")], time))
    if not rows:
        said = run.operation.message if run.operation else ""
        rows.append(("sync", [(flat(said) or "waiting for Argo CD", "dim")], time))
    for label, parts, seconds in rows:
        yield from live_row(spin, label, parts, seconds, width, max(1, room // len(rows)))
