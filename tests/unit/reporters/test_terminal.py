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
from collections.abc import Iterable
from typing import Any

import pytest
from rich.console import Console

from argorun.events import (
    Canceling,
    CannotStart,
    Event,
    HookChanged,
    HookStatus,
    LeftBehind,
    LogEnded,
    LogLines,
    LogStarted,
    Notice,
    OperationChanged,
    ResourceChanged,
    Retrying,
    RunEnded,
    RunStarted,
    Step,
    StepEnded,
    StepStarted,
    SyncStarted,
    TopicCreated,
    TopicKept,
    Verdict,
    Waiting,
)
from argorun.reporters.screen import Screen
from argorun.reporters.streams import LineStream
from argorun.reporters.terminal import Terminal
from tests.unit.reporters.replay import PlainOutput, TerminalOutput, recorded, recordings
from tests.unit.reporters.tty import Tty

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
TEST = dataclasses.replace(HOOK, time=T + 8, hook="PostSync", name="run-automation-tests-job", required=True)
STARTED = RunStarted(time=T, run_id="0badcafe", application="weather", url="u", version="0.1.0", limit=900)
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
    TEST,
]
STUCK = CannotStart(
    time=T + 9,
    kind="Job",
    name="run-automation-tests-job",
    namespace="weather",
    pod="run-automation-tests-job-x7k2p",
    reason="ImagePullBackOff",
    detail="example/nope:1",
    certain=True,
    seconds=22.0,
    limit=60.0,
)
CANCELING = Canceling(time=T + 9, signal="SIGINT", sync=True, parameters=True, topics=True)


def row(shown: str, name: str) -> str:
    """The line that begins with this, sign and all."""
    (line,) = [line for line in shown.splitlines() if line.startswith(name)]
    return line


# -- while it runs ---------------------------------------------------------------------------------------


def test_while_a_test_runs_the_live_lines_say_what_is_running_and_how_to_end_it(line: LogLines) -> None:
    last = dataclasses.replace(line, time=T + 9, texts=("collected 2 items",))
    shown = TerminalOutput().after(*TESTING, last)
    assert shown.tty.shown()[-4:] == [
        "│ collected 2 items",
        "",
        "⠋ PostSync        run-automation-tests-job   running                       1.0s",
        "  9.0s of 15m · Ctrl-C cancels and cleans up",
    ]


def test_while_the_run_waits_a_live_line_says_for_what() -> None:
    shown = TerminalOutput().after(*WAITING)
    assert shown.live()[1] == (
        "⠸ set parameters  waiting: another operation runs, started by ci           0.1s"
    )


def test_what_cannot_start_says_why_and_counts_down() -> None:
    shown = TerminalOutput(120).after(*TESTING, STUCK)
    assert "cannot start yet: ImagePullBackOff example/nope:1 (gives up in 38s)" in "".join(shown.live())
    shown.now += 10
    shown.reporter.flush()
    assert "(gives up in 28s)" in "".join(shown.live())


@pytest.mark.parametrize("status", [HookStatus.SUCCEEDED, HookStatus.FAILED])
def test_without_a_running_hook_argo_cds_own_message_is_shown(status: HookStatus) -> None:
    ended = dataclasses.replace(HOOK, time=T + 6.6, status=status)
    shown = TerminalOutput(100).after(*TESTING[:4], ended)
    assert "sync                waiting for hook create-schema" in shown.live()[1]


@pytest.mark.parametrize("columns", [120, 80, 50, 40])
def test_whatever_a_run_waits_for_is_said_in_whole_words_at_every_width(columns: int) -> None:
    step = StepStarted(time=T + 0.1, step=Step.PREFLIGHT, detail="weather on localhost:1")
    trying = Retrying(time=T + 2, service="argocd", address="localhost:1", reason="Connection refused")
    message = "waiting for healthy state of apps/Deployment/weather and 12 more resources"
    waits: list[tuple[list[Event], str]] = [
        (WAITING, "waiting: another operation runs, started by ci"),
        ([*TESTING, STUCK], "cannot start yet: ImagePullBackOff example/nope:1 (gives up in 38s)"),
        ([STARTED, step, trying], "trying again: connection refused (Argo CD at localhost:1)"),
        ([*TESTING[:2], OperationChanged(time=T + 4, phase="Running", message=message)], message),
    ]
    for events, said in waits:
        live = TerminalOutput(columns).after(*events).live()
        words = " ".join(re.sub(r" \d+\.\ds( |$)", " ", line).strip() for line in live)
        assert said in " ".join(words.split())
        assert "Ctrl-C cancels" in live[-1]
        assert "…" not in "".join(live)


def test_an_unreachable_host_is_shown_until_it_answers() -> None:
    step = StepStarted(time=T + 0.1, step=Step.PREFLIGHT, detail="weather on localhost:1")
    trying = Retrying(time=T + 2, service="argocd", address="localhost:1", reason="Connection refused")
    shown = TerminalOutput(100).after(STARTED, step, trying)
    assert "trying again: connection refused (Argo CD at localhost:1)" in shown.live()[1]
    shown.after(dataclasses.replace(trying, source="ARGOCD_SERVER"))
    assert "trying again: connection refused (ARGOCD_SERVER=localhost:1)" in shown.live()[1]
    shown.after(dataclasses.replace(trying, source="argorun.yaml:4"))
    said = " ".join(re.sub(r" \d+\.\ds$", "", line).strip() for line in shown.live())
    assert "(Argo CD at localhost:1, argorun.yaml:4)" in said
    shown.after(dataclasses.replace(trying, time=T + 3, reason=""))
    assert "weather on localhost:1" in shown.live()[1]


def test_the_spinner_turns_without_events(line: LogLines) -> None:
    last = dataclasses.replace(line, time=T + 9, texts=("collected 2 items",))
    shown = TerminalOutput().after(*TESTING, last)
    before = shown.tty.shown()
    shown.now += 0.5
    shown.reporter.flush()
    after = shown.tty.shown()
    assert [text.split(" of ")[0] for text in (before[-1], after[-1])] == ["  9.0s", "  9.5s"]
    assert len(before) == len(after)


def test_what_is_noticed_in_a_step_stands_below_its_line_and_until_then_in_the_live_lines() -> None:
    notice = Notice(time=T + 2, level="warning", text="the token expires soon")
    started = StepStarted(time=T + 1, step=Step.PREFLIGHT)
    shown = TerminalOutput().after(STARTED, started, notice)
    assert shown.live()[-2] == "  the token expires soon"
    ended = StepEnded(time=T + 3, step=Step.PREFLIGHT, ok=True, seconds=2.0)
    text = shown.after(ended).closed().splitlines()
    assert [line.split("  ")[0] for line in text[-2:]] == ["✓ preflight", "! the token expires soon"]


def test_of_many_hooks_those_that_run_are_shown() -> None:
    many = [
        dataclasses.replace(
            HOOK, name=f"hook-{n}", status=HookStatus.RUNNING if n in (3, 17) else HookStatus.SUCCEEDED
        )
        for n in range(20)
    ]
    shown = TerminalOutput().after(STARTED, StepStarted(time=T, step=Step.FOLLOW), *many)
    live = "\n".join(shown.live())
    assert [name in live for name in ("hook-3", "hook-17")] == [True, True]


@pytest.mark.parametrize("columns", [1, 5, 20, 39, 40, 50, 80, 120, 300])
@pytest.mark.parametrize("rows", [1, 3, 24])
def test_no_size_of_terminal_breaks_it_or_lets_a_live_line_wrap(
    red: list[Event], columns: int, rows: int
) -> None:
    shown = TerminalOutput(columns, rows)
    for event in [*red[:20], STUCK, *red[20:-1]]:
        shown.after(event)
        assert all(len(line) < columns for line in shown.live())
    shown.after(red[-1])
    assert "│ collected 2 items" in shown.closed().splitlines()
    assert not any("Ctrl-C" in line for line in shown.tty.shown())


# -- what stays ------------------------------------------------------------------------------------------

COPIED = re.compile(r"^(   (run|delete|link|kept) +|  )?(argocd |kubectl |kafka-topics |topic \w+$|https?:)")


@pytest.mark.parametrize("columns", [120, 80, 50, 40])
@pytest.mark.parametrize("name", [name for name in recordings() if name != "sweep"])
def test_no_line_is_wider_than_the_terminal_except_what_is_copied_whole(name: str, columns: int) -> None:
    lines = TerminalOutput(columns).after(*recorded(name)).closed().splitlines()
    assert [line for line in lines if len(line) >= columns and not COPIED.match(line)] == []


@pytest.mark.parametrize("columns", [120, 80, 50, 40, 20])
@pytest.mark.parametrize("name", ["left_behind", "kept", "failed_test"])
def test_commands_addresses_and_topics_are_never_cut(name: str, columns: int) -> None:
    events = recorded(name)
    lines = TerminalOutput(columns).after(*events).closed()
    whole = [text for e in events for text in to_copy(e)]
    assert [text for text in whole if text not in lines] == []


def to_copy(event: Event) -> list[str]:
    """What of an event a person may copy."""
    match event:
        case LeftBehind() | TopicKept():
            return [event.command]
        case TopicCreated():
            return [event.topic]
        case RunStarted() | Verdict():
            return [event.url]
        case _:
            return []


@pytest.mark.parametrize("name", ["green", "failed_test", "canceled", "cannot_start", "time_ran_out"])
def test_nothing_is_listed_twice_and_no_spinner_stays(name: str) -> None:
    text = TerminalOutput(100).after(*recorded(name)).closed()
    rows = [line[:60] for line in text.splitlines() if line and line[0] in "✓✗–▸"]
    assert sorted(set(rows)) == sorted(rows)
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", text)
    assert "✓ follow" not in text


def test_a_hook_that_is_not_done_at_the_end_has_stopped() -> None:
    stopped = Verdict(time=T + 12, ok=False, exit_code=130, title="interrupted by SIGINT")
    synced = SyncStarted(time=T + 3, run_id="r", revision="cf577af")
    text = TerminalOutput().after(synced, *TESTING, CANCELING, stopped).closed()
    assert row(text, "– PostSync").split() == [
        "–", "PostSync", "run-automation-tests-job", "stopped", "4.0s",
    ]  # fmt: skip


def test_a_hook_that_could_not_start_says_so_at_the_end() -> None:
    failed = Verdict(time=T + 12, ok=False, exit_code=1, title="run-automation-tests-job cannot start")
    synced = SyncStarted(time=T + 3, run_id="r", revision="cf577af")
    text = TerminalOutput(120).after(synced, *TESTING, dataclasses.replace(STUCK, detail=""), failed).closed()
    assert "cannot start: ImagePullBackOff" in row(text, "✗ PostSync")


@pytest.mark.parametrize(
    ("signal", "by", "again"),
    [("SIGINT", "^C", "Ctrl-C again"), ("SIGTERM", "SIGTERM", "a second signal")],
)
def test_a_signal_is_answered_at_once(signal: str, by: str, again: str) -> None:
    shown = TerminalOutput(200).after(*TESTING, dataclasses.replace(CANCELING, signal=signal))
    assert " ".join(line.strip() for line in shown.tty.shown()[-5:-3]) == (
        f"{by} canceling: stopping the sync, restoring parameters, deleting the topic … "
        f"({again} quits now and lists what is left)"
    )


def test_canceled_is_neither_passed_nor_failed_and_says_what_ran() -> None:
    text = TerminalOutput(100).after(*recorded("canceled")).closed()
    assert " CANCELED by Ctrl-C while run-automation-tests-job ran" in text
    assert "argorun exit 130" in text
    assert not re.search("PASSED|FAILED", text)


@pytest.mark.parametrize(("left", "says"), [(False, True), (True, False)])
def test_nothing_left_behind_is_said_only_where_the_clean_up_saw_it(
    green: list[Event], left: bool, says: bool
) -> None:
    behind = LeftBehind(time=green[-1].time, what="topic t", why="w", command="c")
    text = TerminalOutput().after(*green[:-1], *([behind] if left else []), green[-1]).closed()
    assert ("nothing left behind" in text) is says


@pytest.mark.parametrize("name", ["green", "canceled"])
def test_nothing_left_behind_is_not_said_of_a_run_without_a_clean_up(name: str) -> None:
    without = [e for e in recorded(name) if getattr(e, "step", None) is not Step.CLEANUP]
    assert "left behind" not in TerminalOutput().after(*without).closed()


def test_green_names_the_tests_the_log_and_the_time(green: list[Event]) -> None:
    text = TerminalOutput(100).after(*green).closed()
    assert row(text, " PASSED").split("   ")[1] == "run-automation-tests-job · log complete (2 lines)"
    assert row(text, " PASSED").endswith(" 21.0s")


def test_a_log_that_may_miss_lines_is_not_called_complete(green: list[Event]) -> None:
    broken = [dataclasses.replace(e, complete=False) if isinstance(e, LogEnded) else e for e in green]
    assert "log not complete (2 lines)" in TerminalOutput(100).after(*broken).closed()


def test_a_dry_run_ends_as_good_news() -> None:
    text = TerminalOutput(100).after(*recorded("dry_run")).closed()
    assert text.splitlines()[-1].startswith(" OK: ready to run. Nothing was changed.   ")


# -- where a hook's line stands --------------------------------------------------------------------------


def test_a_hooks_line_comes_below_the_whole_of_its_log(line: LogLines) -> None:
    where = {"job": TEST.name, "pod": line.pod, "container": line.container, "attempt": 1}
    lines = [dataclasses.replace(line, job=TEST.name, time=T + 9, texts=(text,)) for text in ("one", "two")]
    failed = dataclasses.replace(TEST, time=T + 10, status=HookStatus.FAILED, message="exit code 1")
    log = LogStarted(time=T + 8, **where)  # type: ignore[arg-type]
    shown = TerminalOutput(120).after(*TESTING, log, lines[0], failed)
    assert "failed, reading the rest of its log" in shown.live()[1]
    shown.after(lines[1], LogEnded(time=T + 11, lines=2, complete=True, **where))  # type: ignore[arg-type]
    signs = [text[:5] for text in shown.closed().splitlines() if text.startswith(("│", "✗"))]
    assert signs == ["│ one", "│ two", "✗ Pos"]


def test_a_hooks_line_comes_at_the_verdict_where_its_log_never_ends(line: LogLines) -> None:
    log = LogStarted(time=T + 8, job=TEST.name, pod=line.pod, container=line.container, attempt=1)
    done = dataclasses.replace(TEST, time=T + 10, status=HookStatus.SUCCEEDED)
    ended = Verdict(time=T + 12, ok=True, exit_code=0, title="passed")
    text = TerminalOutput(120).after(*TESTING, log, done, ended).closed()
    assert row(text, "✓ PostSync")


# -- the end of a red run --------------------------------------------------------------------------------


def with_verdict(red: list[Event], **changes: Any) -> list[Event]:
    return [dataclasses.replace(e, **changes) if isinstance(e, Verdict) else e for e in red]


@pytest.mark.parametrize(("rows", "lines"), [(10, 5), (24, 0), (60, 0)])
def test_the_end_holds_reason_evidence_and_hint_and_the_log_as_far_as_it_has_scrolled_away(
    red: list[Event], rows: int, lines: int
) -> None:
    log = tuple(f"line {n}" for n in range(1, 21))
    events = with_verdict(
        red,
        title="checks: the test exited with code 3",
        reason="Job checks: limit",
        evidence=("pod checks-x7k2p: exit code 3",),
        last_lines=log,
        hint="fix it",
    )
    at = next(n for n, e in enumerate(events) if isinstance(e, HookChanged) and e.status is HookStatus.FAILED)
    written = next(e for e in events if isinstance(e, LogLines))
    events.insert(at, dataclasses.replace(written, stamps=("",) * 20, texts=log))
    shown = TerminalOutput(80, rows).after(*events).closed().splitlines()
    (head,) = [n for n, line in enumerate(shown) if line.startswith(" FAILED")]
    assert shown[head].startswith(" FAILED   checks: the test exited with code 3 ")
    repeated = [line for line in shown[head:] if re.search(r"line \d+$", line)]
    assert [line.split()[-1] for line in repeated] == [str(n) for n in range(21 - lines, 21)]
    labels = [line.split()[0] for line in shown[head:] if re.match("   [a-z]", line)]
    assert labels == ["why", *(["log"] if lines else []), "next", "link", "time"]


def test_why_does_not_repeat_what_argo_cd_said_unless_it_has_scrolled_away(red: list[Event]) -> None:
    refused = ResourceChanged(
        time=red[-1].time,
        kind="Service",
        name="Bad",
        namespace="weather",
        status="SyncFailed",
        message="is bad",
    )
    at = next(n for n, e in enumerate(red) if isinstance(e, Verdict))
    told = with_verdict(red, reason="Service Bad: is bad", evidence=(), last_lines=())
    for rows, times in ((60, 1), (8, 2)):
        text = TerminalOutput(80, rows).after(*told[:at], refused, *told[at:]).closed()
        assert text.count("is bad") == times


def test_a_line_to_copy_is_whole_at_every_width(red: list[Event]) -> None:
    policy = "p, role:argorun, applications, update, default/weather, allow"
    told = with_verdict(red, hint=f"add to Argo CD's policy.csv:\n{policy}")
    for columns in (120, 50, 40):
        assert policy in TerminalOutput(columns).after(*told).closed()


def test_with_the_log_in_a_pipe_its_last_lines_are_repeated_on_the_terminal(red: list[Event]) -> None:
    text = TerminalOutput(80, 60, log=LineStream(io.StringIO())).after(*red).closed()
    assert "   log     collected 2 items" in text.splitlines()


def test_a_host_that_cannot_be_reached_is_named_once_and_not_linked() -> None:
    said = "Argo CD at https://localhost:1 cannot be reached: Connection refused"
    events: list[Event] = [
        STARTED,
        StepStarted(time=T + 1, step=Step.PREFLIGHT),
        StepEnded(time=T + 7, step=Step.PREFLIGHT, ok=False, seconds=6.0),
        Verdict(time=T + 7, ok=False, exit_code=8, title=said, hint="check it", url="https://localhost:1/a"),
        RunEnded(time=T + 7, exit_code=8, seconds=7.0),
    ]
    text = TerminalOutput(120).after(*events).closed()
    assert (text.count("cannot be reached"), "link" in text) == (1, False)


# -- logs and colors -------------------------------------------------------------------------------------


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
    log = ["│ collected 2 items", "│ test_rain.py F.  [100%]", "│ ::error::not a command"]
    assert [line for line in text.splitlines() if line in log] == log


SHELL = ["[1]+  Stopped   argorun run", "$ kubectl get pods", "web-0   Running", "web-1   Running", "$ fg"]


def test_what_a_shell_shows_while_the_run_is_suspended_is_not_erased() -> None:
    shown = TerminalOutput().after(*TESTING)
    shown.tty.feed("^Z\n" + "".join(f"{line}\n" for line in SHELL))
    shown.screen.forget()
    shown.now += 1
    shown.reporter.flush()
    assert shown.tty.shown()[-len(shown.live()) :][-1].endswith("Ctrl-C cancels and cleans up")
    shown.after(RunEnded(time=T + 12, exit_code=0, seconds=12.0))
    assert [line for line in shown.closed().splitlines() if line in SHELL] == SHELL


def test_enter_while_live_lines_are_drawn_leaves_an_empty_line_and_no_spinner() -> None:
    shown = TerminalOutput().after(*TESTING)
    before = shown.tty.shown()
    shown.tty.feed("\n")  # the terminal's echo
    shown.now += 1
    shown.reporter.flush()
    assert [line for line in shown.tty.shown() if "⠋" in line] == shown.live()[1:2]
    assert shown.tty.shown()[: len(before) - 3] == before[:-3]


def test_piped_log_lines_go_to_stdout_bare_while_the_terminal_shows_the_rest(green: list[Event]) -> None:
    out = io.StringIO()
    text = TerminalOutput(log=LineStream(out)).after(*green).closed()
    log, _ = PlainOutput().after(*green).texts
    assert out.getvalue() == log
    barred = "".join(f"│ {line}\n" for line in log.splitlines())
    assert text == TerminalOutput().after(*green).closed().replace(barred, "")


def test_no_color_drops_argoruns_and_the_tests_colors(red: list[Event]) -> None:
    shown = TerminalOutput(no_color=True)
    shown.after(*red).closed()
    parameters = {p for sgr in re.findall("\x1b\\[([0-9;]*)m", shown.raw.getvalue()) for p in sgr.split(";")}
    assert parameters <= {"0", "1", "2", "3"}  # bold, dim, italic


@pytest.mark.parametrize("name", [name for name in recordings() if name != "sweep"])
def test_no_color_vanishes_on_a_light_or_a_dark_background(name: str, line: LogLines) -> None:
    shown = TerminalOutput()
    shown.after(*(e for e in recorded(name) if not isinstance(e, LogLines))).closed()
    parameters = {p for sgr in re.findall("\x1b\\[([0-9;]*)m", shown.raw.getvalue()) for p in sgr.split(";")}
    assert parameters <= {"0", "1", "2", *(str(color) for color in range(31, 37))}


def test_the_colors_of_a_test_are_shown_and_end_with_its_line(red: list[Event]) -> None:
    assert "│ \x1b[31mtest_rain.py F.\x1b[0m  [100%]\x1b[0m\n" in TerminalOutput().after(*red).raw.getvalue()


def test_brackets_and_colons_in_a_log_are_shown_as_they_are(line: LogLines) -> None:
    odd = dataclasses.replace(line, texts=("[red]not markup[/] :smile: {'a': 1}",))
    assert TerminalOutput().after(odd).closed() == "│ [red]not markup[/] :smile: {'a': 1}\n"


def test_many_log_lines_are_drawn_in_few_frames_and_none_is_lost(line: LogLines) -> None:
    shown = TerminalOutput()
    for number in range(20_000):
        shown.now = number / 20_000  # within a second
        shown.reporter.report(dataclasses.replace(line, texts=(f"line {number}",)))
    assert len(shown.tty.frames) <= 15
    assert shown.closed().splitlines() == [f"│ line {number}" for number in range(20_000)]


def test_a_hook_that_is_reported_again_is_shown_once() -> None:
    text = TerminalOutput().after(DONE, dataclasses.replace(DONE, time=T + 8)).closed()
    assert text.split() == ["✓", "PreSync", "create-schema", "3.1s"]


def test_a_terminal_without_unicode_gets_ascii(red: list[Event]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    written: list[str] = []
    screen = Screen(Console(file=stream, width=80), written.append, live=False)
    reporter = Terminal(screen)
    for event in [*red[:20], STUCK, *red[20:]]:
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

    def go_on(self, mark: str, columns: int, rows: int, *, shell: Iterable[str] = ()) -> None:
        """Reads until the run pauses, changes the terminal's size, lets the run go on.

        With `shell`, it was suspended, and this was shown until it goes on.
        """
        while not (mark in self._unfed and self._unfed.endswith("\x1b[?2026l")):
            piece = self._read()
            assert piece, f"ended before {mark!r}: {self._unfed}"
            self._unfed += piece
        self._feed()
        self._resize(columns, rows)
        self.process.send_signal(signal.SIGWINCH)
        if shell:
            self.tty.feed("".join(f"{line}\n" for line in ("^Z", *shell)))
            self.process.send_signal(signal.SIGCONT)
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


SUMMARY = ["", " PASSED                            1.0s", "  the tests passed"]


def test_in_a_real_terminal_a_run_survives_every_resize_without_a_trace() -> None:
    child = Child()
    child.go_on("pause 50", 20, 24)
    child.go_on("pause 150", 200, 3)
    child.go_on("pause 250", 40, 50)
    shown = [text for n, line in enumerate(LOG) for text in (f"│ {line}", PAUSES.get(n)) if text]
    header = ["argorun v  a  run r" + " " * 59 + "u", "", "▸ log             j   pod p, container c"]
    assert child.ended() == (0, [*header[:2], *shown, *SUMMARY, ""])


def test_in_a_real_terminal_a_run_that_was_suspended_erases_nothing_of_the_shells() -> None:
    child = Child()
    child.go_on("pause 50", 80, 24, shell=SHELL)
    child.go_on("pause 150", 80, 24)
    child.go_on("pause 250", 80, 24)
    status, shown = child.ended()
    assert (status, [line for line in shown if line in SHELL]) == (0, SHELL)


def test_with_stdout_in_a_pipe_the_log_goes_there_and_the_rest_to_the_terminal() -> None:
    reader, writer = os.pipe()
    child = Child(stdout=writer)
    os.close(writer)
    for mark in ("pause 50", "pause 150", "pause 250"):
        child.go_on(mark, 80 if mark != "pause 250" else 40, 24)
    status, shown = child.ended()
    with os.fdopen(reader) as pipe:
        assert pipe.read().splitlines() == LOG
    header = ["argorun v  a  run r" + " " * 59 + "u", ""]
    assert (status, shown) == (0, [*header, *PAUSES.values(), *SUMMARY, ""])
