"""Text on stderr that is not an event holds no secret, drives no terminal and commands no runner."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun import app
from argorun.errors import UsageError
from argorun.reporters.stderr import MaskedStderr, masked_stderr, redactor
from tests import checkout
from tests.unit.reporters.github_runner import commands

INSTALL = "from argorun.reporters.stderr import install_stderr, redactor\ninstall_stderr()"
TOKEN = "t0ken-of-argocd"


def masked(**environment: str) -> tuple[MaskedStderr, io.StringIO]:
    behind = io.StringIO()
    return MaskedStderr(behind, environment), behind


def process(code: str, *arguments: str, **environment: str) -> str:
    """What a process with a masked stderr writes there."""
    known = checkout.environment(Path.home(), ARGOCD_AUTH_TOKEN=TOKEN)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{INSTALL}\n{code}",
            *arguments,
        ],
        env=known | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.stderr


WRITERS = {
    "an uncaught exception": "raise ValueError(TOKEN)",
    "the cause of one": "raise ValueError('x') from ValueError(TOKEN)",
    "an exception in a thread": (
        "import threading\ndef f(): raise ValueError(TOKEN)\n"
        "t = threading.Thread(target=f); t.start(); t.join()"
    ),
    "one that cannot be raised": "class A:\n  def __del__(self): raise ValueError(TOKEN)\nA()",
    "a task that is never awaited": (
        "import asyncio\nasync def f(): raise ValueError(TOKEN)\nasync def main():\n"
        "  t = asyncio.ensure_future(f())\n  await asyncio.sleep(0)\n  await asyncio.sleep(0)\n  del t\n"
        "asyncio.run(main(), debug=True)"
    ),
    "a warning": "import warnings\nwarnings.warn(TOKEN)",
    "a library's log": "import logging\nlogging.getLogger('httpx').error('%r', {'Authorization': TOKEN})",
    "a line in pieces": "import sys\nfor c in TOKEN: sys.stderr.write(c)\nsys.stderr.write(' x\\n')",
    "no end of line": "import sys\nsys.stderr.write(TOKEN)",
    "the interpreter's end": "import atexit, sys\natexit.register(lambda: print(TOKEN, file=sys.stderr))",
}


@pytest.mark.parametrize("what", WRITERS)
def test_what_python_itself_writes_to_stderr_holds_no_secret(what: str) -> None:
    said = process("import os\nTOKEN = os.environ['ARGOCD_AUTH_TOKEN']\n" + WRITERS[what], PYTHONDEVMODE="1")
    assert "***" in said
    assert TOKEN not in said


def test_a_traceback_shows_lines_of_code_and_no_values() -> None:
    said = process("secret = 'hunter' + '2'\nredactor().mask(secret)\nraise KeyError(secret)")
    assert said.splitlines()[-1] == "KeyError: '***'"


def test_no_control_character_passes() -> None:
    stream, behind = masked()
    print("a\x1b[2J\rb\x07\n\x1b[31mred\x1b[0m \u202eevil", file=stream)
    assert behind.getvalue() == "a\\rb\\x07\nred \\u202eevil\n"


PIECES = st.sampled_from(
    ["::", ":", "error", "##[", "#", "[", "]", "\r", "\n", "\x1b[0m", "\u200b", " ", "\x01"]
)


@given(st.lists(PIECES).map("".join))
def test_no_line_commands_githubs_runner(text: str) -> None:
    stream, behind = masked(GITHUB_ACTIONS="true")
    print(text, file=stream)
    assert commands(behind.getvalue()) == []


def test_a_command_in_an_error_is_text() -> None:
    stream, behind = masked(GITHUB_ACTIONS="true")
    print("argorun: x\n::error::y", file=stream)
    assert behind.getvalue() == "argorun: x\n| ::error::y\n"


def test_an_error_before_the_run_is_redacted_and_stderr_is_restored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGOCD_AUTH_TOKEN", TOKEN)
    before = sys.stderr

    def go() -> int:
        redactor().mask("hunter2")
        raise UsageError(f"'{TOKEN}' is no server", "nor is hunter2\x1b[2J")

    with app.errors_shown() as ending:
        go()
    assert ending.code == 2
    assert capsys.readouterr() == ("", "argorun: '***' is no server\n  nor is ***\n")
    assert sys.stderr is before


@pytest.mark.parametrize("stream", [None, "closed"])
def test_without_a_stderr_nothing_happens(stream: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if stream else None)
    with masked_stderr():
        print("x", file=sys.stderr)
        assert not sys.stderr.isatty()
