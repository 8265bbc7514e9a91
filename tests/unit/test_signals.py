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
    assert argorun(f"signals.from_now_on(signals.leave_with(1)); {kill}; print('went on')") == (1, "", "")


def test_a_signal_while_python_itself_ends_does_not_change_the_code() -> None:
    late = "class Late:\n    def __del__(self): os.kill(os.getpid(), 15)\n"
    kept = "import sys; sys.modules['late'] = Late()"  # goes when Python has taken its handlers away
    assert argorun(f"{late}signals.ignore_for_good(); {kept}; sys.exit(7)") == (7, "", "")


def test_within_a_block_its_listener_hears_and_then_the_one_before() -> None:
    heard: list[tuple[str, int]] = []
    before = [signal.getsignal(s) for s in signals.SIGNALS]
    with signals.heard_by(lambda s: heard.append(("outer", s))):
        with signals.heard_by(lambda s: heard.append(("inner", s))):
            os.kill(os.getpid(), INT)
        os.kill(os.getpid(), TERM)
    assert heard == [("inner", INT), ("outer", TERM)]
    assert [signal.getsignal(s) for s in signals.SIGNALS] == before
