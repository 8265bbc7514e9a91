"""A signal ends a process of argorun, whatever name servers, disks and readers do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import checkout

LIMIT = 60  # seconds: what hangs, does so for an hour
# Sent at once, these may be handled in either order (seen twice in some hundred runs): POSIX gives two
# pending signals none, and Python may enter the second's handler before the first's has done its first step.
BOTH = (signal.SIGINT, signal.SIGTERM)
CONFIG = """
application: weather
argocd: {server: "argocd.example.com"}
kafka: {bootstrap.servers: "127.0.0.1:1"}
topics: [{prefix: weather_updates, parameter: kafka.topic}]
"""
# A name server that does not answer: getaddrinfo hangs, in a thread that nothing can end.
DEAD_NAME_SERVER = """
import socket, time
from pathlib import Path
def hangs(*_, **__):
    Path("asked").touch()
    time.sleep(3600)
socket.getaddrinfo = hangs
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "argorun.yaml").write_text(CONFIG)
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "sitecustomize.py").write_text(DEAD_NAME_SERVER)
    return tmp_path


@contextlib.contextmanager
def argorun(
    folder: Path, *arguments: str, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """`argorun run`, with the folder's patches in it."""
    paths = f"{folder / 'patches'}{os.pathsep}{checkout.ROOT}"
    known = checkout.environment(folder, PYTHONPATH=paths, ARGOCD_AUTH_TOKEN="t0ken")
    process = subprocess.Popen(
        [*checkout.ARGORUN, *arguments],
        cwd=folder, env=known, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def names(events: Path) -> list[str]:
    return [json.loads(line)["event"] for line in events.read_bytes().splitlines()]


@pytest.mark.parametrize("signums", [(signal.SIGINT,), BOTH, (signal.SIGTERM,)])
def test_a_name_server_that_is_dead_does_not_hold_up_the_end_by_a_signal(
    folder: Path, signums: tuple[signal.Signals, ...]
) -> None:
    with argorun(folder, "run", "--output", "plain", "--events", "e.jsonl") as process:
        until((folder / "asked").exists, process)
        for signum in signums:
            process.send_signal(signum)
        assert process.wait(LIMIT) - 128 in signums
    assert names(folder / "e.jsonl")[-2:] == ["verdict", "run_ended"]


def test_a_name_server_that_is_dead_does_not_hold_up_the_end_of_a_sweep_by_a_signal(folder: Path) -> None:
    with argorun(folder, "sweep", "--older-than", "6h") as process:
        until((folder / "asked").exists, process)
        for signum in BOTH:
            process.send_signal(signum)
        assert process.wait(LIMIT) - 128 in BOTH


def test_a_name_server_that_is_dead_does_not_hold_up_a_run_whose_time_is_over(
    folder: Path,
) -> None:
    with argorun(folder, "run", "--output", "plain", "--timeout", "1s") as process:
        assert process.wait(LIMIT) in (4, 8)


def test_readers_that_have_stopped_do_not_hold_up_the_end_by_a_signal(folder: Path) -> None:
    """stderr and the events go to pipes that are full from the beginning."""
    os.mkfifo(folder / "fifo")
    reading = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    full, writing = os.pipe()
    for descriptor in (writing, os.open(folder / "fifo", os.O_WRONLY)):
        os.set_blocking(descriptor, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"x" * 1024)
        os.set_blocking(descriptor, True)
    with argorun(folder, "run", "--output", "plain", "--events", "fifo", stderr=writing) as process:
        until((folder / "asked").exists, process)
        for signum in BOTH:
            process.send_signal(signum)
        assert process.wait(LIMIT) - 128 in BOTH
    for descriptor in (reading, full, writing):
        os.close(descriptor)
