"""At a terminal the log scrolls above a few live lines, whatever its size; at the end a summary stays."""

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

from argorun.events import Event, HookChanged, HookStatus, LeftBehind, LogLines, Verdict
from argorun.reporters.screen import Screen
from argorun.reporters.streams import LineStream
from argorun.reporters.terminal import Terminal
from tests.unit.reporters.tty import Tty

RED = """\
argorun 0.1.0: weather, run 0badcafe
https://argocd.example.com/applications/argocd/weather
✓ plan                 0.1s
✓ look                 0.3s
  topic weather_updates_1767225600_0badcafe: 1 partition, replication factor 3
✓ topics               0.8s
  helm: kafka.topic = weather_updates_1767225600_0badcafe (was weather)
✓ parameters           2.0s
✓ sync                 0.2s
✓ PreSync  succeeded   3.1s  create-schema
  log of run-automation-tests-job (pod run-automation-tests-job-x7k2p, container tests)
collected 2 items
test_rain.py F.  [100%]
::error::not a command
✓ logs                1m02s
✗ PostSync failed     1m02s  run-automation-tests-job
  Job has reached the specified backoff limit
✗ follow              1m07s
  undone: helm: kafka.topic = weather (0.4s)
! Kafka does not answer
! left behind: topic weather_updates_1767225600_0badcafe: Kafka cannot be reached
✗ cleanup             10.0s

✓ plan 0.1s   ✓ look 0.3s    ✓ topics 0.8s    ✓ parameters 2.0s
✓ sync 0.2s   ✓ logs 1m02s   ✗ follow 1m07s   ✗ cleanup 10.0s
✓ PreSync  succeeded   3.1s  create-schema
✗ PostSync failed     1m02s  run-automation-tests-job
╭─ FAILED ─────────────────────────────────────────────────────────────────────╮
│ run-automation-tests-job failed                                              │
│ Job has reached the specified backoff limit                                  │
│ ##[error]exit code 1                                                         │
│                                                                              │
│       assert rain == 3                                                       │
│   E   AssertionError                                                         │
│   ::error::not a command                                                     │
│                                                                              │
│ read the test's log above                                                    │
╰───────────────────────────────────────────────────────────── exit 1 · 1m20s ─╯
look  https://argocd.example.com/applications/argocd/weather
left  topic weather_updates_1767225600_0badcafe: Kafka cannot be reached
run   kafka-topics.sh --bootstrap-server localhost:9092 --delete --topic weather_updates_1767225600_0badcafe
"""


TWENTY = """\


✓ plan 0.1s
✓ look 0.3s
✓ topics 0.8s
✓ parameters 2.0s
✓ sync 0.2s
✓ logs 1m02s
✗ follow 1m07s
✗ cleanup 10.0s
✓   3.1s
create-schema
✗  1m02s
run-automation-tests
-job

FAILED
run-automation-tests
-job failed
Job has reached the
specified backoff
limit
##[error]exit code 1

      assert rain ==
  3
  E   AssertionError
  ::error::not a
  command

read the test's log
above
exit 1 · 1m20s
look  https://argocd.example.com/applications/argocd/weather
left  topic weather_updates_1767225600_0badcafe: Kafka cannot be reached
run   kafka-topics.sh --bootstrap-server localhost:9092 --delete --topic weather_updates_1767225600_0badcafe
"""


TOP = "╭─ FAILED ─────────────────────────────────────────────────────────────────────╮"


class Shown:
    """A run at a terminal of any size, seen after each event."""

    def __init__(
        self, columns: int = 80, rows: int = 24, *, log: LineStream | None = None, no_color: bool = False
    ) -> None:
        self.size = (columns, rows)
        self.now = 0.0
        self.tty = Tty(columns)
        self.raw = io.StringIO()
        encoded = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        console = Console(
            file=encoded, force_terminal=True, color_system="standard", no_color=no_color, highlight=False
        )
        self.screen = Screen(console, self._write, live=True, size=lambda: self.size)
        self.reporter = Terminal(self.screen, log=log, color=not no_color, now=lambda: self.now)

    def _write(self, text: str) -> None:
        self.raw.write(text)
        self.tty.feed(text)

    def after(self, *events: Event) -> Shown:
        for event in events:
            self.now = event.time
            self.reporter.report(event)
        return self

    def live(self) -> list[str]:
        """The lines at the bottom that will be replaced."""
        count = len(self.screen.drawn)
        return self.tty.lines[-count:] if count else []

    def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)
        self.tty.columns = columns

    def closed(self) -> str:
        self.reporter.close()
        return "\n".join(self.tty.shown())


def until(events: list[Event], **fields: object) -> list[Event]:
    """The run up to the first event with these fields."""
    for number, event in enumerate(events):
        if all(getattr(event, name, None) == value for name, value in fields.items()):
            return events[: number + 1]
    raise AssertionError(fields)


def test_a_red_run_leaves_its_steps_its_log_and_why_it_failed(red: list[Event]) -> None:
    assert Shown().after(*red).closed() == RED


@pytest.mark.parametrize(("rows", "lines"), [(10, 5), (24, 8), (50, 20)])
def test_the_last_screen_holds_reason_evidence_log_and_mend_whatever_its_height(
    red: list[Event], rows: int, lines: int
) -> None:
    evidence = ("pod checks-x7k2p: exit code 3",)
    (verdict,) = [e for e in red if isinstance(e, Verdict)]
    told = dataclasses.replace(
        verdict,
        title="checks failed: exit code 3",
        reason="Job checks: limit",
        evidence=evidence,
        last_lines=tuple(f"line {n}" for n in range(1, 21)),
        hint="mend it",
    )
    events = [told if e is verdict else e for e in red if not isinstance(e, LeftBehind)]
    shown = Shown(80, rows).after(*events).closed().splitlines()
    panel = [line[2:-1].rstrip() for line in shown[shown.index(TOP) + 1 :] if line.startswith("│")]
    assert panel == [
        "checks failed: exit code 3",
        "Job checks: limit",
        "",
        "pod checks-x7k2p: exit code 3",
        "",
        *(f"  line {n}" for n in range(21 - lines, 21)),
        "",
        "mend it",
    ]
    assert shown[-1] == "look  https://argocd.example.com/applications/argocd/weather"
    assert rows < 24 or len(shown) - shown.index(TOP) < rows


def test_while_a_test_runs_the_last_lines_say_what_goes_on(red: list[Event]) -> None:
    shown = Shown().after(*until(red, texts=("collected 2 items",)))
    assert shown.tty.shown()[-7:] == [
        "collected 2 items",
        "",
        "⠋ follow               5.6s  waiting for hook create-schema",
        "⠋ logs                 1.0s",
        "✓ PreSync  succeeded   3.1s  create-schema",
        "⠋ PostSync running     1.0s  run-automation-tests-job",
        "  9.0s · weather · run 0badcafe",
    ]


def test_while_the_run_waits_it_says_for_whom(red: list[Event]) -> None:
    shown = Shown().after(*until(red, reason="another operation runs, started by ci"))
    assert "⠸ parameters           0.1s  waiting: another operation runs, started by ci" in shown.tty.shown()


def test_the_spinner_turns_and_the_time_goes_on_without_events(red: list[Event]) -> None:
    shown = Shown().after(*until(red, texts=("collected 2 items",)))
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
    shown = Shown(columns, rows)
    for event in red[:-1]:
        shown.after(event)
        assert all(len(line) < columns for line in shown.live())
    shown.after(red[-1])
    assert "collected 2 items" in shown.closed().splitlines()
    assert not any("0badcafe · " in line for line in shown.tty.shown())


def test_twenty_columns_are_enough_for_a_red_run(red: list[Event]) -> None:
    text = Shown(20).after(*red).closed()
    assert text[text.index("\n\n✓ plan") :] == TWENTY


@pytest.mark.parametrize("sizes", [[(80, 24), (20, 24)], [(20, 24), (80, 24)], [(80, 24), (33, 9), (7, 30)]])
def test_a_resize_leaves_nothing_of_the_live_lines_behind(
    red: list[Event], sizes: list[tuple[int, int]]
) -> None:
    shown = Shown()
    for number, event in enumerate(red):
        shown.resize(*sizes[number % len(sizes)])
        shown.after(event)
    text = shown.closed()
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", text)
    log = ["collected 2 items", "test_rain.py F.  [100%]", "::error::not a command"]
    assert [line for line in text.splitlines() if line in log] == log


def test_piped_log_lines_go_to_stdout_bare_while_the_terminal_shows_the_rest(red: list[Event]) -> None:
    out = io.StringIO()
    text = Shown(log=LineStream(out)).after(*red).closed()
    assert out.getvalue() == "collected 2 items\ntest_rain.py F.  [100%]\n::error::not a command\n"
    assert text == RED.replace(out.getvalue(), "")


def test_no_color_means_no_color_of_ours_and_none_of_the_tests(red: list[Event]) -> None:
    shown = Shown(no_color=True)
    shown.after(*red).closed()
    parameters = {p for sgr in re.findall("\x1b\\[([0-9;]*)m", shown.raw.getvalue()) for p in sgr.split(";")}
    assert parameters <= {"0", "1", "2", "3"}  # bold, dim, italic


def test_a_test_s_colours_are_shown_and_end_with_its_line(red: list[Event]) -> None:
    assert "\x1b[31mtest_rain.py F.\x1b[0m  [100%]\x1b[0m\n" in Shown().after(*red).raw.getvalue()


def test_brackets_and_colons_in_a_log_are_shown_as_they_are(line: LogLines) -> None:
    odd = dataclasses.replace(line, texts=("[red]not markup[/] :smile: {'a': 1}",))
    assert Shown().after(odd).closed() == "[red]not markup[/] :smile: {'a': 1}\n"


def test_many_log_lines_are_drawn_in_few_frames_and_none_is_lost(line: LogLines) -> None:
    shown = Shown()
    for number in range(20_000):
        shown.now = number / 20_000  # within a second
        shown.reporter.report(dataclasses.replace(line, texts=(f"line {number}",)))
    assert len(shown.tty.frames) <= 15
    assert shown.closed().splitlines() == [f"line {number}" for number in range(20_000)]


def test_a_hook_that_is_told_again_is_shown_once(green: list[Event]) -> None:
    done = next(event for event in green if getattr(event, "status", None) is HookStatus.SUCCEEDED)
    text = Shown().after(done, dataclasses.replace(done, time=done.time + 1)).closed()
    assert text == "✓ PreSync  succeeded   3.1s  create-schema\n"


def test_of_many_hooks_those_that_run_are_seen(green: list[Event]) -> None:
    hook = next(event for event in green if isinstance(event, HookChanged))
    many = [
        dataclasses.replace(
            hook, name=f"hook-{n}", status=HookStatus.RUNNING if n in (3, 17) else HookStatus.SUCCEEDED
        )
        for n in range(20)
    ]
    shown = Shown().after(green[0], *many)
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
