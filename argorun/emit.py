"""Emits the events of a run or a sweep: its steps, warnings and notes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Literal

from argorun import events
from argorun.events import Event, Step
from argorun.kinds import NoticeKind, Subject

Emit = Callable[[Event], None]
Warn = Callable[[str, NoticeKind], None]


class StepResult(list[str]):
    """The result of a step: phrases for people, and `counts` for programs."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}


@dataclasses.dataclass(eq=False)
class OpenStep:
    """A step that has begun, when (monotonic seconds), and its result so far."""

    step: Step
    began: float
    result: StepResult


class Emitter:
    """Makes events and emits them; `emit` passes on one that is made already.

    Steps never overlap: an end follows each start before the next one, whatever becomes of the step.
    """

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._open: OpenStep | None = None
        self._warned: set[str] = set()

    @contextlib.asynccontextmanager
    async def step(
        self, step: Step, detail: str = "", good: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[StepResult]:
        """One start event, then one end event; what is put into the list is shown as the step's result."""
        self.end_open_step()
        opened, ok = OpenStep(step, time.monotonic(), StepResult()), False
        self._open = opened
        self.emit(events.StepStarted(time=time.time(), step=step, detail=detail))
        try:
            yield opened.result
            ok = good()
        finally:
            self._end(opened, ok)

    def end_open_step(self) -> None:
        """End the step that is open, if any, as failed: canceled, it has not stopped."""
        if self._open is not None:
            self._end(self._open, ok=False)

    def _end(self, opened: OpenStep, ok: bool) -> None:
        if self._open is not opened:
            return  # it was ended before
        self._open = None
        seconds, result = time.monotonic() - opened.began, opened.result
        self.emit(
            events.StepEnded(
                time=time.time(),
                step=opened.step,
                ok=ok,
                seconds=seconds,
                detail=", ".join(result),
                counts=result.counts,
            )
        )

    def warn(self, text: str, kind: NoticeKind = NoticeKind.OTHER) -> None:
        """Emit something that a person should know, and perhaps act on."""
        self.emit(events.Notice(time=time.time(), level="warning", text=text, kind=kind))

    def warn_once(self, text: str, kind: NoticeKind = NoticeKind.OTHER) -> None:
        """Warn, unless this text was given here before."""
        if text not in self._warned:
            self._warned.add(text)
            self.warn(text, kind)

    def warner(self, kind: NoticeKind) -> Callable[[str], None]:
        """`warn` for notices of this kind, for who knows no kinds."""
        return functools.partial(self.warn, kind=kind)

    def undone(
        self, what: str, began: float, kind: Subject, *names: str, parts: Iterable[Subject] = ()
    ) -> None:
        """Emit that something was undone, since `began` (monotonic seconds)."""
        self.emit(
            events.Undone(
                time=time.time(),
                what=what,
                seconds=time.monotonic() - began,
                kind=kind,
                names=names,
                parts=tuple(parts),
            )
        )

    def info(self, text: str, kind: NoticeKind = NoticeKind.OTHER) -> None:
        """Emit something that a person may want to know."""
        self.emit(events.Notice(time=time.time(), level="info", text=text, kind=kind))

    def retries(
        self, service: Literal["argocd", "kafka"], address: str, source: str = ""
    ) -> Callable[[str], None]:
        """What a client of this service calls with the reason of its retries, and with "" once they are over.

        `source` says where the address was given.
        """
        said = ""

        def retrying(reason: str) -> None:
            nonlocal said
            if reason != said:
                said = reason
                self.emit(
                    events.Retrying(
                        time=time.time(), service=service, address=address, reason=reason, source=source
                    )
                )

        return retrying
