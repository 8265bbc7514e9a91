"""A signal has one listener at a time, from the first moment of the process to its last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from argorun import signals

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
    assert argorun(f"signals.from_now_on(signals.ignore); {kill}; print('went on')") == (0, "went on\n", "")
    assert argorun(f"signals.from_now_on(signals.leave_with(lambda: 1)); {kill}; print('went on')") == (
        1,
        "",
        "",
    )


def test_a_signal_while_python_itself_ends_does_not_change_the_code() -> None:
    late = "class Late:\n    def __del__(self): os.kill(os.getpid(), 15)\n"
    kept = "import sys; sys.modules['late'] = Late()"  # goes when Python has taken its handlers away
    assert argorun(f"{late}signals.ignore_for_good(); {kept}; sys.exit(7)") == (7, "", "")


def test_once_work_has_begun_no_moment_is_left_in_which_a_signal_loses_its_result() -> None:
    """A signal at every line from the block's first to its end: `leave` would give 143 and no word."""
    code = f"""
import sys
def work():
    with signals.heard_by(lambda signum: None):
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
begun, sent, traced = False, [], ('work', 'heard_by', '__exit__')
sys.settrace(lambda frame, event, _: begin if frame.f_code.co_name in traced else None)
try:
    work()
finally:
    sys.settrace(None)
assert len(sent) >= 5, sent
"""
    assert argorun(code) == (0, "all of it\n", "")


def test_within_a_block_its_listener_hears_and_then_nobody_and_the_handlers_are_those_of_before() -> None:
    heard: list[int] = []
    before = [signal.getsignal(s) for s in signals.SIGNALS]
    with signals.heard_by(heard.append):
        os.kill(os.getpid(), INT)
    assert heard == [INT]
    assert [signal.getsignal(s) for s in signals.SIGNALS] == before


def test_a_process_ends_with_its_code_and_its_last_words_whatever_its_threads_do() -> None:
    hangs = "import threading; threading.Thread(target=threading.Event().wait).start(); print('last', end='')"
    assert argorun(f"{hangs}; signals.end(7)") == (7, "last", "")
    assert argorun(f"{hangs}; signals.end(None)") == (0, "last", "")
    assert argorun("print('last', end=''); signals.end(7)") == (7, "last", "")
