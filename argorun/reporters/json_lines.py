"""Writes one JSON object a line for each event, for machines and for `--events FILE`; and reads them back."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from argorun.errors import UsageError
from argorun.events import Event, LogLines, Notice
from argorun.redact.event_text import rewrite
from argorun.redact.sanitize import UNSEEN
from argorun.reporters.background_writer import Outlet, open_file
from argorun.reporters.streams import BATCH_SECONDS

LAST_WRITES = 10.0  # seconds in the end for a file whose disk or reader is slow


class Unwritable(OSError):
    """A file that was asked for cannot be written; a FIFO without a reader counts, unlike a closed stdout."""


class JsonLines:
    """Every event as one line, flushed: `{"event":"topic_created","time":1767225600.5,...}`."""

    def __init__(self, stream: BinaryIO, name: str = "stdout") -> None:
        self.name = name
        self._stream = stream

    def report(self, event: Event) -> None:
        self._stream.write(encode(event))
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


def missing(lines: int) -> bytes:
    """The event that says how many lines of JSON were dropped in its place."""
    text = f"{lines:,} events are missing here: they were not read in time"
    return encode(Notice(time=time.time(), level="warning", text=text))


class JsonOutlet:
    """The same to a pipe or a terminal; while a log pours in, its lines go out in batches."""

    name = "stdout"

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._held: list[bytes] = []
        self._flushed = time.monotonic()

    def report(self, event: Event) -> None:
        self._held.append(encode(event))
        if not isinstance(event, LogLines) or time.monotonic() - self._flushed >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._flushed = time.monotonic()
        if self._held:
            held, self._held = b"".join(self._held), []
            self._outlet.write(held)

    def close(self) -> None:
        self.flush()

    def drain(self, seconds: float | None) -> None:
        """Raises OSError where events were dropped: their reader fell too far behind."""
        self._outlet.drain(seconds)
        if lost := self._outlet.lost:
            raise OSError(errno.ENOBUFS, f"{lost:,} events are missing there: they were not read in time")


class EventsFile:
    """The same in a file of its own, opened before anything else happens; a FIFO with a reader is one, too.

    A reader or a disk that has stopped holds nothing up: see Outlet. The file is made as any program makes
    one (the umask counts, links are followed, for `/dev/stdout` and `>(command)` are such): its texts are
    masked. Raises UsageError where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"events file {path}"
        try:
            self._descriptor = open_file(path)
        except OSError as error:
            raise UsageError(
                f"the events file {path} cannot be written: {error.strerror or error}",
                "give --events a path in a directory that exists and that you may write to",
            ) from error
        self._outlet = Outlet(self._descriptor, mark=missing, patience=0)

    def report(self, event: Event) -> None:
        with asked_for():
            self._outlet.write(encode(event))

    def settle(self) -> None:
        """Raises what has gone wrong so far, after a moment for what is under way."""
        with asked_for():
            self._outlet.settle()

    def close(self) -> None:
        pass

    def drain(self, seconds: float | None) -> None:
        """Raises Unwritable where not all is written within so many seconds (None: LAST_WRITES)."""
        with asked_for():
            done = self._outlet.drain(LAST_WRITES if seconds is None else min(seconds, LAST_WRITES))
        if not done:  # its writer may sit in there: the descriptor is left to the end of the process
            raise not_taken(self._outlet.waiting)
        os.close(self._descriptor)
        if lost := self._outlet.lost:
            raise Unwritable(errno.ENOBUFS, f"{lost:,} events are missing in it: it was too slow")


@contextlib.contextmanager
def asked_for() -> Iterator[None]:
    """Of a file that was asked for, a reader that has gone is an error, too."""
    try:
        yield
    except BrokenPipeError as error:
        raise Unwritable(error.errno, error.strerror) from error


def not_taken(size: int) -> Unwritable:
    """What waits for a disk or a reader that has stopped is not written in the end."""
    return Unwritable(errno.ETIMEDOUT, f"its last {size:,} bytes could not be written in time")


def encode(event: Event) -> bytes:
    """The event as one line of JSON, with its newline; each of a log's lines has one of its own."""
    if isinstance(event, LogLines):
        return b"".join(map(_encode, _LogLine.of(event)))
    return _encode(event)


def _encode(event: Event | _LogLine) -> bytes:
    try:
        body = msgspec.json.encode(event)
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 has no form for
        if isinstance(event, _LogLine):
            body = msgspec.json.encode(msgspec.structs.replace(event, text=_without_surrogates(event.text)))
        else:
            body = msgspec.json.encode(rewrite(event, _without_surrogates))
    if not body.isascii() or b"\x7f" in body:  # JSON escapes the other controls by itself
        body = UNSEEN.sub(_escaped, body.decode()).encode()
    # GitHub's runner obeys "##[command]" anywhere in a line; this escape is the same JSON string.
    return _PREFIXES[type(event)] + body[1:].replace(b"##[", b"##\\u005b") + b"\n"


def decode(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events that `encode` wrote; those of a newer argorun that this one does not know are left out.

    Raises UsageError at a line that is no event.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            kind = _KINDS.get(msgspec.json.decode(line, type=_Tagged).event)
            if kind is not None:
                decoded = msgspec.json.decode(line, type=kind)
                yield decoded.event() if isinstance(decoded, _LogLine) else decoded
        except msgspec.MsgspecError as error:
            raise UsageError(f"line {number} is not an event of argorun: {error}") from error


class _Tagged(msgspec.Struct):
    event: str


class _LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of LogLines as it is written."""

    time: float
    job: str
    pod: str
    container: str
    attempt: int
    restart: int = 0
    stamp: str
    text: str

    @classmethod
    def of(cls, event: LogLines) -> Iterator[_LogLine]:
        for stamp, text in zip(event.stamps, event.texts, strict=True):
            yield cls(
                time=event.time,
                job=event.job,
                pod=event.pod,
                container=event.container,
                attempt=event.attempt,
                restart=event.restart,
                stamp=stamp,
                text=text,
            )

    def event(self) -> LogLines:
        fields = msgspec.structs.asdict(self)
        return LogLines(stamps=(fields.pop("stamp"),), texts=(fields.pop("text"),), **fields)


_KINDS: dict[str, type[Event | _LogLine]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in typing.get_args(Event)
    if kind is not LogLines
} | {"log_line": _LogLine}
_PREFIXES: dict[type, bytes] = {kind: f'{{"event":"{tag}",'.encode() for tag, kind in _KINDS.items()}


def _escaped(match: re.Match[str]) -> str:
    code = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{code[i : i + 4]}" for i in range(0, len(code), 4))


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
