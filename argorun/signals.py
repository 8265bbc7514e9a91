"""Signal handling: one handler for the process; what it does depends on the phase.

asyncio's own handlers leave gaps, before the loop is there and after it is gone, in which a signal shows a
traceback or gives a code that is not the run's. Here one handler stays for as long as the process lives. Its
phases only go forward: `leave` until work begins, the listener of the work, then `ignore` or `leave_with`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
SAME_PRESS = 0.5  # seconds within which the same signal is the same key press: wrappers pass it on once more
Listener = Callable[[int], object]  # called between any two steps of the main thread: it may do very little


def leave(signum: int) -> NoReturn:
    """End the process at once: nothing was touched yet."""
    with contextlib.suppress(OSError):
        os.write(2, f"argorun: interrupted by {signal.Signals(signum).name}\n".encode())
    os._exit(128 + signum)


def ignore(_: int) -> None:
    """There is nothing left that a signal could end."""


def leave_with(code: Callable[[], int]) -> Listener:
    """All is done but for an output whose reader takes its time: end at once, with the code that it was."""
    return lambda _: os._exit(code())


def end(code: int | str | None) -> NoReturn:
    """End the process: with `sys.exit`, or at once where a thread may hang, in a name server say."""
    if threading.active_count() == 1 or not isinstance(code, int | None):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code or 0)


_listener: Listener = leave
_came = False


def came() -> bool:
    """Whether any signal was heard so far."""
    return _came


def from_now_on(listener: Listener) -> None:
    """Let signals be heard by this one, for as long as the process lives."""
    global _listener
    _listener = listener


def install() -> None:
    """Hear signals from here on; who is ignored from the start stays so (`nohup` ignores SIGHUP)."""
    for signum in SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _heard)


def ignore_for_good() -> None:
    """Until the process is gone: Python itself takes its handlers away while it still has things to tidy."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Let signals be heard by this one within the block, and then by none: the work has its result.

    There is no moment in which a listener of before the work is back, which would lose that result. Only the
    handlers are put back, for a process that has not called `install`.
    """
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    from_now_on(listener)
    install()
    try:
        yield
    finally:
        from_now_on(ignore)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def _heard(signum: int, _: FrameType | None) -> None:
    global _came
    _came = True
    _listener(signum)
