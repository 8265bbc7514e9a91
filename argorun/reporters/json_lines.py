"""JSON Lines: writes events as one JSON object per line, and reads them."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import os
import re
import time
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from argorun.errors import UsageError
from argorun.events import Event, LogLines, Notice
from argorun.kinds import NoticeKind, OpenEnum
from argorun.redact.event_text import E, rewrite
from argorun.redact.sanitize import UNSEEN
from argorun.reporters.background_writer import BackgroundWriter, open_file, writers_of
from argorun.reporters.reporter import Buffered, Drainable, Reporter, RequestedFile
from argorun.reporters.streams import BATCH_SECONDS, StandardStreams

LAST_WRITES = 10.0  # seconds at the end for a file whose disk or reader is slow
DIGITS = 3  # of seconds: milliseconds


class Unwritable(OSError):
    """A requested file cannot be written; a FIFO without a reader counts, unlike a closed stdout."""


class JsonLines(Reporter):
    """Writes every event as one line and flushes it: `{"event":"topic_created","time":1767225600.5,...}`."""

    def __init__(self, stream: BinaryIO, name: str = "stdout") -> None:
        self.name = name
        self._stream = stream

    def report(self, event: Event) -> None:
        self._stream.write(encode(event))
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


def missing(lines: int) -> bytes:
    """The event, as JSON, that takes the place of dropped ones."""
    text = f"{lines:,} events are missing here: they were not read in time"
    kind = NoticeKind.EVENTS_MISSING
    return encode(Notice(time=time.time(), level="warning", text=text, kind=kind))


class BackgroundJsonLines(Reporter, Buffered, Drainable):
    """The same to a pipe or a terminal, in the background; writes log lines in batches."""

    name = "stdout"

    def __init__(self, writer: BackgroundWriter) -> None:
        self._writer = writer
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
            self._writer.write(held)

    def close(self) -> None:
        self.flush()

    def drain(self, seconds: float | None) -> None:
        """Wait for the reader. Raises OSError if events were dropped: the reader fell too far behind."""
        self._writer.drain(seconds)
        if lost := self._writer.lost:
            raise OSError(errno.ENOBUFS, f"{lost:,} events are missing there: they were not read in time")


class EventsFile(Reporter, Drainable, RequestedFile):
    """Writes every event to a file or a FIFO in the background; the constructor opens it.

    The file is created with the usual permissions, and links are followed, for `/dev/stdout` and `>(command)`
    are links: its texts are masked. Raises UsageError if it cannot be opened.
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
        self._writer = BackgroundWriter(self._descriptor, mark=missing, wait=0)

    def report(self, event: Event) -> None:
        with broken_pipe_counts():
            self._writer.write(encode(event))

    def raise_errors(self) -> None:
        with broken_pipe_counts():
            self._writer.raise_errors()

    def close(self) -> None:
        pass

    def drain(self, seconds: float | None) -> None:
        """Wait until all is written. Raises Unwritable after so many seconds (None: LAST_WRITES)."""
        with broken_pipe_counts():
            done = self._writer.drain(LAST_WRITES if seconds is None else min(seconds, LAST_WRITES))
        if not done:  # a write may hang on the descriptor: it stays open until the process ends
            raise unfinished(self._writer.waiting)
        os.close(self._descriptor)
        if lost := self._writer.lost:
            raise Unwritable(errno.ENOBUFS, f"{lost:,} events are missing in it: it was too slow")


def open_json(streams: StandardStreams) -> Reporter:
    """The json output: the events on stdout."""
    out, _ = writers_of(streams.stdout, streams.stderr, mark=missing)
    return BackgroundJsonLines(out) if out else JsonLines(streams.stdout.buffer)


@contextlib.contextmanager
def broken_pipe_counts() -> Iterator[None]:
    """For a requested file, a reader that has gone is an error, too."""
    try:
        yield
    except BrokenPipeError as error:
        raise Unwritable(error.errno, error.strerror) from error


def unfinished(size: int) -> Unwritable:
    """The error for bytes that still wait for a disk or a reader at the end."""
    return Unwritable(errno.ETIMEDOUT, f"its last {size:,} bytes could not be written in time")


def encode(event: Event) -> bytes:
    """The event as a line of JSON with its newline; LogLines as one per log line."""
    if isinstance(event, LogLines):
        return b"".join(map(_encode, LogLine.of(event)))
    return _encode(rounded(event))


def rounded(event: E) -> E:
    """The event with its seconds, in whatever field, rounded to milliseconds."""
    changed: dict[str, Any] = {}
    for name in _SECONDS[type(event)]:
        value = getattr(event, name)
        if isinstance(value, dict):
            changed[name] = {key: round(seconds, DIGITS) for key, seconds in value.items()}
        else:
            changed[name] = round(value, DIGITS)
    return dataclasses.replace(event, **changed)


def _encode(event: Event | LogLine) -> bytes:
    try:
        body = msgspec.json.encode(event)
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 has no form for
        if isinstance(event, LogLine):
            body = msgspec.json.encode(msgspec.structs.replace(event, text=_without_surrogates(event.text)))
        else:
            body = msgspec.json.encode(rewrite(event, _without_surrogates))
    if not body.isascii() or b"\x7f" in body:  # JSON escapes the other controls by itself
        body = UNSEEN.sub(_escaped, body.decode()).encode()
    # GitHub's runner obeys "##[command]" anywhere in a line; this escape is the same JSON string.
    return _PREFIXES[type(event)] + body[1:].replace(b"##[", b"##\\u005b") + b"\n"


def decode(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events that `encode` wrote. What a newer argorun has added is left out: events, fields, steps.

    A kind that is unknown here is read as `other`. Raises UsageError at a line that is not an event.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            kind = KINDS.get(msgspec.json.decode(line, type=_Tagged).event)
            if kind is not None and not _is_newer(line, kind):
                decoded = msgspec.json.decode(line, type=kind)
                yield decoded.event() if isinstance(decoded, LogLine) else decoded
        except msgspec.MsgspecError as error:
            raise UsageError(f"line {number} is not an event of argorun: {error}") from error


class _Tagged(msgspec.Struct):
    event: str


def _is_newer(line: bytes, kind: type) -> bool:
    """Whether the event has a step, a hook's status or a level that is unknown here."""
    if not (closed := _CLOSED[kind]):
        return False
    raw = msgspec.json.decode(line, type=dict[str, Any])
    return any(isinstance(raw.get(name), str) and raw[name] not in known for name, known in closed.items())


class LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that a container wrote. It may hold control characters, as escapes of JSON."""

    time: float
    job: str
    pod: str
    container: str
    attempt: int
    restart: int = 0
    stamp: str  # RFC 3339 with nanoseconds, the container runtime's clock
    text: str  # the line

    @classmethod
    def of(cls, event: LogLines) -> Iterator[LogLine]:
        for stamp, text in zip(event.stamps, event.texts, strict=True):
            yield cls(
                time=round(event.time, DIGITS),
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


KINDS: dict[str, type[Event | LogLine]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in (LogLine if kind is LogLines else kind for kind in typing.get_args(Event))
}


def _choices(hint: Any) -> frozenset[str]:
    """The values of an enumeration without `other`; empty for any other type."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and not issubclass(hint, OpenEnum):
        return frozenset(hint)
    return frozenset(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else frozenset()


_HINTS: dict[type, dict[str, Any]] = {kind: typing.get_type_hints(kind) for kind in KINDS.values()}
_SECONDS = {
    kind: [n for n, hint in hints.items() if hint in (float, dict[str, float])]
    for kind, hints in _HINTS.items()
}
_CLOSED = {
    kind: {name: _choices(hint) for name, hint in hints.items() if _choices(hint)}
    for kind, hints in _HINTS.items()
}
_PREFIXES: dict[type, bytes] = {kind: f'{{"event":"{tag}",'.encode() for tag, kind in KINDS.items()}


def _escaped(match: re.Match[str]) -> str:
    code = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{code[i : i + 4]}" for i in range(0, len(code), 4))


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
