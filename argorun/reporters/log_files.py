"""Keeps whole logs as Argo CD gave them: `--log-dir DIR`, a file for each instance of a container."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

from argorun.errors import UsageError
from argorun.events import Event, LogEnded, LogLines, LogStarted
from argorun.reporters.json_lines import Unwritable

Source = tuple[str, str, str, int]


class LogFiles:
    """`DIR/JOB/POD.CONTAINER.log`, and `….restart-1.log` of a container that was started again.

    The lines are as Argo CD gave them, each with a newline: neither masked nor made safe for a terminal.
    Raises UsageError where the directory cannot be made or written to; nothing has been written by then.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"log directory {folder}"
        self._folder = folder
        self._files: dict[Source, BinaryIO] = {}
        hint = "give --log-dir a directory that you may write to"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"the log directory {folder} cannot be made: {why}", hint) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"the log directory {folder} cannot be written to", hint)

    def report(self, event: Event) -> None:
        if not isinstance(event, LogStarted | LogLines | LogEnded) or not event.pod:
            return
        source = (event.job, event.pod, event.container, event.restart)
        try:
            if isinstance(event, LogEnded):
                self._close(source)
                return
            file = self._files.get(source) or self._open(source)
            if isinstance(event, LogLines):
                text = "\n".join(event.texts) + "\n"
                file.write(text.encode("utf-8", "surrogatepass"))
        except BrokenPipeError as error:
            raise Unwritable(error.errno, error.strerror) from error

    def close(self) -> None:
        for source in tuple(self._files):
            self._close(source)

    def _open(self, source: Source) -> BinaryIO:
        job, pod, container, restart = source
        name = f"{pod}.{container}" if container else pod
        name += f".restart-{restart}.log" if restart else ".log"
        folder = self._folder / safe(job)
        folder.mkdir(exist_ok=True)
        # Unbuffered: a batch of lines is written at once, and is there for who looks while the run goes on.
        self._files[source] = (folder / safe(name)).open("wb", buffering=0)
        return self._files[source]

    def _close(self, source: Source) -> None:
        if file := self._files.pop(source, None):
            file.close()


def safe(name: str) -> str:
    """A file's name that stays in its directory, whatever a server calls its pods."""
    return re.sub(r"[^A-Za-z0-9._-]|^\.", "_", name)[:250] or "_"
