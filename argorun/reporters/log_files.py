"""Keeps whole logs as Argo CD gave them: `--log-dir DIR`, a file for each instance of a container."""

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
from argorun.reporters.background_writer import OPENING, PATIENCE, Background, within, write_all
from argorun.reporters.json_lines import LAST_WRITES, Unwritable, not_taken

LONGEST_NAME = 250  # bytes of a file's name; file systems take 255
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Source = tuple[str, str, str, int]


class LogFiles:
    """`DIR/JOB/POD.CONTAINER.log`, and `….restart-1.log` of a container that was started again.

    The lines are as Argo CD gave them, each with a newline: neither masked nor made safe for a terminal. So
    directories are made 0700 and files 0600 whatever the umask, and below DIR no link is followed. A disk
    that has stopped holds nothing up. Raises UsageError where the directory cannot be made or written to;
    nothing has been written by then.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"log directory {folder}"
        self._folder = folder
        self._files: dict[Source, int] = {}  # descriptors; the writer's own
        self._background = Background("argorun-logs")
        hint = "give --log-dir a directory that you may write to"
        try:
            self._directory = within(OPENING, lambda: made(folder))
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"the log directory {folder} cannot be made: {why}", hint) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"the log directory {folder} cannot be written to", hint)

    def report(self, event: Event) -> None:
        if not isinstance(event, LogStarted | LogLines | LogEnded) or not event.pod:
            return
        source = (event.job, event.pod, event.container, event.restart)
        if isinstance(event, LogEnded):
            self._do(lambda: self._close(source))
        elif isinstance(event, LogLines):
            data = ("\n".join(event.texts) + "\n").encode("utf-8", "surrogatepass")
            self._do(functools.partial(self._write, source, data), len(data))
        else:
            self._do(lambda: self._opened(source))

    def settle(self) -> None:
        """Raises what has gone wrong so far, after a moment for what is under way."""
        self._background.idle(PATIENCE)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # told by whoever waits for it
            self._background.do(self._close_all)

    def drain(self, seconds: float | None) -> None:
        """Raises Unwritable where not all is written within so many seconds (None: LAST_WRITES)."""
        if not self._background.idle(LAST_WRITES if seconds is None else min(seconds, LAST_WRITES)):
            raise not_taken(self._background.waiting)
        self._background.close()

    def _do(self, act: Callable[[], object], size: int = 0) -> None:
        if not self._background.do(act, size):
            raise Unwritable(errno.ENOBUFS, "it is too slow for the logs: they are not whole there")

    # -- in the writer's thread --------------------------------------------------------------------------

    def _write(self, source: Source, data: bytes) -> None:
        descriptor = self._opened(source)
        with self._named(source):
            write_all(descriptor, data)

    def _opened(self, source: Source) -> int:
        if source not in self._files:
            with self._named(source):
                folder, name = place(source)
                self._files[source] = new_file(self._directory, folder, name)
        return self._files[source]

    def _close(self, source: Source) -> None:
        if (descriptor := self._files.pop(source, None)) is not None:
            with self._named(source):
                os.close(descriptor)

    def _close_all(self) -> None:
        for source in tuple(self._files):
            self._close(source)
        os.close(self._directory)

    @contextlib.contextmanager
    def _named(self, source: Source) -> Iterator[None]:
        """An error says which file it is about; one of a pipe is none to be silent about."""
        try:
            yield
        except OSError as error:
            raise Unwritable(error.errno, f"{'/'.join(place(source))}: {error.strerror}") from error


def made(folder: Path) -> int:
    """A descriptor of the directory, made with its parents where it is not there."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(0o700)
        folder.chmod(0o700)  # a umask may have taken more away
    return os.open(folder, DIRECTORY)


def new_file(directory: int, folder: str, name: str) -> int:
    """A descriptor of a new file 0600 in this folder of the directory; a file of its name gives way.

    Raises OSError where a link, or anything else that is neither directory nor file, stands in the way.
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
            os.unlink(name, dir_fd=below)  # never written through: it may be another file's second name
        descriptor = os.open(name, NEW, 0o600, dir_fd=below)
        os.fchmod(descriptor, 0o600)
        return descriptor
    finally:
        os.close(below)


def place(source: Source) -> tuple[str, str]:
    """The folder and the name of the file for this instance of a container."""
    job, pod, container, restart = source
    name = f"{pod}.{container}" if container else pod
    return safe(job), safe(name + (f".restart-{restart}.log" if restart else ".log"))


def safe(name: str) -> str:
    """A file's name that stays in its directory, whatever a server calls its pods, and is no other's."""
    kept = re.sub(r"[^A-Za-z0-9._-]|^\.", "_", name)
    if kept == name and len(kept) <= LONGEST_NAME and kept:
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept[: LONGEST_NAME - 9]}-{digest}"
