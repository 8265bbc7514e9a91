"""Writes logs to files as Argo CD returned them: `--log-dir DIR`, a file per container."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from argorun.errors import UsageError
from argorun.events import Event, LogEnded, LogLines, LogStarted
from argorun.reporters.background_writer import OPENING, SHORT_WAIT, WriteQueue, within, write_all
from argorun.reporters.json_lines import LAST_WRITES, Unwritable, unfinished
from argorun.reporters.reporter import Drainable, Reporter, RequestedFile

LONGEST_NAME = 250  # bytes of a file's name; file systems take 255
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Instance = tuple[str, str, str, int]  # of a container: Job, pod, container, number of the restart


class LogFiles(Reporter, Drainable, RequestedFile):
    """`DIR/JOB/POD.CONTAINER.log`, and `….restart-1.log` for a container that was restarted.

    The lines are as Argo CD returned them, each with a newline: neither masked nor made safe for a terminal.
    So directories are created with mode 0700 and files with 0600 whatever the umask, and no link below DIR is
    followed. Writes in the background. Raises UsageError if the directory cannot be created or written to;
    nothing has been written by then.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"log directory {folder}"
        self._files: dict[Instance, int] = {}  # descriptors; only the writer's thread uses them
        self._queue = WriteQueue("argorun-logs")
        hint = "give --log-dir a directory that you may write to"
        try:
            self._directory = within(OPENING, lambda: open_folder(folder))
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"the log directory {folder} cannot be created: {why}", hint) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"the log directory {folder} cannot be written to", hint)

    def report(self, event: Event) -> None:
        match event:
            case LogStarted(pod=pod) if pod:
                self._enqueue(functools.partial(self._open, instance_of(event)))
            case LogLines(pod=pod) if pod:
                data = ("\n".join(event.texts) + "\n").encode("utf-8", "surrogatepass")
                self._enqueue(functools.partial(self._write, instance_of(event), data), len(data))
            case LogEnded(pod=pod) if pod:
                self._enqueue(functools.partial(self._close, instance_of(event)))
            case _:
                pass  # no log, or the log of a container that never ran

    def raise_errors(self) -> None:
        self._queue.wait_idle(SHORT_WAIT)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # drain() raises it again
            self._queue.put(self._close_all)

    def drain(self, seconds: float | None) -> None:
        """Wait until all is written. Raises Unwritable after so many seconds (None: LAST_WRITES)."""
        if not self._queue.wait_idle(LAST_WRITES if seconds is None else min(seconds, LAST_WRITES)):
            raise unfinished(self._queue.waiting)
        self._queue.close()

    def _enqueue(self, act: Callable[[], object], size: int = 0) -> None:
        if not self._queue.put(act, size):
            raise Unwritable(errno.ENOBUFS, "it is too slow: the logs there are incomplete")

    # -- in the writer's thread --------------------------------------------------------------------------

    def _write(self, instance: Instance, data: bytes) -> None:
        descriptor = self._open(instance)
        with self._naming(instance):
            write_all(descriptor, data)

    def _open(self, instance: Instance) -> int:
        if instance not in self._files:
            with self._naming(instance):
                folder, name = place(instance)
                self._files[instance] = new_file(self._directory, folder, name)
        return self._files[instance]

    def _close(self, instance: Instance) -> None:
        if (descriptor := self._files.pop(instance, None)) is not None:
            with self._naming(instance):
                os.close(descriptor)

    def _close_all(self) -> None:
        for instance in tuple(self._files):
            self._close(instance)
        os.close(self._directory)

    @contextlib.contextmanager
    def _naming(self, instance: Instance) -> Iterator[None]:
        """Name the file in an error; a broken pipe counts, too."""
        try:
            yield
        except OSError as error:
            raise Unwritable(error.errno, f"{'/'.join(place(instance))}: {error.strerror}") from error


def instance_of(event: LogStarted | LogLines | LogEnded) -> Instance:
    """The instance of a container that the event is about."""
    return event.job, event.pod, event.container, event.restart


def open_folder(folder: Path) -> int:
    """A descriptor of the directory; creates it and its parents."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(0o700)
        folder.chmod(0o700)  # a umask may have taken more away
    return os.open(folder, DIRECTORY)


def new_file(directory: int, folder: str, name: str) -> int:
    """A descriptor of a new file, mode 0600, in this folder of the directory; replaces an old file.

    Raises OSError if a link, or anything else that is neither directory nor file, has one of these names.
    """
    is_new = True
    try:
        os.mkdir(folder, 0o700, dir_fd=directory)
    except FileExistsError:
        is_new = False
    try:
        below = os.open(folder, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise OSError(error.errno, f"{folder} is a link or no directory; it is not followed") from None
    try:
        if is_new:
            os.fchmod(below, 0o700)  # a umask may have taken more away
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(name, dir_fd=below, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, "it is a link or no ordinary file; it is not followed")
            os.unlink(name, dir_fd=below)  # not overwritten: it may be a hard link to another file
        descriptor = os.open(name, NEW, 0o600, dir_fd=below)
        os.fchmod(descriptor, 0o600)
        return descriptor
    finally:
        os.close(below)


def place(instance: Instance) -> tuple[str, str]:
    """The folder and the name of the file for this instance of a container."""
    job, pod, container, restart = instance
    name = f"{pod}.{container}" if container else pod
    return safe(job), safe(name + (f".restart-{restart}.log" if restart else ".log"))


def safe(name: str) -> str:
    """A unique file name without a path, whatever a server calls its pods."""
    kept = re.sub(r"[^A-Za-z0-9._-]|^\.", "_", name)
    if kept == name and len(kept) <= LONGEST_NAME and kept:
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept[: LONGEST_NAME - 9]}-{digest}"
