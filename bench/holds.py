"""Runs argorun in this process and notes how long each callback holds its event loop.

    python -m bench.holds FIGURES.json run APPLICATION …

The time is the thread's own CPU time: what else the machine does is no part of it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from argorun import __main__ as program
from argorun import signals
from argorun.argocd import rest_client
from argorun.argocd.http import connection, errors, streams

MOST = 5  # of the longest holds are named


class Holds:
    """The longest holds of the event loop, the decoding of an answer taken out, and the longest of those."""

    def __init__(self) -> None:
        self.longest: list[tuple[float, str]] = []
        self.decoding, self.largest = 0.0, 0  # seconds for one answer, and its bytes
        self._decoded = 0.0  # seconds, in the callback that runs
        self.collecting, self._began = 0.0, 0.0  # seconds of the longest garbage collection

    def watch(self) -> None:
        """From now on, for every event loop of this process."""
        run = asyncio.events.Handle._run
        gc.callbacks.append(self._collected)

        def timed(handle: asyncio.Handle) -> None:
            self._decoded, began = 0.0, time.thread_time()
            try:
                run(handle)
            finally:
                self._note(time.thread_time() - began - self._decoded, handle)

        asyncio.events.Handle._run = timed  # type: ignore[assignment,method-assign]
        decode = errors.decode

        def decoded(data: bytes, kind: Any, doing: str) -> Any:
            began = time.thread_time()
            try:
                return decode(data, kind, doing)
            finally:
                took = time.thread_time() - began
                self._decoded += took
                if took > self.decoding:
                    self.decoding, self.largest = took, len(data)

        for module in (errors, connection, streams, rest_client):
            setattr(module, "decode", decoded)  # noqa: B010  # mypy knows them as functions

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.collecting = max(self.collecting, time.thread_time() - self._began)

    def _note(self, seconds: float, handle: asyncio.Handle) -> None:
        if len(self.longest) < MOST or seconds > self.longest[-1][0]:
            self.longest = sorted([*self.longest, (seconds, what(handle))], reverse=True)[:MOST]

    def figures(self) -> dict[str, Any]:
        """Milliseconds and MiB."""
        return {
            "hold": 1000 * max(seconds for seconds, _ in self.longest),
            "holders": [f"{1000 * seconds:.0f} ms {name}" for seconds, name in self.longest],
            "collecting": 1000 * self.collecting,
            "decoding": 1000 * self.decoding,
            "decoded": self.largest / 1e6,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def what(handle: asyncio.Handle) -> str:
    """Which task's step it was, or which callback."""
    callback: Any = getattr(handle, "_callback", None)
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return str(getattr(task.get_coro(), "__qualname__", task))
    return str(getattr(callback, "__qualname__", callback))


def main() -> None:
    """argorun with the arguments after the first; the figures go into the file that the first one names."""
    file = Path(sys.argv.pop(1))
    holds = Holds()
    holds.watch()
    end = signals.end

    def written(code: int | str | None) -> NoReturn:
        """The program ends its process here, whatever its threads do."""
        file.write_text(json.dumps(holds.figures()), encoding="utf-8")
        end(code)

    signals.end = written
    program.main()


if __name__ == "__main__":
    main()
