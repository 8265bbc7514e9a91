"""Writes one JSON object a line for each event, for machines and for `--events FILE`; and reads them back."""

from __future__ import annotations

import re
import time
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from argorun.errors import UsageError
from argorun.events import Event, LogLines
from argorun.reporters.fields import rewrite
from argorun.reporters.outlet import Outlet
from argorun.reporters.sink import BATCH_SECONDS
from argorun.reporters.text import UNSEEN


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
        self._outlet.drain(seconds)


class EventsFile(JsonLines):
    """The same in a file of its own, opened before anything else happens.

    Raises UsageError where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            stream = path.open("wb")
        except OSError as error:
            raise UsageError(
                f"the events file {path} cannot be written: {error.strerror or error}",
                "give --events a path in a directory that exists and that you may write to",
            ) from error
        super().__init__(stream, f"events file {path}")

    def report(self, event: Event) -> None:
        try:
            super().report(event)
        except BrokenPipeError as error:
            raise Unwritable(error.errno, error.strerror) from error

    def close(self) -> None:
        self._stream.close()


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
