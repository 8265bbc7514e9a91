"""Rich output: the log scrolls above live lines; a summary stays. test_recordings.py has whole runs."""

from __future__ import annotations

import codecs
import dataclasses
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console

from argorun.events import (
    Event,
    HookChanged,
    HookStatus,
    LogLines,
    OperationChanged,
    RunStarted,
    Step,
    StepStarted,
    Verdict,
    Waiting,
)
from argorun.reporters.screen import Screen
from argorun.reporters.streams import LineStream
from argorun.reporters.terminal import Terminal
from tests.unit.reporters.replay import PlainOutput, TerminalOutput
from tests.unit.reporters.tty import Tty

TOP = "╭─ FAILED ─────────────────────────────────────────────────────────────────────╮"


T = 1767225600.0
HOOK = HookChanged(
    time=T + 3.5,
    hook="PreSync",
    kind="Job",
    name="create-schema",
    namespace="weather",
    status=HookStatus.RUNNING,
    message="",
    required=False,
    seconds=0.0,
)
DONE = dataclasses.replace(HOOK, time=T + 6.6, status=HookStatus.SUCCEEDED, seconds=3.1)
STARTED = RunStarted(time=T, run_id="0badcafe", application="weather", url="u", version="0.1.0")
WAITING: list[Event] = [
    STARTED,
    StepStarted(time=T + 1.2, step=Step.PARAMETERS),
    Waiting(time=T + 1.3, step=Step.PARAMETERS, reason="another operation runs, started by ci"),
]
TESTING: list[Event] = [
    STARTED,
    StepStarted(time=T + 3.4, step=Step.FOLLOW),
    OperationChanged(time=T + 3.5, phase="Running", message="waiting for hook create-schema"),
    HOOK,
    DONE,
    dataclasses.replace(HOOK, time=T + 8, hook="PostSync", name="run-automation-tests-job", required=True),
    StepStarted(time=T + 8, step=Step.LOGS),
]


@pytest.mark.parametrize(("rows", "lines"), [(10, 5), (24, 8), (50, 20)])
def test_the_last_screen_holds_reason_evidence_log_and_hint_whatever_its_height(
    red: list[Event], rows: int, lines: int
) -> None:
    evidence = ("pod checks-x7k2p: exit code 3",)
    (verdict,) = [e for e in red if isinstance(e, Verdict)]
    changed = dataclasses.replace(
        verdict,
        title="checks failed: exit code 3",
        reason="Job checks: limit",
        evidence=evidence,
        last_lines=tuple(f"line {n}" for n in range(1, 21)),
        hint="fix it",
    )
    events = [changed if e is verdict else e for e in red]
    shown = TerminalOutput(80, rows).after(*events).closed().splitlines()
    panel = [line[2:-1].rstrip() for line in shown[shown.index(TOP) + 1 :] if line.startswith("│")]
    assert panel == [
        "checks failed: exit code 3",
        "Job checks: limit",
        "",
        "pod checks-x7k2p: exit code 3",
        "",
        *(f"  line {n}" for n in range(21 - lines, 21)),
        "",
        "fix it",
    ]
    assert shown[-1] == f"look  {verdict.url}"
    assert rows < 24 or len(shown) - shown.index(TOP) < rows


def test_while_a_test_runs_the_live_lines_say_what_is_running(line: LogLines) -> None:
    last = dataclasses.replace(line, time=T + 9, texts=("collected 2 items",))
    shown = TerminalOutput().after(*TESTING, last)
    assert shown.tty.shown()[-7:] == [
        "collected 2 items",
        "",
        "⠋ follow               5.6s  waiting for hook create-schema",
        "⠋ logs                 1.0s",
        "✓ PreSync  succeeded   3.1s  create-schema",
        "⠋ PostSync running     1.0s  run-automation-tests-job",
        "  9.0s · weather · run 0badcafe",
    ]


def test_while_the_run_waits_a_live_line_says_for_what() -> None:
    shown = TerminalOutput().after(*WAITING)
    assert "⠸ parameters           0.1s  waiting: another operation runs, started by ci" in shown.tty.shown()


def test_the_spinner_turns_without_events(line: LogLines) -> None:
    last = dataclasses.replace(line, time=T + 9, texts=("collected 2 items",))
    shown = TerminalOutput().after(*TESTING, last)
    before = shown.tty.shown()
    shown.now += 0.5
    shown.reporter.flush()
    after = shown.tty.shown()
    assert before[-1] == "  9.0s · weather · run 0badcafe"
    assert after[-1] == "  9.5s · weather · run 0badcafe"
    assert len(before) == len(after)


@pytest.mark.parametrize("columns", [1, 5, 20, 39, 50, 80, 300])
@pytest.mark.parametrize("rows", [1, 3, 24])
def test_no_size_of_terminal_breaks_it_or_lets_a_live_line_wrap(
    red: list[Event], columns: int, rows: int
) -> None:
    shown = TerminalOutput(columns, rows)
    for event in red[:-1]:
        shown.after(event)
        assert all(len(line) < columns for line in shown.live())
    shown.after(red[-1])
    assert "collected 2 items" in shown.closed().splitlines()
    assert not any("0badcafe · " in line for line in shown.tty.shown())


@pytest.mark.parametrize("sizes", [[(80, 24), (20, 24)], [(20, 24), (80, 24)], [(80, 24), (33, 9), (7, 30)]])
def test_a_resize_leaves_nothing_of_the_live_lines_behind(
    red: list[Event], sizes: list[tuple[int, int]]
) -> None:
    shown = TerminalOutput()
    for number, event in enumerate(red):
        shown.resize(*sizes[number % len(sizes)])
        shown.after(event)
    text = shown.closed()
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", text)
    log = ["collected 2 items", "test_rain.py F.  [100%]", "::error::not a command"]
    assert [line for line in text.splitlines() if line in log] == log


def test_piped_log_lines_go_to_stdout_bare_while_the_terminal_shows_the_rest(red: list[Event]) -> None:
    out = io.StringIO()
    text = TerminalOutput(log=LineStream(out)).after(*red).closed()
    log, _ = PlainOutput().after(*red).texts
    assert out.getvalue() == log
    assert text == TerminalOutput().after(*red).closed().replace(log, "")


def test_no_color_drops_argoruns_and_the_tests_colors(red: list[Event]) -> None:
    shown = TerminalOutput(no_color=True)
    shown.after(*red).closed()
    parameters = {p for sgr in re.findall("\x1b\\[([0-9;]*)m", shown.raw.getvalue()) for p in sgr.split(";")}
    assert parameters <= {"0", "1", "2", "3"}  # bold, dim, italic


def test_the_colors_of_a_test_are_shown_and_end_with_its_line(red: list[Event]) -> None:
    assert "\x1b[31mtest_rain.py F.\x1b[0m  [100%]\x1b[0m\n" in TerminalOutput().after(*red).raw.getvalue()


def test_brackets_and_colons_in_a_log_are_shown_as_they_are(line: LogLines) -> None:
    odd = dataclasses.replace(line, texts=("[red]not markup[/] :smile: {'a': 1}",))
    assert TerminalOutput().after(odd).closed() == "[red]not markup[/] :smile: {'a': 1}\n"


def test_many_log_lines_are_drawn_in_few_frames_and_none_is_lost(line: LogLines) -> None:
    shown = TerminalOutput()
    for number in range(20_000):
        shown.now = number / 20_000  # within a second
        shown.reporter.report(dataclasses.replace(line, texts=(f"line {number}",)))
    assert len(shown.tty.frames) <= 15
    assert shown.closed().splitlines() == [f"line {number}" for number in range(20_000)]


def test_a_hook_that_is_reported_again_is_shown_once() -> None:
    text = TerminalOutput().after(DONE, dataclasses.replace(DONE, time=T + 8)).closed()
    assert text == "✓ PreSync  succeeded   3.1s  create-schema\n"


def test_of_many_hooks_those_that_run_are_shown() -> None:
    many = [
        dataclasses.replace(
            HOOK, name=f"hook-{n}", status=HookStatus.RUNNING if n in (3, 17) else HookStatus.SUCCEEDED
        )
        for n in range(20)
    ]
    shown = TerminalOutput().after(STARTED, *many)
    live = "\n".join(shown.tty.shown()[-8:])
    assert [name in live for name in ("hook-3", "hook-17")] == [True, True]


def test_a_terminal_without_unicode_gets_ascii(red: list[Event]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    written: list[str] = []
    screen = Screen(Console(file=stream, width=80), written.append, live=False)
    reporter = Terminal(screen)
    for event in red:
        reporter.report(event)
    reporter.close()
    assert "".join(written).isascii()


AT_A_TERMINAL = """
import sys, time
from argorun.events import *
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.open import open_reporters
dispatch = Dispatcher(open_reporters("auto"))
line = dict(job="j", pod="p", container="c", attempt=1)
dispatch(RunStarted(time=time.time(), run_id="r", application="a", url="u", version="v"))
dispatch(StepStarted(time=time.time(), step=Step.FOLLOW, detail="x" * 200))
for number in range(300):
    dispatch(LogLines(time=time.time(), stamps=("",), texts=(f"line {number} " + "y" * 90,), **line))
    if number % 100 == 50:
        dispatch(Notice(time=time.time(), level="info", text=f"pause {number}"))
        sys.stdin.readline()
dispatch(StepEnded(time=time.time(), step=Step.FOLLOW, ok=True, seconds=1.0))
dispatch(Verdict(time=time.time(), ok=True, exit_code=0, title="passed"))
dispatch(RunEnded(time=time.time(), exit_code=0, seconds=1.0))
dispatch.close()
sys.exit(str(dispatch.failures) if dispatch.failures else 0)
"""


class Child:
    """A run in a real pseudo-terminal; what it wrote is replayed at the size that the terminal had then."""

    def __init__(self, *, stdout: int | None = None) -> None:
        self.terminal, inner = pty.openpty()
        self.tty = Tty(80)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._unfed = ""
        self._resize(80, 24)
        environ = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL],
            stdin=subprocess.PIPE,
            stdout=inner if stdout is None else stdout,
            stderr=inner,
            env={**environ, "TERM": "xterm-256color", "COLORTERM": ""},
        )
        os.close(inner)

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.tty.columns = columns

    def go_on(self, mark: str, columns: int, rows: int) -> None:
        """Reads until the run pauses, changes the terminal's size, lets the run go on."""
        while not (mark in self._unfed and self._unfed.endswith("\x1b[?2026l")):
            piece = self._read()
            assert piece, f"ended before {mark!r}: {self._unfed}"
            self._unfed += piece
        self._feed()
        self._resize(columns, rows)
        self.process.send_signal(signal.SIGWINCH)
        assert self.process.stdin
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def ended(self) -> tuple[int, list[str]]:
        while piece := self._read():
            self._unfed += piece
        self._feed()
        os.close(self.terminal)
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(), self.tty.shown()

    def _read(self) -> str:
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # Linux's way of saying that the other end is closed
            data = b""
        return self._decoder.decode(data) if data else ""

    def _feed(self) -> None:
        self.tty.feed(self._unfed)
        self._unfed = ""


LOG = [f"line {number} " + "y" * 90 for number in range(300)]
PAUSES = {number: f"  pause {number}" for number in (50, 150, 250)}


SUMMARY = [
    "✓ follow       1.0s",
    "",
    "✓ follow 1.0s",
    "╭─ PASSED ─────────────────────────────╮",
    "│ passed                               │",
    "╰─────────────────────────────── 1.0s ─╯",
    "",
]


def test_in_a_real_terminal_a_run_survives_every_resize_without_a_trace() -> None:
    child = Child()
    child.go_on("pause 50", 20, 24)
    child.go_on("pause 150", 200, 3)
    child.go_on("pause 250", 40, 50)
    shown = [text for n, line in enumerate(LOG) for text in (line, PAUSES.get(n)) if text]
    assert child.ended() == (0, ["argorun v: a, run r", "u", *shown, *SUMMARY])


def test_with_stdout_in_a_pipe_the_log_goes_there_and_the_rest_to_the_terminal() -> None:
    reader, writer = os.pipe()
    child = Child(stdout=writer)
    os.close(writer)
    for mark in ("pause 50", "pause 150", "pause 250"):
        child.go_on(mark, 80 if mark != "pause 250" else 40, 24)
    status, shown = child.ended()
    with os.fdopen(reader) as pipe:
        assert pipe.read().splitlines() == LOG
    assert (status, shown) == (0, ["argorun v: a, run r", "u", *PAUSES.values(), *SUMMARY])
