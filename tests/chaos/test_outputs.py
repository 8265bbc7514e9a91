"""A run whose output nobody reads any longer can still be canceled, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import pty
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argorun.events import Event, LeftBehind, LogLines, RunEnded, StepStarted
from argorun.reporters.json_lines import decode
from tests.chaos.ground import LIMIT, App, Ground
from tests.chaos.processes import HUP, INT, KILL, TRACES, Blow, Plan, run
from tests.chaos.verdicts import flaws
from tests.checkout import ARGORUN

LINES = 3000
FLOOD = f"i=0; while [ $i -lt {LINES} ]; do echo $i: a line that is as long as most; i=$((i+1)); done"


@pytest.fixture(scope="module")
def app(ground: Ground) -> App:
    """Whose test writes more than a pipe holds, and then takes its time."""
    return ground.application(f"{FLOOD}; sleep 60")


class Process:
    """argorun with its outputs wherever the test wants them; its events from the file."""

    def __init__(
        self, app: App, output: str, *, stdout: int, stderr: int, events: Path | None = None
    ) -> None:
        self.app = app
        self.prefix = f"o{secrets.token_hex(5)}_updates"
        self.file = app.ground.folder / f"{self.prefix}.jsonl"
        command = [
            *ARGORUN, "run", app.name, "--topic", self.prefix, "--parameter", "kafka.topic",
            "--output", output, "--events", str(events or self.file),
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command,
            cwd=app.ground.folder,
            env=app.ground.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def events(self) -> list[Event]:
        if not self.file.exists():
            return []
        whole, _, _ = self.file.read_bytes().rpartition(b"\n")
        return list(decode(whole.splitlines()))

    def until(self, kind: type[Event], count: int = 1) -> None:
        deadline = time.monotonic() + LIMIT
        while len([e for e in self.events() if isinstance(e, kind)]) < count:
            assert self.process.poll() is None, f"the run ended with {self.process.returncode}"
            assert time.monotonic() < deadline, f"no {kind}: {self.events()[-5:]}"
            time.sleep(0.02)

    def ended(self, *signals: signal.Signals) -> int:
        """The exit code after these signals; its events must say that nothing is left."""
        for signum in signals:
            self.process.send_signal(signum)
        code = self.process.wait(LIMIT)
        assert [e for e in self.events() if isinstance(e, LeftBehind)] == []
        assert self.app.ground.topics(self.prefix) == []
        self.app.until(lambda a: "operation" not in a)
        assert self.app.left() == []
        return code


@contextlib.contextmanager
def started(app: App, output: str, *, stdout: int, stderr: int) -> Iterator[Process]:
    process = Process(app, output, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


@pytest.mark.parametrize("output", ["plain", "json", "rich"])
def test_a_pipe_that_nobody_reads_does_not_hold_up_a_canceled_run(app: App, output: str) -> None:
    reading, writing = os.pipe()
    with started(app, output, stdout=writing, stderr=writing) as process:
        os.close(writing)
        process.until(LogLines, LINES)  # the run goes on, though its pipe is full
        assert process.ended(INT) == 130
    os.close(reading)


def test_a_terminal_that_is_stopped_does_not_hold_up_a_canceled_run(app: App) -> None:
    outer, inner = pty.openpty()  # nobody reads `outer`: as after Ctrl-S
    with started(app, "rich", stdout=inner, stderr=inner) as process:
        os.close(inner)
        process.until(LogLines, LINES)
        assert process.ended(INT) == 130
    os.close(outer)


def test_a_terminal_that_vanishes_ends_the_run_with_129_and_nothing_is_left(app: App) -> None:
    outer, inner = pty.openpty()
    with started(app, "rich", stdout=inner, stderr=inner) as process:
        os.close(inner)
        os.set_blocking(outer, False)
        process.until(LogLines)
        os.close(outer)
        assert process.ended(HUP) == 129


def test_events_for_a_reader_that_has_stopped_hold_up_neither_a_run_nor_its_clean_up(
    ground: Ground, tmp_path: Path
) -> None:
    app = ground.application(f"{FLOOD}; true")
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        process = Process(app, "json", stdout=out.fileno(), stderr=err.fileno(), events=tmp_path / "fifo")
    process.file = tmp_path / "out"
    assert process.ended() == 10
    assert f"events file {tmp_path}/fifo: its last " in (tmp_path / "err").read_text()
    os.close(reading)


@pytest.mark.parametrize("output", ["plain", "json", "rich"])
def test_a_pipe_whose_reader_went_away_is_no_verdict(ground: Ground, output: str) -> None:
    app = ground.application(f"{FLOOD}; true")
    reading, writing = os.pipe()
    with started(app, output, stdout=writing, stderr=writing) as process:
        os.close(writing)
        process.until(StepStarted)
        os.close(reading)
        assert process.ended() == 0


def test_a_finished_run_waits_for_its_reader_until_a_signal_and_keeps_its_code(
    ground: Ground, tmp_path: Path
) -> None:
    app = ground.application(f"{FLOOD}; exit 3")
    reading, writing = os.pipe()
    with started(app, "plain", stdout=writing, stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        process.until(RunEnded)
        assert process.ended(INT) == 1
    os.close(reading)


def test_killed_at_the_end_of_its_grace_github_finds_nothing_left(ground: Ground) -> None:
    outcome = run(Plan((Blow(2.0, INT), Blow(7.5, signal.SIGTERM), Blow(2.5, KILL))), ground.application())
    assert not (found := flaws(outcome)), "\n".join(found)
    assert not TRACES.search(outcome.out)
