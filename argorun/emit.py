"""Emits the events of a run or a sweep: its steps, warnings and notes."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Literal

from argorun import events
from argorun.events import Event, Step

Emit = Callable[[Event], None]


@dataclasses.dataclass(eq=False)
class OpenStep:
    """A step that has begun, when (monotonic seconds), and its result so far, for people."""

    step: Step
    began: float
    result: list[str]


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
    ) -> AsyncIterator[list[str]]:
        """One start event, then one end event; what is put into the list is shown as the step's result."""
        self.end_open_step()
        opened, ok = OpenStep(step, time.monotonic(), []), False
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
        seconds, shown = time.monotonic() - opened.began, ", ".join(opened.result)
        step = opened.step
        self.emit(events.StepEnded(time=time.time(), step=step, ok=ok, seconds=seconds, detail=shown))

    def warn(self, text: str) -> None:
        """Emit something that a person should know, and perhaps act on."""
        self.emit(events.Notice(time=time.time(), level="warning", text=text))

    def warn_once(self, text: str) -> None:
        """Warn, unless this text was given here before."""
        if text not in self._warned:
            self._warned.add(text)
            self.warn(text)

    def info(self, text: str) -> None:
        """Emit something that a person may want to know."""
        self.emit(events.Notice(time=time.time(), level="info", text=text))

    def planned(self, what: str) -> None:
        """Emit one line of what a dry run would do."""
        self.emit(events.Planned(time=time.time(), what=what))

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
