"""An event loop whose clock stands still while there is something to do, and jumps when there is not.

Sleeping costs no time, the order of events never depends on the machine, and a test that would wait forever
fails at once. For fakes only: a socket on the loop would be waited for in real time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
STUCK = 5.0  # real seconds without an event, a timer or a signal


class JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Asks the real one, and instead of waiting moves the clock on."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(STUCK if timeout is None else 0)
        if not ready:
            if timeout is None:
                raise AssertionError("nothing would ever happen again: everything waits for something else")
            self.now += max(timeout, 0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """At once and here: while a thread worked, the clock would jump past every limit."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as e:
            done.set_exception(e)
        return done


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a jumping clock."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)
