"""A signal has one handler at a time, from the first moment of the process to its last."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import Literal

import pytest

from argorun import signals
from argorun.errors import Interrupted
from tests.unit.virtual import run

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def argorun(code: str) -> tuple[int, str, str]:
    """What a process that begins as argorun does comes to."""
    script = f"import os, signal; from argorun import signals; signals.install()\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("signum", "code"), [(HUP, 129), (INT, 130), (TERM, 143)])
def test_a_signal_while_argorun_starts_is_its_code_without_a_traceback(
    signum: signal.Signals, code: int
) -> None:
    ended = argorun(f"os.kill(os.getpid(), {int(signum)}); print('went on')")
    assert ended == (code, "", f"argorun: interrupted by {signum.name}\n")


def test_nohup_stays_nohup() -> None:
    script = "import os, signal; from argorun import signals; signals.install(); os.kill(os.getpid(), 1)"
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", script]
    assert subprocess.run(command, timeout=60).returncode == 0


@pytest.mark.parametrize("signum", [HUP, INT, TERM])
def test_a_signal_when_all_is_over_does_not_change_the_code(signum: signal.Signals) -> None:
    kill = f"os.kill(os.getpid(), {int(signum)})"
    assert argorun(f"signals.handle_with(signals.ignore); {kill}; print('went on')") == (0, "went on\n", "")
    assert argorun(f"signals.handle_with(signals.leave_with(lambda: 1)); {kill}; print('went on')") == (
        1,
        "",
        "",
    )


def test_a_signal_while_python_itself_ends_does_not_change_the_code() -> None:
    late = "class Late:\n    def __del__(self): os.kill(os.getpid(), 15)\n"
    kept = "import sys; sys.modules['late'] = Late()"  # goes when Python has taken its handlers away
    assert argorun(f"{late}signals.ignore_forever(); {kept}; sys.exit(7)") == (7, "", "")


def test_once_work_has_begun_no_moment_is_left_in_which_a_signal_loses_its_result() -> None:
    """A signal at every line from the block's first to its end: `leave` would give 143 and no word."""
    code = f"""
import sys
from typing import Literal
def work():
    with signals.handled_by(lambda signum: None):
        result = 'all of it'
    print(result)
    return 0
def at_each_line(frame, event, _):
    if begun and event == 'line':
        os.kill(os.getpid(), {int(TERM)})
        sent.append(frame.f_lineno)
    return at_each_line
def begin(frame, event, _):
    global begun
    is_work, first = frame.f_code.co_name == 'work', frame.f_code.co_firstlineno
    if is_work and event == 'line' and frame.f_lineno > first + 1:
        begun = True
    return begin if is_work and not begun else at_each_line(frame, event, _)
begun, sent, traced = False, [], ('work', 'handled_by', '__exit__')
sys.settrace(lambda frame, event, _: begin if frame.f_code.co_name in traced else None)
try:
    work()
finally:
    sys.settrace(None)
assert len(sent) >= 5, sent
"""
    assert argorun(code) == (0, "all of it\n", "")


def test_a_block_has_its_handler_then_signals_are_ignored_and_the_processs_handlers_are_restored() -> None:
    handled: list[int] = []
    before = [signal.getsignal(s) for s in signals.SIGNALS]
    with signals.handled_by(handled.append):
        os.kill(os.getpid(), INT)
    assert handled == [INT]
    assert [signal.getsignal(s) for s in signals.SIGNALS] == before


def test_a_process_ends_with_its_code_and_its_last_words_whatever_its_threads_do() -> None:
    hangs = "import threading; threading.Thread(target=threading.Event().wait).start(); print('last', end='')"
    assert argorun(f"{hangs}; signals.end(7)") == (7, "last", "")
    assert argorun(f"{hangs}; signals.end(None)") == (0, "last", "")
    assert argorun("print('last', end=''); signals.end(7)") == (7, "last", "")


# -- Interrupts ---------------------------------------------------------------------


class Work:
    """Works until it is canceled, then takes `stopping` seconds, by a clock that jumps."""

    def __init__(self, stopping: float = 0.0) -> None:
        self.stopping, self.stopped = stopping, False

    async def __call__(self) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(self.stopping)
            self.stopped = True
        return "result"


def interrupted(
    work: Work,
    *received: tuple[float, int],
    only_first: bool = False,
    ended_by: Literal["first", "second"] = "first",
    limit: float | None = None,
) -> tuple[object, float]:
    """What comes of this work, and after how many seconds, with signals so many seconds after its begin."""

    async def main() -> tuple[object, float]:
        loop = asyncio.get_running_loop()
        interrupts = signals.Interrupts(only_first=only_first)
        for seconds, signum in received:
            loop.call_later(seconds, interrupts.receive, signum)
        began, ended = loop.time(), object()
        try:
            async with asyncio.timeout(limit):
                ended = await interrupts.run(work(), ended_by=ended_by, stop_within=10)
        except (Interrupted, TimeoutError) as e:
            ended = str(e) or type(e).__name__
        return ended, round(loop.time() - began, 1)

    return run(main())


BY_INT, BY_TERM = "interrupted by SIGINT", "interrupted by SIGTERM"


@pytest.mark.parametrize(
    ("received", "came_of_it"),
    [
        ([], ("result", 62.0)),
        ([(5, INT)], (BY_INT, 7.0)),
        ([(5, INT), (5.9, INT)], (BY_INT, 7.0)),  # a nervous second press
        ([(5, INT), (6.1, INT)], (BY_INT, 6.1)),
        ([(5, INT), *((5 + n / 10, INT) for n in range(1, 19))], (BY_INT, 7.0)),  # a key that is held down
        ([(5, INT), (5.9, INT), (6.3, INT)], (BY_INT, 6.3)),
        ([(5, TERM), (5.4, INT)], (BY_TERM, 5.4)),
    ],
)
def test_a_first_signal_ends_work_and_a_second_one_its_stopping(
    received: list[tuple[float, int]], came_of_it: tuple[str, float]
) -> None:
    assert interrupted(Work(stopping=2.0), *received) == came_of_it


def test_work_that_a_first_signal_does_not_end_is_ended_by_a_second_one() -> None:
    assert interrupted(Work(), (5, INT), ended_by="second") == ("result", 60.0)
    assert interrupted(Work(), (5, INT), (7, INT), ended_by="second") == (BY_INT, 7.0)


def test_work_that_does_not_stop_in_time_is_left() -> None:
    assert interrupted(Work(stopping=3600), (5, INT)) == (BY_INT, 15.0)


def test_where_only_a_first_signal_counts_no_other_one_ends_the_stopping() -> None:
    work = Work(stopping=2.0)
    assert interrupted(work, (5, INT), (6, INT), (6.5, TERM), only_first=True) == (BY_INT, 7.0)
    assert work.stopped


def test_work_whose_time_is_over_is_waited_for_unless_a_signal_comes() -> None:
    work = Work(stopping=20.0)
    assert interrupted(work, limit=5) == ("TimeoutError", 25.0)
    assert work.stopped
    assert interrupted(Work(stopping=20.0), (6, INT), (7, TERM), limit=5) == (BY_INT, 6.0)
