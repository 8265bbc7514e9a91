"""Nothing that was started survives, however its starter ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from argorun.sandbox.watchdog import Watchdog, terminate

STARTER = """
import asyncio, signal, subprocess, sys
from argorun.sandbox.watchdog import Watchdog

async def main():
    async with Watchdog.start("test") as dog:
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        dog.watch(child.pid)
        print(dog.folder, child.pid, flush=True)
        await asyncio.sleep(1000)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs with `&`
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_folder_and_processes_go_with_the_one_who_started_them(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as it:
        assert it.stdout is not None
        folder, child = it.stdout.readline().split()
        gone = os.pidfd_open(int(child))
        it.send_signal(number)
        it.wait(20)
    try:
        assert _ends(gone)
    finally:
        os.close(gone)
    while Path(folder.decode()).exists():
        os.sched_yield()


def _ends(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 20)[0])


def test_a_group_that_has_ended_is_left_alone_and_the_folder_is_gone() -> None:
    async def test(group: int) -> Path:
        async with Watchdog.start("test") as dog:
            dog.watch(group)
            dog.forget(group)
            (dog.folder / "file").touch()
        return dog.folder

    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        folder = asyncio.run(test(other.pid))
        assert other.poll() is None
        other.kill()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("script", "code"), [("exec sleep 1000", -15), ("trap '' TERM; echo; sleep 1000", -9)]
)
def test_only_asyncio_asks_whether_its_process_has_ended(
    monkeypatch: pytest.MonkeyPatch, script: str, code: int
) -> None:
    """Whoever else asks takes the exit code away from it: "Unknown child process pid …, … returncode 255"."""

    def asked(_: object) -> None:
        raise AssertionError("somebody else has asked")

    async def ended() -> int | None:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", f"echo; {script}", stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        await process.stdout.readline()
        if code == -9:
            await process.stdout.readline()
        await terminate(process, 0.2)
        return process.returncode

    monkeypatch.setattr(subprocess.Popen, "poll", asked)
    assert asyncio.run(ended()) == code
