"""Plain output: the tests' lines on stdout, all else on stderr. test_recordings.py has whole runs."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from argorun.events import (
    Canceling,
    CannotStart,
    Event,
    LeftBehind,
    LogEnded,
    LogLines,
    LogStarted,
    ParameterSet,
    Planned,
    Retrying,
    RunEnded,
    Step,
    StepStarted,
    SweepEnded,
    SweepStarted,
    TopicSwept,
    Verdict,
)
from argorun.reporters.plain import Plain
from argorun.reporters.streams import LineStream
from tests.unit.reporters.replay import PlainOutput, recorded


def test_what_the_cluster_says_stands_between_the_reason_and_the_log() -> None:
    verdict = Verdict(
        time=1.0,
        ok=False,
        exit_code=1,
        title="checks failed: out of memory (OOMKilled), exit code 137",
        reason="Job checks: took too long",
        evidence=("pod checks-x7k2p: out of memory\x1b[2J", "event BackOff (3 times): back-off restarting"),
        hint="raise the container's resources.limits.memory (now 64Mi)",
        last_lines=("loading", "  still loading"),
        url="https://argocd.example.com/applications/weather",
    )
    ended = RunEnded(time=2.0, exit_code=1, seconds=2.0)
    began = StepStarted(time=0.0, step=Step.TOPICS)
    assert PlainOutput().after(began, verdict, ended).texts[1].splitlines()[1:] == [
        "==> FAILED after 2.0s, exit code 1: checks failed: out of memory (OOMKilled), exit code 137",
        "  ! why: Job checks: took too long",
        "  | pod checks-x7k2p: out of memory",
        "  | event BackOff (3 times): back-off restarting",
        "  ! log: its last lines",
        "  | loading",
        "  |   still loading",
        "  ! next: raise the container's resources.limits.memory (now 64Mi)",
        "  ! link: https://argocd.example.com/applications/weather",
    ]


def test_of_several_logs_the_last_lines_say_whose_they_are() -> None:
    verdict = Verdict(
        time=1.0, ok=False, exit_code=1, title="t", last_lines=("a",), log_of="attempt 2, pod checks-x7k2p"
    )
    lines = PlainOutput().after(verdict, RunEnded(time=2.0, exit_code=1, seconds=2.0)).texts[1].splitlines()
    assert lines[-2:] == ["  ! log: its last lines (attempt 2, pod checks-x7k2p)", "  | a"]


def test_colors_of_a_test_are_shown_on_a_terminal_only(line: LogLines) -> None:
    red = dataclasses.replace(line, texts=("\x1b[31mF\x1b[2J",))
    assert PlainOutput(color=True).after(red).texts == ("\x1b[31mF\x1b[0m\n", "")
    assert PlainOutput().after(red).texts == ("F\n", "")


def _log(job: str, at: LogLines) -> tuple[LogStarted, LogLines, LogEnded]:
    where = {"job": job, "pod": f"{job}-1", "container": "c", "attempt": 1}
    return (
        LogStarted(time=at.time, **where),  # type: ignore[arg-type]
        dataclasses.replace(at, **where, texts=(f"from {job}",)),  # type: ignore[arg-type]
        LogEnded(time=at.time, **where, lines=1, complete=True),  # type: ignore[arg-type]
    )


def test_lines_of_jobs_that_log_at_once_name_their_job(line: LogLines) -> None:
    (a_begins, a, a_ends), (b_begins, b, b_ends) = _log("a", line), _log("b", line)
    out, _ = PlainOutput().after(a_begins, a, b_begins, a, b, a_ends, b, b_ends).texts
    assert out == "from a\na | from a\nb | from b\nb | from b\n"


def test_lines_of_jobs_that_log_one_after_the_other_stay_bare(line: LogLines) -> None:
    out, _ = PlainOutput().after(*_log("a", line), *_log("b", line)).texts
    assert out == "from a\nfrom b\n"


def test_containers_of_one_job_are_told_apart(line: LogLines) -> None:
    begins, a, _ = _log("a", line)
    second = dataclasses.replace(begins, container="d")
    other = dataclasses.replace(begins, pod="a-2")
    lines = (a, dataclasses.replace(a, container="d"))
    assert PlainOutput().after(begins, second, *lines).texts[0] == "a/c | from a\na/d | from a\n"
    assert PlainOutput().after(begins, other, a).texts[0] == "a/a-1 | from a\n"


def test_a_log_line_is_shown_within_50_ms_and_many_are_written_at_once(line: LogLines) -> None:
    shown = PlainOutput()
    shown.reporter.report(line)
    assert shown.texts == ("", "")
    shown.reporter.flush()
    assert shown.texts == ("text\n", "")
    shown.reporter.report(line)
    shown.clock = 0.06
    shown.reporter.report(line)
    assert shown.texts == ("text\n" * 3, "")


def test_a_log_that_may_miss_lines_is_pointed_out(line: LogLines) -> None:
    begins, _, ends = _log("a", line)
    broken = dataclasses.replace(ends, complete=False, reason="connection lost\x1b[2J", lines=1200)
    assert PlainOutput().after(begins, broken).texts[1].splitlines()[1:] == [
        "  ! end of the log of a: 1,200 lines, some may be missing: connection lost"
    ]


@pytest.mark.parametrize(
    ("original", "was"), [(None, "was not set"), ("", "was empty"), ("weather", "was weather")]
)
def test_what_a_parameter_was_before_is_always_said(original: str | None, was: str) -> None:
    event = ParameterSet(time=1.0, place="helm: kafka.topic", value="t_1", original=original)
    assert PlainOutput().after(event).texts[1] == f"  - helm: kafka.topic = t_1 ({was})\n"


def test_what_a_run_waits_for_is_said_and_when_it_goes_on() -> None:
    stuck = CannotStart(
        time=1.0,
        kind="Job",
        name="checks",
        namespace="n",
        pod="checks-x7k2p",
        reason="ImagePullBackOff",
        detail="example/nope:1",
        seconds=22.0,
        certain=True,
        limit=60.0,
    )
    pending = dataclasses.replace(stuck, reason="NoPod", detail="", certain=False, limit=0.0)
    retrying = Retrying(time=2.0, service="argocd", address="localhost:1", reason="Connection refused")
    waits: list[Event] = [stuck, pending, dataclasses.replace(stuck, reason=""), retrying]
    assert PlainOutput().after(*waits, dataclasses.replace(retrying, reason="")).texts[1].splitlines() == [
        "  - Job/checks: cannot start yet: ImagePullBackOff example/nope:1 (gives up in 38s)",
        "  - Job/checks: has not started yet: no pod yet",
        "  - Job/checks: can start now",
        "  - trying again: connection refused (Argo CD at localhost:1)",
    ]


@pytest.mark.parametrize("name", ["green", "failed_test", "canceled", "left_behind", "cannot_start"])
def test_steps_and_hooks_end_once_and_each_is_announced(name: str) -> None:
    lines = PlainOutput().after(*recorded(name)).texts[1].splitlines()
    said = [re.sub(r" \(.*|(: |, exit).*", "", line) for line in lines if re.match("==>| ok|  ! hook", line)]
    assert sorted(set(said)) == sorted(said)
    assert {"==> preflight", "==> create topic", "==> set parameters", "==> sync", "==> follow"} <= set(said)


def test_the_plan_of_a_dry_run_is_data_on_stdout(line: LogLines) -> None:
    events = [Planned(time=1.0, what="create topic x"), RunEnded(time=2.0, exit_code=0, seconds=1.0)]
    assert PlainOutput().after(*events).texts == (
        "create topic x\n",
        "==> OK: ready to run. Nothing was changed.\n",
    )


def test_a_signal_after_the_verdict_is_what_the_last_line_names(green: list[Event]) -> None:
    ended = RunEnded(time=1.0, exit_code=130, seconds=21.0)
    canceling = Canceling(time=1.0, signal="SIGTERM", sync=False, parameters=True, topics=True)
    last = PlainOutput().after(*green[:-1], canceling, ended).texts[1].splitlines()[-1]
    assert last == (
        "==> CANCELED after 21.0s, exit code 130: by SIGTERM during the clean-up; the tests passed; "
        "nothing left behind"
    )


def test_passed_tests_that_left_something_say_both(left_behind: list[Event]) -> None:
    left = [event for event in left_behind if isinstance(event, LeftBehind)]
    ended = RunEnded(time=1.0, exit_code=10, seconds=21.0)
    lines = PlainOutput().after(*left_behind[:-1], ended).texts[1].splitlines()
    assert lines[-2 * len(left) - 1 :] == [
        "==> PASSED, but not cleaned up after 21.0s, exit code 10: run-automation-tests-job, "
        "log complete (2 lines)",
        *(text for e in left for text in (f"  ! left: {e.what}: {e.why}", f"  ! run: {e.command}")),
    ]


def test_the_last_block_has_no_line_that_says_nothing_and_no_link_to_what_was_not_seen() -> None:
    url = "https://argocd.example.com/applications/wether"  # which nobody may have seen
    verdict = Verdict(time=1.0, ok=False, exit_code=8, title="Argo CD cannot be reached", url=url)
    ended = RunEnded(time=2.0, exit_code=8, seconds=80.0)
    assert PlainOutput().after(verdict, ended).texts[1].splitlines() == [
        "==> FAILED after 1m20s, exit code 8: Argo CD cannot be reached",
    ]


def test_a_verdict_is_explained_even_if_argorun_dies_after_it(red: list[Event]) -> None:
    verdict = next(event for event in red if isinstance(event, Verdict))
    assert f"==> FAILED, exit code 1: {verdict.title}" in PlainOutput().after(verdict).texts[1]


PIPED = """
import sys
from argorun.events import LogLines, Notice, RunEnded
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.open import open_reporters
dispatch = Dispatcher(open_reporters({output!r}))
for number in range({lines}):
    line = dict(stamps=("",), texts=(f"line {{number}}",))
    dispatch(LogLines(time=1.0, job="j", pod="p", container="c", attempt=1, **line))
dispatch(Notice(time=1.0, level="info", text="still here"))
dispatch.close()
sys.exit(f"failures: {{dispatch.failures}}" if dispatch.failures else 0)
"""


def environ(unbuffered: str) -> dict[str, str]:
    return {**os.environ, "CI": "true", "PYTHONUNBUFFERED": unbuffered}


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("output", ["plain", "json"])
def test_a_closed_pipe_on_stdout_is_no_failure_and_stderr_goes_on(output: str, unbuffered: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PIPED.format(output=output, lines=20_000)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ(unbuffered),
    )
    assert process.stdout
    process.stdout.read(4)
    process.stdout.close()
    assert process.stderr
    error = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(), error) == (0, "  - still here\n" if output == "plain" else "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    ("output", "failure"),
    [
        ("plain", "failures: ['plain output: No space left on device']\n"),
        ("json", "failures: ['stdout: No space left on device']\n"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("lines", [1, 20_000])
def test_a_full_disk_under_stdout_is_a_failure_but_ends_nothing(
    output: str, failure: str, unbuffered: str, lines: int
) -> None:
    script = PIPED.format(output=output, lines=lines)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ(unbuffered),
            check=False,
        )
    assert (done.returncode, done.stderr.decode()) == (1, failure)


# -- a sweep --------------------------------------------------------------------------------------------


def sweep(*events: Event, dry_run: bool = False, **end: Any) -> tuple[str, str]:
    """What a sweep with these events shows, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    plain = Plain(LineStream(out), LineStream(err))
    begun = SweepStarted(
        time=0,
        prefixes=("weather_updates", "other"),
        older_than=21600,
        kafka="localhost:9092",
        argocd="",
        dry_run=dry_run,
        version="0.1.0",
    )
    nothing: dict[str, Any] = {"exit_code": 0, "topics": 0, "applications": 0, "left": 0}
    for event in (begun, *events, SweepEnded(time=9, seconds=1.2, dry_run=dry_run, **(nothing | end))):
        plain.report(event)
    plain.close()
    return out.getvalue(), err.getvalue()


HEAD = "==> argorun 0.1.0: sweep of weather_updates_*, other_* on localhost:9092, older than 6h00m"


def test_a_sweep_writes_the_names_to_stdout_and_all_else_to_stderr() -> None:
    gone = TopicSwept(time=1, topic="other_1700000000_0badcafe", age=30000, dry_run=False)
    assert sweep(gone, topics=2, applications=1) == (
        "other_1700000000_0badcafe\n",
        f"{HEAD}\n==> DONE after 1.2s: 2 topics deleted, 1 Application put back\n",
    )


def test_a_dry_run_of_a_sweep_says_that_it_would() -> None:
    assert sweep(dry_run=True, topics=1) == (
        "",
        f"{HEAD} (dry run)\n==> DONE after 1.2s: 1 topic to be deleted\n",
    )


def test_a_sweep_with_nothing_to_do_says_so() -> None:
    assert sweep() == ("", f"{HEAD}\n==> DONE after 1.2s: nothing to do\n")


def test_what_a_sweep_left_is_in_its_last_block_with_the_command() -> None:
    left = LeftBehind(time=1, what="topic other_1", why="not allowed", command="kafka-topics --delete")
    assert (
        sweep(left, exit_code=10, left=1)[1]
        == f"""{HEAD}
  ! left behind: topic other_1: not allowed
==> FAILED after 1.2s, exit code 10: 1 left behind
  ! left: topic other_1: not allowed
  ! run: kafka-topics --delete
"""
    )


def test_a_sweep_that_could_not_even_look_says_why() -> None:
    assert (
        sweep(exit_code=7, error="Kafka is down", hint="check it")[1]
        == f"""{HEAD}
==> FAILED after 1.2s, exit code 7: Kafka is down
  ! hint: check it
"""
    )
