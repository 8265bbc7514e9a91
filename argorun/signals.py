"""Signal handling: one handler for the process; what it does depends on the phase.

asyncio's own handlers leave gaps, before the loop exists and after it is closed, in which a signal shows a
traceback or gives an exit code that is not the run's. This handler stays for as long as the process lives.
Its phases only go forward: `leave` until work begins, then the `Interrupts` of the work, then `ignore` or
`leave_with`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from argorun.errors import Interrupted

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
SAME_PRESS = 1.0  # seconds in which the same signal again is no decision: a nervous press, or a wrapper's
BURST = 0.3  # seconds between two signals of a key that is held down
STOPPING_AT_ONCE = 0.2  # seconds for what is canceled by a second signal to stop
AWAKE = 0.2  # seconds in which a signal that came just before the event loop fell asleep is handled
Handler = Callable[[int], object]  # called between any two steps of the main thread: it may do very little


def leave(signum: int) -> NoReturn:
    """End the process at once: nothing was touched yet."""
    with contextlib.suppress(OSError):
        os.write(2, f"argorun: interrupted by {signal.Signals(signum).name}\n".encode())
    os._exit(128 + signum)


def ignore(_: int) -> None:
    """Do nothing: there is nothing left to end."""


def leave_with(code: Callable[[], int]) -> Handler:
    """End the process at once with this exit code: only an output with a slow reader is not finished."""
    return lambda _: os._exit(code())


def end(code: int | str | None) -> NoReturn:
    """End the process: with `sys.exit`, or at once where a thread may hang, in a name server say."""
    if threading.active_count() == 1 or not isinstance(code, int | None):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code or 0)


_handler: Handler = leave
_received = False


def received() -> bool:
    """Whether the process has received any signal so far."""
    return _received


def handler() -> Handler:
    """What handles signals at the moment."""
    return _handler


def handle_with(handler: Handler) -> None:
    """From now on this one handles signals, for as long as the process lives."""
    global _handler
    _handler = handler


def install() -> None:
    """Handle signals from now on, except a SIGHUP that is ignored from the start, as `nohup` has it."""
    for signum in SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _handle)


def ignore_forever() -> None:
    """Ignore signals until the process is gone: Python restores its own handlers while it still tidies up."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Let this one handle signals within the block, and `ignore` after it: the work has its result.

    The handler of before never returns: it would lose that result. Only the process's handlers are restored,
    for a process that has not called `install`.
    """
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    handle_with(handler)
    install()
    try:
        yield
    finally:
        handle_with(ignore)
        for signum, old in before.items():
            signal.signal(signum, old)


def _handle(signum: int, _: FrameType | None) -> None:
    global _received
    _received = True
    _handler(signum)


class Interrupts:
    """The signals that one run, sweep or demo receives: a first one, and a second one that is more urgent.

    The same signal within SAME_PRESS seconds of the first, or in a burst, is not the second one; a different
    signal is, at any time. With `only_first` there is no second one. Make it in the event loop.
    """

    def __init__(self, *, only_first: bool = False) -> None:
        import asyncio  # 30 ms, which `--help` need not wait for

        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._second: asyncio.Future[None] = self._loop.create_future()
        self._only_first = only_first
        self._received_at = self._repeated_at = 0.0  # when the first and the last came, by the loop's clock
        self._on_first: Callable[[], object] = lambda: None
        self.signal: int | None = None  # the first one

    @property
    def at_once(self) -> bool:
        """Whether a second signal came: nothing is waited for any longer."""
        return self._second.done()

    def on_first(self, act: Callable[[], object]) -> None:
        """Call this when the first signal comes."""
        self._on_first = act

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the process's signals within the block."""
        self._wake()
        try:
            with handled_by(lambda signum: self._loop.call_soon_threadsafe(self.receive, signum)):
                yield
        finally:
            self._timer.cancel()

    def receive(self, signum: int) -> None:
        """Take a signal; call it in the event loop."""
        now, before = self._loop.time(), self._repeated_at
        self._repeated_at = now
        if self.signal is None:
            self.signal, self._received_at = signum, now
            self._first.set_result(None)
            self._on_first()
            return
        hasty = now - self._received_at < SAME_PRESS or now - before < BURST
        if self._only_first or (signum == self.signal and hasty):
            return
        if not self.at_once:
            self._second.set_result(None)

    async def run(
        self,
        work: Coroutine[Any, Any, T],
        *,
        ended_by: Literal["first", "second"] = "first",
        stop_within: float | None = None,
    ) -> T:
        """The result of `work`. Raises its error, or Interrupted where a signal ends it.

        After a first signal the canceled work has `stop_within` seconds to stop (None: as long as it takes),
        after a second one STOPPING_AT_ONCE. Where the caller is canceled, so is the work.
        """
        import asyncio

        from argorun.event_loop import finished

        ending = self._first if ended_by == "first" else self._second
        if ending.done():
            work.close()
            raise Interrupted(self.signal or signal.SIGINT)
        task, canceled = self._loop.create_task(work), False
        either: list[asyncio.Future[Any]] = [task, ending]
        while not task.done() and not ending.done():
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:  # the caller's time is over
                canceled = task.cancel()
        if not task.done():
            task.cancel()
            either = [task, self._second]
            await asyncio.wait(either, timeout=stop_within, return_when=asyncio.FIRST_COMPLETED)
            if self.at_once:
                task.cancel()
        if await finished({task}, STOPPING_AT_ONCE if self.at_once else 0.0) and not task.cancelled():
            return task.result()
        if canceled and self.signal is None:
            raise asyncio.CancelledError
        raise Interrupted(self.signal or signal.SIGINT)

    def _wake(self) -> None:
        """Wake the event loop again and again: Python handles a signal only between two steps of its own."""
        self._timer = self._loop.call_later(AWAKE, self._wake)
