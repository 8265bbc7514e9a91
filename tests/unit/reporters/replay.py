"""Replays recorded runs through each reporter; tests/data holds the recordings and what is shown of them."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from argorun.events import Event, SweepStarted
from argorun.redact.sanitize import for_github
from argorun.reporters.json_lines import decode
from argorun.reporters.log_files import LogFiles
from argorun.reporters.plain import Plain
from argorun.reporters.reporter import Reporter
from argorun.reporters.screen import Screen
from argorun.reporters.streams import LineStream
from argorun.reporters.terminal import Terminal
from tests.unit.reporters.tty import Tty

DATA = Path(__file__).parents[2] / "data"
SHOWN = DATA / "shown"
WIDTHS = (120, 80, 50, 40, 20)  # columns


def recorded(name: str) -> list[Event]:
    """The events of a recorded run."""
    return list(decode((DATA / f"{name}.jsonl").read_bytes().splitlines()))


def recordings() -> list[str]:
    """The names of all recordings."""
    return sorted(file.stem for file in DATA.glob("*.jsonl"))


class PlainOutput:
    """The plain output on two streams; with `merged` on one, as a CI log has it."""

    def __init__(self, *, merged: bool = False, color: bool = False, github: bool = False) -> None:
        self.out = io.StringIO()
        self.err = self.out if merged else io.StringIO()
        self.clock = 0.0
        guard = for_github if github else None
        out, err = (
            LineStream(stream, guard=guard, now=lambda: self.clock) for stream in (self.out, self.err)
        )
        self.reporter = Plain(out, err, color=color)

    def after(self, *events: Event) -> PlainOutput:
        for event in events:
            self.reporter.report(event)
        self.reporter.close()
        return self

    @property
    def texts(self) -> tuple[str, str]:
        return self.out.getvalue(), self.err.getvalue()


class TerminalOutput:
    """The rich output in a terminal of this size; the time is that of the newest event."""

    def __init__(
        self,
        columns: int = 80,
        rows: int = 24,
        *,
        log: LineStream | None = None,
        no_color: bool = False,
        encoding: str = "utf-8",
    ) -> None:
        self.size = (columns, rows)
        self.now = 0.0
        self.tty = Tty(columns)
        self.raw = io.StringIO()
        encoded = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(
            file=encoded, force_terminal=True, color_system="standard", no_color=no_color, highlight=False
        )
        self.screen = Screen(console, self._write, live=True, size=lambda: self.size)
        self.reporter = Terminal(self.screen, log=log, color=not no_color, now=lambda: self.now)

    def _write(self, text: str) -> None:
        self.raw.write(text)
        self.tty.feed(text)

    def after(self, *events: Event) -> TerminalOutput:
        for event in events:
            self.now = event.time
            self.reporter.report(event)
        return self

    def live(self) -> list[str]:
        """The live lines at the bottom."""
        count = len(self.screen.drawn)
        return self.tty.lines[-count:] if count else []

    def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)
        self.tty.columns = columns

    def closed(self) -> str:
        self.reporter.close()
        return "\n".join(self.tty.shown())


# -- the whole run, as each reporter shows it ---------------------------------------------------------------


def shown(events: list[Event]) -> dict[str, str]:
    """What each reporter makes of a run, by the name of a file in tests/data/shown/RUN."""
    out, err = PlainOutput().after(*events).texts
    ci_log, _ = PlainOutput(merged=True, github=True).after(*events).texts
    texts = {"plain.stdout.txt": out, "plain.stderr.txt": err, "plain.github.txt": ci_log}
    if isinstance(events[0], SweepStarted):  # a sweep has neither rich output nor logs
        return texts
    screens = {
        f"rich.{columns}-columns.txt": TerminalOutput(columns).after(*events).closed() for columns in WIDTHS
    }
    return (
        texts
        | screens
        | {
            "rich.no-color.ascii.txt": TerminalOutput(no_color=True, encoding="ascii")
            .after(*events)
            .closed(),
            "rich.live.txt": "\n--\n".join(live_lines(events)),
            "log-dir.txt": log_dir(events),
        }
    )


def live_lines(events: Iterable[Event]) -> list[str]:
    """The live lines of the rich output, from change to change."""
    output, frames = TerminalOutput(), list[str]()
    for event in events:
        frame = "\n".join(line.rstrip() for line in output.after(event).live())
        if frame and frame not in frames[-1:]:
            frames.append(frame)
    return frames


def log_dir(events: Iterable[Event]) -> str:
    """The files that --log-dir keeps, each below its name."""
    with tempfile.TemporaryDirectory() as folder:
        reporter = LogFiles(Path(folder))
        replay(events, reporter)
        reporter.drain(None)
        files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
        return "".join(f"==> {p.relative_to(folder)} <==\n{p.read_text(encoding='utf-8')}" for p in files)


def replay(events: Iterable[Event], reporter: Reporter) -> None:
    """Report every event, and close the reporter."""
    for event in events:
        reporter.report(event)
    reporter.close()


def write_shown() -> None:
    """Write what each reporter makes of each recording: read the diff before you commit it."""
    shutil.rmtree(SHOWN, ignore_errors=True)
    for name in recordings():
        (SHOWN / name).mkdir(parents=True)
        for file, text in shown(recorded(name)).items():
            (SHOWN / name / file).write_text(text, encoding="utf-8")
