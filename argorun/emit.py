"""How a run or a sweep tells of its steps, and of what is worth a word."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from argorun import events
from argorun.events import Step
from argorun.reporters.wording import duration
from argorun.run.undo import Announce

CLOCKS_DIFFER = 30.0  # seconds by which this machine's clock may be off before it is worth a word


class Telling:
    """Makes events of what is told, and announces them."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce

    @contextlib.asynccontextmanager
    async def step(
        self, step: Step, detail: str = "", good: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[list[str]]:
        """Tell of a step; what is put into the list is told as its result."""
        began, ok, result = time.monotonic(), False, list[str]()
        self._announce(events.StepStarted(time=time.time(), step=step, detail=detail))
        try:
            yield result
            ok = good()
        finally:
            seconds, told = time.monotonic() - began, ", ".join(result)
            self._announce(events.StepEnded(time=time.time(), step=step, ok=ok, seconds=seconds, detail=told))

    def notice(self, text: str, level: str = "warning") -> None:
        """What a person should know; a level other than "info" is a warning."""
        self._announce(
            events.Notice(time=time.time(), level="info" if level == "info" else "warning", text=text)
        )

    def clock(self, ahead: float) -> None:
        """That this machine's clock is wrong by Argo CD's, where it is so by more than CLOCKS_DIFFER."""
        if abs(ahead) > CLOCKS_DIFFER:
            about = round(abs(ahead), -1)  # a date is in whole seconds, and its answer took some time
            how = f"{duration(about)} {'ahead of' if ahead > 0 else 'behind'} Argo CD's"
            self.notice(f"the clock of this machine is {how}: Argo CD's time is used")

    def planned(self, what: str) -> None:
        """What a dry run does not do."""
        self._announce(events.Planned(time=time.time(), what=what))
