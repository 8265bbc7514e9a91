"""A shell process that ends all started processes when argorun ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

# Reads "+ PGID" and "- PGID"; at the end of its input, also when this process ends, it kills the process
# groups that are left and removes the folder. In a session of its own: Ctrl-C does not reach it.
SCRIPT = """
groups=" "
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
for group in $groups; do
  tries=0
  while [ $tries -lt 40 ] && kill -s 0 -- "-$group"; do sleep 0.05; tries=$((tries + 1)); done
done
rm -rf -- "$1"
"""


class Watchdog:
    """Guards a temporary folder and process groups; use `Watchdog.start`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, name: str) -> AsyncIterator[Watchdog]:
        """Create a folder; when the block or this process ends, delete it and kill every watched group."""
        folder = Path(tempfile.mkdtemp(prefix=f"argorun-{name}-"))
        process = subprocess.Popen(  # noqa: ASYNC220  # fork and exec of a shell: no time to speak of
            ["/bin/sh", "-c", SCRIPT, "argorun-watchdog", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        dog = cls(folder, process)
        try:
            yield dog
        finally:
            dog._close()

    def watch(self, group: int) -> None:
        """Kill this process group at the end."""
        self._say("+", group)

    def forget(self, group: int) -> None:
        """Do not kill this group: it has ended, and its number may be reused."""
        self._say("-", group)

    def _say(self, sign: str, group: int) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(f"{sign} {group}\n".encode())
            self._process.stdin.flush()

    def _close(self) -> None:
        """Let it clean up; that takes milliseconds, so a second Ctrl-C cannot interrupt it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        shutil.rmtree(self.folder, ignore_errors=True)


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal the process group that a process leads; nothing where it is gone.

    asyncio's own `terminate`, `kill` and `send_signal` ask first whether the process has ended. Before Python
    3.13 that takes the exit code away from asyncio, which then says "Unknown child process" on stderr
    (https://github.com/python/cpython/issues/87744).
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def terminate(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Send SIGTERM, then SIGKILL, to the group that a process leads; return when the process has ended."""
    if process.returncode is not None:
        return
    send(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        send(process, signal.SIGKILL)
        await process.wait()
