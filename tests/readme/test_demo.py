"""The README's first command: `argorun demo`, green, red and canceled, with a real Kafka."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# What the documentation shows of it: test_commands.py leaves it to this module.
COMMANDS = {"argorun demo": (0, "PASSED"), "argorun demo --fail": (1, "FAILED")}


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = dict(os.environ) | {"TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "argorun", "demo", "--output", "plain", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def left(tmp_path: Path) -> list[str]:
    """Folders and processes that the demo has not taken away."""
    processes = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(tmp_path) in entry.read_text(errors="replace"):
                processes.append(entry.parent.name)
        except OSError:
            continue
    return [p.name for p in tmp_path.iterdir()] + processes


@pytest.fixture
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert left(tmp_path) == []


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_demo_shows_a_whole_run(tmp_path: Path, command: str) -> None:
    code, says = COMMANDS[command]
    process = start(tmp_path, *command.split()[2:])
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == code, shown
    assert "Argo CD is a stand-in here" in shown
    assert f"==> {says}" in shown
    assert "topic weather_updates_" in shown


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.parametrize("line", ["stand-in here", "hook PostSync run-automation-tests-job (test): running"])
def test_ctrl_c_stops_all_that_the_demo_has_started(tmp_path: Path, line: str) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    with process.stdout:
        for shown in process.stdout:
            if line in shown:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
    assert process.wait(timeout=120) == 130
