"""The README's first command: `argorun demo`, green, red and canceled, with a real Kafka."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from argorun import HOMEPAGE
from tests.checkout import ARGORUN

# What the documentation shows of it: test_commands.py leaves it to this module.
COMMANDS = {"argorun demo": (0, "PASSED", "demo --fail"), "argorun demo --fail": (1, "FAILED", "demo")}


def start(tmp_path: Path, *arguments: str, output: str = "plain") -> subprocess.Popen[str]:
    environment = dict(os.environ) | {"TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    command = [*ARGORUN, "demo", "--output", output, *arguments]
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
def test_the_demo_shows_a_whole_run_and_what_to_do_next_and_no_link_to_what_is_gone(
    tmp_path: Path, command: str
) -> None:
    code, says, next_ = COMMANDS[command]
    process = start(tmp_path, *command.split()[2:])
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == code, shown
    assert "a stand-in for Argo CD" in shown
    assert f"==> {says}" in shown
    assert "topic weather_updates_" in shown
    assert "Fetched" not in shown or shown.startswith("Fetching Apache Kafka")
    end = shown.partition("\n\nNext:\n")[2].splitlines()
    offered = [line.strip().partition("argorun ")[2].partition("   ")[0].strip() for line in end[:2]]
    assert offered == [next_, "init"]
    assert end[2:] == [f"  {HOMEPAGE}#readme"]
    assert "localhost:" not in shown.replace("on localhost:", "")


@pytest.mark.usefixtures("_nothing_left")
def test_the_demos_workload_is_taken_from_its_topic_and_settled_on_it_again(tmp_path: Path) -> None:
    process = start(tmp_path, output="json")
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    events = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    (parameter,) = [e for e in events if e["event"] == "parameter_set"]
    assert parameter["original"] == "weather_updates"
    undone = [e["what"] for e in events if e["event"] == "undone"]
    assert "workloads settled on what they had before" in undone


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.parametrize(
    "line", ["a stand-in for Argo CD", "hook PostSync run-automation-tests-job (test): running"]
)
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
