"""A person at a terminal: Ctrl-C is answered at once, and no spinner stays."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import secrets
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest

from tests.chaos.ground import LIMIT, App, Ground
from tests.checkout import ARGORUN
from tests.unit.reporters.tty import Tty

CTRL_C = b"\x03"
SPINNER = re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")


class AtATerminal:
    """argorun with a terminal of its own, as a shell starts it: what is typed there reaches it as signals."""

    def __init__(self, app: App, columns: int = 100, *, kafka: str = "") -> None:
        self.prefix = f"t{secrets.token_hex(5)}_updates"
        self.tty = Tty(columns)
        self.raw = ""
        environment = app.ground.environment | {"TERM": "xterm-256color"}
        if kafka:
            environment["KAFKA_BOOTSTRAP_SERVERS"] = kafka
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        command = [*ARGORUN, "run", app.name, "--topic", self.prefix, "--parameter", "kafka.topic"]
        self.process = subprocess.Popen(
            command,
            cwd=app.ground.folder,
            env=environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inner)

    def until(self, text: str) -> None:
        """Read until this was shown."""
        deadline = time.monotonic() + LIMIT
        while text not in self.raw:
            assert time.monotonic() < deadline, f"no {text!r}: {self.raw}"
            assert self._read(), f"ended without {text!r}: {self.raw}"

    def press(self, key: bytes) -> None:
        os.write(self._terminal, key)

    def ended(self) -> tuple[int, list[str]]:
        """The exit code, and what stays on the screen."""
        while self._read():
            pass
        os.close(self._terminal)
        # The terminal echoes ^C where the cursor stands, and argorun overwrites it.
        self.tty.feed(self.raw.replace("^C\x1b[?2026h", "\x1b[?2026h").replace("\r\n", "\n"))
        return self.process.wait(LIMIT), [line for line in self.tty.shown() if line]

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], LIMIT)[0]:
            return False
        with contextlib.suppress(OSError):  # Linux's way of saying that the other end is closed
            data = os.read(self._terminal, 65536)
            self.raw += data.decode(errors="replace")
            return bool(data)
        return False


@pytest.fixture
def silent_broker() -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def rows(shown: list[str]) -> dict[str, str]:
    """The rows by their sign and label."""
    return {" ".join(line.split()[:2]): line for line in shown if line[0] in "✓✗–▸"}


def test_ctrl_c_while_the_test_runs_is_answered_stops_it_and_leaves_no_spinner(ground: Ground) -> None:
    app = ground.application("sleep 60")
    at = AtATerminal(app)
    at.until("on t")  # the test's first line
    at.press(CTRL_C)
    at.until("canceling: stopping the sync, restoring parameters, deleting the topic")
    assert "sync stopped" not in at.raw, "the answer comes before what it announces"
    code, shown = at.ended()
    text = "\n".join(shown)
    assert (code, SPINNER.search(text)) == (130, None), text
    assert "stopped" in rows(shown)["– PostSync"]
    assert " CANCELED by Ctrl-C while checks ran" in text
    assert "argorun exit 130" in text
    assert "left behind" in text
    assert ground.topics(at.prefix) == []


def test_ctrl_c_while_kafka_does_not_answer_is_answered_at_once(ground: Ground, silent_broker: str) -> None:
    at = AtATerminal(ground.application(), kafka=silent_broker)
    at.until("preflight")
    at.press(CTRL_C)
    at.until("canceling: nothing to undo")
    assert "CANCELED" not in at.raw
    code, shown = at.ended()
    assert code == 130
    assert any("CANCELED by Ctrl-C during preflight" in line for line in shown), shown
    assert not SPINNER.search("\n".join(shown))


def test_a_nervous_second_press_ends_no_clean_up(ground: Ground) -> None:
    at = AtATerminal(ground.application("sleep 60"))
    at.until("on t")
    at.press(CTRL_C)
    at.until("canceling")
    at.press(CTRL_C)
    code, shown = at.ended()
    assert code == 130
    assert not any(line.startswith("   left") for line in shown), shown
    assert ground.topics(at.prefix) == []


def test_a_killed_terminal_ends_the_run_and_leaves_nothing(ground: Ground) -> None:
    at = AtATerminal(ground.application("sleep 60"))
    at.until("on t")
    at.process.send_signal(signal.SIGHUP)
    code, shown = at.ended()
    assert code == 129
    assert any("CANCELED by SIGHUP while checks ran" in line for line in shown), shown
    assert ground.topics(at.prefix) == []
